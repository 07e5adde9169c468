import { createHash } from 'node:crypto';
import { CompactEncrypt, exportJWK, generateKeyPair, SignJWT, type JWK, type JWTPayload } from 'jose';
import { isOfSameLogin } from '../../src/oauth/id-token';
import type { IdTokenClaims } from '../../src/credential/token';
import { json, keyPair, publicJwk, type SigningAlg } from '../support/fake-server';
import type { OAuth2ClientOptions } from '../../src/oauth/client';
import { exchangeOf, NONCE, planIdToken, refusal, setUpOAuth } from '../support/oauth';
import { START_MS } from '../support/unit-platform';
import { CLAIMS } from '../support/tokens';

const NOW = START_MS / 1000;
const PAYLOAD = { ...CLAIMS, nonce: NONCE } as JWTPayload;
const base64url = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const withIdToken = (id_token: string) => ({ access_token: 'access-1', token_type: 'Bearer', id_token });

// The second of the clock must not change within a test of an edge.
beforeEach(() => jest.spyOn(Date, 'now').mockReturnValue(START_MS - 86_400_123));
afterEach(() => jest.restoreAllMocks());

describe('a code exchange whose ID token says', () => {
  it.each<[string, Record<string, unknown>]>([
    ['IDT-2 no iss', { iss: undefined }],
    ['IDT-2 iss with a slash more', { iss: 'https://id.example.com/' }],
    ['IDT-2 iss in another case', { iss: 'https://ID.example.com' }],
    ['IDT-2 iss of somebody else', { iss: 'https://evil.test' }],
    ['IDT-2 iss that is a list', { iss: ['https://id.example.com'] }],
    ['IDT-3 no aud', { aud: undefined }],
    ['IDT-3 another aud', { aud: 'other' }],
    ['IDT-3 aud in another case', { aud: 'SPA' }],
    ['IDT-3 aud that is a number', { aud: 5 }],
    ['IDT-3 an empty list of audiences', { aud: [] }],
    ['IDT-3 a list without us', { aud: ['other'] }],
    ['IDT-3 us and a further audience', { aud: ['spa', 'https://api.example.com'] }],
    ['IDT-3 us and a further audience, authorized to us', { aud: ['spa', 'https://api.example.com'], azp: 'spa' }],
    ['IDT-3 us and a number', { aud: ['spa', 5] }],
    ['IDT-4 another azp', { azp: 'other' }],
    ['IDT-4 another azp with a list', { aud: ['spa'], azp: 'other' }],
    ['IDT-4 azp that is a number', { azp: 5 }],
    ['IDT-6 no exp', { exp: undefined }],
    ['IDT-6 exp that is text', { exp: String(NOW + 600) }],
    ['IDT-6 exp at the edge', { exp: NOW - 30 }],
    ['IDT-6 exp one second over the edge', { exp: NOW - 31 }],
    ['IDT-7 no iat', { iat: undefined }],
    ['IDT-7 iat that is text', { iat: String(NOW) }],
    ['IDT-7 iat in the future', { iat: NOW + 31 }],
    ['IDT-7 iat more than ten minutes ago', { iat: NOW - 631 }],
    ['IDT-8 no nonce', { nonce: undefined }],
    ['IDT-8 the nonce of another login', { nonce: 'other' }],
    ['IDT-8 nonce that is a list', { nonce: [NONCE] }],
    ['IDT-11 no sub', { sub: undefined }],
    ['IDT-11 an empty sub', { sub: '' }],
    ['IDT-11 sub that is a number', { sub: 5 }],
    ['IDT-11 sub of 256 characters', { sub: 'x'.repeat(256) }],
    ['IDT-11 sub beyond ASCII', { sub: 'älice' }],
    ['IDT-12 at_hash of another token', { at_hash: atHash('access-2', 'sha256') }],
    ['IDT-12 at_hash of the whole digest', { at_hash: createHash('sha256').update('access-1').digest('base64url') }],
    ['IDT-12 at_hash that is a number', { at_hash: 5 }],
    ['IDT-13 nbf in the future', { nbf: NOW + 31 }],
    ['IDT-13 nbf that is text', { nbf: '0' }],
  ])('%s is refused', async (_, claims) => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, claims);
    const error = await refusal(client.exchangeCode(exchangeOf()));
    expect(error).toMatchObject({ name: 'ProtocolError', code: 'id_token_invalid', class: 'security', issuer: server.issuer });
  });

  it.each<[string, Record<string, unknown>]>([
    ['IDT-3 us as a list', { aud: ['spa'] }],
    ['IDT-3 us twice', { aud: ['spa', 'spa'], azp: 'spa' }],
    ['IDT-4 us as azp', { azp: 'spa' }],
    ['IDT-6 exp one second before the edge', { exp: NOW - 29 }],
    ['IDT-7 iat at the edge of the future', { iat: NOW + 30 }],
    ['IDT-11 sub of 255 characters', { sub: 'x'.repeat(255) }],
    ['IDT-12 the right at_hash', { at_hash: atHash('access-1', 'sha256') }],
    ['IDT-12 no at_hash', {}],
    ['IDT-12 an empty at_hash', { at_hash: '' }],
    ['IDT-12 at_hash of null', { at_hash: null }],
    ['IDT-7 iat at the edge of ten minutes and the tolerance', { iat: NOW - 630 }],
    ['IDT-13 nbf at the edge', { nbf: NOW + 30 }],
    ['more than it must', { roles: ['a'], email_verified: false }],
  ])('%s is accepted', async (_, claims) => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, claims);
    const token = await client.exchangeCode(exchangeOf());
    expect(token.claims).toEqual({ ...server.claims({ nonce: NONCE, ...claims }) });
  });
});

it('IDT-7 of an iat in the future the error names the clock, and the option that allows for it', async () => {
  const { server, client } = setUpOAuth();
  await planIdToken(server, { iat: NOW + 60 });
  expect((await refusal(client.exchangeCode(exchangeOf()))).message).toMatch(
    /clock here, or the server's, is off by more than 30 s \(clockToleranceS\)/,
  );
});

it('IDT-6 of an exp in the past the error says that the clock may be ahead', async () => {
  const { server, client } = setUpOAuth();
  await planIdToken(server, { iat: NOW - 500, exp: NOW - 60 });
  expect((await refusal(client.exchangeCode(exchangeOf()))).message).toBe(
    'The ID token has expired (exp): it is old, or the clock here is ahead (clockToleranceS) (OIDC Core §3.1.3.7).',
  );
});

describe('what a client says of ID tokens', () => {
  it.each<[string, Partial<OAuth2ClientOptions>, Record<string, unknown>, boolean]>([
    ['IDT-3 a further audience that is trusted', { trustedAudiences: ['other', 'project'] }, { aud: ['spa', 'project'], azp: 'spa' }, true],
    ['IDT-3 one that a function trusts', { trustedAudiences: (one) => one.startsWith('p') }, { aud: ['project', 'spa'], azp: 'spa' }, true],
    ['IDT-3 one that it does not', { trustedAudiences: (one) => one.startsWith('x') }, { aud: ['project', 'spa'], azp: 'spa' }, false],
    [
      'IDT-3 one of which a function says something else than true',
      { trustedAudiences: async () => true } as never,
      { aud: ['project', 'spa'], azp: 'spa' },
      false,
    ],
    ['IDT-3 trusted ones without us', { trustedAudiences: ['project'] }, { aud: ['project'] }, false],
    ['IDT-4 trusted ones, authorized to another', { trustedAudiences: ['project'] }, { aud: ['spa', 'project'], azp: 'project' }, false],
    ['IDT-6 an exp within the tolerance', { clockToleranceS: 300 }, { exp: NOW - 299 }, true],
    ['IDT-6 an exp beyond it', { clockToleranceS: 300 }, { exp: NOW - 300 }, false],
    ['IDT-6 no tolerance', { clockToleranceS: 0 }, { exp: NOW }, false],
    ['IDT-7 an iat of the future within the tolerance', { clockToleranceS: 300 }, { iat: NOW + 300 }, true],
    ['IDT-7 an iat beyond it', { clockToleranceS: 0 }, { iat: NOW + 1 }, false],
    ['IDT-7 an ID token of any age', { maxIdTokenAgeS: Infinity }, { iat: NOW - 86_400 }, true],
    ['IDT-7 an ID token that is too old', { maxIdTokenAgeS: 60 }, { iat: NOW - 91 }, false],
    ['IDT-13 an nbf within the tolerance', { clockToleranceS: 300 }, { nbf: NOW + 300 }, true],
  ])('%s', async (_, options, claims, accepted) => {
    const { server, client } = setUpOAuth(options);
    await planIdToken(server, claims);
    const exchange = client.exchangeCode(exchangeOf());
    if (accepted) expect((await exchange).claims?.sub).toBe('alice');
    else expect(await refusal(exchange)).toMatchObject({ code: 'id_token_invalid' });
  });
});

it('IDT-3 a trustedAudiences that throws is told, by what it has thrown', async () => {
  const trustedAudiences = (): boolean => {
    throw new RangeError('secret');
  };
  const { server, client } = setUpOAuth({ trustedAudiences });
  await planIdToken(server, { aud: ['project', 'spa'], azp: 'spa' });
  const error = await refusal(client.exchangeCode(exchangeOf()));
  expect(error.code).toBe('id_token_invalid');
  expect(error.message).toContain('trustedAudiences has thrown (RangeError)');
  expect(error.message).not.toContain('secret');
});

describe('TM-2 §0 a clock that is off, and a Date header', () => {
  /** The client's clock is so many seconds behind; the header says so, or what else it is told to. */
  const signIn = async (behindS: number, date: (serverMs: number) => string | undefined, earlyS = 0): Promise<unknown> => {
    const { server, client } = setUpOAuth();
    const atServer = NOW + behindS;
    const id_token = await server.idToken({ nonce: NONCE, iat: atServer - earlyS, exp: atServer + 300 });
    const header = date(atServer * 1000);
    server.plan('token', json({ ...withIdToken(id_token), expires_in: 300 }, { headers: header === undefined ? {} : { date: header } }));
    return client.exchangeCode(exchangeOf()).then(
      ({ issuedAt }) => issuedAt,
      ({ code }: { readonly code: string }) => code,
    );
  };
  const asItIs = (ms: number): string => new Date(ms).toUTCString();

  it.each([-3_600, -301, -31, 0, 31, 301, 3_600, 86_000])('%d s: the ID token is judged by the server’s, lifetimes by ours', async (s) => {
    expect(await signIn(s, asItIs)).toBe(START_MS);
  });

  it.each([0, 60, 300, 331, 420, 599])('Entra writes iat five minutes early: a clock that is %d s slow', async (s) => {
    expect(await signIn(s, asItIs, 300)).toBe(START_MS);
  });

  it.each([-400, -3_600])('of an old iat a clock that is %d s slow does not make it too old', async (s) => {
    expect(await signIn(s, asItIs, 600)).toBe(START_MS);
  });

  it.each<[string, number, (ms: number) => string | undefined]>([
    ['no header', 301, () => undefined],
    ['text', 301, () => 'yesterday'],
    ['more than a day', 90_000, asItIs],
    ['a few seconds', 36, () => asItIs(START_MS + 5_000)],
  ])('that says nothing of use is not used: %s', async (_, s, date) => {
    expect(await signIn(s, date)).toBe('id_token_invalid');
  });

  it.each([-40_000_000, -600_000, 600_000, 40_000_000])('of a machine that is off itself by %d ms spoils no sign-in', async (ms) => {
    expect(await signIn(0, (atServer) => asItIs(atServer + ms))).toBe(START_MS);
  });
});

describe('max_age', () => {
  it.each<[string, number, Record<string, unknown>, boolean]>([
    ['0 and no auth_time', 0, {}, false],
    ['0 and auth_time as text', 0, { auth_time: String(NOW) }, false],
    ['0 and a negative auth_time', 0, { auth_time: -1 }, false],
    ['0 and a login just now', 0, { auth_time: NOW }, true],
    ['0 and a login at the edge', 0, { auth_time: NOW - 30 }, true],
    ['0 and a login before the edge', 0, { auth_time: NOW - 31 }, false],
    ['300 and a login at the edge', 300, { auth_time: NOW - 330 }, true],
    ['300 and a login before the edge', 300, { auth_time: NOW - 331 }, false],
    ['300 and no auth_time', 300, {}, false],
    ['0 and a login in the future, within the tolerance', 0, { auth_time: NOW + 30 }, true],
    ['0 and a login in the future', 0, { auth_time: NOW + 31 }, false],
    ['300 and milliseconds', 300, { auth_time: NOW * 1000 }, false],
  ])('IDT-10 %s (max_age %d): %j is accepted: %p', async (_, maxAge, claims, accepted) => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, claims);
    const exchange = client.exchangeCode(exchangeOf({ maxAge }));
    if (accepted) expect((await exchange).context.maxAge).toBe(maxAge);
    else expect(await refusal(exchange)).toMatchObject({ code: 'id_token_invalid', class: 'security' });
  });
});

describe('nonce', () => {
  it('IDT-8 without openid none was sent, so an ID token must have none', async () => {
    const { server, client } = setUpOAuth({ scope: 'profile' });
    await planIdToken(server, { nonce: undefined });
    expect((await client.exchangeCode(exchangeOf({ scope: 'profile' }))).claims?.sub).toBe('alice');
    await planIdToken(server, { nonce: 'from another login' });
    expect(await client.exchangeCode(exchangeOf({ scope: 'profile' }))).toMatchObject({ claims: null, idToken: undefined });
  });

  it('E36 without openid no ID token is needed; with it, one is', async () => {
    const { server, client } = setUpOAuth();
    server.plan('token', { access_token: 'a', token_type: 'bearer' }, { access_token: 'a', token_type: 'bearer' });
    expect(await client.exchangeCode(exchangeOf({ scope: 'profile' }))).toMatchObject({ claims: null, idToken: undefined });
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid' });
  });
});

describe('the signature', () => {
  it.each<SigningAlg>(['RS256', 'ES256', 'RS384', 'ES512', 'PS256', 'Ed25519', 'EdDSA'])(
    'IDT-5 %s is verified where it is on the list',
    async (alg) => {
      const { server, client } = setUpOAuth({ idTokenSigningAlgs: [alg] });
      await planIdToken(server, {}, { alg });
      expect((await client.exchangeCode(exchangeOf())).claims?.sub).toBe('alice');
    },
  );

  it.each<[SigningAlg, string]>([
    ['RS256', 'sha256'],
    ['PS256', 'sha256'],
    ['ES256', 'sha256'],
    ['RS384', 'sha384'],
    ['ES512', 'sha512'],
    ['Ed25519', 'sha512'],
    ['EdDSA', 'sha512'],
  ])('IDT-12 at_hash with %s is half a %s', async (alg, hash) => {
    const { server, client } = setUpOAuth({ idTokenSigningAlgs: [alg] });
    await planIdToken(server, { at_hash: atHash('access-1', hash) }, { alg });
    expect((await client.exchangeCode(exchangeOf())).accessToken).toBe('access-1');
    await planIdToken(server, { at_hash: atHash('access-2', hash) }, { alg });
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid' });
  });

  it.each<SigningAlg>(['RS384', 'ES512', 'Ed25519', 'EdDSA'])(
    'IDT-12 at_hash with %s may be half a SHA-256, as older Hydra, Authelia and Doorkeeper have it',
    async (alg) => {
      const { server, client } = setUpOAuth({ idTokenSigningAlgs: [alg] });
      await planIdToken(server, { at_hash: atHash('access-1', 'sha256') }, { alg });
      expect((await client.exchangeCode(exchangeOf())).accessToken).toBe('access-1');
      for (const at_hash of [atHash('access-2', 'sha256'), atHash('access-1', 'sha1'), atHash('access-1', 'sha256').slice(0, 10)]) {
        await planIdToken(server, { at_hash }, { alg });
        expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid' });
      }
    },
  );

  it('IDT-5 by default RS256 alone is accepted', async () => {
    const { server, client } = setUpOAuth({ idTokenSigningAlgs: undefined });
    await planIdToken(server, {}, { alg: 'ES256' });
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid' });
    await planIdToken(server);
    expect((await client.exchangeCode(exchangeOf())).claims?.sub).toBe('alice');
  });

  const tampered: [string, (good: string) => string | Promise<string>][] = [
    ['alg none', (good) => `${base64url({ alg: 'none' })}.${good.split('.')[1]}.`],
    ['alg none with a signature', (good) => `${base64url({ alg: 'none', kid: 'key-RS256' })}.${good.split('.').slice(1).join('.')}`],
    ['alg None', (good) => `${base64url({ alg: 'None' })}.${good.split('.').slice(1).join('.')}`],
    ['alg null', (good) => `${base64url({ alg: null })}.${good.split('.').slice(1).join('.')}`],
    ['no alg', (good) => `${base64url({ kid: 'key-RS256' })}.${good.split('.').slice(1).join('.')}`],
    ['alg as a list', (good) => `${base64url({ alg: ['RS256'] })}.${good.split('.').slice(1).join('.')}`],
    [
      'HS256 with the public RSA key as the secret',
      async () => {
        const secret = new TextEncoder().encode(JSON.stringify(await publicJwk('RS256')));
        return new SignJWT(PAYLOAD).setProtectedHeader({ alg: 'HS256', kid: 'key-RS256' }).sign(secret);
      },
    ],
    [
      'the header of an ES256 key over an RS256 signature',
      (good) => `${base64url({ alg: 'ES256', kid: 'key-RS256' })}.${good.split('.').slice(1).join('.')}`,
    ],
    [
      'an altered payload',
      (good) => [good.split('.')[0], base64url({ ...CLAIMS, nonce: NONCE, sub: 'mallory' }), good.split('.')[2]].join('.'),
    ],
    ['an altered header', (good) => [base64url({ alg: 'RS256', kid: 'key-RS256', x: 1 }), ...good.split('.').slice(1)].join('.')],
    ['an altered signature', (good) => good.slice(0, -6) + (good.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA')],
    ['no signature', (good) => `${good.split('.').slice(0, 2).join('.')}.`],
    [
      'the key of somebody else under our key id',
      async () => {
        const { privateKey } = await generateKeyPair('RS256');
        return new SignJWT(PAYLOAD).setProtectedHeader({ alg: 'RS256', kid: 'key-RS256' }).sign(privateKey);
      },
    ],
    [
      'JWT-7 a key of its own in the header',
      async () => {
        const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
        const jwk = await exportJWK(publicKey);
        return new SignJWT(PAYLOAD)
          .setProtectedHeader({ alg: 'RS256', jwk, jku: 'https://evil.test/jwks', x5u: 'https://evil.test/x5u' })
          .sign(privateKey);
      },
    ],
    ['two parts', (good) => good.split('.').slice(0, 2).join('.')],
    ['four parts', (good) => `${good}.x`],
    ['a header that is no JSON', (good) => `${base64url('{')}.${good.split('.').slice(1).join('.')}`],
    ['a header that is a list', (good) => `${base64url([])}.${good.split('.').slice(1).join('.')}`],
    ['a payload that is a list', async (good) => `${good.split('.')[0]}.${base64url([])}.${good.split('.')[2]}`],
    ['one word', () => 'opaque'],
  ];
  it.each(tampered)('IDT-5 %s is refused', async (_, tamper) => {
    const { server, client } = setUpOAuth({ idTokenSigningAlgs: ['RS256', 'ES256'] });
    server.plan('token', withIdToken(await tamper(await server.idToken({ nonce: NONCE }))));
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid', class: 'security' });
    expect(server.calls('other')).toEqual([]);
  });

  it('IDT-1 an encrypted ID token is refused by name', async () => {
    const { server, client } = setUpOAuth();
    const { publicKey } = await generateKeyPair('RSA-OAEP-256');
    const inner = new TextEncoder().encode(await server.idToken({ nonce: NONCE }));
    const jwe = await new CompactEncrypt(inner).setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' }).encrypt(publicKey);
    server.plan('token', withIdToken(jwe));
    const error = await refusal(client.exchangeCode(exchangeOf()));
    expect(error.code).toBe('id_token_invalid');
    expect(error.message).toContain('encrypted');
  });

  it.each(['at+jwt', 'application/at+jwt', 'AT+JWT', 'logout+jwt', 'dpop+jwt', 'oauth-authz-req+jwt'])(
    'IDT-14 typ %s is no ID token',
    async (typ) => {
      const { server, client } = setUpOAuth();
      await planIdToken(server, {}, { header: { typ } });
      expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid' });
    },
  );

  it('IDT-14 typ JWT is one', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, {}, { header: { typ: 'JWT' } });
    expect((await client.exchangeCode(exchangeOf())).claims?.sub).toBe('alice');
  });

  it('JWT-2 an RSA key of 1,024 bits proves nothing', async () => {
    const pair = await crypto.subtle.generateKey(
      { name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
      true,
      ['sign', 'verify'],
    );
    const signed = `${base64url({ alg: 'RS256', kid: 'weak' })}.${base64url(PAYLOAD)}`;
    const signature = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', pair.privateKey, new TextEncoder().encode(signed));
    const { server, client } = setUpOAuth();
    server.plan('token', withIdToken(`${signed}.${Buffer.from(signature).toString('base64url')}`));
    server.plan('jwks', { keys: [{ ...(await crypto.subtle.exportKey('jwk', pair.publicKey)), kid: 'weak', alg: 'RS256' }] });
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'unsupported' });
  });

  it.each<[string, Record<string, unknown>]>([
    ['an unknown critical header', { crit: ['exp'], exp: 1 }],
    ['a payload that is not encoded (RFC 7797)', { b64: false }],
    ['that, and said to be critical', { b64: false, crit: ['b64'] }],
    ['an empty list of critical headers', { crit: [] }],
  ])('JWT-3 %s is refused', async (_, header) => {
    const { server, client } = setUpOAuth();
    server.plan('token', withIdToken(await signed(Buffer.from(JSON.stringify(PAYLOAD)), header)));
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid', class: 'security' });
  });

  it.each<[string, (parts: readonly string[]) => readonly string[]]>([
    ['padding', ([h = '', p = '', s = '']) => [h, p, `${s}==`]],
    ['padding of the header', ([h = '', p = '', s = '']) => [`${h}=`, p, s]],
    ['the alphabet of base64', ([h = '', p = '', s = '']) => [h, p, s.replaceAll('-', '+').replaceAll('_', '/')]],
    ['bits to spare', ([h = '', p = '', s = '']) => [h, p, s.slice(0, -1) + String.fromCharCode(s.charCodeAt(s.length - 1) + 1)]],
  ])('JWT-4 a signature that is right is refused with %s', async (_, spoil) => {
    const { server, client } = setUpOAuth();
    let token = '';
    // One whose last part has both characters that base64 writes otherwise, and ends in a letter.
    for (let i = 0; !/-.*_.*[AQgw]$/.test(token.split('.')[2] ?? ''); i++) token = await server.idToken({ nonce: NONCE, jti: String(i) });
    server.plan('token', withIdToken(token));
    expect((await client.exchangeCode(exchangeOf())).claims?.sub).toBe('alice');
    server.plan('token', withIdToken(spoil(token.split('.')).join('.')));
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid', class: 'security' });
  });

  it.each<[string, (payload: string) => Uint8Array]>([
    ['bytes that are no UTF-8', (payload) => Buffer.from(payload.replace('"spa"', '"spa","name":"\xff\xfe"'), 'latin1')],
    ['a byte order mark', (payload) => Buffer.from(`\ufeff${payload}`)],
    ['a list', (payload) => Buffer.from(`[${payload}]`)],
    ['no JSON', (payload) => Buffer.from(payload.slice(0, -1))],
  ])('JWT-4 a payload that is signed is refused with %s', async (_, payloadOf) => {
    const { server, client } = setUpOAuth();
    server.plan('token', withIdToken(await signed(payloadOf(JSON.stringify(PAYLOAD)))));
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid', class: 'security' });
  });

  it('JWT-4 names beyond ASCII are read as what they are', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, { name: 'Zoë Жук' });
    expect((await client.exchangeCode(exchangeOf())).claims?.['name']).toBe('Zoë Жук');
  });

  async function signed(payload: Uint8Array, header: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const text = `${base64url({ alg: 'RS256', kid: 'key-RS256', ...header })}.${Buffer.from(payload).toString('base64url')}`;
    const { privateKey } = await keyPair('RS256');
    const signature = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', privateKey, new TextEncoder().encode(text));
    return `${text}.${Buffer.from(signature).toString('base64url')}`;
  }
});

describe('the choice of a key', () => {
  const encryption = async () => ({ ...(await publicJwk('RS256')), use: 'enc', kid: 'enc' });
  const other = async () => ({ ...(await exportJWK((await generateKeyPair('RS256', { extractable: true })).publicKey)), kid: 'other' });

  it.each<[string, () => Promise<unknown[]>, string | undefined, boolean]>([
    ['no key id and one fitting key', async () => [await publicJwk('RS256')], undefined, true],
    ['no key id, one fitting key and one for encryption', async () => [await encryption(), await publicJwk('RS256')], undefined, true],
    [
      'no key id, one fitting key and one of another kind',
      async () => [await publicJwk('ES256'), await publicJwk('RS256')],
      undefined,
      true,
    ],
    ['no key id and two fitting keys', async () => [await other(), await publicJwk('RS256')], undefined, false],
    ['a key id among two fitting keys', async () => [await other(), await publicJwk('RS256')], 'key-RS256', true],
    [
      'unknown keys and members beside it',
      async () => [
        { kty: 'QUANTUM', kid: 'q' },
        { ...(await publicJwk('RS256')), more: 1 },
      ],
      'key-RS256',
      true,
    ],
    ['a key id that is only for encryption', async () => [await encryption()], 'enc', false],
    ['a key id of another kind of key', async () => [await publicJwk('ES256')], 'key-ES256', false],
    ['a key of another algorithm', async () => [{ ...(await publicJwk('RS256')), alg: 'PS256' }], 'key-RS256', false],
    ['a key that may not verify', async () => [{ ...(await publicJwk('RS256')), key_ops: ['encrypt'] }], 'key-RS256', false],
    ['no keys', async () => [], 'key-RS256', false],
  ])('JWK-2 JWT-1 %s', async (_, keys, kid, accepted) => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, {}, { header: { kid } });
    server.plan('jwks', { keys: await keys() });
    if ((await keys()).length === 0) server.plan('jwks', { keys: [] }); // a key that is not there is looked for once more
    const exchange = client.exchangeCode(exchangeOf());
    if (accepted) expect((await exchange).claims?.sub).toBe('alice');
    else expect(await refusal(exchange)).toMatchObject({ code: 'id_token_invalid' });
  });

  it('JWK-2 a damaged key beside the right one is no trouble, with or without a key id', async () => {
    for (const kid of ['key-RS256', undefined]) {
      const { server, client } = setUpOAuth();
      const good = await publicJwk('RS256');
      await planIdToken(server, {}, { header: { kid } });
      server.plan('jwks', { keys: [{ ...good, key_ops: 1 }, { ...good, n: '!!' }, good] });
      expect((await client.exchangeCode(exchangeOf())).claims?.sub).toBe('alice');
    }
  });

  it.each<[string, (good: JWK) => readonly unknown[]]>([
    ['twice, once with its certificate', (good) => [good, { ...good, x5c: ['MII'] }]],
    ['twice, once without an algorithm', ({ alg, ...rest }) => [{ ...rest, alg }, rest]],
    ['twice, once damaged', ({ e, ...rest }) => [rest, { ...rest, e }]],
    ['with members of null', (good) => [{ ...good, alg: null, use: null, key_ops: null, x: null, y: null }]],
  ])('JWK-2 a key that the set has %s verifies, with or without a key id', async (_, set) => {
    for (const kid of ['key-RS256', undefined]) {
      const { server, client } = setUpOAuth();
      await planIdToken(server, {}, { header: { kid } });
      server.plan('jwks', { keys: set(await publicJwk('RS256')) });
      expect((await client.exchangeCode(exchangeOf())).claims?.sub).toBe('alice');
    }
  });

  it('JWK-2 a key that is no point of its curve proves nothing: the ID token is invalid', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server, {}, { alg: 'ES256' });
    const { x, ...key } = await publicJwk('ES256');
    server.plan('jwks', { keys: [{ ...key, x, y: x }] });
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'id_token_invalid', class: 'security' });
  });

  it('JWK-1 a new key of the server is found at once, by one more request', async () => {
    const { server, client } = setUpOAuth();
    server.plan('jwks', { keys: [await publicJwk('ES256')] });
    await planIdToken(server, {}, { alg: 'ES256' });
    await client.exchangeCode(exchangeOf());
    await planIdToken(server, {}, { alg: 'RS256' });
    expect((await client.exchangeCode(exchangeOf())).claims?.sub).toBe('alice');
    expect(server.calls('jwks')).toHaveLength(2);
  });

  it('JWK-1 a bad signature under a known key id asks for no keys', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server);
    await client.exchangeCode(exchangeOf());
    for (let i = 0; i < 5; i++) {
      const good = await server.idToken({ nonce: NONCE });
      server.plan('token', withIdToken(`${good.slice(0, -6)}AAAAAA`));
      await refusal(client.exchangeCode(exchangeOf()));
    }
    expect(server.calls('jwks')).toHaveLength(1);
  });

  it('IDR-6 a key server that is down is no bad token: asked twice, the failure is transient', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server);
    server.plan('jwks', json({}, { status: 503 }), json({}, { status: 503 }));
    expect(await refusal(client.exchangeCode(exchangeOf()))).toMatchObject({ code: 'server_unavailable', class: 'transient' });
  });

  it('E10 a key server that fails once costs no sign-in: its code would be used up', async () => {
    const { server, client } = setUpOAuth();
    await planIdToken(server);
    server.plan('jwks', json({}, { status: 503 }));
    expect((await client.exchangeCode(exchangeOf())).claims?.sub).toBe('alice');
    expect(server.calls('jwks')).toHaveLength(2);
  });
});

describe('a refreshed ID token', () => {
  const login: IdTokenClaims = { ...CLAIMS, azp: 'spa', nonce: 'n', auth_time: 100 };

  it.each<[string, Partial<IdTokenClaims>]>([
    ['another iss', { iss: 'https://evil.test' }],
    ['another sub', { sub: 'mallory' }],
    ['a sub in another case', { sub: 'Alice' }],
  ])('IDR-1 with %s is a substitution, and the error does not say whose', (_, change) => {
    const check = (): boolean => isOfSameLogin(login, { ...login, ...change });
    expect(check).toThrow(expect.objectContaining({ code: 'token_substitution', class: 'security' }) as Error);
    expect(check).not.toThrow(/mallory|evil|Alice/);
  });

  it.each<[string, Partial<Record<keyof IdTokenClaims, unknown>>, IdTokenClaims?]>([
    ['IDR-1 another aud', { aud: 'other' }],
    ['IDR-1 a further aud', { aud: ['spa', 'other'] }],
    ['IDR-1 an aud less', { aud: 'spa' }, { ...login, aud: ['spa', 'other'] }],
    ['IDR-2 another auth_time', { auth_time: 101 }],
    ['IDR-3 another azp', { azp: 'other' }],
    ['IDR-3 azp gone', { azp: undefined }],
    ['IDR-3 azp new', { azp: 'spa' }, { ...login, azp: undefined }],
    ['IDR-3 another nonce', { nonce: 'm' }],
    ['IDR-3 a nonce where the login had none', { nonce: 'n' }, { ...login, nonce: undefined }],
  ])('%s is another login of the same user', (_, change, before = login) => {
    expect(isOfSameLogin(before, { ...before, ...change })).toBe(false);
  });

  it.each<[string, Partial<Record<keyof IdTokenClaims, unknown>>]>([
    ['IDR-1 the audience as a list', { aud: ['spa'] }],
    ['IDR-2 no auth_time', { auth_time: undefined }],
    ['IDR-3 no nonce', { nonce: undefined }],
    ['IDR-3 a nonce of null', { nonce: null }],
    ['IDR-3 an empty nonce', { nonce: '' }],
    ['other names and times', { name: 'Alice B', iat: 1, exp: 2, acr: 'x' }],
  ])('%s is the same login', (_, change) => {
    expect(isOfSameLogin(login, { ...login, ...change })).toBe(true);
  });
});

function atHash(accessToken: string, hash: string): string {
  const digest = createHash(hash).update(accessToken).digest();
  return digest.subarray(0, digest.length / 2).toString('base64url');
}
