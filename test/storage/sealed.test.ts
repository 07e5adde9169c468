import { compactDecrypt, CompactEncrypt } from 'jose';
import { IDBFactory } from 'fake-indexeddb';
import localforage from 'localforage';
import { StorageError } from '../../src/errors';
import { parseRecord, RECORD_VERSION, type CredentialRecord } from '../../src/credential/record';
import { localforageStorage } from '../../src/storage/localforage';
import { memoryStorage } from '../../src/storage/memory';
import { indexedDBKeys, sealed, staticKeys, type SealingKey, type SealingKeys } from '../../src/storage/sealed';
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage';
import { describeStorage } from '../contract/storage-contract';
import { runs } from '../support/counts';
import { createFakeDisk, type FakeDisk } from '../support/fake-disk';
import { settle } from '../support/fake-platform';
import { aRecord, CANARY, CLAIMS } from '../support/tokens';
import { fakePage, unitPlatform, type UnitPlatform } from '../support/unit-platform';

const DAY_MS = 24 * 60 * 60 * 1000;
const KEY = new Uint8Array(32).fill(7);
const someKeys = (): SealingKeys => staticKeys([{ kid: 'k1', key: KEY }]);
const STAGED = { text: 'canary-staged-4711', contentType: 'application/json', sentAt: 1, receivedAt: 2 } as const;
const CANARIES = [...Object.values(CANARY), STAGED.text];
const fullRecord = (changes: Partial<CredentialRecord> = {}): CredentialRecord => aRecord({ staged: STAGED, ...changes });

type Stored = StoredRecord & { readonly secrets: { readonly sealed: string }; readonly staged: { readonly sealed: string } };
const readOf = async (storage: CredentialStorage, id = 'one'): Promise<Stored> => structuredClone((await storage.read(id)) as Stored);
const headerOf = ({ sealed: text }: { readonly sealed: string }): Record<string, unknown> =>
  JSON.parse(Buffer.from(text.split('.')[0], 'base64url').toString()) as Record<string, unknown>;
const failureOf = (promise: Promise<unknown>): Promise<StorageError> =>
  promise.then(
    () => Promise.reject(new Error('did not fail')),
    (error: unknown) => {
      expect(error).toBeInstanceOf(StorageError);
      return error as StorageError;
    },
  );
const codeOf = async (promise: Promise<unknown>): Promise<string> => (await failureOf(promise)).code;

const made = new Map<string, CredentialStorage>();
describeStorage('sealed(memoryStorage)', {
  create: (namespace) => {
    const inner = made.get(namespace) ?? memoryStorage({ namespace });
    made.set(namespace, inner);
    return sealed(inner, { keys: someKeys() });
  },
  plant: async (namespace, id, garbage) => {
    const value = { id, garbage } as unknown as StoredRecord; // memory has no back door; without a revision it is no record
    await made.get(namespace)!.write(value, 'absent');
    return value;
  },
});

describeStorage('sealed(localforageStorage)', {
  create: (namespace) => sealed(localforageStorage({ namespace })),
  plant: (namespace, id, value) =>
    localforage.createInstance({ name: namespace, storeName: 'rx-credentials', driver: localforage.INDEXEDDB }).setItem(id, value),
});

describe('sealed', () => {
  it('E37 gives back every member of secrets and staged answers, and all the others as they were', async () => {
    const storage = sealed(memoryStorage(), { keys: someKeys() });
    const record = fullRecord({
      secrets: { accessToken: 'a'.repeat(100_000), refreshToken: 'ä€😀\u0000\u2028"\\', idToken: '', more: { deep: [null, 1.5] } } as never,
    });
    expect(await storage.write(record, 'absent')).toBe(true);
    const stored = await readOf(storage);
    expect(stored).toEqual({ ...record, secrets: { sealed: expect.any(String) as string }, staged: { sealed: expect.any(String) as string } });
    expect(await storage.unseal(stored)).toEqual(record);
    expect(await storage.readAll()).toEqual([{ id: 'one', value: stored }]);
  }); // prettier-ignore

  it('BBA-4 nothing stored shows a secret: not in the clear, not in base64, in no part of the record', async () => {
    const disk = createFakeDisk();
    const storage = sealed(disk.storage(), { keys: someKeys() });
    await storage.write(fullRecord(), 'absent');
    const bytes = JSON.stringify([[...disk.records], disk.calls]);
    const decoded = bytes.split(/[^\w-]+/).map((run) => Buffer.from(run, 'base64url').toString('latin1'));
    for (const canary of CANARIES) expect([bytes, ...decoded].filter((text) => text.includes(canary))).toEqual([]);
    expect(decoded.some((text) => text.includes('A256GCM'))).toBe(true); // the search would have found them
  });

  it('is a JWE with dir and A256GCM that any JOSE library opens with the key, and opens what another has sealed', async () => {
    const storage = sealed(memoryStorage(), { keys: someKeys() });
    await storage.write(fullRecord(), 'absent');
    const stored = await readOf(storage);
    const { plaintext, protectedHeader } = await compactDecrypt(stored.secrets.sealed, KEY);
    expect(JSON.parse(new TextDecoder().decode(plaintext))).toEqual(CANARY);
    expect(protectedHeader).toMatchObject({ alg: 'dir', enc: 'A256GCM', kid: 'k1', part: 'secrets', id: 'one', generation: 1 });
    expect(protectedHeader['metadata']).toMatch(/^[\w-]{43}$/);
    const { generation, id, metadata, ...rest } = protectedHeader;
    const again = await new CompactEncrypt(new TextEncoder().encode('{"accessToken":"other"}'))
      .setProtectedHeader({ metadata, id, generation, ...rest }) // in another order: JSON has none
      .encrypt(KEY);
    expect(await storage.unseal({ ...stored, secrets: { sealed: again } } as never)).toMatchObject({ secrets: { accessToken: 'other' } });
  });

  it(`E59 BBA-4 ${runs(1_000, 10_000)} writes of one record repeat no IV`, async () => {
    const inner = memoryStorage();
    const storage = sealed(inner, { keys: someKeys() });
    const seen = new Set<string>();
    const count = runs(1_000, 10_000);
    for (let revision = 1; revision <= count; revision++) {
      expect(await storage.write(aRecord({ revision }), revision === 1 ? 'absent' : revision - 1)).toBe(true);
      seen.add((await readOf(inner)).secrets.sealed.split('.')[2]);
    }
    expect(seen.size).toBe(count);
    expect([...seen].every((iv) => Buffer.from(iv, 'base64url').length === 12)).toBe(true);
  });

  it('E59 BBA-4 storages with one key, as in many tabs and after many starts, repeat no IV', async () => {
    const seen = new Set<string>();
    for (let start = 0; start < 50; start++) {
      const storage = sealed(memoryStorage(), { keys: someKeys() });
      for (let revision = 1; revision <= 3; revision++) {
        await storage.write(fullRecord({ revision }), revision === 1 ? 'absent' : revision - 1);
        const { secrets, staged } = await readOf(storage);
        for (const { sealed: text } of [secrets, staged]) seen.add(text.split('.')[2]);
      }
    }
    expect(seen.size).toBe(300);
  });

  it('BBA-4 secrets and staged answers of one write have an IV each', async () => {
    const storage = sealed(memoryStorage(), { keys: someKeys() });
    await storage.write(fullRecord(), 'absent');
    const { secrets, staged } = await readOf(storage);
    expect(secrets.sealed.split('.')[2]).not.toBe(staged.sealed.split('.')[2]);
  });

  it('a record without secrets goes through as it is, and needs no key', async () => {
    const storage = sealed(memoryStorage(), {
      keys: { current: () => Promise.reject(new Error()), get: () => Promise.reject(new Error()) },
    });
    const { secrets: _, ...bare } = aRecord({ id: 'bare' });
    for (const record of [{ id: '@store', revision: 1 }, aRecord({ state: 'removed', secrets: null }), bare]) {
      expect(await storage.write(record, 'absent')).toBe(true);
      expect(await storage.read(record.id)).toEqual(record);
      expect(await storage.unseal(record)).toBe(record);
    }
  });

  it('sealed text that is carried over stays as it is; only what is in the clear is sealed', async () => {
    const storage = sealed(memoryStorage(), { keys: someKeys() });
    await storage.write(aRecord(), 'absent');
    const stored = await readOf(storage);
    const next = { ...stored, revision: 2, tags: ['b'], staged: STAGED };
    expect(await storage.write(next, 1)).toBe(true);
    const after = await readOf(storage);
    expect(after.secrets).toEqual(stored.secrets);
    expect(await storage.unseal(after)).toEqual(fullRecord({ revision: 2, tags: ['b'] }));
  });

  it('what only looks sealed is sealed: secrets never slip through beside a member of that name', async () => {
    const inner = memoryStorage();
    const storage = sealed(inner, { keys: someKeys() });
    const secrets = { sealed: 'text', accessToken: CANARY.accessToken };
    await storage.write(aRecord({ secrets }), 'absent');
    expect(JSON.stringify(await inner.readAll())).not.toContain('canary');
    expect(await storage.unseal(await readOf(storage))).toEqual(aRecord({ secrets }));
  });

  it('BBA-4 secrets that could not be bound to a record are not written at all', async () => {
    const inner = memoryStorage();
    const storage = sealed(inner, { keys: someKeys() });
    let deep: unknown = {};
    for (let i = 0; i < 30; i++) deep = { deep };
    const wrong = [{ generation: undefined }, { generation: '1' }, { claims: deep }] as unknown as Partial<CredentialRecord>[];
    for (const changes of wrong) await expect(storage.write(aRecord(changes), 'absent')).rejects.toThrow(TypeError);
    expect(await inner.readAll()).toEqual([]);
  });

  it('a condition that does not hold writes nothing, sealed or not', async () => {
    const storage = sealed(memoryStorage(), { keys: someKeys() });
    await storage.write(aRecord(), 'absent');
    expect(await storage.write(aRecord({ revision: 2 }), 'absent')).toBe(false);
    expect(await storage.write(aRecord({ revision: 9 }), 8)).toBe(false);
    expect(await readOf(storage)).toMatchObject({ revision: 1 });
  });

  it('E62 one record that cannot be opened harms only itself', async () => {
    const inner = memoryStorage();
    const storage = sealed(inner, { keys: someKeys() });
    for (const id of ['a', 'b', 'c']) await storage.write(aRecord({ id }), 'absent');
    await inner.write({ ...aRecord({ id: 'b', revision: 2 }), secrets: { sealed: 'x.y' } } as never, 1);
    expect(await storage.readAll()).toHaveLength(3);
    const opened = await Promise.allSettled((await storage.readAll()).map(({ value }) => storage.unseal(value as StoredRecord)));
    expect(opened.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await storage.remove('b', 'any')).toBe(true);
  });

  describe('what the seal is bound to', () => {
    const context = {
      issuer: 'https://id.example.com',
      clientId: 'spa',
      scope: 'openid',
      dpopKeyId: 'd',
      acrValues: 'mfa',
      maxAge: 60,
      resource: 'https://api.example.com',
      resources: ['https://api.example.com', 'https://files.example.com'],
    };
    const record = fullRecord({ context, claims: { ...CLAIMS, roles: { admin: false, list: ['a', 'b'] } } });
    let stored: Stored;
    const storage = sealed(memoryStorage(), { keys: someKeys() });
    beforeAll(async () => {
      await storage.write(record, 'absent');
      stored = await readOf(storage);
    });
    const without = (object: object, member: string): object =>
      Object.fromEntries(Object.entries(object).filter(([name]) => name !== member));

    it.each<[string, object]>([
      ['id', { id: 'two' }],
      ['generation', { generation: 2 }],
      ['generation (gone)', { generation: undefined }],
      ['generation (text)', { generation: '1' }],
      ['id (object)', { id: { toString: () => 'one' } }],
      ['granted scope', { scope: 'openid profile admin' }],
      ['granted scope (less)', { scope: 'openid' }],
      ['token type', { tokenType: 'DPoP' }],
      ['context', { context: null }],
      ...Object.keys(context).flatMap((member): [string, object][] => [
        [`${member} (gone)`, { context: without(context, member) }],
        [member, { context: { ...context, [member]: 'other' } }],
      ]),
      ['max age', { context: { ...context, maxAge: 61 } }],
      ['order of resources', { context: { ...context, resources: context.resources.toReversed() } }],
      ['resource more', { context: { ...context, resources: [...context.resources, 'https://evil.example.com'] } }],
      ['member among the resources', { context: { ...context, resources: [context.resource, 5, context.resources[1]] } }],
      ['list of resources (none in it)', { context: { ...context, resources: [] } }],
      ['issuer and client swapped', { context: { ...context, issuer: context.clientId, clientId: context.issuer } }],
      ['claims (none)', { claims: null }],
      ['claims (text)', { claims: JSON.stringify(record.claims) }],
      ['claims (as pairs)', { claims: Object.entries(record.claims!) }],
      ['sub', { claims: { ...record.claims, sub: 'mallory' } }],
      ['one more claim', { claims: { ...record.claims, email: 'm@example.com' } }],
      ['one claim less', { claims: without(record.claims!, 'iat') }],
      ['a nested claim', { claims: { ...record.claims, roles: { admin: true, list: ['a', 'b'] } } }],
      ['an order in a list', { claims: { ...record.claims, roles: { admin: false, list: ['b', 'a'] } } }],
      ['a list as an object', { claims: { ...record.claims, roles: { admin: false, list: { 0: 'a', 1: 'b' } } } }],
    ])('BBA-4 refuses a record with another %s', async (_, changes) => {
      expect(await codeOf(storage.unseal({ ...stored, ...changes }))).toBe('seal_broken');
    });

    it('D-018 BBA-4 opens what was sealed before a sign-in could name several resources, unless such a list is added', async () => {
      const { issuer, clientId, scope, resource } = context;
      const old = aRecord({ id: 'old', context: { issuer, clientId, scope, resource } });
      const header = {
        alg: 'dir',
        enc: 'A256GCM',
        kid: 'k1',
        part: 'secrets',
        id: 'old',
        generation: old.generation,
        metadata: 'g9DqmOgmXGTW9NRLLqn16PkW0yuwBa9BVhFim6CLeSE',
      };
      const text = await new CompactEncrypt(Buffer.from(JSON.stringify(CANARY))).setProtectedHeader(header).encrypt(KEY);
      const kept = { ...old, secrets: { sealed: text } } as never as Stored;
      expect(await storage.unseal(kept)).toEqual(old);
      for (const resources of [[], [resource], context.resources])
        expect(await codeOf(storage.unseal({ ...kept, context: { ...old.context, resources } } as never))).toBe('seal_broken');
    });

    it('opens under other tags, state, reason, times, epoch, claim to be the default and revision: those may change', async () => {
      const changes = { tags: [], state: 'revoking', reason: 'expired', expiresAt: 1, issuedAt: 2, storedAt: 3, changedAt: 4, epoch: 5, defaultClaim: 6, revision: 7 }; // prettier-ignore
      expect(await storage.unseal({ ...stored, ...changes })).toEqual({ ...record, ...changes });
    });

    it('opens whatever the order of members, as storages may bring them back', async () => {
      const reversed = (value: unknown): unknown =>
        typeof value !== 'object' || value === null || Array.isArray(value)
          ? value
          : Object.fromEntries(Object.entries(value).reverse().map(([name, member]) => [name, reversed(member)])); // prettier-ignore
      expect(await storage.unseal(reversed(stored) as never)).toEqual(record);
    });

    it('opens after a reading has normalized the record: what parsing drops was never bound', async () => {
      const odd = aRecord({ id: 'odd', scope: ' b  a b ', context: { issuer: 'i', clientId: 'c', maxAge: -1, dpopKeyId: 5, extra: 'x' } as never }); // prettier-ignore
      await storage.write(odd, 'absent');
      const parsed = { ...(await readOf(storage, 'odd')), scope: 'b a', context: { issuer: 'i', clientId: 'c' } };
      expect(await storage.unseal(parsed as never)).toMatchObject({ secrets: CANARY });
    });

    it('takes claims up to the bounds that tokens have', async () => {
      const many = Object.fromEntries(Array.from({ length: 1_990 }, (_, i) => [`c${i}`, i]));
      const big = aRecord({ id: 'big', claims: { ...CLAIMS, ...many } });
      await storage.write(big, 'absent');
      expect(await storage.unseal(await readOf(storage, 'big'))).toEqual(big);
    });

    it('BBA-4 refuses text of another record, of another generation, and of the other part', async () => {
      const other = fullRecord({ id: 'two', context, claims: record.claims });
      const later = fullRecord({ generation: 2, revision: 2, context, claims: record.claims });
      const elsewhere = sealed(memoryStorage(), { keys: someKeys() });
      await elsewhere.write(other, 'absent');
      await elsewhere.write(later, 'absent');
      const [two, newer] = [await readOf(elsewhere, 'two'), await readOf(elsewhere)];
      for (const moved of [
        { ...stored, secrets: two.secrets },
        { ...stored, staged: two.staged },
        { ...two, secrets: stored.secrets },
        { ...stored, secrets: newer.secrets },
        { ...newer, secrets: stored.secrets },
        { ...newer, staged: stored.staged },
        { ...stored, secrets: stored.staged, staged: stored.secrets },
        { ...stored, secrets: stored.staged },
      ]) {
        expect(await codeOf(storage.unseal(moved))).toBe('seal_broken');
      }
      expect(await storage.unseal(newer)).toEqual(later);
    });

    it('BBA-4 refuses text of which any character was changed, cut off or added', async () => {
      const text = stored.secrets.sealed;
      const parts = text.split('.');
      const spoiled = [
        ...Array.from({ length: text.length }, (_, i) => text.slice(0, i)),
        ...[...text].map((character, i) => text.slice(0, i) + (character === 'A' ? 'B' : 'A') + text.slice(i + 1)),
        `${text}.`,
        `${text}AAAA`,
        `A${text}`,
        text.replace('..', '.AAAA.'),
        [...parts.slice(0, 3), parts[3] + parts[4]].join('.'),
        [parts[0], '', parts[2], '', parts[4]].join('.'),
      ];
      for (const one of spoiled) {
        const failure = await storage.unseal({ ...stored, secrets: { sealed: one } } as never).then(() => one, (error: StorageError) => error.code); // prettier-ignore
        // The last character of a base64url text may hold bits that mean nothing.
        if (failure === one)
          expect(one.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex'))).toEqual(parts.map((part) => Buffer.from(part, 'base64url').toString('hex'))); // prettier-ignore
        else expect(['seal_broken', 'key_lost']).toContain(failure);
      }
    });

    it('BBA-4 refuses a tag and an IV of another length than RFC 7518 §5.3 has, from whoever has the key', async () => {
      const [header = '', , iv = '', ciphertext = '', tag = ''] = stored.secrets.sealed.split('.');
      const bytes = Buffer.concat([Buffer.from(ciphertext, 'base64url'), Buffer.from(tag, 'base64url')]);
      const cut = [header, '', iv, bytes.subarray(0, -12).toString('base64url'), bytes.subarray(-12).toString('base64url')].join('.');
      const key = await crypto.subtle.importKey('raw', KEY, 'AES-GCM', false, ['encrypt']);
      const algorithm = { name: 'AES-GCM', iv: new Uint8Array(16), additionalData: Buffer.from(header) };
      const sealedBytes = Buffer.from(await crypto.subtle.encrypt(algorithm, key, Buffer.from(JSON.stringify(CANARY))));
      const parts = [Buffer.alloc(16), sealedBytes.subarray(0, -16), sealedBytes.subarray(-16)].map((part) => part.toString('base64url'));
      for (const text of [cut, [header, '', ...parts].join('.')])
        expect(await codeOf(storage.unseal({ ...stored, secrets: { sealed: text } } as never))).toBe('seal_broken');
    });

    it('BBA-4 refuses text of the same header under another key, and other algorithms whoever made them', async () => {
      const header = headerOf(stored.secrets) as { alg: string; enc: string };
      const plaintext = new TextEncoder().encode(JSON.stringify(CANARY));
      const forged = await new CompactEncrypt(plaintext).setProtectedHeader(header).encrypt(new Uint8Array(32).fill(8));
      const other = await new CompactEncrypt(plaintext).setProtectedHeader({ ...header, enc: 'A128CBC-HS256' }).encrypt(KEY);
      const wrapped = await new CompactEncrypt(plaintext).setProtectedHeader({ ...header, alg: 'A256KW' }).encrypt(KEY);
      const zipped = await new CompactEncrypt(plaintext).setProtectedHeader({ ...header, zip: 'DEF' }).encrypt(KEY);
      const extra = await new CompactEncrypt(plaintext).setProtectedHeader({ ...header, more: 1 }).encrypt(KEY);
      for (const text of [forged, other, wrapped, zipped, extra])
        expect(await codeOf(storage.unseal({ ...stored, secrets: { sealed: text } } as never))).toBe('seal_broken');
    });
  });

  describe('errors', () => {
    it.each([0, 300, 2 ** 48, 2 ** 50, Number.MAX_SAFE_INTEGER, 2 ** 53, 1.5, -1, NaN])(
      'BBA-4 E37 a maxAge of %j seals and judges alike: the record opens after it was read',
      async (maxAge) => {
        const storage = sealed(memoryStorage(), { keys: someKeys() });
        await storage.write(aRecord({ context: { ...aRecord().context, maxAge } }), 'absent');
        const judged = parseRecord(await storage.read('one'), 'one') as CredentialRecord;
        expect(await storage.unseal(judged)).toMatchObject({ secrets: CANARY });
        expect(judged.context.maxAge).toBe(Number.isSafeInteger(maxAge) && maxAge >= 0 ? maxAge : undefined);
      },
    );

    it('key_lost when no key has the name in the text; seal_broken when the key of that name is another one', async () => {
      const inner = memoryStorage();
      await sealed(inner, { keys: someKeys() }).write(fullRecord(), 'absent');
      const stored = await readOf(inner);
      const withKeys = (kid: string, fill: number) => sealed(inner, { keys: staticKeys([{ kid, key: new Uint8Array(32).fill(fill) }]) });
      const [lost, broken] = [await failureOf(withKeys('k2', 7).unseal(stored)), await failureOf(withKeys('k1', 8).unseal(stored))];
      expect(lost).toMatchObject({ code: 'key_lost', class: 'needs_user' });
      expect(broken).toMatchObject({ code: 'seal_broken', class: 'security' });
      for (const { stack, message } of [lost, broken]) {
        for (const secret of [...CANARIES, stored.secrets.sealed, 'k1']) expect(`${stack} ${message}`).not.toContain(secret);
      }
    });

    it('seal_broken, without a question for any key, for what is no sealed text or names no key', async () => {
      const asked: unknown[] = [];
      const keys: SealingKeys = { ...someKeys(), get: (kid) => (asked.push(kid), Promise.resolve(undefined)) };
      const storage = sealed(memoryStorage(), { keys });
      const header = (kid: unknown): string => Buffer.from(JSON.stringify({ kid })).toString('base64url');
      for (const text of [5, null, '', 'text', '.....', `${header(5)}..a.b.c`, `${header({})}..a.b.c`, `${header(undefined)}..a.b.c`])
        expect(await codeOf(storage.unseal({ ...aRecord(), secrets: { sealed: text } } as never))).toBe('seal_broken');
      expect(asked).toEqual([]);
      expect(await codeOf(storage.unseal({ ...aRecord(), secrets: { sealed: `${header('k')}.` } } as never))).toBe('key_lost');
    });

    it('storage_failed, in words of our own, when keys cannot be read or made now; the next time they can', async () => {
      const inner = memoryStorage();
      let isAway = true;
      const working = someKeys();
      const fail = (): Promise<never> => Promise.reject(new TypeError(`canary ${CANARY.accessToken}`));
      const keys: SealingKeys = {
        current: () => (isAway ? fail() : working.current()),
        get: (kid) => (isAway ? fail() : working.get(kid)),
      };
      const storage = sealed(inner, { keys });
      await storage.open();
      const writing = await failureOf(storage.write(aRecord(), 'absent'));
      expect(await inner.readAll()).toEqual([]);
      isAway = false;
      await storage.open();
      await storage.write(aRecord(), 'absent');
      isAway = true;
      const reading = await failureOf(storage.unseal(await readOf(storage)));
      for (const error of [writing, reading]) {
        expect(error.code).toBe('storage_failed');
        expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('canary');
      }
      isAway = false;
      expect(await storage.unseal(await readOf(storage))).toEqual(aRecord());
    });

    it('E38 where IndexedDB is blocked the first write says so: the store then keeps in memory', async () => {
      const platform = {
        ...unitPlatform(),
        get indexedDB(): never {
          throw new DOMException('blocked', 'SecurityError');
        },
      };
      const storage = sealed(memoryStorage(), { platform });
      await storage.open();
      expect(await storage.readAll()).toEqual([]);
      expect(await codeOf(storage.write(aRecord(), 'absent'))).toBe('storage_failed');
    });

    it('a failure of the storage inside stays what it is', async () => {
      const disk = createFakeDisk();
      const storage = sealed(disk.storage(), { keys: someKeys() });
      const error = new StorageError('lock_unavailable', 'no');
      disk.fail(() => true, error);
      for (const ask of [
        () => storage.open(),
        () => storage.read('x'),
        () => storage.readAll(),
        () => storage.write(aRecord(), 'absent'),
        () => storage.remove('x', 'any'),
        () => storage.close(),
      ])
        // prettier-ignore
        await expect(ask()).rejects.toBe(error);
    });

    it('without IndexedDB it is a TypeError that says what to pass; with keys of one’s own it is none', () => {
      const platform = unitPlatform();
      expect(() => sealed(memoryStorage(), { platform })).toThrow(TypeError);
      expect(() => sealed(memoryStorage(), { platform })).toThrow(/no IndexedDB.*in the browser only.*\{ keys \}/);
      expect(() => sealed(memoryStorage(), { platform, keys: someKeys() })).not.toThrow();
    });
  });

  describe('what it leaves to the storage inside', () => {
    const port = (more: object = {}): CredentialStorage => ({ ...createFakeDisk('app').storage(), ...more });

    it('has locks and watchers where the inner one has, called as its methods', async () => {
      class Inner {
        withLock<T>(name: string, run: () => Promise<T>, signal?: AbortSignal): Promise<T> {
          calls.push([this instanceof Inner, name, signal]);
          return run();
        }
        watch(listener: (id: string) => void): () => void {
          listener('one');
          return () => calls.push([this instanceof Inner, 'stopped']);
        }
      }
      const calls: unknown[] = [];
      const inner: CredentialStorage = Object.assign(new Inner(), port());
      const storage = sealed(inner, { keys: someKeys() });
      const { signal } = new AbortController();
      expect(await storage.withLock!('the-lock', () => Promise.resolve(5), signal)).toBe(5);
      storage.watch!((id) => calls.push(id))();
      expect(calls).toEqual([[true, 'the-lock', signal], 'one', [true, 'stopped']]);
      expect('withLock' in sealed(port(), { keys: someKeys() })).toBe(false);
      expect('watch' in sealed(port(), { keys: someKeys() })).toBe(false);
    });

    it('6750-5 a medium that needs sealing needs it no more, unless records are written plain', () => {
      const inner = port({ needsSealing: true });
      expect(sealed(inner, { keys: someKeys() }).needsSealing).toBeUndefined();
      expect(sealed(inner, { keys: someKeys(), write: 'plain' }).needsSealing).toBe(true);
      expect(sealed(port(), { keys: someKeys(), write: 'plain' }).needsSealing).toBeUndefined();
    });

    it('says what the inner one can do, and is prepared, swept and closed with it', async () => {
      const swept: string[] = [];
      const inner = port({
        prepare: async () => void swept.push('prepared'),
        sweep: async () => void swept.push('inner'),
        close: async () => void swept.push('closed'),
      });
      const storage = sealed(inner, { keys: { ...someKeys(), close: () => swept.push('keys') } });
      expect(await storage.open()).toEqual({ coherent: true, durability: 'relaxed', reach: 'origin' });
      await storage.prepare();
      await storage.sweep();
      await storage.close();
      expect(swept).toEqual(['prepared', 'inner', 'closed', 'keys']);
      await expect(sealed(port(), { keys: someKeys() }).close()).resolves.toBeUndefined();
    });
  });

  describe('switching on and off', () => {
    it('switched on, plain records are read as before, and sealed when they are next written', async () => {
      const inner = memoryStorage();
      await inner.write(fullRecord(), 'absent');
      const storage = sealed(inner, { keys: someKeys() });
      expect(await storage.unseal(await readOf(storage))).toEqual(fullRecord());
      await storage.write(fullRecord({ revision: 2 }), 1);
      expect(JSON.stringify(await inner.readAll())).not.toContain('canary');
      expect(await storage.unseal(await readOf(storage))).toEqual(fullRecord({ revision: 2 }));
    });

    it('switched off by write: plain, sealed records are opened as before, and plain when they are next written', async () => {
      const inner = memoryStorage();
      await sealed(inner, { keys: someKeys() }).write(fullRecord(), 'absent');
      const storage = sealed(inner, { keys: someKeys(), write: 'plain' });
      expect(await storage.unseal(await readOf(storage))).toEqual(fullRecord());
      await storage.write({ ...(await readOf(storage)), revision: 2 }, 1); // carried over
      expect(await inner.read('one')).toEqual(fullRecord({ revision: 2 }));
      await storage.write(aRecord({ id: 'new' }), 'absent');
      expect(await inner.read('new')).toEqual(aRecord({ id: 'new' }));
    });

    it('write: plain, a record whose key is lost, or that is broken, can be tagged and removed all the same, and stays sealed', async () => {
      const inner = memoryStorage();
      await sealed(inner, { keys: someKeys() }).write(fullRecord(), 'absent');
      const { secrets } = await readOf(inner);
      const storage = sealed(inner, { keys: staticKeys([{ kid: 'k2', key: KEY }]), write: 'plain' });
      const tagged = { ...(await readOf(storage)), revision: 2, tags: ['later'] };
      expect(await storage.write(tagged, 1)).toBe(true);
      expect(await inner.read('one')).toMatchObject({ revision: 2, tags: ['later'], secrets });
      const broken = { ...(await readOf(storage)), revision: 3, generation: 9 };
      const other = sealed(inner, { keys: someKeys(), write: 'plain' });
      expect(await other.write(broken, 2)).toBe(true);
      expect(await codeOf(other.unseal(await readOf(other)))).toBe('seal_broken');
      expect(await other.write({ ...broken, revision: 4, tags: ['last'] } as StoredRecord, 3)).toBe(true);
      expect(await inner.read('one')).toMatchObject({ revision: 4, tags: ['last'], secrets });
      expect(await other.remove('one', 4)).toBe(true);
    });

    it('write: plain makes no key, and opens without one', async () => {
      const browser = { ...unitPlatform(), indexedDB: new IDBFactory() };
      const storage = sealed(memoryStorage(), { platform: browser, write: 'plain' });
      await storage.open();
      await storage.write(aRecord(), 'absent');
      expect(await browser.indexedDB.databases()).toEqual([]);
    });

    it('E38 in a page without IndexedDB, as in some web views, opening says so: nothing is thrown while an application starts', async () => {
      const storage = sealed(memoryStorage(), { platform: unitPlatform({ page: fakePage('https://app.example.com/') }) });
      await storage.open();
      await expect(storage.write(aRecord(), 'absent')).rejects.toMatchObject({ code: 'storage_failed' });
    });
  });
});

describe('sealed, with keys that rotate', () => {
  let browser: UnitPlatform;
  let disk: FakeDisk;
  const aTab = () => {
    const keys = indexedDBKeys({ namespace: 'app', platform: browser });
    return { keys, storage: sealed(disk.storage(), { keys, platform: browser }) };
  };
  /** What a fresh start makes of the record. */
  const reopened = async (id = 'one') => aTab().storage.unseal((await disk.storage().read(id)) as StoredRecord);
  const kidIn = (id = 'one'): unknown => headerOf((disk.records.get(id) as Stored).secrets)['kid'];
  beforeEach(() => {
    browser = { ...unitPlatform(), indexedDB: new IDBFactory() };
    disk = createFakeDisk('app');
  });

  it('E61 eight tabs that open and write at once seal with one key, and each opens what the others wrote', async () => {
    const tabs = Array.from({ length: 8 }, aTab);
    await Promise.all(tabs.map(async ({ storage }, i) => (await storage.open(), storage.write(fullRecord({ id: `id-${i}` }), 'absent'))));
    expect(new Set(tabs.map((_, i) => kidIn(`id-${i}`))).size).toBe(1);
    for (const { storage } of tabs)
      for (const i of tabs.keys())
        expect(await storage.unseal((await storage.read(`id-${i}`)) as StoredRecord)).toEqual(fullRecord({ id: `id-${i}` }));
  });

  it('the default keys are those of the namespace of the storage', async () => {
    const storage = sealed(disk.storage(), { platform: browser });
    await storage.write(aRecord(), 'absent');
    expect(kidIn()).toBe((await aTab().keys.current()).kid);
    expect(await reopened()).toEqual(aRecord());
  });

  it('after a rotation old records are readable, and what is written is sealed with the new key, within a second in other tabs too', async () => {
    const [a, b] = [aTab(), aTab()];
    await a.storage.write(aRecord(), 'absent');
    await b.storage.write(aRecord({ id: 'two' }), 'absent');
    const kid = await a.keys.rotate();
    expect(kidIn()).not.toBe(kid);
    expect(await reopened()).toEqual(aRecord());
    expect(await b.storage.unseal((await b.storage.read('one')) as StoredRecord)).toEqual(aRecord());
    await a.storage.write(aRecord({ revision: 2, generation: 2 }), 1);
    browser.advance(1_000);
    await b.storage.write(aRecord({ id: 'two', revision: 2, generation: 2 }), 1); // has not noticed yet
    expect([kidIn(), kidIn('two')]).toEqual([kid, kid]);
    expect(await reopened('two')).toEqual(aRecord({ id: 'two', revision: 2, generation: 2 }));
  });

  it('many writes look at the keys once a second, and after a rotation of their own at once', async () => {
    const { keys, storage } = aTab();
    const look = jest.spyOn(IDBObjectStore.prototype, 'getAll');
    const write = (id: string): Promise<boolean> => storage.write(aRecord({ id }), 'absent');
    await write('first');
    const before = look.mock.calls.length;
    const looks = (): number => look.mock.calls.length - before;
    for (let i = 0; i < 20; i++) await write(`id-${i}`);
    browser.advance(999);
    await write('later');
    expect(looks()).toBe(0);
    browser.advance(1);
    await write('a second later');
    expect(looks()).toBe(1);
    const kid = await keys.rotate();
    await write('rotated');
    expect(kidIn('rotated')).toBe(kid);
    look.mockRestore();
  });

  it('a write without a rotation is one write', async () => {
    const { storage } = aTab();
    await storage.write(fullRecord(), 'absent');
    expect(disk.calls.filter(({ method }) => method === 'write')).toHaveLength(1);
  });

  describe('a tab that is frozen between sealing and writing', () => {
    const freeze = async () => {
      const frozen = aTab();
      await frozen.storage.open();
      const gate = disk.hold(({ method, record }) => method === 'write' && record?.['id'] === 'one');
      const writing = frozen.storage.write(aRecord(), 'absent');
      await gate.reached;
      const { kid } = await frozen.keys.current();
      const thaw = (): Promise<boolean> => {
        browser.advance(60_000);
        gate.open();
        return writing;
      };
      return { thaw, frozen, kid };
    };
    const rotateAndSweepLater = async () => {
      const other = aTab();
      const kid = await other.keys.rotate();
      browser.advance(DAY_MS + 60_000);
      await other.storage.sweep();
      return { other, kid };
    };

    it('BBA-4 seals again when its key was replaced and swept meanwhile: the record can be opened', async () => {
      const { thaw, kid: old } = await freeze();
      const { other, kid } = await rotateAndSweepLater();
      expect(await other.keys.get(old)).toBeUndefined();
      expect(await thaw()).toBe(true);
      expect(kidIn()).toBe(kid);
      expect(await reopened()).toEqual(aRecord());
      expect((disk.records.get('one') as StoredRecord).revision).toBe(1);
      expect(disk.calls.filter(({ method }) => method === 'write')).toHaveLength(2);
    });

    it('seals again when its key was removed from outside', async () => {
      const { thaw, frozen, kid: old } = await freeze();
      await aTab().keys.remove(old);
      expect(await thaw()).toBe(true);
      expect(kidIn()).not.toBe(old);
      expect(await reopened()).toEqual(aRecord());
      expect((await frozen.keys.list()).map(({ kid }) => kid)).toEqual([kidIn()]);
    });

    it('writes nothing at all where its condition does not hold, whatever became of the key', async () => {
      const { thaw, kid: old } = await freeze();
      await aTab().keys.remove(old);
      const theirs = aRecord({ tags: ['theirs'] });
      disk.records.set('one', theirs);
      expect(await thaw()).toBe(false);
      expect(disk.records.get('one')).toEqual(theirs);
    });

    it('does not write over someone who wrote since', async () => {
      const { thaw, kid: old } = await freeze();
      await aTab().keys.remove(old);
      let writes = 0;
      const again = disk.hold(({ method }) => method === 'write' && ++writes === 2);
      const writing = thaw();
      await again.reached;
      disk.records.set('one', aRecord({ revision: 2 }));
      again.open();
      expect(await writing).toBe(true);
      expect(disk.records.get('one')).toEqual(aRecord({ revision: 2 }));
    });

    it('gives up after a few times where keys vanish as fast as they are made: the write has been committed', async () => {
      let count = 0;
      const keys: SealingKeys = {
        current: () => Promise.resolve({ kid: `k${count++}`, key: KEY }),
        get: () => Promise.resolve(KEY),
        list: () => Promise.resolve([]),
      };
      const storage = sealed(disk.storage(), { keys, platform: browser });
      expect(await storage.write(aRecord(), 'absent')).toBe(true);
      expect(disk.calls.filter(({ method }) => method === 'write')).toHaveLength(3);
      expect(await storage.unseal((await storage.read('one')) as StoredRecord)).toEqual(aRecord());
    });

    it.each([
      ['fails', () => Promise.reject(new Error('away'))],
      [
        'throws',
        () => {
          throw new Error('away');
        },
      ],
    ])('a look at the keys that %s takes nothing back: the write has been committed', async (_, list) => {
      const keys: SealingKeys = { ...someKeys(), list };
      const storage = sealed(disk.storage(), { keys, platform: browser });
      expect(await storage.write(aRecord(), 'absent')).toBe(true);
      expect(disk.calls.filter(({ method }) => method === 'write')).toHaveLength(1);
    });

    /** What a write comes to in 20 s: a store gives it 30. */
    const inTwentySeconds = async (writing: Promise<boolean>): Promise<boolean | 'pending'> => {
      let outcome: boolean | 'pending' = 'pending';
      writing.then(
        (value) => (outcome = value),
        (error: unknown) => (outcome = `rejected: ${String(error)}` as never),
      );
      // Real keys take no time of this clock: they are given turns of the program, as many as they need.
      for (let i = 0; i < 20 || (i < 2_000 && outcome === 'pending'); i++) {
        await settle();
        await new Promise((turn) => setImmediate(turn));
        browser.advance(1_000);
      }
      return outcome;
    };

    it('RF-15 a look at the keys that never ends takes nothing back, and holds nobody up', async () => {
      const list = jest.fn(() => new Promise<never>(() => undefined));
      const storage = sealed(disk.storage(), { keys: { ...someKeys(), list }, platform: browser });
      expect(await inTwentySeconds(storage.write(aRecord(), 'absent'))).toBe(true);
      expect(disk.calls.filter(({ method }) => method === 'write')).toHaveLength(1);
      list.mockClear();
      expect(await storage.write(aRecord(), 'absent')).toBe(false); // at once: nothing was written
    });

    it.each(['rejects', 'never ends'] as const)('RF-15 a second sealing or writing that %s takes nothing back', async (how) => {
      const trouble = (): Promise<never> => (how === 'rejects' ? Promise.reject(new Error('away')) : new Promise(() => undefined));
      for (const what of ['sealing', 'writing']) {
        disk.records.clear();
        let [seals, writes] = [0, 0];
        const current = (): Promise<SealingKey> =>
          what === 'sealing' && seals++ > 0 ? trouble() : Promise.resolve({ kid: 'k1', key: KEY });
        const keys: SealingKeys = { ...someKeys(), current, list: () => Promise.resolve([]) };
        const inside = disk.storage();
        const write: CredentialStorage['write'] = (...args) => (what === 'writing' && writes++ > 0 ? trouble() : inside.write(...args));
        const storage = sealed({ ...inside, write }, { keys, platform: browser });
        expect(await inTwentySeconds(storage.write(aRecord(), 'absent'))).toBe(true);
        expect(await storage.unseal((await storage.read('one')) as StoredRecord)).toEqual(aRecord());
      }
    });
  });

  describe('sweep', () => {
    it('removes a key that was replaced more than a day ago, once no record names it', async () => {
      const { keys, storage } = aTab();
      await storage.write(aRecord(), 'absent');
      const { kid: old } = await keys.current();
      const kid = await keys.rotate();
      browser.advance(DAY_MS + 1);
      await storage.sweep();
      expect(await keys.list()).toHaveLength(2); // named
      expect(await reopened()).toEqual(aRecord());
      await storage.write(aRecord({ revision: 2, generation: 2 }), 1);
      await storage.sweep();
      expect(await keys.list()).toEqual([{ kid, retiredAt: null }]);
      expect(await keys.get(old)).toBeUndefined();
      expect(await reopened()).toEqual(aRecord({ revision: 2, generation: 2 }));
    });

    it('keeps a key for a day after it was replaced, though no record names it', async () => {
      const { keys, storage } = aTab();
      await keys.current();
      await keys.rotate();
      browser.advance(DAY_MS);
      await storage.sweep();
      expect(await keys.list()).toHaveLength(2);
      browser.advance(1);
      await storage.sweep();
      expect(await keys.list()).toHaveLength(1);
    });

    it('keeps a key that only a staged answer names', async () => {
      const { keys, storage } = aTab();
      await storage.write(aRecord({ state: 'needs_sign_in', secrets: null, staged: STAGED }), 'absent');
      await keys.rotate();
      browser.advance(2 * DAY_MS);
      await storage.sweep();
      expect(await keys.list()).toHaveLength(2);
      expect(await reopened()).toMatchObject({ staged: STAGED });
    });

    it('never removes the key that seals, however old, and reads no record where no key is due', async () => {
      const { keys, storage } = aTab();
      await keys.current();
      browser.advance(400 * DAY_MS);
      await storage.sweep();
      expect(await keys.list()).toHaveLength(1);
      expect(disk.calls).toEqual([]);
    });

    it.each([
      [null],
      [5],
      ['text that is cut o'],
      [[]],
      [{}],
      [{ v: 2, vault: { sealed: 'named differently' } }],
      [{ unreadable: 'EACCES' }],
      [{ v: RECORD_VERSION, secrets: { sealed: 5 } }],
      [{ v: RECORD_VERSION, secrets: { sealed: '.....' } }],
      [{ v: RECORD_VERSION, staged: { sealed: 'bnVsbA..' } }],
    ])('E62 removes no key while %j is there, which cannot be read and may name it', async (planted) => {
      const { keys, storage } = aTab();
      await storage.write(aRecord(), 'absent');
      await keys.rotate();
      await keys.rotate();
      browser.advance(2 * DAY_MS);
      disk.records.set('!', planted);
      await storage.sweep();
      expect(await keys.list()).toHaveLength(3);
      disk.records.delete('!');
      disk.records.set('@store', planted); // the store record names no key
      disk.records.set('!', { ...aRecord({ id: '!' }), secrets: null, staged: [] });
      await storage.sweep();
      expect(await keys.list()).toHaveLength(2);
      expect(await reopened()).toEqual(aRecord());
    });

    it('removes nothing where records or keys cannot be read, and says so', async () => {
      const { keys, storage } = aTab();
      await keys.current();
      await keys.rotate();
      browser.advance(2 * DAY_MS);
      const heal = disk.fail(({ method }) => method === 'readAll');
      await expect(storage.sweep()).rejects.toThrow('disk failure');
      heal();
      expect(await keys.list()).toHaveLength(2);
      const away: SealingKeys = { ...someKeys(), list: () => Promise.reject(new StorageError('storage_failed', 'away')) };
      await expect(sealed(disk.storage(), { keys: away }).sweep()).rejects.toThrow('away');
    });

    it.each(['list', 'remove'] as const)('ends where %s of the keys never answers: what comes later removes nothing', async (method) => {
      const removed: string[] = [];
      let answer = (): void => undefined;
      const old = { kid: 'old', retiredAt: browser.now() - 2 * DAY_MS };
      const keys: SealingKeys = { ...someKeys(), list: () => Promise.resolve([old]), remove: async (kid) => void removed.push(kid) };
      const hanging = <T>(value: T): Promise<T> => new Promise((resolve) => (answer = () => resolve(value)));
      if (method === 'list') keys.list = () => hanging([old]);
      else keys.remove = () => hanging(undefined);
      const sweeping = sealed(disk.storage(), { keys, platform: browser }).sweep();
      sweeping.catch(() => undefined);
      await settle();
      browser.advance(10_000);
      await expect(sweeping).rejects.toMatchObject({ code: 'storage_failed' });
      answer();
      await settle();
      expect(removed).toEqual([]);
    });

    it('has nothing to do with keys of one’s own', async () => {
      await sealed(disk.storage(), { keys: someKeys() }).sweep();
      expect(disk.calls).toEqual([]);
    });
  });

  it('a key that was deleted from outside: its records are key_lost, new ones have a key of another name, nothing is written over', async () => {
    const { storage, keys } = aTab();
    await storage.write(aRecord(), 'absent');
    const { kid: old } = await keys.current();
    await new Promise((resolve) => (browser.indexedDB!.deleteDatabase('app:keys').onsuccess = resolve));
    await storage.write(aRecord({ id: 'new' }), 'absent');
    expect(kidIn('new')).not.toBe(old);
    expect(kidIn()).toBe(old);
    expect(await codeOf(reopened())).toBe('key_lost');
    expect(await codeOf(storage.unseal((await storage.read('one')) as StoredRecord))).toBe('key_lost');
    expect(await reopened('new')).toEqual(aRecord({ id: 'new' }));
    expect(await storage.remove('one', 'any')).toBe(true);
  });

  it('closing lets go of the keys’ database; the storage can be opened again', async () => {
    const { storage } = aTab();
    await storage.open();
    await storage.write(aRecord(), 'absent');
    await storage.close();
    await storage.open();
    expect(await storage.unseal((await storage.read('one')) as StoredRecord)).toEqual(aRecord());
  });
});
