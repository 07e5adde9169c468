import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';
import { attributesOf, isResource, isToken, openToken, secretsOf, type IdTokenClaims, type TokenFields } from '../../src/credential/token';
import { createToken, withFields } from '../../src/credential/create-token';
import { aToken, CANARY, CLAIMS, tokenFields } from '../support/tokens';
import { START_MS } from '../support/unit-platform';

const SECRET = /canary/;

describe('OBS-3 no printed form of a token shows a secret', () => {
  const token = aToken({ claims: { ...CLAIMS, email: 'canary@example.com' } });

  it.each<[string, () => string]>([
    ['JSON.stringify', () => JSON.stringify(token)],
    ['JSON.stringify of what holds it', () => JSON.stringify({ list: [token] })],
    // eslint-disable-next-line @typescript-eslint/restrict-template-expressions -- the very mistake that must not hurt
    ['a template', () => `${token}`],
    ['concatenation', () => '' + String(token)],
    ['util.inspect', () => inspect(token)],
    ['util.inspect with hidden members', () => inspect(token, { showHidden: true, depth: 9 })],
    ['util.inspect that calls accessors', () => inspect(token, { showHidden: true, getters: true, depth: 9 })],
    ['util.inspect of what holds it', () => inspect({ deep: [{ token }] }, { depth: 9 })],
    ['util.format %o', () => format('%o %O %s %j', token, token, token, token)],
    ['its own toJSON', () => inspect(token.toJSON())],
  ])('%s', (_, print) => {
    expect(print()).not.toMatch(SECRET);
    expect(print()).toContain('one');
  });

  it('console.log, dir, table and error', () => {
    const lines: string[] = [];
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const out = new Console({ stdout: stream, stderr: stream });
    out.log(token);
    out.log('%s %o', token, token);
    out.dir(token, { depth: 9 });
    out.error(new Error('x', { cause: token }));
    expect(lines.length).toBeGreaterThanOrEqual(4);
    for (const secret of Object.values(CANARY)) expect(lines.join('')).not.toContain(secret);
  });

  it.each<[string, () => unknown]>([
    ['spread', () => ({ ...token })],
    ['Object.assign', () => Object.assign({}, token)],
    ['structuredClone', () => structuredClone(token)],
    ['Object.entries', () => Object.entries(token)],
    [
      'for … in',
      () => {
        const seen: unknown[] = [];
        for (const name in token) seen.push(name, token[name as keyof typeof token]);
        return seen;
      },
    ],
  ])('%s takes along no token string', (_, copy) => {
    const printed = JSON.stringify(copy());
    for (const secret of Object.values(CANARY)) expect(printed).not.toContain(secret);
    expect(printed).toContain('"one"');
  });
});

describe('OBS-3 util.inspect without our say', () => {
  it.each([
    { customInspect: false },
    { customInspect: false, showHidden: true, depth: 9 },
    { customInspect: false, showHidden: true, depth: 9, getters: true },
    { customInspect: false, showHidden: true, depth: 9, getters: 'get' as const },
    { customInspect: false, showHidden: true, showProxy: true, depth: 9, getters: true },
  ])('%j shows no token string', (options) => {
    const printed = inspect({ list: [aToken(), new Proxy(aToken(), {})] }, options);
    for (const secret of Object.values(CANARY)) expect(printed).not.toContain(secret);
    expect(printed).toContain('one');
  });

  it('no own member of a token holds a token string', () => {
    const token = aToken();
    const own = Reflect.ownKeys(token).map((name) => Reflect.get(token, name) as unknown);
    for (const secret of Object.values(CANARY)) expect(JSON.stringify(own)).not.toContain(secret);
    expect(Reflect.ownKeys({ ...token })).toEqual(Object.keys(token));
    expect(Object.keys(token)).toEqual(['id', 'tokenType', 'scope', 'issuedAt', 'expiresAt', 'claims', 'context']);
  });
});

describe('a token', () => {
  it('E27 gives back every string byte for byte', () => {
    const accessToken = 'ab%2Bcd%zz~._-+/==';
    const token = createToken({ ...tokenFields(), accessToken, refreshToken: 'r %', idToken: 'x.y.z' });
    expect([token.accessToken, token.refreshToken, token.idToken]).toEqual([accessToken, 'r %', 'x.y.z']);
  });

  it('E36 needs no ID token, no refresh token and no lifetime', () => {
    const { idToken: _, refreshToken: __, ...rest } = tokenFields({ claims: null, expiresAt: null });
    const token = createToken(rest);
    expect([token.idToken, token.refreshToken, token.claims, token.expiresAt]).toEqual([undefined, undefined, null, null]);
    expect(secretsOf(token)).toEqual({ accessToken: CANARY.accessToken });
    expect(token.toJSON()).not.toHaveProperty('refreshToken');
  });

  it('cannot be changed, neither by its holder nor by who made it', () => {
    const fields = tokenFields({ claims: { ...CLAIMS, roles: ['reader'] }, context: { issuer: 'https://a.example', clientId: 'spa' } });
    const token = createToken(fields);
    (fields.claims as { sub: string }).sub = 'mallory';
    (fields.claims?.['roles'] as string[]).push('admin');
    (fields.context as { issuer: string }).issuer = 'https://evil.example';
    expect(token.claims).toEqual({ ...CLAIMS, roles: ['reader'] });
    expect(token.context.issuer).toBe('https://a.example');
    expect(() => ((token as { scope: string }).scope = 'admin')).toThrow(TypeError);
    expect(() => ((token.claims as { sub: string }).sub = 'mallory')).toThrow(TypeError);
    expect(() => (token.claims?.['roles'] as string[]).push('admin')).toThrow(TypeError);
    expect(() => ((token.context as { clientId: string }).clientId = 'x')).toThrow(TypeError);
    expect(() => Object.defineProperty(token, 'accessToken', { value: 'x' })).toThrow(TypeError);
  });

  it.each<[string, Partial<Record<keyof TokenFields, unknown>>]>([
    ['id', { id: '' }],
    ['id', { id: 5 }],
    ['id', { id: '@store' }],
    ['accessToken', { accessToken: '' }],
    ['accessToken', { accessToken: undefined }],
    ['accessToken', { accessToken: 'a b' }],
    ['accessToken', { accessToken: 'a\r\nX-Evil: 1' }],
    ['accessToken', { accessToken: 'tökén' }],
    ['refreshToken', { refreshToken: 5 }],
    ['idToken', { idToken: null }],
    ['scope', { scope: undefined }],
    ['tokenType', { tokenType: 'bearer' }],
    ['tokenType', { tokenType: 'mac' }],
    ['issuedAt', { issuedAt: NaN }],
    ['issuedAt', { issuedAt: '5' }],
    ['expiresAt', { expiresAt: Infinity }],
    ['expiresAt', { expiresAt: undefined }],
    ['claims', { claims: { sub: 'alice' } }],
    ['claims', { claims: { ...CLAIMS, iat: '5' } }],
    ['claims', { claims: { ...CLAIMS, exp: undefined } }],
    ['claims', { claims: { ...CLAIMS, sub: '' } }],
    ['claims', { claims: { ...CLAIMS, aud: ['spa', 5] } }],
    ['claims must hold what JSON has, and', { claims: { ...CLAIMS, n: 1n } }],
    ['claims must hold what JSON has, and', { claims: { ...CLAIMS, n: NaN } }],
    ['claims must hold what JSON has, and', { claims: { ...CLAIMS, deep: [{ n: Symbol('n') }] } }],
    ['claims must hold what JSON has, and', { claims: { ...CLAIMS, list: ['a', undefined] } }],
    ['refreshToken', { refreshToken: '' }],
    ['idToken', { idToken: '' }],
    ['claims', { claims: 'alice' }],
    ['claims', { claims: undefined }],
    ['context', { context: null }],
    ['context', { context: { issuer: 5, clientId: 'spa' } }],
    ['context', { context: { issuer: 'https://a.example' } }],
    ['context', { context: { issuer: '', clientId: 'spa' } }],
    ['context.scope', { context: { issuer: 'https://a.example', clientId: 'spa', scope: ['a'] } }],
    ['context.acrValues', { context: { issuer: 'https://a.example', clientId: 'spa', acrValues: 5 } }],
    ['context.dpopKeyId', { context: { issuer: 'https://a.example', clientId: 'spa', dpopKeyId: null } }],
    ['context.maxAge', { context: { issuer: 'https://a.example', clientId: 'spa', maxAge: '60' } }],
    ['context.maxAge', { context: { issuer: 'https://a.example', clientId: 'spa', maxAge: -1 } }],
    ['context.maxAge', { context: { issuer: 'https://a.example', clientId: 'spa', maxAge: 1.5 } }],
  ])('6750-1 a wrong %s is a TypeError that names it and shows no value: %j', (name, changes) => {
    const make = () => createToken({ ...tokenFields(), ...changes } as TokenFields);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(new RegExp(`^token\\.${name} `));
    expect(make).not.toThrow(SECRET);
  });

  it.each([undefined, null, 'token', []])('%j is no parts of a token: a TypeError that says what to pass', (fields) => {
    expect(() => createToken(fields as never)).toThrow(new TypeError('createToken takes an object: the members of a token'));
  });

  it('6750-1 an empty id is told apart from one that is no text', () => {
    expect(() => createToken({ ...tokenFields(), id: '' })).toThrow('token.id must be a non-empty string');
  });

  it.each(['https://api.example', 'https://api.example/v1?tenant=1', 'urn:example:api', 'HTTP://api.example'])(
    'RES-1 keeps the resource %s it was asked for',
    (resource) => {
      expect(aToken({ context: { issuer: CLAIMS.iss, clientId: 'spa', resource } }).context.resource).toBe(resource);
      expect(isResource(resource)).toBe(true);
    },
  );

  it.each(['', '/v1', 'api.example', 'https:', 'https://api.example/#part', 'https://api.example/a b', 'https://äpi.example', 5, null, {}])(
    'RES-1 %j is no resource',
    (resource) => {
      const context = { issuer: CLAIMS.iss, clientId: 'spa', resource } as never;
      expect(() => aToken({ context })).toThrow(/^token\.context\.resource must be an absolute URI/);
      expect(isResource(resource)).toBe(false);
    },
  );

  it('RES-1 keeps all resources that were asked for, in a list of its own', () => {
    const resources = ['https://api.example', 'urn:example:files'];
    const token = aToken({ context: { issuer: CLAIMS.iss, clientId: 'spa', resource: resources[0], resources } });
    resources.pop();
    expect(token.context.resources).toEqual(['https://api.example', 'urn:example:files']);
    expect(Object.isFrozen(token.context.resources)).toBe(true);
    expect(token.isEqual(createToken(JSON.parse(JSON.stringify({ ...attributesOf(token), ...secretsOf(token) })) as TokenFields))).toBe(
      true,
    );
    for (const wrong of ['urn:a', ['a'], [5], {}, null])
      expect(() => aToken({ context: { issuer: CLAIMS.iss, clientId: 'spa', resources: wrong as never } })).toThrow(
        /^token\.context\.resources/,
      );
  });

  it.each([{}, { resource: 'urn:c' }])('RES-1 takes no list of resources without that of the token: %j', (named) => {
    const context = { issuer: CLAIMS.iss, clientId: 'spa', ...named, resources: ['urn:a', 'urn:b'] };
    expect(() => aToken({ context })).toThrow(/^token\.context\.resources must be .*token\.context\.resource among them/);
  });

  it('HT-7 claims have no prototype, and no member that leads to one', () => {
    const claims = JSON.parse(
      `{"iss":"i","sub":"s","aud":"a","exp":1,"iat":1,"__proto__":{"admin":true},"deep":{"constructor":1}}`,
    ) as IdTokenClaims;
    const token = aToken({ claims });
    expect(Object.getPrototypeOf(token.claims)).toBeNull();
    expect(Object.getOwnPropertyNames(token.claims)).toEqual(['iss', 'sub', 'aud', 'exp', 'iat', 'deep']);
    expect(Object.getOwnPropertyNames(token.claims?.['deep'])).toEqual([]);
    expect(token.claims?.['admin']).toBeUndefined();
    expect(token.claims?.['toString']).toBeUndefined();
  });

  it('openToken shares claims and context with what was judged before', () => {
    const { claims, context } = aToken();
    const token = openToken({ ...tokenFields(), claims, context });
    expect([token.claims === claims, token.context === context, Object.isFrozen(token)]).toEqual([true, true, true]);
    expect(token.isEqual(aToken())).toBe(true);
  });

  it('E37 is equal to itself as it comes back from storage: without undefined members, and others that a context does not have', () => {
    const context = { issuer: 'https://a.example', clientId: 'spa', scope: undefined, resource: undefined, maxAge: 0, extra: 'x' };
    const token = aToken({ claims: { ...CLAIMS, x: undefined }, context: context as unknown as TokenFields['context'] });
    const { context: kept, claims } = token;
    expect([Object.keys(kept), Object.keys(claims ?? {})]).toEqual([['issuer', 'clientId', 'maxAge'], Object.keys(CLAIMS)]);
    const fields = JSON.parse(JSON.stringify({ ...attributesOf(token), ...secretsOf(token) })) as TokenFields;
    const again = createToken(fields);
    expect([token.isEqual(again), again.isEqual(token)]).toEqual([true, true]);
  });

  it('isEqual compares secrets, attributes and origin; scopes as sets', () => {
    const token = aToken();
    expect(token.isEqual(aToken())).toBe(true);
    expect(token.isEqual(aToken({ scope: 'profile openid' }))).toBe(true);
    expect(token.isEqual(aToken({ context: { ...tokenFields().context, scope: 'profile openid' } }))).toBe(true);
    for (const other of [null, undefined, 'x', {}, { ...token }]) expect(token.isEqual(other as never)).toBe(false);
    const others: Partial<TokenFields>[] = [
      { id: 'two' },
      { accessToken: 'x' },
      { refreshToken: 'x' },
      { idToken: 'x' },
      { scope: 'openid' },
      { tokenType: 'DPoP' },
      { issuedAt: 1 },
      { expiresAt: null },
      { context: { issuer: 'https://other.example', clientId: 'spa' } },
      { context: { issuer: CLAIMS.iss, clientId: 'other' } },
      { context: { ...tokenFields().context, resource: 'https://api.example' } },
      { context: { ...tokenFields().context, resource: 'urn:a', resources: ['urn:a', 'urn:b'] } },
      { context: { ...tokenFields().context, dpopKeyId: 'key' } },
      { context: { ...tokenFields().context, scope: 'openid' } },
      { claims: null },
      { claims: { ...CLAIMS, sub: 'bob' } },
    ];
    for (const other of others) expect(token.isEqual(aToken(other))).toBe(false);
  });

  it('withFields keeps what is not named, secrets too', () => {
    const token = withFields(aToken(), { id: 'two' });
    expect(token.id).toBe('two');
    expect(secretsOf(token)).toEqual(CANARY);
    expect(attributesOf(token)).toEqual({ ...attributesOf(aToken()), id: 'two' });
  });

  it('isToken knows tokens from look-alikes', () => {
    expect(isToken(aToken())).toBe(true);
    for (const other of [null, undefined, 'x', {}, tokenFields(), { ...aToken() }, JSON.parse(JSON.stringify(aToken()))]) {
      expect(isToken(other)).toBe(false);
    }
  });

  it('keeps further claims of the server', () => {
    const claims: IdTokenClaims = { ...CLAIMS, auth_time: START_MS / 1000, 'https://x.example/roles': ['a'] };
    expect(aToken({ claims }).claims).toEqual(claims);
  });
});

it.each([
  { issuedAt: START_MS / 1000, expiresAt: START_MS },
  { issuedAt: START_MS, expiresAt: START_MS / 1000 + 3600 },
])('times in seconds are a mistake that is said: %j', (times) => {
  expect(() => createToken(tokenFields(times))).toThrow(/multiply by 1000/);
});
