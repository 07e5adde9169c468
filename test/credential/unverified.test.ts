import fc from 'fast-check';
import { unverifiedClaims } from '../../src/credential/unverified';
import { runs } from '../support/counts';
import { CLAIMS } from '../support/tokens';

const encoded = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const jwt = (claims: unknown, header: unknown = { alg: 'RS256' }, signature = 'c2ln'): string =>
  `${encoded(header)}.${encoded(claims)}.${signature}`;

describe('unverifiedClaims', () => {
  it('JWT-5 reads what a JWT says, in any language, whatever its signature', () => {
    expect(unverifiedClaims(jwt({ ...CLAIMS, name: 'Jürgen 😀', '~?>': '~?>' }))).toEqual({ ...CLAIMS, name: 'Jürgen 😀', '~?>': '~?>' });
    expect(unverifiedClaims(jwt({ sub: 'a' }, { alg: 'none' }, ''))).toEqual({ sub: 'a' });
  });

  it.each<[string, unknown]>([
    ['an opaque token', 'x'],
    ['an empty string', ''],
    ['two parts', `${encoded({ alg: 'RS256' })}.${encoded(CLAIMS)}`],
    ['five parts: encrypted', `${jwt(CLAIMS)}.a.b`],
    ['dots only', '..'],
    ['a token that decodeURIComponent would change', 'ab%2Bcd.ab%zz.x'],
    ['claims that are no JSON', jwt('{"sub":')],
    ['claims that are a list', jwt(['a'])],
    ['claims that are a string', jwt('"alice"')],
    ['claims of null', jwt('null')],
    ['a header that is no object', jwt(CLAIMS, '5')],
    ['a header that is no JSON', `e30x.${encoded(CLAIMS)}.x`],
    ['base64 that is not base64url', jwt({ sub: '~?>~?>' }).replaceAll('_', '/').replaceAll('-', '+')],
    ['padding', `${encoded({ alg: 'RS256' })}.${encoded({ a: 1 })}=.x`],
    ['blanks', ` ${encoded({ alg: 'RS256' })}.${encoded({ a: 1 })} .x`],
    ['text that is no UTF-8', `${encoded({})}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')}.x`],
    ['too many members', jwt(Object.fromEntries(Array.from({ length: 2001 }, (_, i) => [`m${i}`, i])))],
    ['too many levels', jwt(`{"a":${'['.repeat(30)}${']'.repeat(30)}}`)],
    ['too long a text', jwt({ a: 'a'.repeat(65_536) })],
    ['undefined', undefined],
    ['a number', 5],
    ['an object that says it is one', { split: () => ['e30', 'e30', ''], length: 3 }],
  ])('E27 %s has none', (_, text) => {
    expect(unverifiedClaims(text as string)).toBeNull();
  });

  it('HT-7 the result is frozen, without a prototype and without members that lead to one', () => {
    const claims = unverifiedClaims(
      jwt('{"sub":"a","__proto__":{"admin":true},"constructor":{"prototype":1},"deep":{"__proto__":{"x":1}}}'),
    );
    expect(Object.getOwnPropertyNames(claims)).toEqual(['sub', 'deep']);
    expect(Object.getPrototypeOf(claims)).toBeNull();
    expect(Object.getOwnPropertyNames(claims?.['deep'])).toEqual([]);
    expect(Object.isFrozen(claims) && Object.isFrozen(claims?.['deep'])).toBe(true);
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });

  it('never throws, whatever text it is given', () => {
    const part = fc.oneof(fc.string(), fc.base64String(), fc.json().map(encoded));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part, { maxLength: 6 }).map((parts) => parts.join('.')),
        ),
        (text) => {
          const claims = unverifiedClaims(text);
          if (claims !== null) expect(Object.getPrototypeOf(claims)).toBeNull();
        },
      ),
      { numRuns: runs(500, 20_000) },
    );
  });
});
