import { CredentialError } from '../../src/errors';
import { createKeySet, type KeySet } from '../../src/oauth/key-set';
import { json } from '../support/fake-server';
import { settled, unitPlatform, type UnitPlatform } from '../support/unit-platform';

const ISSUER = 'https://id.example.com';
const MINUTE = 60_000;

/** A key set whose server answers what the test says last. */
function setUp(first: () => Response | Promise<Response> = () => json({ keys: [{ kid: 'a' }] })) {
  let answer = first;
  let requests = 0;
  const platform: UnitPlatform = unitPlatform({
    fetch: () => {
      requests++;
      return Promise.resolve().then(() => answer());
    },
  });
  const keys: KeySet = createKeySet(platform, () => Promise.resolve(`${ISSUER}/jwks`), ISSUER);
  return { platform, keys, requests: () => requests, answers: (next: typeof answer) => (answer = next) };
}
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof CredentialError ? [error.code, error.class] : error),
  );
const down = () => json({}, { status: 503 });

describe('a key set', () => {
  it('asks nobody before it is used, and once for many callers at a time', async () => {
    const { keys, requests } = setUp();
    expect(requests()).toBe(0);
    expect(keys.has('a')).toBe(false);
    const texts = await Promise.all(Array.from({ length: 50 }, () => keys.text('a')));
    expect(new Set(texts)).toEqual(new Set(['{"keys":[{"kid":"a"}]}']));
    expect(requests()).toBe(1);
    expect(keys.has('a')).toBe(true);
  });

  it('JWK-2 what is no key is ignored, and a key that is there twice is one', async () => {
    const { keys } = setUp(() => json({ keys: [null, { kid: 'a' }, 'b', { kid: 'a' }, [{ kid: 'c' }], { kid: 'a', use: 'enc' }] }));
    expect(JSON.parse(await keys.text('a'))).toEqual({ keys: [{ kid: 'a' }] });
    expect([keys.has('a'), keys.has('b'), keys.has('c')]).toEqual([true, false, false]);
  });

  const RSA = { kty: 'RSA', kid: 'a', n: 'gA_-', e: 'AQAB' };
  const EC = { kty: 'EC', kid: 'a', crv: 'P-256', x: 'AA', y: 'BB' };
  it.each<[string, object]>([
    ['key_ops that are no list', { ...RSA, key_ops: 1 }],
    ['key_ops that are a text', { ...RSA, key_ops: 'verify' }],
    ['n that is no number', { ...RSA, n: '!!' }],
    ['n that is empty', { ...RSA, n: '' }],
    ['n that is zero', { ...RSA, n: 'AAAA' }],
    ['n that is no whole number of bytes', { ...RSA, n: 'AAAAA' }],
    ['e that is no text', { ...RSA, e: 65537 }],
    ['no e', { kty: 'RSA', kid: 'a', n: 'gA_-' }],
    ['x that is empty', { ...EC, x: '' }],
    ['y that is null', { ...EC, y: null }],
    ['no crv', { kty: 'EC', kid: 'a', x: 'AA', y: 'BB' }],
    ['an Ed25519 key without x', { kty: 'OKP', kid: 'a', crv: 'Ed25519' }],
    ['an ML-DSA key without pub', { kty: 'AKP', kid: 'a', alg: 'ML-DSA-44' }],
  ])('JWK-2 a key that is damaged is ignored: %s', async (_, damaged) => {
    const good = { kty: 'RSA', kid: 'b', n: 'gA_-', e: 'AQAB', key_ops: ['verify'] };
    const { keys } = setUp(() => json({ keys: [damaged, good] }));
    expect(JSON.parse(await keys.text('b'))).toEqual({ keys: [good] });
    expect([keys.has('a'), keys.has('b')]).toEqual([false, true]);
  });

  const NONE = { alg: null, use: '', key_ops: null, x5c: null };
  it.each<[string, object, object]>([
    ['RSA', RSA, { crv: null, x: null, y: '', d: 5, ...NONE }],
    ['EC', EC, { n: null, e: '', ...NONE }],
    ['OKP', { kty: 'OKP', kid: 'a', crv: 'Ed25519', x: 'AA' }, { y: null, ...NONE }],
    ['AKP', { kty: 'AKP', kid: 'a', alg: 'ML-DSA-44', pub: 'AA' }, { x: null, use: null }],
  ])('JWK-2 members that are null, empty, or of no use for the type %s are none', async (_, key, more) => {
    const { keys } = setUp(() => json({ keys: [{ ...more, ...key }] }));
    expect(JSON.parse(await keys.text('a'))).toEqual({ keys: [key] });
  });

  it.each<[string, object]>([
    ['in another order', { e: 'AQAB', n: 'gA_-', kid: 'a', kty: 'RSA' }],
    ['with its certificate', { ...RSA, x5c: ['MII'], x5t: 'A', ext: true }],
    ['with an algorithm', { ...RSA, alg: 'RS256' }],
    ['with a use', { ...RSA, use: 'sig' }],
    ['with its operations', { ...RSA, key_ops: ['verify'] }],
  ])('JWK-2 a key that the set has once more %s is one', async (_, copy) => {
    for (const list of [
      [RSA, copy],
      [copy, RSA],
    ]) {
      const { keys } = setUp(() => json({ keys: list }));
      expect((JSON.parse(await keys.text('a', 'RS256')) as { keys: unknown[] }).keys).toHaveLength(1);
    }
  });

  it.each<[string, object, string | undefined, string]>([
    ['for another use', { ...RSA, use: 'enc' }, 'a', 'RS256'],
    ['for another algorithm', { ...RSA, alg: 'RS256' }, 'a', 'PS256'],
    ['for other operations', { ...RSA, key_ops: ['wrapKey'] }, 'a', 'RS256'],
    ['under another id', { ...RSA, kid: 'b' }, 'a', 'RS256'],
    ['under another id, where none is asked for', { ...RSA, kid: 'b', alg: 'PS512' }, undefined, 'RS256'],
  ])('JWK-2 the copy that fits stands, and not the one %s', async (_, copy, keyId, algorithm) => {
    for (const list of [
      [RSA, copy],
      [copy, RSA],
    ]) {
      const { keys } = setUp(() => json({ keys: list }));
      expect(JSON.parse(await keys.text(keyId, algorithm))).toEqual({ keys: [RSA] });
    }
  });

  it('JWK-2 two keys of one id stay two: nobody can say which one it is', async () => {
    const { keys } = setUp(() => json({ keys: [RSA, { ...RSA, n: 'BB' }, EC] }));
    expect((JSON.parse(await keys.text('a', 'RS256')) as { keys: unknown[] }).keys).toHaveLength(3); // of which type it is the library looks
  });

  it.each<[string, object, object]>([
    ['padding', { ...RSA, n: 'gA==', e: 'AQAB' }, { ...RSA, n: 'gA' }],
    ['the other alphabet', { ...RSA, n: '8A+/' }, { ...RSA, n: '8A-_' }],
    ['a zero byte before n', { ...RSA, n: 'AIAP_g' }, { ...RSA, n: 'gA_-' }],
    ['zero bytes before e', { ...RSA, e: 'AAAAAAEAAQ==' }, RSA],
    [
      'an EC key in the other alphabet, whose zero bytes are part of it',
      { ...EC, x: 'AAA/+A==', y: 'AB==' },
      { ...EC, x: 'AAA_-A', y: 'AB' },
    ],
    ['an Ed25519 key', { kty: 'OKP', kid: 'a', crv: 'Ed25519', x: 'A+/A' }, { kty: 'OKP', kid: 'a', crv: 'Ed25519', x: 'A-_A' }],
  ])('JWK-2 RFC 7518 §6.3.1 a key is written as Chromium reads it: %s', async (_, key, written) => {
    const { keys } = setUp(() => json({ keys: [key, written] }));
    expect(JSON.parse(await keys.text('a'))).toEqual({ keys: [written] });
  });

  it('is fresh for ten minutes', async () => {
    const { platform, keys, requests } = setUp();
    await keys.text('a');
    platform.advance(10 * MINUTE);
    await keys.text('a');
    expect(requests()).toBe(1);
    platform.advance(1);
    expect(keys.has('a')).toBe(false);
    await keys.text('a');
    expect(requests()).toBe(2);
  });

  it('JWK-1 an unknown key id is looked for at once: the server may have a new key since', async () => {
    const { keys, requests, answers, platform } = setUp();
    await keys.text('a');
    platform.advance(1_000);
    answers(() => json({ keys: [{ kid: 'a' }, { kid: 'b' }] }));
    expect(keys.has('b')).toBe(false);
    expect(await keys.text('b')).toContain('"b"');
    expect(requests()).toBe(2);
  });

  it('JWK-1 1,000 forged key ids within a minute cost one more request, and known ids none', async () => {
    const { platform, keys, requests } = setUp();
    await keys.text('a');
    for (let i = 0; i < 100; i++) {
      await Promise.all(Array.from({ length: 10 }, (_, j) => keys.text(`forged-${i}-${j}`)));
      await keys.text('a');
      platform.advance(599);
    }
    expect(requests()).toBe(2);
  });

  it('JWK-1 after the cooldown of a minute an unknown id is looked for again', async () => {
    const { platform, keys, requests } = setUp();
    await keys.text('a');
    await keys.text('x');
    expect([keys.has('a'), keys.has('x'), keys.has(undefined)]).toEqual([true, false, true]); // that it was looked for makes it no more there
    platform.advance(MINUTE - 1);
    await keys.text('x');
    expect(requests()).toBe(2);
    platform.advance(1);
    await keys.text('x');
    expect(requests()).toBe(3);
  });

  it('JWK-1 an outage while looking for an unknown id is an outage, not a bad signature, and is no cooldown', async () => {
    const { keys, answers } = setUp();
    await keys.text('a');
    answers(down);
    expect(await codeOf(keys.text('b'))).toEqual(['server_unavailable', 'transient']);
    answers(() => json({ keys: [{ kid: 'b' }] }));
    expect(await keys.text('b')).toContain('"b"');
  });

  it('a token without a key id takes any fresh set', async () => {
    const { keys, requests } = setUp();
    await keys.text(undefined);
    await keys.text(undefined);
    expect(requests()).toBe(1);
  });

  it('JWK-3 an old copy serves for an hour while the server is away, and no longer', async () => {
    const { platform, keys, answers } = setUp();
    const text = await keys.text('a');
    for (const outage of [down, () => json({}, { status: 429 }), () => Promise.reject(new TypeError('fetch failed'))]) {
      answers(outage);
      platform.advance(11 * MINUTE);
      expect(await keys.text('a')).toBe(text);
    }
    expect(await codeOf(keys.text('b'))).toEqual(['network_error', 'transient']);
    platform.advance(27 * MINUTE);
    expect(await codeOf(keys.text('a'))).toEqual(['network_error', 'transient']);
  });

  it.each<[string, () => Response]>([
    ['no JSON', () => new Response('<html>')],
    ['no list', () => json({ keys: { kid: 'a' } })],
    ['a list alone', () => json([{ kid: 'a' }])],
    ['101 keys', () => json({ keys: Array.from({ length: 101 }, () => ({ kid: 'a' })) })],
    ['404', () => json({ keys: [{ kid: 'a' }] }, { status: 404 })],
    ['a key set by way of __proto__', () => new Response('{"__proto__":{"keys":[{"kid":"a"}]}}')],
  ])('JWK-3 an old copy does not serve where the server answers %s', async (_, answer) => {
    const { platform, keys, answers } = setUp();
    await keys.text('a');
    platform.advance(11 * MINUTE);
    answers(answer);
    expect(await codeOf(keys.text('a'))).toEqual(['response_invalid', 'transient']);
  });

  it('JWK-3 age is told by the clock that never goes back: a wall clock set back a year keeps nothing fresh', async () => {
    const { platform, keys, requests } = setUp();
    await keys.text('a');
    platform.jump(-365 * 24 * 60 * MINUTE);
    platform.advance(10 * MINUTE + 1);
    await keys.text('a');
    expect(requests()).toBe(2);
    platform.jump(2 * 365 * 24 * 60 * MINUTE);
    await keys.text('a');
    expect(requests()).toBe(2);
  });

  it('JWK-2 unknown members and keys without an id are no trouble', async () => {
    const { keys } = setUp(() => json({ keys: [{ kty: 'XYZ' }, null, 5, { kid: 5 }, { kid: 'a', extra: {} }], more: 1 }));
    expect(JSON.parse(await keys.text('a'))).toEqual({ keys: [{ kid: 'a' }] });
    expect(JSON.parse(await keys.text(undefined))).toEqual({ keys: [{ kty: 'XYZ' }, { kid: 'a' }] });
    expect(keys.has('a')).toBe(true);
  });

  it('a failed fetch is forgotten: the next caller asks anew', async () => {
    const { keys, answers, requests } = setUp(down);
    expect(await codeOf(keys.text('a'))).toEqual(['server_unavailable', 'transient']);
    answers(() => json({ keys: [{ kid: 'a' }] }));
    expect(await keys.text('a')).toContain('"a"');
    expect(requests()).toBe(2);
  });

  it('IDR-6 a redirect is a failure that passes, in whose place no old copy stands', async () => {
    const { platform, keys, answers } = setUp();
    await keys.text('a');
    platform.advance(11 * MINUTE);
    answers(() => new Response(null, { status: 302, headers: { location: '/login' } }));
    expect(await codeOf(keys.text('a'))).toEqual(['unexpected_redirect', 'transient']);
  });

  it('E10 a hanging key server is a timeout after five seconds, for all who wait', async () => {
    const platform = unitPlatform({
      fetch: (_, init) =>
        new Promise((__, reject) => init?.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')))),
    });
    const keys = createKeySet(platform, () => Promise.resolve(`${ISSUER}/jwks`), ISSUER);
    const both = Promise.all([codeOf(keys.text('a')), codeOf(keys.text('b'))]);
    await settled();
    platform.advance(5_000);
    expect(await both).toEqual([
      ['timeout', 'transient'],
      ['timeout', 'transient'],
    ]);
  });
});
