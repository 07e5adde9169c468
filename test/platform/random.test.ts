import fc from 'fast-check';
import { base64url, randomText } from '../../src/platform/random';
import { refusal } from '../support/oauth';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('base64url', () => {
  it.each([
    ['', ''],
    ['f', 'Zg'],
    ['fo', 'Zm8'],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg'],
    ['fooba', 'Zm9vYmE'],
    ['foobar', 'Zm9vYmFy'],
  ])('the vector %j of RFC 4648 §10 is %j, without padding', (text, encoded) => {
    expect(base64url(bytes(text))).toBe(encoded);
  });

  it('uses - and _ (RFC 4648 §5)', () => {
    expect(base64url(new Uint8Array([0xfb, 0xff, 0xfe]))).toBe('-__-');
  });

  it('agrees with Node on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (value) => base64url(value) === Buffer.from(value).toString('base64url')));
  });
});

describe('randomText', () => {
  it.each([
    [16, 22],
    [32, 43],
    [1, 2],
    [3, 4],
  ])('7636-1 %d bytes are %d characters of base64url', (byteCount, length) => {
    expect(randomText({ crypto }, byteCount)).toMatch(new RegExp(`^[A-Za-z0-9_-]{${length}}$`));
  });

  it('7636-1 is what the CSPRNG gave, every byte of it', () => {
    const fixed = { getRandomValues: (array: Uint8Array) => array.fill(0xab) } as unknown as Crypto;
    expect(randomText({ crypto: fixed }, 32)).toBe(Buffer.alloc(32, 0xab).toString('base64url'));
  });

  it('10,000 of 16 bytes repeat none', () => {
    expect(new Set(Array.from({ length: 10_000 }, () => randomText({ crypto }, 16))).size).toBe(10_000);
  });

  it.each([undefined, null, {}, { getRandomValues: 'no' }, 'crypto'])(
    'E52 with %p for crypto it throws and asks no other source',
    async (broken) => {
      const mathRandom = jest.spyOn(Math, 'random');
      const error = await refusal(Promise.resolve().then(() => randomText({ crypto: broken as unknown as Crypto }, 32)));
      expect(error).toMatchObject({ code: 'crypto_unavailable', class: 'configuration' });
      expect(mathRandom).not.toHaveBeenCalled();
      mathRandom.mockRestore();
    },
  );

  it('E52 a CSPRNG that fails is not replaced', () => {
    const failing = {
      getRandomValues: () => {
        throw new DOMException('quota', 'QuotaExceededError');
      },
    } as unknown as Crypto;
    expect(() => randomText({ crypto: failing }, 32)).toThrow('quota');
  });
});
