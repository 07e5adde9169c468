import type { NgAddOptions } from '../../projects/angular/schematics/ng-add/options.js';
import { complaintOf } from '../../projects/angular/schematics/ng-add/rules.js';
import { createResourceMatcher } from '../../src/http/resources.js';
import { createOAuth2Client } from '../../src/oauth/client.js';

const OPTIONS: NgAddOptions = {
  issuer: 'https://id.example.com',
  clientId: 'shop',
  scope: 'openid profile offline_access',
  apiUrl: 'https://api.example.com/',
  redirectUri: 'http://localhost:4200/callback',
};

const ADDRESSES = [
  ...[
    'https://a.example',
    'http://a.example/',
    'http://localhost:3000/x',
    'http://127.0.0.1/',
    'http://127.1/',
    'http://[::1]:1/',
    'http://0.0.0.0/',
  ],
  ...[
    'https://a.example/?v=1',
    'https://a.example/?',
    'https://a.example/#x',
    'https://a.example/#',
    'https://u:p@a.example/',
    'https://@a.example/',
  ],
  ...[
    'https://a.example/*',
    'https://*.example/',
    'https://a.example/a%2fb',
    'https://a.example/a%2Eb',
    'https://a.example/..;/',
    'https://a.example/\\b',
  ],
  ...['ftp://a.example/', 'a.example', '', ' https://a.example/ ', 'https:a.example', '//a.example/', 'javascript:alert(1)'],
];

it.each([
  ...ADDRESSES.flatMap((url) => [{ issuer: url }, { apiUrl: url }, { redirectUri: url }]),
  ...['', 'openid', 'öpenid', 'a"b', 'a\\b', 'a\tb', ' a  b '].map((scope) => ({ scope })),
  ...['', 'ä', 'a b'].map((clientId) => ({ clientId })),
])('ng add takes what the application starts with, and nothing else: %j', (given) => {
  const options = { ...OPTIONS, ...given };
  const { issuer, clientId, scope, redirectUri, apiUrl } = options;
  const startsWith = (run: () => unknown): boolean => {
    try {
      run();
      return true;
    } catch {
      return false;
    }
  };
  const starts = startsWith(() => [createOAuth2Client({ issuer, clientId, scope, redirectUri }), createResourceMatcher([apiUrl])]);
  expect(complaintOf(options) === undefined).toBe(starts);
});
