import fc from 'fast-check';
import { assertScope, includesScope, normalizeScope, parseScope, sameScope } from '../../src/credential/scope';

describe('scopes are sets', () => {
  it.each([
    ['openid profile', 'profile openid', true],
    ['openid', 'openid openid', true],
    [' openid  profile ', 'openid profile', true],
    ['', '', true],
    ['', ' ', true],
    ['openid', 'OpenID', false],
    ['openid', 'openid profile', false],
    ['openid profile', 'openid', false],
    ['read', 'read:all', false],
    ['', 'openid', false],
  ])('6749-2 %p and %p: the same is %p', (a, b, same) => {
    expect(sameScope(a, b)).toBe(same);
    expect(sameScope(b, a)).toBe(same);
  });

  it.each([
    ['openid profile', 'profile', true],
    ['openid', '', true],
    ['', '', true],
    ['openid', 'openid profile', false],
    ['Read', 'read', false],
    ['read:all', 'read', false],
    ['read', 'read:all', false],
    ['openid profile', 'profil openid', false],
  ])('6749-2 %p includes %p: %p', (granted, asked, included) => {
    expect(includesScope(granted, asked)).toBe(included);
  });

  it('6749-2 order and repeats are no difference, whatever the words', () => {
    const word = fc.stringMatching(/^[\x21\x23-\x5b\x5d-\x7e]{1,8}$/);
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (words) => {
        const shuffled = [...words].reverse().concat(words);
        expect(sameScope(words.join(' '), shuffled.join('  '))).toBe(true);
        expect(new Set(parseScope(shuffled.join(' ')))).toEqual(new Set(words));
      }),
    );
  });
});

describe('characters', () => {
  const allowed = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).filter((char) =>
    /[\x21\x23-\x5b\x5d-\x7e]/.test(char),
  );

  it('6749-2 the 92 characters of RFC 6749 §3.3 pass, all at once and one by one', () => {
    expect(allowed).toHaveLength(92);
    expect(assertScope(allowed.join(''), 'scope')).toBe(allowed.join(''));
    for (const char of allowed) expect(parseScope(char)).toEqual([char]);
  });

  it.each(['"', '\\', '\t', '\n', '\0', '\x7f', 'ü', '\u2028', '😀'])(
    '6749-2 refuses %j where we ask, leaves it out where a server grants',
    (char) => {
      expect(() => assertScope(`openid a${char}b`, 'scope')).toThrow(/^scope: /);
      expect(normalizeScope(`openid a${char}b profile`)).toBe('openid profile');
    },
  );

  it.each([[['openid']], [5], [null], [{}]])('what is no text is a TypeError that names the argument: %j', (scope) => {
    const check = (): string => assertScope(scope as unknown as string, 'the scope');
    expect(check).toThrow(new TypeError('the scope must be a string of scopes, separated by spaces'));
  });

  it('normalizes blanks and repeats, and keeps the order given', () => {
    expect(assertScope('  b a  b ', 'scope')).toBe('b a');
    expect(normalizeScope('')).toBe('');
  });
});
