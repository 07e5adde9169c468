// What somebody else may have put into the storage: generated, ten thousand of it in the long run.
import fc from 'fast-check';
import { StorageError } from '../../src/errors';
import { memoryStorage } from '../../src/storage/memory';
import { sealed, staticKeys } from '../../src/storage/sealed';
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage';
import { runs } from '../support/counts';
import { aRecord, CANARY } from '../support/tokens';

jest.setTimeout(300_000); // ten thousand of them on a busy machine

type Json = Record<string, unknown>;
const KEY = new Uint8Array(32).fill(7);
const CODES = ['key_lost', 'seal_broken', 'storage_failed'];
const storage = sealed(memoryStorage(), { keys: staticKeys([{ kid: 'k1', key: KEY }]) });
let stored: StoredRecord & { readonly secrets: { readonly sealed: string } };
beforeAll(async () => {
  await storage.write(aRecord({ staged: { text: 'canary-staged', sentAt: 1, receivedAt: 2 } }), 'absent');
  stored = structuredClone(await storage.read('one')) as typeof stored;
});

const prototypes = (): unknown =>
  [Object.prototype, Array.prototype, String.prototype].map((one) => Object.getOwnPropertyNames(one).join());
/** Opens it: either it is refused in one of three ways, saying nothing, or it comes back. Nothing else happens. */
const outcomeOf = async (record: unknown): Promise<unknown> => {
  const before = prototypes();
  const outcome = await storage.unseal(record as StoredRecord).catch((error: unknown) => error);
  expect(prototypes()).toEqual(before);
  if (outcome instanceof Error) {
    expect(outcome).toBeInstanceOf(StorageError);
    expect(CODES).toContain((outcome as StorageError).code);
    expect(`${outcome.stack} ${JSON.stringify(outcome)}`).not.toContain('canary');
    return (outcome as StorageError).code;
  }
  return outcome;
};
const hold = async (property: fc.IAsyncProperty<unknown>): Promise<void> => {
  await fc.assert(property as fc.IAsyncProperty<[unknown]>, { numRuns: runs(500, 10_000) });
};

const encoded = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true, withSparseArray: true, withTypedArray: true, key: fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'prototype', 'sealed', 'kid', 'toString')) }); // prettier-ignore
const base64url = fc.string({ unit: fc.constantFrom(...'ABCDEFabcdef0123456789-_'), maxLength: 80 });
const headerMembers = [
  'alg',
  'enc',
  'kid',
  'part',
  'id',
  'generation',
  'metadata',
  'zip',
  'crit',
  'p2c',
  'epk',
  '__proto__',
  'constructor',
];

describe('sealed, given garbage', () => {
  it('E62 BBA-4 anything in place of the sealed text is refused in one of three ways', () =>
    hold(
      fc.asyncProperty(fc.oneof(anything, fc.string(), base64url), async (text) => {
        expect(CODES).toContain(await outcomeOf({ ...stored, secrets: { sealed: text } }));
        expect(CODES).toContain(await outcomeOf({ ...stored, staged: { sealed: text } }));
      }),
    ));

  it('E62 BBA-4 sealed text with a piece replaced is refused, or was the same text', () =>
    hold(
      fc.asyncProperty(fc.nat(), fc.nat(40), fc.oneof(base64url, fc.constantFrom('.', '..', '.....', '=', '\u0000', '😀')), async (at, count, piece) => {
        const text = stored.secrets.sealed;
        const start = at % text.length;
        const changed = text.slice(0, start) + piece + text.slice(start + count);
        const outcome = await outcomeOf({ ...stored, secrets: { sealed: changed } });
        const bytes = (one: string): string => one.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex')).join('.');
        if (bytes(changed) !== bytes(text)) expect(CODES).toContain(outcome);
      }),
    )); // prettier-ignore

  it('E62 BBA-4 any other member in the header is refused', () =>
    hold(
      fc.asyncProperty(fc.constantFrom(...headerMembers), fc.jsonValue(), async (member, value) => {
        const [header = '', ...rest] = stored.secrets.sealed.split('.');
        const original = JSON.parse(Buffer.from(header, 'base64url').toString()) as Json;
        const members = JSON.stringify(original).slice(1, -1);
        for (const forged of [`{${members},${JSON.stringify(member)}:${JSON.stringify(value)}}`, `{${JSON.stringify(member)}:${JSON.stringify(value)},${members}}`])
          expect(CODES).toContain(await outcomeOf({ ...stored, secrets: { sealed: [encoded(forged), ...rest].join('.') } }));
      }),
    )); // prettier-ignore

  it('E62 BBA-4 any header at all, over parts of any length, is refused', () =>
    hold(
      fc.asyncProperty(fc.oneof(fc.jsonValue(), fc.constant('k1').map((kid) => ({ kid })), fc.string()), fc.array(base64url, { maxLength: 8 }), async (header, parts) => {
        expect(CODES).toContain(await outcomeOf({ ...stored, secrets: { sealed: [encoded(header), ...parts].join('.') } }));
      }),
    )); // prettier-ignore

  it('E62 BBA-4 a record with anything as one of its bound members is refused, or means the same', () =>
    hold(
      fc.asyncProperty(fc.constantFrom('id', 'generation', 'context', 'claims', 'scope', 'tokenType'), anything, async (member, value) => {
        expect(CODES).toContain(await outcomeOf({ ...stored, [member]: value }));
      }),
    ));

  it('E62 anything in place of a record is refused or comes back as it is', () =>
    hold(
      fc.asyncProperty(anything, async (record) => {
        const outcome = await outcomeOf(record);
        if (!CODES.includes(outcome as string)) expect(outcome).toBe(record);
      }),
    ));

  it('E62 a sweep over anything reads on and removes no key that is named', async () => {
    const removed: string[] = [];
    await hold(
      fc.asyncProperty(fc.array(fc.oneof(anything, anything.map((text) => ({ secrets: { sealed: text } }))), { maxLength: 5 }), async (values) => {
        const inner: CredentialStorage = { ...memoryStorage(), readAll: () => Promise.resolve([...values, stored].map((value, i) => ({ id: `${i}`, value }))) };
        const keys = { ...staticKeys([{ kid: 'k1', key: KEY }]), list: () => Promise.resolve([{ kid: 'k1', retiredAt: 0 }]), remove: async (kid: string) => void removed.push(kid) };
        await sealed(inner, { keys }).sweep();
      }),
    ); // prettier-ignore
    expect(removed).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['a hundred million dots', () => '.'.repeat(2 ** 27)],
    ['a header and a hundred million dots', () => `${stored.secrets.sealed.split('.')[0]}${'.'.repeat(2 ** 27)}`],
    ['a ciphertext of 64 MiB', () => stored.secrets.sealed.replace(/\.[\w-]+$/, (tag) => 'A'.repeat(2 ** 26) + tag)],
    ['a header of 64 MiB', () => 'A'.repeat(2 ** 26) + stored.secrets.sealed],
    ['a header of a million brackets', () => `${encoded('['.repeat(1e6) + ']'.repeat(1e6))}..A.A.A`],
    [
      'a header that nests a million times',
      () => `${encoded(`{"kid":"k1","x":${'['.repeat(1e6)}${']'.repeat(1e6)}}`)}..${'A'.repeat(16)}.A.${'A'.repeat(22)}`,
    ],
    ['no text', () => null],
  ])('E62 BBA-4 %s is refused', async (_, text) => {
    // prettier-ignore
    expect(CODES).toContain(await outcomeOf({ ...stored, secrets: { sealed: text() } }));
  });

  it('E62 BBA-4 keys are not asked for a name of more than 200 characters, and none of that length seals', async () => {
    const asked: string[] = [];
    const long = 'k'.repeat(201);
    const keyOf = (kid: string) => ({ current: () => Promise.resolve({ kid, key: KEY }), get: (name: string) => (asked.push(name), Promise.resolve(KEY)) }); // prettier-ignore
    const [, ...rest] = stored.secrets.sealed.split('.');
    const named = (kid: string) => ({
      ...stored,
      staged: undefined,
      secrets: { sealed: [encoded({ alg: 'dir', enc: 'A256GCM', kid }), ...rest].join('.') },
    });
    const custom = sealed(memoryStorage(), { keys: keyOf(long) });
    for (const kid of [long, '../'.repeat(10_000)]) await expect(custom.unseal(named(kid))).rejects.toMatchObject({ code: 'seal_broken' });
    expect(asked).toEqual([]);
    await expect(custom.write(aRecord(), 'absent')).rejects.toMatchObject({ code: 'storage_failed' });
    expect(() => staticKeys([{ kid: long, key: KEY }])).toThrow(TypeError);
    const longest = sealed(memoryStorage(), { keys: keyOf(long.slice(1)) });
    await longest.write(aRecord(), 'absent');
    expect(await longest.unseal((await longest.read('one')) as StoredRecord)).toMatchObject({ secrets: CANARY });
    expect(asked).toEqual([long.slice(1)]);
  });

  it('E62 claims that refer to themselves, or double at each of a hundred levels, are refused without counting them', async () => {
    const cyclic: Json = {};
    cyclic['self'] = cyclic;
    let doubling: unknown = 1;
    for (let i = 0; i < 100; i++) doubling = [doubling, doubling];
    for (const claims of [cyclic, doubling, { doubling }]) expect(await outcomeOf({ ...stored, claims })).toBe('seal_broken');
    expect(await outcomeOf({ ...stored, context: cyclic, id: doubling })).toBe('seal_broken');
  });

  it('BBA-4 members that lead to a prototype stay members, in what was sealed too', async () => {
    const secrets = JSON.parse(`{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"accessToken":"a"}`) as never;
    const one = sealed(memoryStorage(), { keys: staticKeys([{ kid: 'k1', key: KEY }]) });
    await one.write(aRecord({ secrets }), 'absent');
    const opened = (await one.unseal((await one.read('one')) as StoredRecord)) as { secrets: Json };
    expect(Object.hasOwn(opened.secrets, '__proto__')).toBe(true);
    expect(Object.getPrototypeOf(opened.secrets)).toBe(Object.getPrototypeOf(JSON.parse('{}')));
    expect(({} as Json)['polluted']).toBeUndefined();
  });

  it('the original still opens after all that', async () => {
    expect(await outcomeOf(stored)).toMatchObject({ secrets: CANARY });
  });
});
