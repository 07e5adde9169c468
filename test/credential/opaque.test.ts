import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileQuery } from '../../src/credential/query';
import { factsOf } from '../../src/credential/facts';
import { parseRecord, tokenOf, type CredentialRecord } from '../../src/credential/record';
import { createToken, withFields } from '../../src/credential/create-token';
import { parseTokenResponse } from '../../src/oauth/token-response';
import { secretsOf } from '../../src/credential/token';
import { ROOT } from '../support/markdown';
import { aRecord, tokenFields } from '../support/tokens';

const SRC = join(ROOT, 'src');
const lines = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .flatMap((name) =>
    readFileSync(join(SRC, name), 'utf8')
      .split('\n')
      .map((line, index) => ({ at: `${name}:${index + 1}`, code: line.replace(/^\s*(\*|\/\/|\/\*).*|\s\/\/\s.*/, '') })),
  );
const DECODING = /atob|decode|parseJson|JSON\.parse|parseIdTokenHeader|parseJwt|\.split\(|unverified|slice\(/i;

describe('an access token is opaque', () => {
  it.each(['x', '.', '..', 'a.b.c', 'e30.e30.', '%zz', 'null', '{}'])('9068-1 %p is one like any other', (accessToken) => {
    const token = createToken({ ...tokenFields(), accessToken });
    expect([token.accessToken, withFields(token, { id: 'two' }).accessToken]).toEqual([accessToken, accessToken]);
    expect([token.expiresAt, token.claims, token.scope]).toEqual([tokenFields().expiresAt, tokenFields().claims, tokenFields().scope]);
    const record = parseRecord(JSON.parse(JSON.stringify({ ...aRecord(), secrets: secretsOf(token) })), 'one') as CredentialRecord;
    expect(tokenOf(record)?.isEqual(token)).toBe(true);
    expect(JSON.stringify(factsOf(record))).toBe(JSON.stringify(factsOf(parseRecord(aRecord(), 'one') as CredentialRecord)));
  });

  it.each([['Bearer'], ['DPoP']] as const)(
    '9068-1 a response with a JWT as one says what its members say, and no more (%s)',
    (tokenType) => {
      const claims = { exp: 1, iat: 0, iss: 'x', sub: 'mallory', scope: 'admin', expires_in: 5, cnf: { jkt: 'x' }, client_id: 'x' };
      const part = (data: object): string => Buffer.from(JSON.stringify(data)).toString('base64url');
      const jwt = `${part({ alg: 'none', typ: 'at+jwt' })}.${part(claims)}.c2lnbmF0dXJl`;
      const said = (accessToken: string, more: object = {}) =>
        parseTokenResponse(JSON.stringify({ access_token: accessToken, token_type: tokenType, ...more }), {
          issuer: 'https://id.example.com',
        });
      expect(said(jwt)).toEqual({ ...said('opaque'), accessToken: jwt });
      const all = { expires_in: 3600, scope: 'openid', refresh_token: 'r' };
      expect(said(jwt, all)).toEqual({ ...said('opaque', all), accessToken: jwt });
    },
  );

  it('9068-1 nothing can be found by what is in one', () => {
    expect(() => compileQuery({ accessToken: 'x' } as never)).toThrow(TypeError);
  });

  it('9068-1 no line of the product decodes one', () => {
    const suspects = lines.filter(({ code }) => !code.startsWith('import ') && /access_?token/i.test(code) && DECODING.test(code));
    expect(suspects).toEqual([]);
  });

  it('9068-1 JWT-5 claims are decoded in the modules that say so, and nobody inside reads unverified ones', () => {
    const decoders = new Set(
      lines.filter(({ code }) => /\batob\b/.test(code)).map(({ at }) => at.replace(/:\d+$/, '').replaceAll('\\', '/')),
    );
    for (const allowed of ['credential/unverified.ts', 'oauth/id-token.ts', 'oauth/key-set.ts']) decoders.delete(allowed); // of keys: their numbers
    expect([...decoders].filter((name) => !name.startsWith('storage/'))).toEqual([]); // storages decode what they encoded
    const users = lines.filter(({ at, code }) => code.includes('unverifiedClaims') && !/^(index|credential.unverified)\.ts/.test(at));
    expect(users).toEqual([]);
    const read = lines.flatMap(({ at, code }) =>
      [...code.matchAll(/(?<!function )\bunverifiedPayload\((.*?)\)/g)].map(([, what]) => `${at} ${what}`),
    );
    expect(read.map((one) => one.replace(/:\d+/, '')).sort()).toEqual(['oauth/id-token.ts idToken', 'oauth/judge.ts idToken']);
  });
});
