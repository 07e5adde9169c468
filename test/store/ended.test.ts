// Design §4.1: the streams of a credential say how it ended before they complete, to whoever comes late, too, and no stream contradicts another.
import { firstValueFrom } from 'rxjs';
import { isSignedIn, type Credential, type CredentialState, type CredentialStatus, type CredentialStore } from '../../src/index.js';
import { refusal } from '../support/fake-client.js';
import { closeAll, codeOf, collect, createWorld, settle } from '../support/fixture.js';

afterEach(closeAll);

type Seen<T> = ReturnType<typeof collect<T>>;
type End = (credential: Credential, store: CredentialStore, other: CredentialStore) => Promise<unknown>;
const ends: readonly (readonly [string, End])[] = [
  ['remove', (credential) => credential.remove()],
  ['revoke', (credential) => credential.revoke()],
  ['signOut', (credential) => credential.signOut()],
  ['clear', (_, store) => store.clear()],
  ['remove in another tab', async ({ id }, _, other) => (await other.with(id))?.remove()],
];

/** A credential that has ended; `before` may change it while it is there. */
async function endedBy(end: End, listen: (credential: Credential, store: CredentialStore) => unknown = () => undefined) {
  const world = createWorld();
  const [{ store }, { store: other }] = [await world.openTab(), await world.openTab()];
  const credential = await store.store(world.authority.signIn({ id: 'main', sub: 'alice' }), { tags: ['a'] });
  await settle();
  listen(credential, store);
  await end(credential, store, other);
  await settle();
  return { ...world, store, credential };
}

const over = { claims: { sub: 'alice' }, tags: ['a'], isDefault: false, status: { token: 'expired', activity: 'idle' } };

describe.each(ends)('design §4.1 a credential that has ended by %s', (_, end) => {
  it('says so once, then its streams complete', async () => {
    const seen: [states: Seen<CredentialState>, statuses: Seen<CredentialStatus>][] = [];
    const { credential } = await endedBy(end, ({ state$, status$ }) => seen.push([collect(state$), collect(status$)]));
    const [[states, statuses]] = seen as [(typeof seen)[0]];
    expect(states.values.at(-1)).toBe(credential.state);
    expect(states.values.filter((state) => state === credential.state)).toHaveLength(1);
    expect([credential.state, statuses.values.at(-1)]).toMatchObject([over, over.status]);
    expect([states.completed(), statuses.completed(), Object.isFrozen(credential.state)]).toEqual([true, true, true]);
  });

  it('says so to who comes late, also when another has its id by now', async () => {
    const { credential, store, authority } = await endedBy(end);
    const late = collect(credential.state$);
    expect([late.values, late.completed()]).toEqual([[credential.state], true]);
    await store.store(authority.signIn({ id: 'main', sub: 'bob' }));
    expect(await firstValueFrom(credential.state$)).toBe(credential.state);
    expect(await firstValueFrom(credential.status$)).toEqual(over.status);
  });

  it('is signed in by no stream once another has said that it is gone, whichever is subscribed to first', async () => {
    const gone: unknown[] = [];
    await endedBy(end, (credential, store) => {
      const last: CredentialState[] = [];
      const look = (isThere: boolean): void => void (isThere || gone.push([isSignedIn(credential.state), last.map(isSignedIn)]));
      store.credentials$.subscribe((all) => look(all.includes(credential)));
      credential.state$.subscribe((state) => (last[0] = state));
      store.default$.subscribe((one) => look(one === credential));
    });
    // Its own stream comes after the first, and has not been heard then, unless the mark of a revocation was
    expect(gone).toEqual([
      [false, [expect.any(Boolean)]],
      [false, [false]],
    ]);
  });
});

it('one in needs_sign_in stays that, with its reason', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const credential = await store.store(authority.signIn());
  authority.next(refusal('invalid_grant'), refusal('invalid_grant'));
  await codeOf(credential.refresh());
  const states = collect(credential.state$);
  await credential.remove();
  const last = { reason: 'rejected', isDefault: false, status: { token: 'needs_sign_in', activity: 'idle' } };
  expect(states.values.at(-1)).toMatchObject(last);
  expect(await firstValueFrom(credential.state$)).toMatchObject(last);
});

it('a store that closes completes the streams without saying that anybody is gone', async () => {
  const { openTab, authority } = createWorld();
  const { store } = await openTab();
  const credential = await store.store(authority.signIn());
  const states = collect(credential.state$);
  await store.close();
  expect([states.values.map(isSignedIn), states.completed(), isSignedIn(credential.state)]).toEqual([[true], true, true]);
});
