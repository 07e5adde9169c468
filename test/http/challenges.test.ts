import fc from 'fast-check';
import { parseChallenges, refusalOf, type AuthenticationChallenge } from '../../src/http/challenges.js';
import { runs } from '../support/counts.js';

type Read = readonly [scheme: string, rest?: string | Readonly<Record<string, string>>];
const plain = (challenges: readonly AuthenticationChallenge[]): readonly Read[] =>
  challenges.map(({ scheme, token68, params }) =>
    token68 === null ? (params.size > 0 ? [scheme, Object.fromEntries(params)] : [scheme]) : [scheme, token68],
  );

const VECTORS: readonly (readonly [header: string, read: readonly Read[]])[] = [
  // one challenge
  ['Bearer', [['bearer']]],
  ['bearer', [['bearer']]],
  ['BEARER', [['bearer']]],
  [' Bearer ', [['bearer']]],
  ['\tBearer\t', [['bearer']]],
  ['Bearer,', [['bearer']]],
  [',Bearer', [['bearer']]],
  [', ,, Bearer ,,', [['bearer']]],
  ['Bearer realm="api"', [['bearer', { realm: 'api' }]]],
  ['Bearer realm=api', [['bearer', { realm: 'api' }]]],
  ['Bearer  realm="api"', [['bearer', { realm: 'api' }]]],
  ['Bearer\trealm="api"', [['bearer', { realm: 'api' }]]],
  ['Bearer REALM="Api"', [['bearer', { realm: 'Api' }]]],
  ['Bearer realm = "api"', [['bearer', { realm: 'api' }]]],
  ['Bearer realm= "api"', [['bearer', { realm: 'api' }]]],
  ['Bearer realm\t=\tapi', [['bearer', { realm: 'api' }]]],
  ['Bearer realm=""', [['bearer', { realm: '' }]]],
  ['Bearer realm="a b"', [['bearer', { realm: 'a b' }]]],
  // several parameters
  ['Bearer realm="api", error="invalid_token"', [['bearer', { realm: 'api', error: 'invalid_token' }]]],
  ['Bearer realm="api",error="invalid_token"', [['bearer', { realm: 'api', error: 'invalid_token' }]]],
  ['Bearer realm="api" , error="invalid_token"', [['bearer', { realm: 'api', error: 'invalid_token' }]]],
  ['Bearer realm="api",, error="invalid_token"', [['bearer', { realm: 'api', error: 'invalid_token' }]]],
  ['Bearer realm="api" error="invalid_token"', [['bearer', { realm: 'api', error: 'invalid_token' }]]], // a common mistake
  ['Bearer error=invalid_token, scope="a b"', [['bearer', { error: 'invalid_token', scope: 'a b' }]]],
  ['Bearer error="a", error="b"', [['bearer', { error: 'a' }]]],
  ['Bearer error="a", ERROR="b"', [['bearer', { error: 'a' }]]],
  // what is no token, without quotes
  ['Bearer acr_values=urn:x:loa:2, max_age=5', [['bearer', { acr_values: 'urn:x:loa:2', max_age: '5' }]]],
  ['Bearer scope=https://api.example/read.all', [['bearer', { scope: 'https://api.example/read.all' }]]],
  ['Bearer realm=https://as.example error="invalid_token"', [['bearer', { realm: 'https://as.example', error: 'invalid_token' }]]],
  ['Bearer scope=a:b,error=c=', [['bearer', { scope: 'a:b', error: 'c=' }]]],
  ['Bearer error=a; scope=b, realm=c', [['bearer', { error: 'a', realm: 'c' }]]],
  // quoted text
  ['Bearer realm="a,b"', [['bearer', { realm: 'a,b' }]]],
  ['Bearer realm="a, Basic realm=b"', [['bearer', { realm: 'a, Basic realm=b' }]]],
  ['Bearer realm="a=b"', [['bearer', { realm: 'a=b' }]]],
  ['Bearer realm="a\\"b"', [['bearer', { realm: 'a"b' }]]],
  ['Bearer realm="a\\\\b"', [['bearer', { realm: 'a\\b' }]]],
  ['Bearer realm="a\\\\"', [['bearer', { realm: 'a\\' }]]],
  ['Bearer realm="\\a\\b"', [['bearer', { realm: 'ab' }]]],
  ['Bearer realm="a\\", error=\\"x"', [['bearer', { realm: 'a", error="x' }]]],
  ['Bearer realm="error=invalid_token"', [['bearer', { realm: 'error=invalid_token' }]]],
  ['Bearer realm="ä"', [['bearer', { realm: 'ä' }]]],
  ['Bearer realm="a\nb"', [['bearer', { realm: 'a\nb' }]]],
  // several challenges
  ['Basic realm="x", Bearer', [['basic', { realm: 'x' }], ['bearer']]],
  ['Bearer, Basic realm="x"', [['bearer'], ['basic', { realm: 'x' }]]],
  [
    'Bearer error="a", Basic realm="x"',
    [
      ['bearer', { error: 'a' }],
      ['basic', { realm: 'x' }],
    ],
  ],
  [
    'Bearer error="a",Basic realm="x"',
    [
      ['bearer', { error: 'a' }],
      ['basic', { realm: 'x' }],
    ],
  ],
  [
    'Bearer a=1, b=2, DPoP c=3, d=4',
    [
      ['bearer', { a: '1', b: '2' }],
      ['dpop', { c: '3', d: '4' }],
    ],
  ],
  ['Negotiate, Bearer error="a"', [['negotiate'], ['bearer', { error: 'a' }]]],
  [
    'Bearer a=1, Bearer a=2',
    [
      ['bearer', { a: '1' }],
      ['bearer', { a: '2' }],
    ],
  ],
  [
    'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"', // RFC 9110 §11.6.1
    [
      ['newauth', { realm: 'apps', type: '1', title: 'Login to "apps"' }],
      ['basic', { realm: 'simple' }],
    ],
  ],
  ['DPoP algs="ES256 PS256", Bearer', [['dpop', { algs: 'ES256 PS256' }], ['bearer']]],
  [
    'Digest realm="r", qop="auth, auth-int", nonce="n", Bearer',
    [['digest', { realm: 'r', qop: 'auth, auth-int', nonce: 'n' }], ['bearer']],
  ],
  ['A, B, C', [['a'], ['b'], ['c']]],
  ["X-Custom!#$%&'*+.^_`|~1 a=1", [["x-custom!#$%&'*+.^_`|~1", { a: '1' }]]],
  // in the place of parameters
  ['Negotiate YII=', [['negotiate', 'YII=']]],
  ['Negotiate YII==', [['negotiate', 'YII==']]],
  ['Negotiate a/b+c-d._~', [['negotiate', 'a/b+c-d._~']]],
  [
    'Negotiate YII=, Bearer error="a"',
    [
      ['negotiate', 'YII='],
      ['bearer', { error: 'a' }],
    ],
  ],
  ['Negotiate YII= , Bearer', [['negotiate', 'YII='], ['bearer']]],
  ['NTLM TlRMTVNTUAAC, Negotiate', [['ntlm', 'TlRMTVNTUAAC'], ['negotiate']]],
  ['Bearer a=', [['bearer', 'a=']]],
  // what is none
  ['', []],
  [' ', []],
  [',', []],
  [',,,', []],
  ['=', []],
  ['"', []],
  ['"Bearer"', []],
  ['"Bearer error=a', []],
  ['"\\', []],
  ['"\\"', []],
  ['\\', []],
  ['"abc\\', []],
  ['a"b\\', []],
  ['Bearer/1', []],
  ['Bearer;error=a', []],
  ['Bearer="x"', []],
  ['Bearer: x', []],
  ['ä', []],
  ['\u0000', []],
  ['error="invalid_token"', []],
  ['{"error":"invalid_token"}', []],
  // what is none beside one
  ['error="x", Bearer', [['bearer']]],
  ['"x", Bearer', [['bearer']]],
  ['Bearer;, Basic', [['basic']]],
  ['Bearer realm="a', [['bearer']]],
  ['Bearer realm="a\\', [['bearer']]],
  ['Bearer realm="a, Basic', [['bearer']]],
  ['Bearer =a, error=b', [['bearer', { error: 'b' }]]],
  ['Bearer "a", error=b', [['bearer', { error: 'b' }]]],
  ['Bearer a=b=c, error=d', [['bearer', { a: 'b=c', error: 'd' }]]],
  [
    'Bearer __proto__="x", constructor="y"',
    [
      [
        'bearer',
        Object.fromEntries([
          ['__proto__', 'x'],
          ['constructor', 'y'],
        ]),
      ],
    ],
  ],
];

describe('6750-3 WWW-Authenticate', () => {
  it.each(VECTORS)('%j', (header, read) => {
    expect(plain(parseChallenges(header))).toEqual(read);
  });

  it('6750-3 these are at least sixty, all different', () => {
    expect(new Set(VECTORS.map(([header]) => header)).size).toBe(VECTORS.length);
    expect(VECTORS.length).toBeGreaterThanOrEqual(60);
  });

  it('is nothing where there is no header', () => {
    expect(parseChallenges(null)).toEqual([]);
  });

  it('several fields are one, as Headers joins them', () => {
    const headers = new Headers();
    headers.append('WWW-Authenticate', 'Basic realm="a, b"');
    headers.append('WWW-Authenticate', 'Bearer error="invalid_token"');
    headers.append('WWW-Authenticate', 'Negotiate');
    expect(plain(parseChallenges(headers.get('www-authenticate')))).toEqual([
      ['basic', { realm: 'a, b' }],
      ['bearer', { error: 'invalid_token' }],
      ['negotiate'],
    ]);
  });

  it('8 KiB are read, one character more is not', () => {
    const header = `Bearer realm="${'x'.repeat(8_192 - 15)}"`;
    expect(header).toHaveLength(8_192);
    expect(parseChallenges(header)).toHaveLength(1);
    expect(parseChallenges(`${header} `)).toEqual([]);
  });

  it('16 challenges are read, and 64 parameters of each', () => {
    const many = Array.from({ length: 40 }, (_, i) => `S${i} a=1`).join(', ');
    expect(parseChallenges(many).map(({ scheme }) => scheme)).toEqual(Array.from({ length: 16 }, (_, i) => `s${i}`));
    const params = Array.from({ length: 100 }, (_, i) => `p${i}=${i}`).join(', ');
    const read = parseChallenges(`Bearer ${params}, Basic realm="after"`);
    expect(read[0]?.params.size).toBe(64);
    expect(read[0]?.params.get('p63')).toBe('63');
    expect(read[1]?.params.get('realm')).toBe('after');
  });
});

const TCHAR = [..."!#$%&'*+-.^_`|~0123456789abcxyzABCXYZ"];
const token = fc.string({ unit: fc.constantFrom(...TCHAR), minLength: 1, maxLength: 12 });
const quotable = fc.string({ unit: fc.constantFrom(...TCHAR, ' ', '\t', ',', '=', '"', '\\', 'ä', ';'), maxLength: 20 });
const blanks = fc.constantFrom('', '', ' ', '\t', '  ');
const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** A challenge as text, and what it says. */
const challenge = fc
  .record({
    scheme: token,
    token68: fc.option(fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,10}={0,2}$/), { nil: undefined, freq: 4 }),
    params: fc.array(
      fc.tuple(
        token,
        fc.oneof(
          token.map((text) => [text, text]),
          quotable.map((text) => [quoted(text), text]),
        ),
        blanks,
        blanks,
      ),
      {
        maxLength: 6,
      },
    ),
  })
  .map(({ scheme, token68, params }) => {
    if (token68 !== undefined) return { text: `${scheme} ${token68}`, read: [scheme.toLowerCase(), token68] as Read };
    const said = new Map<string, string>();
    for (const [name, [, value]] of params) if (!said.has(name.toLowerCase())) said.set(name.toLowerCase(), value ?? '');
    const text = params.map(([name, [written], before, after]) => `${name}${before}=${after}${written}`).join(' , ');
    const read: Read = said.size > 0 ? [scheme.toLowerCase(), Object.fromEntries(said)] : [scheme.toLowerCase()];
    return { text: text === '' ? scheme : `${scheme} ${text}`, read };
  });

it('6750-3 a generated list says what it was made of', () => {
  const list = fc.tuple(fc.array(challenge, { minLength: 1, maxLength: 8 }), fc.constantFrom(',', ', ', ' ,\t', ',,', ' , , '));
  fc.assert(
    fc.property(list, ([challenges, separator]) => {
      const read = parseChallenges(challenges.map(({ text }) => text).join(separator));
      expect(plain(read)).toEqual(challenges.map((one) => one.read));
    }),
    { numRuns: runs(10_000, 100_000) },
  );
});

it('6750-3 whatever text it is: nothing is thrown, the limits hold, and what is read is in the text', () => {
  const bits = [
    '"',
    '\\',
    ',',
    '=',
    ' ',
    '\t',
    'Bearer',
    'a',
    '=a',
    '="',
    '\\"',
    '==',
    'error',
    'invalid_token',
    '\u0000',
    '\n',
    '💥',
    ';',
  ];
  const garbage = fc.oneof(fc.string({ unit: fc.constantFrom(...bits), maxLength: 60 }), fc.string({ unit: 'binary' }), fc.string());
  fc.assert(
    fc.property(garbage, (header) => {
      const challenges = parseChallenges(header);
      expect(challenges.length).toBeLessThanOrEqual(16);
      for (const { scheme, token68, params } of challenges) {
        expect(header.toLowerCase()).toContain(scheme);
        if (token68 !== null) expect(header).toContain(token68);
        for (const name of params.keys()) expect(header.toLowerCase()).toContain(name);
        expect(params.size).toBeLessThanOrEqual(64);
      }
      expect(['token', 'challenge', 'other']).toContain(refusalOf(401, header, 'sent').is);
      expect(refusalOf(403, header, 'sent').is).not.toBe('token');
    }),
    { numRuns: runs(10_000, 100_000) },
  );
});

describe('6750-3 the work grows with the text, and not with its square', () => {
  /** How many characters all patterns together look at is at least what they match; how often one is tried is counted. */
  function steps(header: string): number {
    const exec = jest.spyOn(RegExp.prototype, 'exec');
    try {
      parseChallenges(header);
      return exec.mock.calls.length;
    } finally {
      exec.mockRestore();
    }
  }
  it.each<[string, (n: number) => string]>([
    ['commas', (n) => ','.repeat(n)],
    ['blanks', (n) => ' '.repeat(n)],
    ['quotes', (n) => '"'.repeat(n)],
    ['back-slashes', (n) => '\\'.repeat(n)],
    ['a quote that does not end', (n) => `Bearer a="${'x'.repeat(n)}`],
    ['a quote of back-slashes', (n) => `Bearer a="${'\\'.repeat(n)}`],
    ['empty quotes', (n) => `Bearer ${'"",'.repeat(n / 3)}`],
    ['equal signs', (n) => `Bearer a${'='.repeat(n)}`],
    ['equal signs apart', (n) => `Bearer ${'= '.repeat(n / 2)}`],
    ['parameters', (n) => `Bearer ${'a=b,'.repeat(n / 4)}`],
    ['names without values', (n) => `Bearer ${'a@,'.repeat(n / 3)}`],
    ['schemes', (n) => 'a '.repeat(n / 2)],
    ['almost a token', (n) => `Bearer ${'a'.repeat(n / 2)}${' '.repeat(n / 2 - 8)}!`],
  ])('%s', (_, make) => {
    const [short, long] = [steps(make(1_000)), steps(make(8_000))];
    expect(long).toBeLessThanOrEqual(8 * short + 50);
    expect(long).toBeLessThanOrEqual(6 * 8_000);
  });
});

describe('6750-4 STEP-1 what an answer says of the token', () => {
  it.each<[number, string | null, 'token' | 'challenge' | 'other']>([
    [401, null, 'token'],
    [401, '', 'token'],
    [401, 'Bearer', 'token'],
    [401, 'DPoP', 'token'],
    [401, 'Bearer error="invalid_token"', 'token'],
    [401, 'Bearer error="invalid_token", Bearer error="invalid_request"', 'token'],
    [401, 'Bearer error="Invalid_Token"', 'token'],
    [401, 'Bearer error="expired_token"', 'token'],
    [401, 'Basic', 'token'],
    [401, 'Basic error="invalid_token"', 'token'],
    [401, 'Token', 'token'],
    [401, 'OAuth realm="x", error="invalid_token"', 'token'],
    [401, 'Bearer error="invalid_request"', 'other'],
    [401, 'DPoP error="use_dpop_nonce"', 'other'],
    [401, 'Bearer error="insufficient_user_authentication"', 'challenge'],
    [401, 'Bearer realm="IdpMyAccountAPI", error="insufficient_authentication_context", max_age="900"', 'challenge'],
    [403, 'Bearer error="insufficient_authentication_context", max_age=900', 'challenge'],
    [401, 'Bearer error="invalid_token", Bearer error="insufficient_user_authentication"', 'challenge'],
    [401, 'Basic error="insufficient_scope"', 'token'],
    [401, 'Basic, Bearer error="invalid_request"', 'other'],
    [403, null, 'other'],
    [403, 'Bearer', 'other'],
    [403, 'Bearer error="invalid_token"', 'other'],
    [403, 'Bearer error="insufficient_scope"', 'challenge'],
    [403, 'DPoP error="insufficient_scope"', 'challenge'],
    [403, 'Basic realm="error=insufficient_scope"', 'other'],
  ])('%d with %j: %s', (status, header, is) => {
    expect(refusalOf(status, header, 'sent').is).toBe(is);
  });
});
