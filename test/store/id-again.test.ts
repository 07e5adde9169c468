// E45, E47: an id is stored again for another user after a clear or a removal that a tab has not heard of, and everything counts from the beginning.
import type { CredentialRecord } from '../../src/credential/record.js';
import type { Credential } from '../../src/index.js';
import { CredentialError, StorageError } from '../../src/errors.js';
import type { Platform } from '../../src/platform/platform.js';
import type { Token } from '../../src/credential/token.js';
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage.js';
import { closeAll, codeOf, createWorld, inTime, settle } from '../support/fixture.js';

afterEach(closeAll);

type Secrets = CredentialRecord['secrets'];

/** Secrets in another form, without keys that take real time; `before` may hold up their opening, or make it fail. */
function sealing(
  inside: CredentialStorage,
  before: { unseal?: (record: CredentialRecord) => Promise<void> | void } = {},
): CredentialStorage {
  const seal = (secrets: Secrets): Secrets =>
    secrets === null || 'sealed' in secrets ? secrets : { sealed: btoa(JSON.stringify(secrets)) };
  const open = (secrets: Secrets): Secrets =>
    secrets !== null && 'sealed' in secrets ? (JSON.parse(atob(secrets.sealed)) as Secrets) : secrets;
  const mapped = (record: StoredRecord, map: (secrets: Secrets) => Secrets): StoredRecord => {
    const { secrets } = record as Partial<CredentialRecord>;
    return secrets === undefined ? record : ({ ...record, secrets: map(secrets) } as StoredRecord);
  };
  return {
    ...inside,
    write: (record, condition) => inside.write(mapped(record, seal), condition),
    unseal: async (record) => {
      await before.unseal?.(record as CredentialRecord);
      return mapped(record, open);
    },
  };
}

const found = async (store: { with(id: string): Promise<Credential | null> }, id = 'user'): Promise<Credential> => {
  const credential = await store.with(id);
  if (!credential) throw new Error('the credential is gone');
  return credential;
};

describe('E45 another user under an id', () => {
  it('is not written over by the refresh of a tab that was frozen through the clear, whatever their counters', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const [a, b] = [await openTab(), await openTab()];
    await a.store.store(authority.signIn({ id: 'user', sub: 'alice' }));
    const alice = await found(b.store);
    authority.hold();
    const refreshing = codeOf(alice.refresh());
    await settle();
    b.platform.emit('frozen');
    await settle();
    await a.store.clear();
    const token = authority.signIn({ id: 'user', sub: 'bob' });
    const bob = await a.store.store(token);
    await bob.setTags(['x']); // as often written as hers
    authority.refreshes[0].answer();
    b.platform.emit('resumed');
    await settle();
    authority.release();
    await browser.advance(5_000);
    expect(await inTime(browser, refreshing)).toBe('credential_removed');
    expect(disk.record('user')['claims']).toMatchObject({ sub: 'bob' });
    expect(await bob.accessToken()).toBe(token.accessToken);
    expect([a.store.snapshot().ids, b.store.snapshot().ids]).toEqual([['user'], ['user']]);
  });

  it.each(['setTags', 'refresh'] as const)('BBA-4 is given nothing of what a tab holds of the one before: %s', async (how) => {
    const { openTab, authority, browser, disk } = createWorld();
    const tab = () => openTab({ storage: sealing(disk.storage()) });
    const [a, b] = [await tab(), await tab()];
    const hers = authority.signIn({ id: 'user', sub: 'alice' });
    await a.store.store(hers);
    const alice = await found(b.store);
    await alice.accessToken();
    browser.setDelivery(0);
    await a.store.clear();
    await browser.advance(1_000);
    const bob = await a.store.store(authority.signIn({ id: 'user', sub: 'bob' }));
    expect(await inTime(browser, codeOf(how === 'refresh' ? alice.refresh() : alice.setTags(['mine'])))).toBe('credential_removed');
    expect(authority.refreshes.map(({ refreshToken }) => refreshToken)).not.toContain(hers.refreshToken);
    a.platform.emit('visible');
    await settle();
    const his = await bob.accessToken();
    expect([bob.token?.claims?.sub, his === hers.accessToken]).toEqual(['bob', false]);
    expect(await (await found((await tab()).store)).accessToken()).toBe(his);
    expect(await (await found(b.store)).accessToken()).toBe(his);
  });

  it.each(['alice', 'bob'])('is not replaced nor removed by what a `renew` brings late for the one before: a token of %s', async (sub) => {
    const { openTab, authority, browser, disk } = createWorld();
    let answer: (token: Token) => void = () => undefined;
    const renew = (): Promise<Token> => new Promise((resolve) => (answer = resolve));
    const { store } = await openTab({ clients: (platform: Platform) => authority.client(platform, { renew }) });
    const alice = await store.store(authority.signIn({ id: 'user', sub: 'alice', refreshable: false }));
    const refreshing = codeOf(alice.refresh());
    await settle();
    await store.clear();
    const token = authority.signIn({ id: 'user', sub: 'bob', refreshable: false });
    const bob = await store.store(token);
    answer(authority.signIn({ id: 'x', sub, refreshable: false }));
    await settle();
    await browser.advance(100);
    expect(await inTime(browser, refreshing)).toBe('credential_removed');
    expect([bob.claims?.sub, await bob.accessToken()]).toEqual(['bob', token.accessToken]);
    expect(disk.record('user')['claims']).toMatchObject({ sub: 'bob' });
  });

  it('is not revoked in the place of the one before, whose key was slow', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const first = await openTab({ storage: sealing(disk.storage()) });
    await first.store.store(authority.signIn({ id: 'other', sub: 'zoe' })); // the default, which is opened at once
    const hers = authority.signIn({ id: 'user', sub: 'alice' });
    await first.store.store(hers);
    let allow: (() => void) | undefined;
    const unseal = ({ id }: CredentialRecord): Promise<void> | void => {
      if (id === 'user' && !allow) return new Promise<void>((resolve) => (allow = resolve));
    };
    const a = await openTab({ storage: sealing(disk.storage(), { unseal }) });
    const b = await openTab({ storage: sealing(disk.storage()) });
    const revoking = (await found(a.store)).revoke();
    await settle();
    await (await found(b.store)).remove();
    const bob = await b.store.store(authority.signIn({ id: 'user', sub: 'bob' }));
    await settle();
    allow?.();
    await inTime(browser, revoking);
    expect(authority.revocations.map(({ token }) => token)).toEqual([hers.refreshToken, hers.accessToken]);
    expect(authority.liveRefreshTokens()).toContain(bob.token?.refreshToken);
  });

  it('is not taken for unreadable, as the one before was', async () => {
    const { openTab, authority, browser, disk } = createWorld();
    const a = await openTab({ storage: sealing(disk.storage()) });
    await a.store.store(authority.signIn({ id: 'user', sub: 'alice' }));
    const unseal = ({ claims }: CredentialRecord): void => {
      if (claims?.sub === 'alice') throw new StorageError('seal_broken', 'edited');
    };
    const b = await openTab({ storage: sealing(disk.storage(), { unseal }) });
    await settle();
    expect(b.store.snapshot().credentials[0]?.reason).toBe('unreadable');
    browser.setDelivery(0);
    await a.store.clear();
    await browser.advance(1_000);
    const token = authority.signIn({ id: 'user', sub: 'bob' });
    const bob = await a.store.store(token);
    browser.setDelivery(1);
    await bob.setTags(['x']);
    await settle();
    expect(await inTime(browser, (await found(b.store)).accessToken())).toBe(token.accessToken);
  });
});

it('RF-15 an answer that waits is not forgotten because the access token was revoked elsewhere: no token is sent twice', async () => {
  const { openTab, authority, browser, disk } = createWorld();
  const before: { unseal?: () => void } = {};
  const a = await openTab({ storage: sealing(disk.storage(), before) });
  const b = await openTab({ storage: sealing(disk.storage()) });
  const credential = await a.store.store(authority.signIn({ id: 'user' }));
  const there = await found(b.store);
  await there.accessToken();
  authority.hold();
  const refreshing = codeOf(credential.refresh());
  await settle();
  browser.setDelivery(0);
  await there.revoke('access');
  await settle();
  before.unseal = () => {
    throw new StorageError('storage_failed', 'the key does not answer');
  };
  authority.refreshes[0].answer();
  await settle();
  expect(await inTime(browser, refreshing)).toBe('storage_failed');
  delete before.unseal;
  authority.release();
  await browser.advance(60_000);
  await inTime(browser, credential.accessToken({ forceRefresh: true }));
  expect(authority.reuses()).toBe(0);
  expect(credential.status.token).toBe('valid');
});

it('E6 the Retry-After of a server outlives a revocation of the access token', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const credential = await store.store(authority.signIn());
  authority.next(new CredentialError('server_unavailable', 'no', { status: 429, retryAfterMs: 60_000, class: 'transient' }));
  expect(await codeOf(credential.refresh())).toBe('server_unavailable');
  await credential.revoke('access');
  expect(await codeOf(credential.accessToken({ forceRefresh: true }))).toBe('server_unavailable');
  expect(authority.refreshes).toHaveLength(1);
});

it('the user info is given though the renewal brought the first ID token', async () => {
  const { openTab, authority } = createWorld();
  const renew = (): Promise<Token> => Promise.resolve(authority.signIn({ id: 'x', sub: 'alice', refreshable: false }));
  const { store } = await openTab({ clients: (platform: Platform) => authority.client(platform, { renew }) });
  const credential = await store.store(authority.signIn({ id: 'user', sub: null, refreshable: false }));
  let asked = 0;
  authority.setUserInfo(() => {
    if (asked++ === 0) throw new CredentialError('http_error', 'no', { status: 401 });
    return Promise.resolve();
  });
  expect(await credential.userInfo()).toMatchObject({ sub: 'alice' });
});

it('setDefault takes the handle of another store of this program, also one of which nobody has told', async () => {
  const { openTab, authority, browser } = createWorld();
  const [a, b] = [await openTab(), await openTab()];
  await a.store.store(authority.signIn({ sub: 'zoe' }));
  browser.setDelivery(0);
  const alice = await a.store.store(authority.signIn({ sub: 'alice' }));
  await b.store.setDefault(alice);
  expect((await b.store.getDefault())?.id).toBe(alice.id);
});

it.each([
  ['that reads everything', 'visible'],
  ['whose last credential goes', 'revoke'],
])('E45 a page %s while it is said to be frozen, and runs on, hears what others tell', async (_, what) => {
  const { openTab, authority, browser } = createWorld();
  const [a, b] = [await openTab(), await openTab()];
  let answer: () => void = () => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  if (what === 'visible') a.platform.emit('visible');
  else {
    const credential = await a.store.store(authority.signIn());
    authority.setRevocation(() => answered);
    void credential.revoke();
  }
  await settle();
  a.platform.emit('frozen');
  await settle();
  answer();
  await browser.advance(120_000);
  const next = await b.store.store(authority.signIn({ sub: 'bob' }));
  await settle();
  await browser.advance(120_000);
  expect(a.store.snapshot().ids).toEqual([next.id]);
});

it('D-026 a clock that was ahead at the sign-in in a place does not undo the sign-out', async () => {
  const { openTab, authority, browser, disk } = createWorld();
  const [a, b] = [await openTab(), await openTab()];
  const credential = await a.store.store(authority.signIn({ id: 'user', sub: 'alice' }));
  const instant = browser.now();
  browser.setClock(instant + 3_600_000);
  await a.store.store(authority.signIn({ sub: 'alice' }), { replace: credential });
  browser.setClock(instant + 5_000);
  await settle();
  const there = await found(b.store);
  browser.setDelivery(0);
  const mend = disk.fail(({ method }) => method === 'write' || method === 'remove');
  await codeOf(credential.remove());
  mend();
  await there.refresh();
  await settle();
  await browser.advance(40_000);
  expect(a.store.snapshot().ids).toEqual([]);
  expect(disk.record('user')['state']).toBe('removed');
});
