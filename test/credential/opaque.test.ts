import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileQuery } from '../../src/credential/query';
import { factsOf } from '../../src/credential/facts';
import { parseRecord, tokenOf, type CredentialRecord } from '../../src/credential/record';
import { createToken, withFields } from '../../src/credential/create-token';
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
const DECODING = /atob|decode|parseJson|JSON\.parse|parseIdTokenHeader|parseJwt|\.split\(|unverifiedClaims|slice\(/i;

describe('an access token is opaque', () => {
  it.each(['x', '.', '..', 'a.b.c', 'e30.e30.', '%zz', 'null', '{}'])('9068-1 %p is one like any other', (accessToken) => {
    const token = createToken({ ...tokenFields(), accessToken });
    expect([token.accessToken, withFields(token, { id: 'two' }).accessToken]).toEqual([accessToken, accessToken]);
    expect([token.expiresAt, token.claims, token.scope]).toEqual([tokenFields().expiresAt, tokenFields().claims, tokenFields().scope]);
    const record = parseRecord(JSON.parse(JSON.stringify({ ...aRecord(), secrets: secretsOf(token) })), 'one') as CredentialRecord;
    expect(tokenOf(record)?.isEqual(token)).toBe(true);
    expect(JSON.stringify(factsOf(record))).toBe(JSON.stringify(factsOf(parseRecord(aRecord(), 'one') as CredentialRecord)));
  });

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
    for (const allowed of ['credential/unverified.ts', 'oauth/id-token.ts']) decoders.delete(allowed);
    expect([...decoders].filter((name) => !name.startsWith('storage/'))).toEqual([]); // storages decode what they encoded
    const users = lines.filter(({ at, code }) => code.includes('unverifiedClaims') && !/^(index|credential.unverified)\.ts/.test(at));
    expect(users).toEqual([]);
  });
});
