// A store whose files somebody else has had in hand: a backup restored with other modes, links, folders.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { defaultPlatform } from '../../src/platform/platform';
import { fileStorage } from '../../src/storage/file';
import { createCredentialStore, type CredentialStore } from '../../src/store/store';
import { createFakeAuthority, refusal } from '../support/fake-client';
import { fileOf, newFolder, recordsIn } from '../support/file-folder';
import { aToken, CANARY, CLAIMS } from '../support/tokens';

const opened: CredentialStore[] = [];
afterEach(async () => void (await Promise.all(opened.splice(0).map((store) => store.close()))));

function storeIn(folder: string): CredentialStore {
  const store = createCredentialStore({ clients: { issuer: CLAIMS.iss, clientId: 'spa' }, storage: fileStorage({ folder }) });
  opened.push(store);
  return store;
}

const token = (id: string) => aToken({ id, issuedAt: Date.now(), expiresAt: Date.now() + 3_600_000, claims: null });

/** What can become of a file that nobody can make a record of again by waiting. */
const SPOILT: Readonly<Record<string, (path: string) => void>> = {
  'open to others': (path) => chmodSync(path, 0o644),
  'a link': (path) => (renameSync(path, `${path}.bak`), symlinkSync(`${path}.bak`, path)),
  'a folder': (path) => (rmSync(path), mkdirSync(`${path}/in/it`, { recursive: true })),
  garbage: (path) => writeFileSync(path, '{{'),
};

describe('E62 a store over fileStorage whose own record is no record any more', () => {
  it.each(Object.entries(SPOILT))('(%s) clears and sets the default all the same, now and at the next start', async (_, spoil) => {
    const folder = newFolder();
    const first = storeIn(folder);
    await first.store(token('one'));
    await first.clear();
    await first.store(token('two'));
    await first.close();
    spoil(fileOf(folder, '@store'));
    const second = storeIn(folder);
    await second.ready;
    await second.setDefault('two');
    expect((await second.getDefault())?.id).toBe('two');
    await second.clear();
    await second.close();
    const third = storeIn(folder);
    expect(await third.allIDs()).toEqual([]);
    await third.store(token('three'));
    expect((await third.getDefault())?.id).toBe('three');
  });

  it('(it became so while the program runs) clears', async () => {
    const folder = newFolder();
    const store = storeIn(folder);
    await store.store(token('one'));
    await store.clear();
    chmodSync(fileOf(folder, '@store'), 0o644);
    await store.clear();
    expect(statSync(fileOf(folder, '@store')).mode & 0o777).toBe(0o600);
  });
});

it('E47 CLI-2 who signs out where the folder is open to others is told what to type; clear then removes the tokens', async () => {
  const folder = newFolder();
  const first = storeIn(folder);
  await first.store(token('one'));
  await first.close();
  chmodSync(recordsIn(folder), 0o755);
  const second = storeIn(folder);
  await expect(second.clear()).rejects.toThrow(/may still hold it.*chmod -R go=/);
  expect(readFileSync(fileOf(folder, 'one'), 'utf8')).toContain(CANARY.refreshToken);
  chmodSync(recordsIn(folder), 0o700);
  await second.clear();
  expect(existsSync(fileOf(folder, 'one'))).toBe(false);
  expect(readdirSync(join(recordsIn(folder), 'locks'))).toEqual([]);
  expect(await storeIn(folder).allIDs()).toEqual([]);
});

it('RF-9 whatever was awaited has left no lock: the program may end at once', async () => {
  const folder = newFolder();
  const platform = defaultPlatform();
  const authority = createFakeAuthority(() => Date.now());
  const store = createCredentialStore({ clients: authority.client(platform), storage: fileStorage({ folder }) });
  opened.push(store);
  const credential = await store.store(authority.signIn());
  const other = await store.store(authority.signIn({ sub: 'bob' }));
  const commands: Readonly<Record<string, () => Promise<unknown>>> = {
    refresh: () => credential.refresh(),
    accessToken: () => credential.accessToken({ forceRefresh: true }),
    setTags: () => credential.setTags(['a']),
    setDefault: () => store.setDefault(null),
    'store in a place': () => store.store(authority.signIn(), { replace: credential }),
    'a refresh that is refused': () => (authority.next(refusal('invalid_grant')), credential.refresh().catch(() => undefined)),
    remove: () => credential.remove(),
    revoke: () => other.revoke(),
    clear: () => store.clear(),
  };
  const left: string[] = [];
  for (const [name, run] of Object.entries(commands)) {
    await run();
    left.push(...readdirSync(join(recordsIn(folder), 'locks')).map((lock) => `${name}: ${lock}`));
  }
  expect(left).toEqual([]);
});

describe('E62 a credential whose file became open to others', () => {
  it.each(Object.entries(SPOILT))('(%s) can be removed, and its tokens are gone', async (_, spoil) => {
    const folder = newFolder();
    const store = storeIn(folder);
    const credential = await store.store(token('one'));
    await store.store(token('two'));
    spoil(fileOf(folder, 'one'));
    await credential.remove();
    expect(await store.allIDs()).toEqual(['two']);
    expect(statSync(fileOf(folder, 'one')).mode & 0o777).toBe(0o600);
    expect(readFileSync(fileOf(folder, 'one'), 'utf8')).not.toContain(CANARY.refreshToken);
  });

  it('is not written over, which the error says; closed again, it is as it was', async () => {
    const folder = newFolder();
    const store = storeIn(folder);
    const credential = await store.store(token('one'));
    chmodSync(fileOf(folder, 'one'), 0o644);
    await expect(credential.setTags(['a'])).rejects.toMatchObject({
      code: 'storage_conflict',
      message: expect.stringContaining('unreadable') as string,
    });
    chmodSync(fileOf(folder, 'one'), 0o600);
    await credential.setTags(['b']);
    expect((await store.find({ tags: 'b' })).map(({ id }) => id)).toEqual(['one']);
    expect(existsSync(fileOf(folder, 'one'))).toBe(true);
  });
});

it('an opening makes the folder anew also while others read, and look for it themselves', async () => {
  for (let i = 0; i < 5; i++) {
    const folder = newFolder();
    const storage = fileStorage({ folder });
    await storage.open();
    rmSync(folder, { recursive: true });
    let reads = 0;
    let isOver = false;
    const reading = async (): Promise<void> => {
      while (!isOver) await storage.read('one').catch(() => reads++);
    };
    const readers = [reading(), reading(), reading()];
    while (reads < 10 + i) await new Promise((turn) => setImmediate(turn));
    await storage.open().finally(() => (isOver = true));
    await Promise.all(readers);
    expect(existsSync(folder)).toBe(true);
    await storage.close();
    await storage.close(); // each opening has its closing
  }
});
