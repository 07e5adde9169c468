import fc from 'fast-check';
import { createResourceMatcher } from '../../src/http/resources';
import { runs } from '../support/counts';

const API = 'https://api.example.com/v1/';
const covers = createResourceMatcher([API]);
const PAGE = 'https://app.example.com/dir/page';
const fromPage = createResourceMatcher([API], () => PAGE);

const FRIENDLY = [
  'https://api.example.com/v1/',
  'https://api.example.com/v1',
  'https://api.example.com/v1?x=1',
  'https://api.example.com/v1#x',
  'https://api.example.com/v1/orders',
  'https://api.example.com/v1/orders/1?q=a%2Fb#f',
  'https://api.example.com/v1/?next=https://evil.test/',
  'https://api.example.com/v1//orders',
  'https://api.example.com/v1/a/../b',
  'https://api.example.com/v1/./b',
  'https://api.example.com:443/v1/orders',
  'HTTPS://API.EXAMPLE.COM/v1/orders',
  'https://api.example.com/v2/../v1/orders',
  'https:\\\\api.example.com\\v1\\orders',
  ' https://api.example.com/v1/orders ',
  'https://api.example.com/v1/%C3%A4',
  // what the parser of fetch makes of it is on the list, too
  'https://api.exa\tmple.com/v1/orders',
  'https:api.example.com/v1/orders',
  'https:///api.example.com/v1/orders',
  'https://%61pi.example.com/v1/orders',
  'https://api。example。com/v1/orders',
  'https://ａｐｉ.example.com/v1/orders',
];

/** None of these may get a token that is meant for https://api.example.com/v1/. */
const HOSTILE = [
  // another host
  'https://api.example.com.evil.test/v1/',
  'https://api.example.com.evil.test',
  'https://evil.test/https://api.example.com/v1/',
  'https://evil.test/?https://api.example.com/v1/',
  'https://evil.test/#https://api.example.com/v1/',
  'https://evil.test\\@api.example.com/v1/',
  'https://evil.test#@api.example.com/v1/',
  'https://evil.test?@api.example.com/v1/',
  'https://xapi.example.com/v1/',
  'https://api.example.comx/v1/',
  'https://apiXexample.com/v1/',
  'https://api-example.com/v1/',
  'https://example.com/v1/',
  'https://sub.api.example.com/v1/',
  'https://api.example.com./v1/',
  'https://api.example.com%2eevil.test/v1/',
  'https://api.example.com%00.evil.test/v1/',
  'https://api.example.com%2f.evil.test/v1/',
  'https://api.example.com\u2024evil.test/v1/',
  'https://аpi.example.com/v1/', // Cyrillic а
  'https://api.exаmple.com/v1/',
  'https://xn--pi-7kc.example.com/v1/',
  'https://api.examрle.com/v1/',
  'https://[::1]/v1/',
  'https://127.0.0.1/v1/',
  'https://2130706433/v1/',
  // a user before the host
  'https://api.example.com@evil.test/v1/',
  'https://api.example.com:443@evil.test/v1/',
  'https://api.example.com%40evil.test/v1/',
  'https://user@api.example.com/v1/',
  'https://user:pass@api.example.com/v1/',
  'https://:pass@api.example.com/v1/',
  // another port
  'https://api.example.com:444/v1/',
  'https://api.example.com:8443/v1/',
  'https://api.example.com:80/v1/',
  'https://api.example.com:0443x/v1/',
  'https://api.example.com:65536/v1/',
  // another scheme
  'http://api.example.com/v1/',
  'http://api.example.com:443/v1/',
  'ws://api.example.com/v1/',
  'wss://api.example.com/v1/',
  'ftp://api.example.com/v1/',
  'file://api.example.com/v1/',
  'blob:https://api.example.com/v1/',
  'data:text/plain,https://api.example.com/v1/',
  'javascript:https://api.example.com/v1/',
  'about:blank#https://api.example.com/v1/',
  'view-source:https://api.example.com/v1/',
  'filesystem:https://api.example.com/v1/',
  'urn:https://api.example.com/v1/',
  // another path
  'https://api.example.com/',
  'https://api.example.com',
  'https://api.example.com/v2/',
  'https://api.example.com/v1x',
  'https://api.example.com/v1x/',
  'https://api.example.com/v1.evil/',
  'https://api.example.com/v10/',
  'https://api.example.com/v1;x=1/',
  'https://api.example.com/v1%20/',
  'https://api.example.com/V1/',
  'https://api.example.com/x/v1/',
  'https://api.example.com//v1/',
  'https://api.example.com/?/v1/',
  'https://api.example.com/#/v1/',
  // up and out again
  'https://api.example.com/v1/..',
  'https://api.example.com/v1/../admin',
  'https://api.example.com/v1/x/../../admin',
  'https://api.example.com/v1/%2e%2e/admin',
  'https://api.example.com/v1/%2E./admin',
  'https://api.example.com/v1/.%2e/admin',
  'https://api.example.com/v1/..\\admin',
  'https://api.example.com/v1\\..\\admin',
  'https://api.example.com/v1/..%2fadmin',
  'https://api.example.com/v1/..%2Fadmin',
  'https://api.example.com/v1/..%5cadmin',
  'https://api.example.com/v1/..%5Cadmin',
  'https://api.example.com/v1/%2e%2e%2fadmin',
  'https://api.example.com/v1/..;/admin',
  'https://api.example.com/v1/..;x=1/admin',
  'https://api.example.com/v1%2f../admin',
  'https://api.example.com/v1%2forders',
  'https://api.example.com/v1/.\t./admin',
  'https://api.example.com/v1/.\n./admin',
  'https://api.example.com/%76%31/',
  // not absolute: without a base they are nowhere
  '//api.example.com/v1/',
  '//evil.test/v1/',
  '/\\evil.test/v1/',
  '\\\\evil.test/v1/',
  '/v1/orders',
  'v1/orders',
  '?x=1',
  '#x',
  '',
  ' ',
  'https://',
  'https:',
  'https://:443/v1/',
  'null',
];

describe('6750-2 E14 where a token may go', () => {
  it.each(FRIENDLY)('to %j', (url) => {
    expect(covers(url)).toBe(true);
  });

  it.each(HOSTILE)('not to %j', (url) => {
    expect(covers(url)).toBe(false);
  });

  it('6750-2 there are at least sixty hostile ones, all different', () => {
    expect(new Set(HOSTILE).size).toBeGreaterThanOrEqual(60);
    expect(new Set(HOSTILE).size).toBe(HOSTILE.length);
  });

  it('E15 with no list, to nowhere', () => {
    const none = createResourceMatcher([], () => 'https://api.example.com/v1/');
    for (const url of [...FRIENDLY, ...HOSTILE]) expect(none(url)).toBe(false);
  });

  it('E17 the answer does not depend on what was asked before', () => {
    for (let i = 0; i < 3; i++) {
      expect(covers('https://api.example.com/v1/a')).toBe(true);
      expect(covers('https://evil.test/v1/a')).toBe(false);
    }
  });
});

describe('E16 relative addresses, as seen from the page', () => {
  it.each<[string, boolean]>([
    ['//api.example.com/v1/orders', true],
    ['\\\\api.example.com\\v1\\orders', true],
    ['/\\api.example.com/v1/orders', true],
    ['https://api.example.com/v1/orders', true],
    ['//evil.test/v1/', false],
    ['/\\evil.test/v1/', false],
    ['\\/evil.test/v1/', false],
    ['/v1/orders', false],
    ['orders', false],
    ['https:/v1/orders', false],
    ['https:api.example.com/v1/', false], // relative to an https page
    ['', false],
    ['//api.example.com@evil.test/v1/', false],
    ['/\t/evil.test/v1/', false],
  ])('%j is covered: %p', (url, covered) => {
    expect(fromPage(url)).toBe(covered);
  });

  it('match where the page itself lies below a resource', () => {
    const own = createResourceMatcher(['https://app.example.com/api'], () => PAGE);
    expect(['/api', '/api/x', '../api/x'].map(own)).toEqual([true, true, true]);
    expect(['/apis', 'api', '//evil.test/api', '/api/../x'].map(own)).toEqual([false, false, false, false]);
  });

  it('the base is asked for late, and a broken one covers nothing', () => {
    let base: string | undefined;
    const late = createResourceMatcher(['https://app.example.com/'], () => base);
    expect(late('/x')).toBe(false);
    base = 'https://app.example.com/';
    expect(late('/x')).toBe(true);
    base = 'not a base';
    expect(late('/x')).toBe(false);
    base = 'data:text/html,x';
    expect(late('/x')).toBe(false);
  });
});

describe('the list', () => {
  it.each<[string, string, boolean]>([
    ['https://api.example.com', 'https://api.example.com/anything/..%2f', true],
    ['https://api.example.com', 'https://api.example.com.evil.test/', false],
    ['https://api.example.com/v1', 'https://api.example.com/v1/x', true],
    ['https://api.example.com/v1', 'https://api.example.com/v1x', false],
    ['https://API.example.com:443/v1', 'https://api.example.com/v1/x', true],
    ['https://api.example.com:8443/', 'https://api.example.com:8443/x', true],
    ['https://api.example.com:8443/', 'https://api.example.com/x', false],
    ['http://localhost:3000/api', 'http://localhost:3000/api/x', true],
    ['http://localhost:3000/api', 'https://localhost:3000/api/x', false],
    ['http://127.0.0.1:3000/', 'http://127.0.0.1:3000/x', true],
    ['http://127.0.0.1:3000/', 'http://localhost:3000/x', false],
    ['http://[::1]:3000/', 'http://[::1]:3000/x', true],
    ['https://bücher.example/', 'https://xn--bcher-kva.example/x', true],
  ])('of %s covers %s: %p', (resource, url, covered) => {
    expect(createResourceMatcher([resource])(url)).toBe(covered);
  });

  it.each([
    'api.example.com',
    '/api',
    '',
    '*',
    'https://*',
    'https://api.example.com*',
    'https://api.example.com/v1/*',
    'https://user@api.example.com/',
    'https://:p@api.example.com/',
    'https://api.example.com/?x=1',
    'https://api.example.com/#x',
    'https://api.example.com/a%2fb',
    'https://api.example.com/a%5Cb',
    'http://api.example.com/',
    'http://localhost.evil.test/',
    'ws://api.example.com/',
    'data:,x',
    'file:///etc',
  ])('%j is no resource: a TypeError at once, not a silent nothing', (resource) => {
    expect(() => createResourceMatcher([API, resource])).toThrow(TypeError);
  });

  it('any of several entries covers', () => {
    const several = createResourceMatcher([API, 'https://other.example/x']);
    expect([several('https://api.example.com/v1/a'), several('https://other.example/x/y'), several('https://other.example/')]).toEqual([
      true,
      true,
      false,
    ]);
  });
});

/**
 * A judge that shares no code with the matcher: it takes the address that fetch would send to, as text, and compares text.
 */
function judge(url: string, base: string | undefined): boolean {
  let sent: string;
  try {
    sent = new Request(base === undefined ? url : new URL(url, base)).url;
  } catch {
    return false; // fetch refuses it, too: no address, or one with a user
  }
  const [path = ''] = sent.split(/[?#]/);
  const onList = path === 'https://api.example.com/v1' || path.startsWith('https://api.example.com/v1/');
  return onList && !['%2f', '%5c', '%2e', '/..;', '/.;'].some((code) => path.toLowerCase().includes(code));
}

it('6750-2 agrees with an independent judge on addresses put together from hostile parts', () => {
  const part = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
  const url = fc
    .tuple(
      part('', '', ' ', '\t', '\0'),
      part('https:', 'https:', 'https:', 'HTTPS:', 'http:', 'ws:', 'blob:https:', 'ht\ntps:', ''),
      part('//', '//', '//', '/', '', '\\\\', '/\\', '///', '/\t/'),
      part('', '', '', 'user@', ':@', '@', 'evil.test\\@', 'evil.test#@', 'api.example.com@'),
      part(
        'api.example.com',
        'api.example.com',
        'API.EXAMPLE.com',
        'api.example.com.',
        'api.example.com.evil.test',
        'evil.test',
        'ap\ti.example.com',
        '%61pi.example.com',
        '',
      ),
      part('', '', '', ':443', ':', ':0443', ':444', ':80'),
      fc
        .array(
          part(
            '/v1',
            '/v1',
            '/',
            '//',
            '/..',
            '/.',
            '/%2e%2e',
            '/.%2E',
            '/..%2f',
            '\\..',
            '/%2F',
            'x',
            '%5c',
            ';',
            '/a',
            '?',
            '#',
            '\t',
            '/%76',
          ),
          { maxLength: 6 },
        )
        .map((parts) => parts.join('')),
    )
    .map((parts) => parts.join(''));
  let on = 0;
  fc.assert(
    fc.property(url, part(undefined, PAGE, 'https://api.example.com/v1/x'), (one, base) => {
      const expected = judge(one, base);
      on += Number(expected);
      expect(createResourceMatcher([API], () => base)(one)).toBe(expected);
    }),
    { numRuns: runs(5_000, 100_000) },
  );
  expect(on).toBeGreaterThan(100); // the judge says yes often enough to be worth asking
});

it('6750-2 random text is never covered', () => {
  fc.assert(
    fc.property(fc.webUrl({ withFragments: true, withQueryParameters: true }), fc.string(), (web, text) => {
      expect(covers(text)).toBe(false);
      expect(covers(web)).toBe(judge(web, undefined));
    }),
  );
});
