import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { isCredentialError, StorageError } from '../../src/errors';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import { fileStorage } from '../../src/storage/file';
import { createFileStorage } from '../../src/storage/file/file-storage';
import { nameOf, recordFile } from '../../src/storage/file/names';
import type { Files } from '../../src/storage/file/system';
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage';
import { runs } from '../support/counts';
import { hooked, systemError } from '../support/file-faults';
import { fileOf, leftovers, newFolder, plantFile, recordsIn } from '../support/file-folder';

const record = (id: string, revision: number, more: Readonly<Record<string, unknown>> = {}): StoredRecord => ({ id, revision, ...more });
const mode = (path: string): string => (lstatSync(path).mode & 0o777).toString(8);

async function refusal(promise: Promise<unknown>): Promise<StorageError> {
  const error: unknown = await promise.then(
    () => new Error('it was not refused'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StorageError)) throw error;
  expect(error.code).toBe('storage_failed');
  return error;
}

/** Runs the command that a message says to type. */
function type(message: string): void {
  const command = /(?:Type|yours): (.*)$/.exec(message)?.[1];
  const { status, stderr } = spawnSync('sh', ['-c', command ?? 'false'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
}

async function opened(folder = newFolder()): Promise<CredentialStorage> {
  const storage = fileStorage({ folder });
  await storage.open();
  return storage;
}

describe('fileStorage', () => {
  it('says that it is shared by all programs of the machine and survives power loss', async () => {
    const storage = fileStorage({ folder: newFolder() });
    expect(await storage.open()).toEqual({ coherent: true, durability: 'strict', reach: 'machine' });
    expect(storage.namespace).toBe('rx-credentials');
  });

  it('touches nothing before its first call', () => {
    const folder = newFolder();
    const untouched = new Proxy({} as Platform, {
      get: () => {
        throw new Error('touched');
      },
    });
    fileStorage({ folder, platform: untouched });
    expect(readdirSync(dirname(folder))).toEqual([]);
  });

  it.each([
    ['no options', undefined],
    ['no folder', {}],
    ['an empty folder', { folder: '' }],
    ['a folder that is no text', { folder: 5 }],
    ['a folder with NUL', { folder: 'a\0b' }],
    ['an empty namespace', { folder: 'a', namespace: '' }],
    ['a namespace that is no text', { folder: 'a', namespace: null }],
  ])('refuses %s with a TypeError', (_, options) => {
    expect(() => fileStorage(options as never)).toThrow(TypeError);
    expect(() => fileStorage(options as never)).toThrow(/^(folder|namespace) must /);
  });

  it('takes a relative folder, as of the first call', async () => {
    const folder = newFolder();
    const before = process.cwd();
    const storage = fileStorage({ folder: 'credentials' });
    process.chdir(dirname(folder));
    try {
      await storage.open();
    } finally {
      process.chdir(before);
    }
    expect(readdirSync(folder)).toEqual(['n-rx-credentials']);
  });

  it('makes all folders on the way', async () => {
    const folder = join(newFolder(), 'a/b');
    await opened(folder);
    expect([mode(dirname(folder)), mode(folder), mode(recordsIn(folder))]).toEqual(['700', '700', '700']);
  });
});

describe('CLI-2 permissions of fileStorage', () => {
  it('everything is for its owner alone, whatever the umask', async () => {
    const folder = newFolder();
    const before = process.umask(0);
    try {
      const storage = await opened(folder);
      await storage.write(record('one', 1), 'absent');
      await storage.write(record('one', 2), 1);
    } finally {
      process.umask(before);
    }
    expect([mode(folder), mode(recordsIn(folder)), mode(fileOf(folder, 'one'))]).toEqual(['700', '700', '600']);
  });

  it.each(['', 'n-rx-credentials', 'n-rx-credentials/locks'])('a folder that is a link is refused: %j', async (which) => {
    const folder = newFolder();
    await opened(folder);
    const path = join(folder, which);
    renameSync(path, `${dirname(folder)}/moved`);
    symlinkSync(`${dirname(folder)}/moved`, path);
    const { message } = await refusal(fileStorage({ folder }).open());
    expect(message).toContain(`${path} is a symbolic link`);
  });

  it.each(['', 'n-rx-credentials', 'n-rx-credentials/locks'])('a folder that is a file is refused: %j', async (which) => {
    const folder = newFolder();
    const path = join(folder, which);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, '');
    await refusal(fileStorage({ folder }).open());
    expect(statSync(path).isFile()).toBe(true);
  });

  it.each([
    ['', 0o702],
    ['', 0o720],
    ['n-rx-credentials', 0o701],
    ['n-rx-credentials', 0o740],
    ['n-rx-credentials', 0o777],
    ['n-rx-credentials/locks', 0o750],
  ])('a folder that others can get at is refused, and the message says what to type: %j', async (which, open) => {
    const folder = newFolder();
    await (await opened(folder)).write(record('one', 1), 'absent');
    chmodSync(join(folder, which), open);
    const { message } = await refusal(fileStorage({ folder }).open());
    expect(message).toContain('is open to other users');
    type(message);
    expect(await (await opened(folder)).read('one')).toEqual(record('one', 1));
  });

  it('others may look into the folder around: only what is in it is secret', async () => {
    const folder = newFolder();
    mkdirSync(folder, { mode: 0o755 });
    chmodSync(folder, 0o755);
    await opened(folder);
    expect([mode(folder), mode(recordsIn(folder))]).toEqual(['755', '700']);
  });

  it('a folder of another owner is refused, and a record of one is unreadable', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    const own = process.geteuid;
    Object.defineProperty(process, 'geteuid', { value: () => own!() + 1, configurable: true });
    try {
      expect((await refusal(fileStorage({ folder }).open())).message).toContain('belongs to another user');
      expect(await storage.read('one')).toEqual({ unreadable: expect.stringContaining('belongs to another user') as string });
    } finally {
      Object.defineProperty(process, 'geteuid', { value: own, configurable: true });
    }
    expect(await storage.read('one')).toEqual(record('one', 1));
  });

  it('where the system knows no such owners and modes (Windows), none are checked', async () => {
    const folder = newFolder();
    const own = process.geteuid;
    Object.defineProperty(process, 'geteuid', { value: undefined, configurable: true });
    try {
      const storage = await opened(folder);
      await storage.write(record('one', 1), 'absent');
      chmodSync(recordsIn(folder), 0o777);
      chmodSync(fileOf(folder, 'one'), 0o666);
      expect(await (await opened(folder)).read('one')).toEqual(record('one', 1));
    } finally {
      Object.defineProperty(process, 'geteuid', { value: own, configurable: true });
    }
  });

  it('a record that others can read is unreadable, which says what to type', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    await storage.write(record('two', 1), 'absent');
    chmodSync(fileOf(folder, 'one'), 0o640);
    const value = (await storage.read('one')) as { unreadable: string };
    expect(await storage.write(record('one', 2), 1)).toBe(false);
    expect(await storage.write(record('one', 2), 'absent')).toBe(false);
    expect(await storage.remove('one', 1)).toBe(false);
    expect(await storage.readAll()).toEqual(
      expect.arrayContaining([
        { id: 'one', value },
        { id: 'two', value: record('two', 1) },
      ]),
    );
    type(value.unreadable);
    expect(await storage.read('one')).toEqual(record('one', 1));
  });

  it('a record that is a link is unreadable and not followed, and removing it leaves what it points to', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    const target = join(dirname(folder), 'target');
    writeFileSync(target, JSON.stringify(record('one', 1)), { mode: 0o600 });
    symlinkSync(target, fileOf(folder, 'one'));
    expect(await storage.read('one')).toEqual({ unreadable: expect.stringContaining('symbolic link') as string });
    expect(await storage.write(record('one', 2), 1)).toBe(false);
    expect(await storage.remove('one', 'any')).toBe(true);
    expect(await storage.readAll()).toEqual([]);
    expect(JSON.parse(readFileSync(target, 'utf8'))).toEqual(record('one', 1));
  });

  it('a link put where a record is about to be written is replaced, not written through', async () => {
    const folder = newFolder();
    const target = join(dirname(folder), 'target');
    writeFileSync(target, 'not ours', { mode: 0o600 });
    let planted = false;
    const files = hooked((call, path) => {
      if (call !== 'rename' || !path.includes('locks/r-one/') || planted) return;
      planted = true;
      symlinkSync(target, fileOf(folder, 'one'));
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    expect(await storage.write(record('one', 1), 'absent')).toBe(true);
    expect(await storage.read('one')).toEqual(record('one', 1));
    expect(readFileSync(target, 'utf8')).toBe('not ours');
  });

  it('a user without the right gets an error that says so, and a full path; the record stays', async () => {
    const folder = newFolder();
    await (await opened(folder)).write(record('one', 1), 'absent');
    const nobody = process.geteuid?.() === 0 ? 65_534 : undefined; // root may do anything: let somebody else try
    if (nobody !== undefined) {
      chmodSync(dirname(folder), 0o755);
      for (const path of [folder, recordsIn(folder), join(recordsIn(folder), 'locks'), fileOf(folder, 'one')])
        chownSync(path, nobody, nobody);
    }
    chmodSync(join(recordsIn(folder), 'locks'), 0o500);
    const files = hooked(() => undefined);
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    if (nobody !== undefined) process.seteuid?.(nobody);
    try {
      const { message } = await refusal(storage.write(record('one', 2), 1));
      expect(message).toBe(`This user may not read or write the folder: look at it with ls -ld (${folder}).`);
      expect(await storage.read('one')).toEqual(record('one', 1));
    } finally {
      if (nobody !== undefined) process.seteuid?.(0);
    }
  });
});

it('a fileStorage in a Deno that does not permit it says which permissions there must be', async () => {
  const folder = newFolder();
  const files = hooked(() => {
    throw Object.assign(new Error('Requires sys access to "uid", run again with the --allow-sys flag'), { name: 'NotCapable' });
  });
  const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
  const { message } = await refusal(storage.open());
  expect(message).toBe(`Deno does not permit it: allow reading and writing of ${folder}, --allow-sys and --allow-run.`);
});

describe('what lies in the folder of fileStorage', () => {
  it.each(['AbCdEfGhIjKlMnOpQrStUv', 'x'.repeat(130), 'Ä'.repeat(500), '\ud800'])(
    'no name is longer than the 143 bytes that encrypted folders allow: %s',
    async (id) => {
      const files = hooked((_, path) => {
        if (path.split('/').some((name) => name.length > 143)) throw systemError('ENAMETOOLONG');
      });
      const storage = createFileStorage({ folder: newFolder(), namespace: id, platform: defaultPlatform() }, { files });
      expect(await storage.write(record(id, 1), 'absent')).toBe(true);
      expect(await storage.write(record(id, 2), 1)).toBe(true);
      expect(await storage.withLock!(`${id}:refresh:${id}`, () => storage.readAll())).toEqual([{ id, value: record(id, 2) }]);
      expect(await storage.remove(id, 2)).toBe(true);
    },
  );

  it('E39 E67 foreign files are neither read nor touched', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    const foreign = [
      'config.json',
      'r-A.json',
      'r-one.json.bak',
      'r-one.txt',
      '.r-one.json',
      'r-~12.json',
      'r-_0061.json',
      'locks/note.txt',
    ];
    for (const name of foreign) writeFileSync(join(recordsIn(folder), name), 'foreign', { mode: 0o644 });
    mkdirSync(join(folder, 'n-other'), { mode: 0o755 });
    await storage.write(record('one', 1), 'absent');
    expect(await storage.readAll()).toEqual([{ id: 'one', value: record('one', 1) }]);
    await storage.remove('one', 'any');
    await opened(folder);
    for (const name of foreign) expect(readFileSync(join(recordsIn(folder), name), 'utf8')).toBe('foreign');
  });

  it('E62 any bytes in a record’s file are one unreadable record, show nothing of themselves, and can be removed', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('good', 1), 'absent');
    const whole = JSON.stringify(record('bad', 1, { secrets: { accessToken: 'canary' } }));
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat({ max: whole.length - 1 }).map((end) => Buffer.from(whole.slice(0, end))),
      fc.constantFrom('', 'null', ' ', '{', '[1', '"', '\ufeff{}', '['.repeat(200_000)).map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => {
        fc.pre(jsonOf(content) === undefined);
        await plantFile(fileOf(folder, 'bad'), content);
        const value = await storage.read('bad');
        expect(value).toEqual({ unreadable: expect.any(String) as string });
        expect(JSON.stringify(value)).not.toContain('canary');
        expect(new Map((await storage.readAll()).map((entry) => [entry.id, entry.value]))).toEqual(
          new Map<string, unknown>([
            ['good', record('good', 1)],
            ['bad', value],
          ]),
        );
        expect(await storage.write(record('bad', 1), 'absent')).toBe(false);
        expect(await storage.write(record('bad', 2), 1)).toBe(false);
        expect(await storage.remove('bad', 'any')).toBe(true);
        expect(await storage.read('bad')).toBeUndefined();
      }),
      { numRuns: runs(100, 5_000) },
    );
  });

  it('E62 pipes, folders and files of a terabyte are unreadable records: nothing waits for them or swallows them', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('good', 1), 'absent');
    expect(spawnSync('mkfifo', ['-m', '600', fileOf(folder, 'pipe')]).status).toBe(0);
    mkdirSync(join(fileOf(folder, 'folder'), 'inside'), { recursive: true });
    writeFileSync(fileOf(folder, 'huge'), '', { mode: 0o600 });
    truncateSync(fileOf(folder, 'huge'), 2 ** 40);
    const found = new Map((await storage.readAll()).map(({ id, value }) => [id, value]));
    expect(found.get('good')).toEqual(record('good', 1));
    for (const id of ['pipe', 'folder', 'huge']) {
      expect(found.get(id)).toEqual({ unreadable: expect.any(String) as string });
      expect(await storage.remove(id, 'any')).toBe(true);
    }
    expect(await storage.readAll()).toEqual([{ id: 'good', value: record('good', 1) }]);
    expect(await leftovers(folder)).toEqual([]);
  });

  it('E62 what may pass is no unreadable record: a read fails with it, and reading all keeps to the others', async () => {
    const folder = newFolder();
    let code = '';
    const files = hooked((call, path) => {
      if (code && (call === 'open' || (call === 'lstat' && code === 'EACCES')) && path.endsWith('r-one.json')) throw systemError(code);
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    await storage.write(record('one', 1), 'absent');
    await storage.write(record('two', 1), 'absent');
    for (code of ['EIO', 'EMFILE', 'EACCES']) {
      await refusal(storage.read('one'));
      await refusal(storage.write(record('one', 2), 1));
      await refusal(storage.remove('one', 1));
      if (code !== 'EIO') await refusal(storage.readAll()); // the same would be said of every record
    }
    code = 'EIO'; // one block of the disk
    expect(new Map((await storage.readAll()).map(({ id, value }) => [id, value]))).toEqual(
      new Map<string, unknown>([
        ['one', { unreadable: expect.stringContaining('the disk failed') as string }],
        ['two', record('two', 1)],
      ]),
    );
    code = '';
    expect(await storage.read('one')).toEqual(record('one', 1));
  });

  it('E62 a record that this user may not read is unreadable, though the folder can be', async () => {
    const folder = newFolder();
    const files = hooked((call, path) => {
      if (call === 'open' && path.endsWith('r-one.json')) throw systemError('EACCES');
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    await (await opened(folder)).write(record('one', 1), 'absent');
    expect(await storage.read('one')).toEqual({ unreadable: expect.stringContaining('may not be read by this user') as string });
    expect(await storage.remove('one', 'any')).toBe(true);
  });

  it('reading all finds a record that a listing left out while it was written over', async () => {
    const folder = newFolder();
    let listings = NaN;
    const plain = hooked(() => undefined);
    const readdir = async (...args: Parameters<Files['readdir']>): Promise<unknown> => {
      const names = (await Reflect.apply(plain.readdir, undefined, args)) as unknown as string[];
      return String(args[0]) === recordsIn(folder) && listings++ === 0 ? names.filter((name) => name !== 'r-one.json') : names;
    };
    const files = { ...plain, readdir } as Files;
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    for (const left of [[], ['two']]) {
      for (const id of left) await storage.write(record(id, 1), 'absent');
      await storage.write(record('one', 1), 'absent');
      listings = 0;
      expect((await storage.readAll()).map(({ id }) => id).sort()).toEqual(['one', ...left]);
    }
  });

  it('E62 a damaged file whose name does not tell the id goes by its name, and can be removed by it', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    const id = 'Ä'.repeat(500);
    await storage.write(record(id, 1), 'absent');
    expect(await storage.readAll()).toEqual([{ id, value: record(id, 1) }]);
    await plantFile(fileOf(folder, id), '{"id"');
    expect(await storage.readAll()).toEqual([{ id: nameOf(id), value: { unreadable: 'not JSON' } }]);
    expect(await storage.write(record(nameOf(id), 1), 'absent')).toBe(false);
    expect(await storage.remove(nameOf(id), 'any')).toBe(true);
    expect(await storage.read(id)).toBeUndefined();
  });

  it('a long id that the file does not bear out is not believed', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    const id = 'Ä'.repeat(500);
    await plantFile(fileOf(folder, id), JSON.stringify(record('other', 1)));
    expect(await storage.readAll()).toEqual([{ id: nameOf(id), value: record('other', 1) }]);
  });

  it('a record that vanishes between listing and reading is not there; the others are', async () => {
    const folder = newFolder();
    const files = hooked((call, path) => {
      if (call === 'open' && path.endsWith('r-two.json')) rmSync(path, { force: true });
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    for (const id of ['one', 'two', 'three']) await storage.write(record(id, 1), 'absent');
    expect((await storage.readAll()).map(({ id }) => id).sort()).toEqual(['one', 'three']);
  });

  it('reads ten thousand records with few files open at a time', async () => {
    const folder = newFolder();
    let [open, most] = [0, 0];
    const files = hooked((call) => {
      if (call === 'open') most = Math.max(most, ++open);
      if (call === 'close') open--;
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    await storage.open();
    for (let i = 0; i < 10_000; i++)
      writeFileSync(join(recordsIn(folder), recordFile(nameOf(`id-${i}`))), JSON.stringify(record(`id-${i}`, i)), { mode: 0o600 });
    const found = await storage.readAll();
    expect(new Set(found.map(({ id }) => id)).size).toBe(10_000);
    expect(found.every(({ id, value }) => (value as StoredRecord).id === id)).toBe(true);
    expect(most).toBeLessThanOrEqual(32);
    expect(open).toBe(0);
  });

  it('a record with a second name elsewhere is replaced, not written into', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    const copy = join(dirname(folder), 'copy');
    linkSync(fileOf(folder, 'one'), copy);
    await storage.write(record('one', 2), 1);
    expect(JSON.parse(readFileSync(copy, 'utf8'))).toEqual(record('one', 1));
  });

  it('E51 the names of files hold ids, never what is in the records', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    const names = new Set<string>();
    await storage.withLock!('lock', async () => {
      await storage.write(record('one', 1, { secrets: { accessToken: 'canary' } }), 'absent');
      for (const name of readdirSync(folder, { recursive: true })) names.add(String(name));
    });
    expect([...names].join()).not.toContain('canary');
    expect(names).toContain('n-rx-credentials/r-one.json');
  });
});

describe('faults of the file system', () => {
  const OPERATIONS: Readonly<Record<string, (storage: CredentialStorage) => Promise<unknown>>> = {
    'a first write': (storage) => storage.write(record('new', 1), 'absent'),
    'a write': (storage) => storage.write(record('old', 2), 1),
    'a removal': (storage) => storage.remove('old', 1),
    'a removal of whatever is there': (storage) => storage.remove('old', 'any'),
    'a lock': (storage) => storage.withLock!('lock', () => Promise.resolve(true)),
    'a read': (storage) => storage.read('old'),
    'reading all': (storage) => storage.readAll(),
    'an opening': (storage) => storage.close().then(() => storage.open()),
  };
  const CODES = ['ENOSPC', 'EACCES', 'ENOENT', 'EIO', 'EROFS', 'EMFILE', 'EBUSY', 'EDQUOT'].slice(0, runs(3, 8));

  /** Fails the system call of this number once; resolves with `false` when there is no such call. */
  async function failAt(operation: string, at: number, code: string): Promise<boolean> {
    const folder = newFolder();
    let calls = NaN;
    let failed: string | undefined;
    const files = hooked((call, path) => {
      if (calls++ !== at) return;
      failed = `${call} ${path}`;
      throw systemError(code);
    });
    let pauses = 0;
    const real = defaultPlatform();
    const platform: Platform = { ...real, setTimer: (run, ms) => (ms < 1_000 && pauses++, real.setTimer(run, ms)) };
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform }, { files });
    await storage.write(record('old', 1), 'absent');
    pauses = calls = 0;
    const result: unknown = await OPERATIONS[operation](storage).catch((error: unknown) => error);
    calls = NaN;
    if (isCredentialError(result)) {
      expect(result).toMatchObject({ name: 'StorageError', code: 'storage_failed' });
      expect(result.message).not.toContain('nobody should pass on');
    } else expect(result).not.toBeInstanceOf(Error);

    const next = await opened(folder);
    const old = await next.read('old'); // a system that says of a record that it is not there is believed: then nothing is removed
    if (operation === 'a write') expect(result === true ? [2] : [1, 2]).toContain((old as StoredRecord).revision);
    else if (operation.startsWith('a removal')) expect(result === true && code !== 'ENOENT' ? [undefined] : [1, undefined]).toContain((old as StoredRecord | undefined)?.revision);
    else expect(old).toEqual(record('old', 1)); // prettier-ignore
    if (operation === 'a first write' && result === true) expect(await next.read('new')).toEqual(record('new', 1));
    // whatever failed: the same program goes on at once
    await storage.remove('old', 'any');
    expect(await storage.write(record('old', 5), 'absent')).toBe(true);
    await storage.withLock!('lock', () => Promise.resolve());
    expect(pauses).toBe(0);
    expect((await storage.readAll()).find(({ id }) => id === 'old')?.value).toEqual(record('old', 5));
    return failed !== undefined;
  }

  it.each(Object.keys(OPERATIONS).flatMap((operation) => CODES.map((code) => [operation, code])))(
    'RF-15 RF-6 %s that meets %s at any step fails with storage_failed or has done its work; the old record or the new one is there, and nothing is blocked',
    async (operation, code) => {
      let at = 0;
      while (await failAt(operation, at, code)) at++;
      expect(at).toBeGreaterThanOrEqual(3);
    },
    60_000,
  );

  it.each([
    ['ENOSPC', 'The disk is full'],
    ['EDQUOT', 'quota'],
    ['EROFS', 'read-only'],
    ['EACCES', 'may not read or write'],
    ['EPERM', 'does not permit'],
    ['ENOTDIR', 'is a file'],
    ['EMFILE', 'ulimit -n'],
    ['ENFILE', 'too many open files'],
    ['EIO', 'The disk failed'],
    ['ESTRANGE', 'answered ESTRANGE'],
  ])('RF-15 %s is told in words, with the folder and nothing of the record', async (code, words) => {
    const folder = newFolder();
    const files = hooked((call, path) => {
      if (call === 'mkdir' && path.includes('r-one')) throw systemError(code);
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    const { message } = await refusal(storage.write(record('one', 1, { secrets: 'canary' }), 'absent'));
    expect(message).toContain(words);
    expect(message).toContain(folder);
    expect(message).not.toContain('canary');
  });

  it('RF-6 a record is on the disk before it gets its name, and its name before the write resolves', async () => {
    const folder = newFolder();
    const calls: string[] = [];
    const files = hooked(
      (call, path) => void calls.push(`${call} ${path.includes('r-one') ? 'record' : path === recordsIn(folder) ? 'folder' : ''}`),
    );
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    await storage.open();
    for (const change of [() => storage.write(record('one', 1), 'absent'), () => storage.write(record('one', 2), 1)]) {
      calls.length = 0;
      await change();
      const order = ['writeFile record', 'sync record', 'rename record', 'sync folder'].map((call) => calls.lastIndexOf(call));
      expect(order).toEqual([...order].sort((a, b) => a - b));
      expect(order[0]).toBeGreaterThanOrEqual(0);
    }
    calls.length = 0;
    await storage.remove('one', 2);
    expect(calls.indexOf('sync folder')).toBeGreaterThan(calls.lastIndexOf('rename record'));
    expect(calls.lastIndexOf('rename record')).toBeGreaterThanOrEqual(0);
  });

  it('RF-6 the folders it makes are on the disk too', async () => {
    const folder = join(newFolder(), 'a');
    const synced: string[] = [];
    const files = hooked((call, path) => void (call === 'sync' && synced.push(path)));
    await createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files }).open();
    expect(new Set(synced)).toEqual(new Set([folder, dirname(folder), dirname(dirname(folder))]));
  });

  it('RF-6 a folder around that may be written and not listed, as a drop box, cannot be synced, and is no reason not to start', async () => {
    const folder = join(newFolder(), 'a');
    const files = hooked((call, path) => {
      if (call === 'open' && path === dirname(dirname(folder))) throw systemError('EACCES');
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    await storage.open();
    expect(await storage.write(record('one', 1), 'absent')).toBe(true);
  });

  it.each([
    ['open', 'EPERM'],
    ['open', 'EISDIR'],
    ['sync', 'EINVAL'],
    ['sync', 'EPERM'],
    ['sync', 'ENOTSUP'],
  ])('a system that cannot %s a folder to sync it (%s) is taken as it is', async (failing, code) => {
    const folder = newFolder();
    const files = hooked((call, path) => {
      if (call === failing && (path === recordsIn(folder) || path === folder)) throw systemError(code);
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    expect(await storage.write(record('one', 1), 'absent')).toBe(true);
    expect(await storage.remove('one', 1)).toBe(true);
  });

  /** What must not be done in an empty folder: it would find that there is no record. */
  const CAREFUL: Readonly<Record<string, (storage: CredentialStorage) => Promise<unknown>>> = {
    'a read': (storage) => storage.read('one'),
    'reading all': (storage) => storage.readAll(),
    'a lock': (storage) => storage.withLock!('lock', () => Promise.resolve()),
    'a first write': (storage) => storage.write(record('two', 1), 'absent'),
    'a write over what was read': (storage) => storage.write(record('one', 2), 1),
    'a removal': (storage) => storage.remove('one', 1),
    'a removal of whatever is there': (storage) => storage.remove('one', 'any'),
  };

  it.each(Object.keys(CAREFUL))(
    'RF-15 in a folder that went away %s fails each time, and makes nothing; when it is back, all is well',
    async (name) => {
      const folder = newFolder();
      const storage = await opened(folder);
      await storage.write(record('one', 1), 'absent');
      for (const gone of [folder, recordsIn(folder)]) {
        renameSync(gone, `${folder}-away`);
        for (let i = 0; i < 3; i++) expect((await refusal(CAREFUL[name](storage))).message).toContain('The folder is gone');
        expect(existsSync(gone)).toBe(false);
        renameSync(`${folder}-away`, gone);
        expect(await storage.read('one')).toEqual(record('one', 1));
      }
      expect(await storage.write(record('one', 2), 1)).toBe(true);
      await CAREFUL['a lock'](storage);
    },
  );

  it('RF-15 a hint of a watcher does not use the failure up: whoever reads after it is told as well', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    const swallowed = new Promise((resolve) => storage.watch!((id) => resolve(storage.read(id).catch((error: unknown) => error))));
    await storage.readAll(); // it watches now
    rmSync(fileOf(folder, 'one'));
    rmSync(folder, { recursive: true });
    expect(await swallowed).toBeInstanceOf(StorageError);
    await refusal(storage.read('one'));
    await storage.close();
  });

  it('RF-15 a folder that was removed is made anew by the next opening', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    rmSync(folder, { recursive: true });
    await refusal(storage.read('one'));
    await storage.close();
    await refusal(storage.read('one'));
    await storage.open();
    expect(await storage.readAll()).toEqual([]);
    expect(await storage.write(record('two', 1), 'absent')).toBe(true);
  });

  it('RF-15 a folder that was removed is made anew by the next opening, also of a storage that is still open', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    rmSync(folder, { recursive: true });
    await storage.open();
    expect(await storage.readAll()).toEqual([]);
    expect(await storage.write(record('two', 1), 'absent')).toBe(true);
  });

  it('CLI-2 opening a storage that is still open looks at the folder again', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    chmodSync(recordsIn(folder), 0o755);
    type((await refusal(storage.open())).message);
    await storage.open();
    expect(await storage.read('one')).toEqual(record('one', 1));
  });

  it('RF-15 a folder of locks that is gone alone is made anew: no record is in it', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    rmSync(join(recordsIn(folder), 'locks'), { recursive: true });
    await refusal(CAREFUL['a lock'](storage));
    await CAREFUL['a lock'](storage);
    expect(await storage.read('one')).toEqual(record('one', 1));
  });

  it('RF-15 a folder that became part of a file is an error', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await storage.write(record('one', 1), 'absent');
    await refusal(opened(join(folder, 'n-rx-credentials/r-one.json')));
  });

  it('a record that is too large is refused before anything is written', async () => {
    const folder = newFolder();
    const storage = await opened(folder);
    await refusal(storage.write(record('one', 1, { filler: 'x'.repeat(2 ** 24) }), 'absent'));
    expect(await storage.readAll()).toEqual([]);
    const largest = record('one', 1, { filler: 'ä'.repeat(2 ** 24 - 100) });
    expect(await storage.write(largest, 'absent')).toBe(true);
    expect(await storage.read('one')).toEqual(largest);
  });

  it('what is no JSON at all is a TypeError, and nothing is written', async () => {
    const storage = await opened();
    await expect(storage.write(record('one', 1, { n: 1n }), 'absent')).rejects.toThrow(TypeError);
    expect(await storage.readAll()).toEqual([]);
  });

  it('RF-9 asks again when its lock was taken away and nobody wrote', async () => {
    const folder = newFolder();
    let taken = 0;
    const files = hooked((call, path) => {
      if (call === 'rename' && path.includes('locks/r-one/') && taken++ === 0) rmSync(path);
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    expect(await storage.write(record('one', 1), 'absent')).toBe(true);
    expect(await storage.read('one')).toEqual(record('one', 1));
    expect(taken).toBe(2);
  });

  it('a write that fails leaves nothing of the record behind', async () => {
    const folder = newFolder();
    const files = hooked((call, path) => {
      if (call === 'sync' && path.includes('r-one')) throw systemError('ENOSPC');
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    await refusal(storage.write(record('one', 1), 'absent'));
    expect(await leftovers(folder)).toEqual([]);
    expect(readdirSync(recordsIn(folder))).toEqual(['locks']);
  });

  it('a removal says when it could not delete what it took away', async () => {
    const folder = newFolder();
    const files = hooked((call, path) => {
      if (call === 'rm' && path.endsWith('/removed')) throw systemError('EIO');
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    await storage.write(record('one', 1), 'absent');
    await refusal(storage.remove('one', 1));
    expect(await storage.read('one')).toBeUndefined();
  });

  it('a removal of what is not there is done at once, without a lock', async () => {
    const calls: string[] = [];
    const files = hooked((call) => void calls.push(call));
    const storage = createFileStorage({ folder: newFolder(), namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    await storage.open();
    calls.length = 0;
    expect(await storage.remove('never', 'any')).toBe(true);
    expect(await storage.remove('never', 1)).toBe(false);
    expect(calls).not.toContain('mkdir');
  });

  it('gives up when its lock is taken away again and again, and changes nothing', async () => {
    const folder = newFolder();
    const files = hooked((call, path) => {
      if (call === 'rename' && path.includes('locks/r-one/')) rmSync(path);
    });
    const storage = createFileStorage({ folder, namespace: 'rx-credentials', platform: defaultPlatform() }, { files });
    expect((await refusal(storage.write(record('one', 1), 'absent'))).message).toContain('lock');
    expect(await storage.readAll()).toEqual([]);
  });
});

function jsonOf(content: Uint8Array): unknown {
  try {
    return (JSON.parse(Buffer.from(content).toString('utf8')) as unknown) ?? undefined;
  } catch {
    return undefined;
  }
}
