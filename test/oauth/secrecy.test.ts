// E51, HT-9: whatever goes wrong, no error shows a secret: not in its message, JSON, inspection, stack or cause. Each secret is a canary.
import { inspect } from 'node:util';
import type { CredentialError } from '../../src/errors';
import type { OAuth2Client } from '../../src/oauth/client';
import { json, type Answer, type Endpoint } from '../support/fake-server';
import { exchangeOf, refusal, setUpOAuth, type OAuthSetUp } from '../support/oauth';
import { aToken, CLAIMS } from '../support/tokens';
import { settled, START_MS } from '../support/unit-platform';

const SECRET = {
  accessToken: 'canary1-access-Token000000',
  refreshToken: 'canary2-refresh-Token00000',
  idToken: 'canary3-id-Token0000000000',
  code: 'canary4-code-000000000000',
  codeVerifier: 'canary5-verifier-0000000000000000000000000000000',
  nonce: 'canary6-nonce-0000000000000',
  state: 'canary7-state-0000000000000',
  sub: 'canary8-sub-000000000000000',
};
const CANARY = /canary\d/;
const everything = JSON.stringify(SECRET);
const token = aToken({ ...SECRET, idToken: `${SECRET.idToken}-of-the-login`, claims: { ...CLAIMS, sub: SECRET.sub, nonce: SECRET.nonce } });
const exchange = () => {
  const { state, nonce, codeVerifier } = SECRET;
  return exchangeOf({ state, nonce, codeVerifier }, { code: SECRET.code, state });
};

const calls: Record<string, [Endpoint, (client: OAuth2Client) => Promise<unknown>]> = {
  exchangeCode: ['token', (client) => client.exchangeCode(exchange())],
  refresh: ['token', async (client) => client.processRefresh(token, await client.sendRefresh(token))],
  revoke: ['revocation', (client) => client.revoke(token.refreshToken!, 'refresh_token')],
  userInfo: ['userinfo', (client) => client.userInfo(token)],
  introspect: ['introspection', (client) => client.introspect(token.refreshToken!, 'refresh_token')],
};
const echo = (status: number, contentType = 'application/json') =>
  new Response(
    JSON.stringify({
      error: SECRET.refreshToken,
      error_description: `Token ${everything} is unknown`,
      error_uri: `https://x.example/${SECRET.code}`,
    }),
    {
      status,
      headers: {
        'content-type': contentType,
        'www-authenticate': `Bearer error="invalid_token", error_description="${SECRET.accessToken}"`,
      },
    },
  );
const failures: Record<string, () => Answer> = {
  'no answer, with an error that shows the request': () => () =>
    Promise.reject(Object.assign(new TypeError(everything), { cause: SECRET })),
  'a redirect that carries them': () =>
    new Response(null, { status: 302, headers: { location: `https://evil.test/?x=${SECRET.refreshToken}` } }),
  '400 that echoes them in every member': () => echo(400),
  '401 that echoes them': () => echo(401),
  '400 of HTML that echoes them': () => new Response(everything, { status: 400, headers: { 'content-type': 'text/html' } }),
  '403 that echoes them as text': () => echo(403, 'text/plain'),
  '500 that echoes them': () => echo(500),
  '503 that echoes them': () => echo(503),
  'an answer too long': () => json({ ...SECRET, more: 'canary1'.repeat(100_000) }),
  'an answer that is not UTF-8': () => new Response(Buffer.concat([Buffer.from(everything), Buffer.from([0xff])])),
  'an answer that breaks off': () => () =>
    new Response(
      new ReadableStream({
        start: (controller) => {
          controller.enqueue(new TextEncoder().encode(everything));
          controller.error(new Error(everything));
        },
      }),
    ),
};
/** 200 answers that only the token endpoint can get wrong. */
const wrong: Record<string, (members: Record<string, unknown>) => Record<string, unknown> | string> = {
  'text around a token': (members) => `<html>${JSON.stringify(members)}`,
  'no token type': ({ token_type: _, ...members }) => members,
  'an unknown token type': (members) => ({ ...members, token_type: SECRET.accessToken }),
  'an access token with a line break': (members) => ({ ...members, access_token: `${SECRET.accessToken}\n` }),
  'a scope that is a list': (members) => ({ ...members, scope: [SECRET.accessToken] }),
  'an ID token that is none': (members) => ({ ...members, id_token: SECRET.idToken }),
  'an ID token of garbage': (members) => ({ ...members, id_token: `${SECRET.idToken}.${SECRET.idToken}.${SECRET.idToken}` }),
  'an encrypted ID token': (members) => ({ ...members, id_token: Array(5).fill(SECRET.idToken).join('.') }),
};
const wrongClaims: Record<string, Record<string, unknown>> = {
  'another issuer': { iss: `https://${SECRET.code}.example` },
  'another audience': { aud: SECRET.accessToken },
  'a further audience': { aud: ['spa', SECRET.accessToken], azp: 'spa' },
  'another nonce': { nonce: SECRET.accessToken },
  'another party': { azp: SECRET.accessToken },
  'an expiry that is text': { exp: SECRET.accessToken },
  'an expiry long ago': { exp: 1 },
  'a hash of another token': { at_hash: SECRET.accessToken },
  'another user': { sub: SECRET.accessToken, nonce: 'other' },
  'a user who is none': { sub: [SECRET.sub] },
};

/** Everything an error reporter could ship. */
function printed(error: CredentialError): string {
  const own = Object.getOwnPropertyNames(error).map((name) => [name, inspect(Reflect.get(error, name), { depth: 9, showHidden: true })]);
  return [
    String(error),
    error.message,
    error.stack,
    JSON.stringify(error),
    inspect(error, { depth: 9, showHidden: true }),
    JSON.stringify(own),
    inspect(error.cause),
  ].join('\n');
}
async function failedSafely(
  { server, client }: Pick<OAuthSetUp, 'server' | 'client'>,
  call: (client: OAuth2Client) => Promise<unknown>,
): Promise<void> {
  const error = await refusal(call(client));
  expect(printed(error)).not.toMatch(CANARY);
  expect(error.issuer).toBe(server.issuer);
}

describe.each(Object.entries(calls))('E51 HT-9 %s shows no secret after', (_, [endpoint, call]) => {
  // A revocation that succeeded tells nothing: its body is not read (7009-3).
  const isFailure = ([what]: [string, unknown]): boolean => endpoint !== 'revocation' || !/^an answer/.test(what);
  it.each(Object.entries(failures).filter(isFailure))('%s', async (__, answer) => {
    const setUp = setUpOAuth();
    setUp.server.plan(endpoint, answer());
    await failedSafely(setUp, call);
  });

  it('a timeout', async () => {
    const setUp = setUpOAuth();
    await setUp.client.metadata();
    setUp.server.plan(endpoint, 'hang');
    const failed = failedSafely(setUp, call);
    await settled();
    setUp.platform.advance(30_000);
    await failed;
  });

  it('a discovery document that echoes them', async () => {
    const setUp = setUpOAuth();
    setUp.server.plan('discovery', json({ issuer: SECRET.code, token_endpoint: SECRET.accessToken }));
    await failedSafely(setUp, call);
  });

  it('sending none in a URL', async () => {
    const setUp = setUpOAuth();
    setUp.server.plan(endpoint, json({}, { status: 400 }));
    await failedSafely(setUp, call);
    expect(
      setUp.server
        .calls()
        .map(({ url }) => url)
        .join(),
    ).not.toMatch(CANARY);
  });
});

describe.each(['exchangeCode', 'refresh'] as const)('E51 HT-9 %s shows no secret after a 200 with', (name) => {
  const [, call] = calls[name];

  it.each(Object.entries(wrong))('%s', async (_, change) => {
    const setUp = setUpOAuth();
    const members = {
      access_token: SECRET.accessToken,
      token_type: 'bearer',
      refresh_token: SECRET.refreshToken,
      id_token: SECRET.idToken,
    };
    const body = change(members);
    setUp.server.plan('token', typeof body === 'string' ? new Response(body, { headers: { 'content-type': 'application/json' } }) : body);
    await failedSafely(setUp, call);
  });

  // Of one that says who the user is, and is wrong in something else, a refresh makes nothing: it takes the tokens, and not the ID token.
  const overlooked = ['another nonce', 'another audience', 'a further audience', 'another party', 'an expiry long ago'];
  const refused = Object.entries(wrongClaims).filter(([what]) => name === 'exchangeCode' || !overlooked.includes(what));
  it.each(refused)('an ID token with %s', async (_, claims) => {
    const setUp = setUpOAuth();
    const id_token = await setUp.server.idToken({ sub: SECRET.sub, nonce: SECRET.nonce, exp: START_MS / 1000 + 600, ...claims });
    setUp.server.plan('token', { access_token: SECRET.accessToken, token_type: 'bearer', refresh_token: SECRET.refreshToken, id_token });
    await failedSafely(setUp, call);
  });
});

const PLAIN = { refreshToken: 'canary-refresh-token-of-alice', accessToken: 'canary-access-token-of-alice' };
const plain = aToken(PLAIN);
it.each<[string, Endpoint, (client: OAuth2Client) => Promise<unknown>]>([
  ['a refresh', 'token', (client) => client.sendRefresh(plain)],
  ['a revocation', 'revocation', (client) => client.revoke(PLAIN.refreshToken, 'refresh_token')],
  ['a user info', 'userinfo', (client) => client.userInfo(plain)],
  ['an introspection', 'introspection', (client) => client.introspect(PLAIN.refreshToken, 'refresh_token')],
  [
    'an exchange',
    'token',
    (client) => client.exchangeCode(exchangeOf({ codeVerifier: 'canary-verifier-of-alice' }, { code: 'canary code of alice' })),
  ],
])('HT-9 OBS-3 the words of a token that %s sent are not told when the server echoes them', async (_, endpoint, call) => {
  const setUp = setUpOAuth();
  setUp.server.plan(endpoint, ({ headers, form, body }) => {
    const error_description = [headers.get('authorization'), ...form.values(), body].join(' ');
    return json({ error: 'invalid_request', error_description, suberror: form.get('refresh_token') ?? 'none' }, { status: 400 });
  });
  const error = await refusal(call(setUp.client));
  expect(error).toMatchObject({ error: 'invalid_request' });
  expect(printed(error)).not.toMatch(/canary/);
});

it('HT-9 the words of a state that a callback echoes are not told', async () => {
  const { client } = setUpOAuth();
  const state = 'canary-state-of-alice';
  const callback = { state, error: 'access_denied', error_description: `No sign-in for ${state}` };
  const error = await refusal(client.exchangeCode(exchangeOf({ state }, callback)));
  expect(error).toMatchObject({ error: 'access_denied', errorDescription: 'No sign-in for [redacted]' });
});

it.each<[string, Record<string, string>]>([
  ['an error that echoes them', { error: SECRET.code, error_description: everything, error_uri: `https://x.example/${SECRET.code}` }],
  ['another state', { state: `${SECRET.state}x` }],
  ['another issuer', { iss: `https://${SECRET.code}.example` }],
  ['an ID token', { id_token: SECRET.idToken }],
])('E51 HT-9 a callback with %s shows no secret', async (_, callback) => {
  const setUp = setUpOAuth();
  const { state, nonce, codeVerifier } = SECRET;
  await failedSafely(setUp, (client) =>
    client.exchangeCode(exchangeOf({ state, nonce, codeVerifier }, { code: SECRET.code, state, ...callback })),
  );
});

it('E51 HT-9 user info of another user shows neither', async () => {
  const setUp = setUpOAuth();
  setUp.server.plan('userinfo', { sub: 'canary9-other-user' });
  await failedSafely(setUp, (client) => client.userInfo(token));
});
