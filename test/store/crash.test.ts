// The program dies at every single step of every command; the next start must find the old state or the new one, never a mixture.
import type { CredentialStorage } from '../../src/storage/storage.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import { createCredentialStore, type Credential, type CredentialStore } from '../../src/index.js';
import { createFakeAuthority, refusal, type FakeAuthority } from '../support/fake-client.js';
import { createFakeDisk, type FakeDisk } from '../support/fake-disk.js';
import { createFakeBrowser, settle, type FakeBrowser } from '../support/fake-platform.js';

interface Program {
  readonly store: CredentialStore;
  readonly browser: FakeBrowser;
  readonly authority: FakeAuthority;
}

interface Kind {
  readonly seal: (storage: CredentialStorage) => CredentialStorage;
  readonly persist: 'all' | 'refresh-only';
}
const PLAIN: Kind = { seal: (storage) => storage, persist: 'all' };
const SEALED: Kind = {
  ...PLAIN,
  seal: (storage) => sealed(storage, { keys: staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]) }),
};
const REFRESH_ONLY: Kind = { ...PLAIN, persist: 'refresh-only' };

/** What happens to a call: it never comes back, before or after it took effect, and neither does any later one. */
interface Death {
  readonly atCall: number;
  readonly when: 'before' | 'after';
}

const never = new Promise<never>(() => undefined);

/** A storage that counts the calls of its program, which dies at one of them. */
function mortal(
  inner: CredentialStorage,
  death: Death | null,
): { readonly storage: CredentialStorage; calls(): number; readonly died: Promise<void> } {
  let calls = 0;
  let dead = false;
  let die = (): void => undefined;
  const died = new Promise<void>((resolve) => (die = resolve));
  const perform = async <T>(effect: () => Promise<T>): Promise<T> => {
    if (dead) return never;
    const isLast = ++calls === death?.atCall;
    if (isLast) dead = true;
    if (isLast && death.when === 'before') return (die(), never);
    const result = await effect();
    return isLast || dead ? (die(), never) : result;
  };
  const storage: CredentialStorage = {
    ...inner,
    read: (id) => perform(() => inner.read(id)),
    readAll: () => perform(() => inner.readAll()),
    write: (record, condition) => perform(() => inner.write(record, condition)),
    remove: (id, condition) => perform(() => inner.remove(id, condition)),
  };
  return { storage, calls: () => calls, died };
}

/** A program of its own: another browser, so that locks of a dead one are free. */
async function startProgram(
  authority: FakeAuthority,
  browser: FakeBrowser,
  storage: CredentialStorage,
  { persist }: Pick<Kind, 'persist'> = PLAIN,
): Promise<Program> {
  const platform = browser.openTab();
  const store = createCredentialStore({ clients: authority.client(platform), storage, platform, persist });
  await store.ready;
  await settle();
  return { store, browser, authority };
}

function copyOf(disk: FakeDisk): FakeDisk {
  const copy = createFakeDisk();
  for (const [id, value] of disk.records) copy.records.set(id, structuredClone(value));
  return copy;
}

/** What a start finds, as a user would say it. It ends by itself: a start may have things to take up. */
async function found(disk: FakeDisk, { seal, persist }: Kind): Promise<unknown> {
  const browser = createFakeBrowser();
  const authority = createFakeAuthority(() => browser.now());
  const quarantined: unknown[] = [];
  const platform = browser.openTab();
  const store = createCredentialStore({ clients: authority.client(platform), storage: seal(disk.storage()), platform, persist });
  const stored = new Map([...disk.records].map(([id, value]) => [id, structuredClone((value as { readonly secrets?: unknown }).secrets)]));
  store.events$.subscribe((event) => event.type === 'record_quarantined' && quarantined.push(event));
  await store.ready;
  await browser.advance(10_000);
  const ids = await store.allIDs();
  const credentials = (await Promise.all(ids.map((id) => store.with(id)))).filter((credential) => credential !== null);
  const tokens = new Map<string, unknown>();
  for (const credential of credentials)
    credential.token$.subscribe((token) => tokens.set(credential.id, token && [token.accessToken, token.refreshToken])).unsubscribe();
  if (persist === 'all') await Promise.all(credentials.map((credential) => opened(credential))); // else each would be renewed
  const seen = credentials.map((credential) => ({
    id: credential.id,
    sub: credential.claims?.sub,
    tags: credential.tags,
    token:
      persist === 'refresh-only'
        ? stored.get(credential.id)
        : credential.token && [credential.token.accessToken, credential.token.refreshToken],
    status: credential.status.token,
    reason: credential.state.reason,
  }));
  const state = { defaultId: store.snapshot().defaultId, seen };
  expect(quarantined).toEqual([]);
  // And it is a store one can go on with.
  const next = await store.store(authority.signIn({ sub: 'next', id: 'next' }));
  await next.remove();
  expect(store.snapshot().durable).toBe(true);
  await store.close();
  return state;
}

const opened = (credential: Credential): Promise<unknown> => credential.refreshIfNeeded(0).catch(() => null);

type Command = (program: Program) => Promise<unknown>;
const first = async ({ store }: Program): Promise<Credential> => (await store.with('alice'))!;

/** What there is before, and what is done then. */
const COMMANDS: readonly (readonly [string, (program: Program) => Promise<unknown>, Command])[] = [
  ['store the first', async () => undefined, ({ store, authority }) => store.store(authority.signIn({ id: 'alice' }), { tags: ['t'] })],
  ['store one more', twoUsers, ({ store, authority }) => store.store(authority.signIn({ id: 'carol', sub: 'carol' }))],
  ['replace', twoUsers, ({ store, authority }) => store.store(authority.signIn(), { replace: 'alice' })],
  ['sign in again', needsSignIn, ({ store, authority }) => store.store(authority.signIn())],
  ['store over a tombstone', removed, ({ store, authority }) => store.store(authority.signIn({ id: 'alice' }))],
  ['refresh', twoUsers, async (program) => (await first(program)).refresh()],
  ['refresh with keys to fetch', withKeys, async (program) => (await first(program)).refresh()],
  ['refresh that is rejected', forgotten, async (program) => (await first(program)).refresh().catch(() => undefined)],
  ['setTags', twoUsers, async (program) => (await first(program)).setTags(['x', 'y'])],
  ['setDefault', twoUsers, ({ store }) => store.setDefault('bob')],
  ['setDefault to nobody', twoUsers, ({ store }) => store.setDefault(null)],
  ['remove', twoUsers, async (program) => (await first(program)).remove()],
  ['revoke', twoUsers, async (program) => (await first(program)).revoke()],
  ['revoke the access token', twoUsers, async (program) => (await first(program)).revoke('access')],
  ['clear', twoUsers, ({ store }) => store.clear()],
];

async function twoUsers({ store, authority }: Program): Promise<void> {
  await store.store(authority.signIn({ id: 'alice' }), { tags: ['a'] });
  await store.store(authority.signIn({ id: 'bob', sub: 'bob' }));
}
async function needsSignIn(program: Program): Promise<void> {
  await twoUsers(program);
  program.authority.next(refusal('invalid_grant'));
  await (await first(program)).refresh().catch(() => undefined);
}
async function removed(program: Program): Promise<void> {
  await twoUsers(program);
  await (await first(program)).remove();
}
async function withKeys(program: Program): Promise<void> {
  await twoUsers(program);
  program.authority.setKeys(() => Promise.resolve());
}
async function forgotten(program: Program): Promise<void> {
  await twoUsers(program);
  program.authority.next(refusal('invalid_grant'));
}

describe.each([
  ['plain', PLAIN],
  ['sealed', SEALED],
  ['refresh-only', REFRESH_ONLY],
] as const)('a program with %s records that dies at any step of', (_, kind) => {
  const { seal } = kind;
  const commands = COMMANDS.filter(([name]) => kind !== REFRESH_ONLY || name !== 'revoke the access token'); // it is not stored
  it.each(commands)('%s leaves the old state or the new one', async (_name, prepare, command) => {
    /** Runs up to the death; returns what lies on the disk then, and before, and how many calls there were. */
    const live = async (death: Death | null): Promise<{ before: FakeDisk; after: FakeDisk; calls: number }> => {
      const browser = createFakeBrowser();
      const authority = createFakeAuthority(() => browser.now());
      const disk = createFakeDisk();
      const begun = await startProgram(authority, browser, seal(disk.storage()), kind);
      await prepare(begun);
      await begun.store.close();
      const before = copyOf(disk);
      // The program has read everything before it dies: its start is another test.
      const healthy = disk.storage();
      const later: { doomed?: ReturnType<typeof mortal> } = {};
      const now = (): CredentialStorage => later.doomed?.storage ?? healthy;
      const program = await startProgram(
        authority,
        browser,
        seal({
          ...healthy,
          read: (id) => now().read(id),
          readAll: () => now().readAll(),
          write: (record, condition) => now().write(record, condition),
          remove: (id, condition) => now().remove(id, condition),
        }),
        kind,
      );
      const doomed = (later.doomed = mortal(disk.storage(), death));
      const done = command(program).catch(() => undefined);
      await Promise.race([done, doomed.died]);
      await settle();
      if (!death) await program.store.close();
      return { before, after: disk, calls: doomed.calls() };
    };
    const whole = await live(null);
    const [old, fresh] = [await found(whole.before, kind), await found(whole.after, kind)];
    expect(fresh).not.toEqual(old); // else the command did nothing, and this test could not fail
    for (let atCall = 1; atCall <= whole.calls; atCall++) {
      for (const when of ['before', 'after'] as const) {
        const { after } = await live({ atCall, when });
        expect([old, fresh]).toContainEqual(await found(after, kind));
      }
    }
  });
});

describe('a start that is cut short', () => {
  it('leaves what it takes up (a revocation, tombstones that are due, an earlier epoch) to the next one', async () => {
    const prepared = async (): Promise<FakeDisk> => {
      const browser = createFakeBrowser();
      const authority = createFakeAuthority(() => browser.now());
      const disk = createFakeDisk();
      const program = await startProgram(authority, browser, disk.storage());
      await twoUsers(program);
      await program.store.store(authority.signIn({ id: 'carol', sub: 'carol' }));
      await (await program.store.with('carol'))?.remove();
      await program.store.close();
      disk.records.set('alice', { ...disk.record('alice'), state: 'revoking' });
      disk.records.set('carol', { ...disk.record('carol'), changedAt: 0 });
      disk.records.set('old', { ...disk.record('bob'), id: 'old' });
      disk.records.set('@store', { v: 1, id: '@store', revision: 9, epoch: 1, nullClaim: 0, topClaim: 1 });
      for (const id of ['alice', 'bob', 'carol']) disk.records.set(id, { ...disk.record(id), epoch: 1 });
      return disk;
    };
    const expected = await found(await prepared(), PLAIN);
    expect(expected).toMatchObject({ defaultId: null, seen: [{ id: 'bob' }] });
    for (let atCall = 1, done = false; !done; atCall++) {
      for (const when of ['before', 'after'] as const) {
        const disk = await prepared();
        const browser = createFakeBrowser();
        const authority = createFakeAuthority(() => browser.now());
        const platform = browser.openTab();
        const doomed = mortal(disk.storage(), { atCall, when });
        const store = createCredentialStore({ clients: authority.client(platform), storage: doomed.storage, platform });
        await Promise.race([doomed.died, store.ready.then(() => browser.advance(10_000)).then(() => store.close())]);
        done = doomed.calls() < atCall;
        expect(await found(disk, PLAIN)).toEqual(expected);
      }
    }
  });
});
