import {
  defaultTransactions,
  memoryTransactions,
  sessionTransactions,
  type Transaction,
  type TransactionStorage,
} from '../../src/flows/transactions';
import { StorageError } from '../../src/errors';
import { fakePage, fakeStorage, START_MS, unitPlatform, type UnitPlatform } from '../support/unit-platform';

const transaction = (state: string, startedAt = START_MS, more: Partial<Transaction> = {}): Transaction => ({
  state,
  nonce: `nonce-${state}`,
  codeVerifier: `verifier-${state}`,
  redirectUri: 'https://app.example.com/callback',
  issuer: 'https://id.example.com',
  clientId: 'spa',
  scope: 'openid',
  startedAt,
  ...more,
});
const MINUTE = 60_000;

describe.each<[string, number, (platform: UnitPlatform) => TransactionStorage]>([
  ['memory', 1_000, memoryTransactions],
  ['session storage', 20, (platform) => sessionTransactions(fakeStorage(), platform)],
])('pending sign-ins in %s', (_, most, create) => {
  let platform: UnitPlatform;
  let pending: TransactionStorage;
  beforeEach(() => {
    platform = unitPlatform();
    pending = create(platform);
  });

  it('E37 come back whole, max_age 0 and acr values too', async () => {
    const [resource, files] = ['https://api.example.com/', 'https://files.example.com/'];
    const resources = [resource, files];
    const whole = transaction('a', START_MS, { maxAge: 0, acrValues: 'gold', requireAcr: true, resource, resources });
    await pending.put(whole);
    expect(await pending.take('a')).toEqual(whole);
  });

  it('6749-3 are given once', async () => {
    await pending.put(transaction('a'));
    expect(await pending.take('a')).not.toBeNull();
    expect(await pending.take('a')).toBeNull();
  });

  it('E63 are told apart by state', async () => {
    await pending.put(transaction('a'));
    await pending.put(transaction('b'));
    expect(await pending.take('b')).toMatchObject({ codeVerifier: 'verifier-b' });
    expect(await pending.take('a')).toMatchObject({ codeVerifier: 'verifier-a' });
    expect(await pending.take('c')).toBeNull();
  });

  it.each(['', '__proto__', 'constructor', 'a:b'])('know no sign-in of the state %j that nobody began', async (state) => {
    await pending.put(transaction('a'));
    expect(await pending.take(state)).toBeNull();
  });

  it('7636-3 live ten minutes, and not a millisecond more', async () => {
    await pending.put(transaction('a'));
    await pending.put(transaction('b'));
    platform.advance(10 * MINUTE);
    expect(await pending.take('a')).not.toBeNull();
    platform.advance(1);
    expect(await pending.take('b')).toBeNull();
  });

  it('7636-3 one that was begun while the clock was ahead is not kept until then', async () => {
    await pending.put(transaction('a', START_MS + 365 * 24 * 60 * MINUTE));
    await pending.put(transaction('b', START_MS + 10 * MINUTE));
    expect(await pending.take('a')).toBeNull();
    expect(await pending.take('b')).not.toBeNull();
  });

  it('are bounded in number: the oldest goes first', async () => {
    for (let i = 0; i <= most; i++) {
      await pending.put(transaction(`s${i}`, platform.now()));
      platform.advance(1);
    }
    expect(await pending.take('s0')).toBeNull();
    for (let i = 1; i <= most; i++) expect(await pending.take(`s${i}`)).toMatchObject({ state: `s${i}` });
  });

  it('E63 what is a way back alone makes room first, and takes none of a sign-in under way', async () => {
    const wayBack = { codeVerifier: '', nonce: '', returnTo: '/orders' };
    await pending.put(transaction('slow'));
    for (let i = 0; i < 20; i++) await pending.put(transaction(`w${i}`, START_MS + 1 + i, wayBack));
    for (let i = 0; i < most - 1; i++) await pending.put(transaction(`s${i}`, START_MS + 100 + i));
    await pending.put(transaction('w', START_MS + 5_000, wayBack));
    expect(await pending.take('slow')).toMatchObject({ codeVerifier: 'verifier-slow' });
    for (let i = 0; i < most - 1; i++) expect(await pending.take(`s${i}`)).toMatchObject({ state: `s${i}` });
    for (const state of ['w', 'w0', 'w19']) expect(await pending.take(state)).toBeNull();
  });
});

describe('session storage', () => {
  it('is cleaned of what expired, and only of its own', () => {
    const platform = unitPlatform();
    const items = fakeStorage();
    items.setItem('app', 'kept');
    items.setItem('rx-credentials:other', 'kept');
    const pending = sessionTransactions(items, platform);
    void pending.put(transaction('old'));
    platform.advance(11 * MINUTE);
    void pending.put(transaction('new', platform.now()));
    const keys = Array.from({ length: items.length }, (_, i) => items.key(i));
    expect(keys.sort()).toEqual(['app', 'rx-credentials:other', 'rx-credentials:transaction:new']);
  });

  it.each<[string, (pending: TransactionStorage, items: Storage, platform: UnitPlatform) => unknown]>([
    ['another sign-in comes back', (pending) => pending.take('other')],
    ['another sign-in begins', (pending, _, platform) => pending.put(transaction('other', platform.now()))],
    ['the page is loaded anew', (_, items, platform) => sessionTransactions(items, platform)],
  ])('7636-3 the verifier of a sign-in that was given up goes when %s', async (_what, then) => {
    const platform = unitPlatform();
    const items = fakeStorage();
    const pending = sessionTransactions(items, platform);
    await pending.put(transaction('old'));
    await then(pending, items, platform);
    expect(items.getItem('rx-credentials:transaction:old')).not.toBeNull(); // ten minutes are not over
    platform.advance(10 * MINUTE + 1);
    await then(pending, items, platform);
    expect(items.getItem('rx-credentials:transaction:old')).toBeNull();
  });

  it('7636-3 of one that is too late the way back stays for a day, without verifier and nonce', () => {
    const platform = unitPlatform();
    const items = fakeStorage();
    void sessionTransactions(items, platform).put(transaction('late', START_MS, { returnTo: '/orders' }));
    platform.advance(10 * MINUTE + 1);
    const pending = sessionTransactions(items, platform);
    expect(items.getItem('rx-credentials:transaction:late')).toMatch(/\/orders/);
    expect(items.getItem('rx-credentials:transaction:late')).not.toMatch(/verifier-late|nonce-late/);
    platform.advance(24 * 60 * MINUTE - 10 * MINUTE);
    void pending.put(transaction('other', platform.now()));
    expect(items.getItem('rx-credentials:transaction:late')).toBeNull();
  });

  it('RES-1 comes back without a list of resources that lacks that of the token: no token could be made of it', async () => {
    const [platform, items] = [unitPlatform(), fakeStorage()];
    const damaged = transaction('a', START_MS, { resource: 'urn:a', resources: ['urn:b'] });
    await sessionTransactions(items, platform).put(damaged);
    const { resources: _, ...usable } = damaged;
    expect(await sessionTransactions(items, platform).take('a')).toEqual(usable);
  });

  it('7636-3 what is left counts among the twenty', async () => {
    const platform = unitPlatform();
    const items = fakeStorage();
    const pending = sessionTransactions(items, platform);
    for (let i = 0; i < 20; i++) await pending.put(transaction(`late${i}`, platform.now(), { returnTo: '/orders' }));
    platform.advance(11 * MINUTE);
    await pending.put(transaction('new', platform.now()));
    expect(items.length).toBe(20);
    expect(await pending.take('new')).toMatchObject({ codeVerifier: 'verifier-new' });
  });

  it.each([
    '',
    '{',
    'null',
    '[]',
    '"x"',
    '{"state":"a"}',
    JSON.stringify({ ...transaction('a'), startedAt: 'now' }),
    JSON.stringify({ ...transaction('a'), nonce: null }),
  ])('E62 %s is no sign-in, and goes', (text) => {
    const items = fakeStorage();
    items.setItem('rx-credentials:transaction:a', text);
    const pending = sessionTransactions(items, unitPlatform());
    expect(pending.take('a')).toBeNull();
    expect(items.length).toBe(0);
  });
});

describe('defaultTransactions', () => {
  it('uses the page’s session storage where there is one', () => {
    const page = fakePage('https://app.example.com/');
    void defaultTransactions(unitPlatform({ page })).put(transaction('a'));
    expect(page.items.length).toBe(1);
  });

  it('uses memory where there is no page', async () => {
    const pending = defaultTransactions(unitPlatform());
    await pending.put(transaction('a'));
    expect(await pending.take('a')).toMatchObject({ state: 'a' });
  });

  it('E38 keeps nothing in a page whose session storage is blocked, and says so: who left it could not come back', async () => {
    const pending = defaultTransactions(unitPlatform({ page: fakePage('https://app.example.com/', { blocked: true }) }));
    expect(() => pending.put(transaction('a'))).toThrow(StorageError);
    expect(await pending.take('a')).toBeNull();
  });
});
