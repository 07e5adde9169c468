import fc from 'fast-check';
import type { CredentialFacts, StorageAction, StorageFact } from '../../src/credential/actions';
import { eventOf } from '../../src/credential/actions';
import { factsOf } from '../../src/credential/facts';
import { parseRecord, type CredentialRecord } from '../../src/credential/record';
import { fold as foldAll, reduce, reduceAll } from '../../src/credential/reducer';
import {
  credentialState,
  isSignedIn,
  UNKNOWN_STATE,
  type CredentialState,
  type RefreshFailure,
  type StoreState,
} from '../../src/credential/state';
import { aRecord, CLAIMS, facts } from '../support/tokens';
import { START_MS } from '../support/unit-platform';
import { runs } from '../support/counts';

const NOW = START_MS + 1_000;
const act = (fact: StorageFact, at = NOW): StorageAction => ({ ...fact, at });
const restored = (credentials: readonly CredentialFacts[] = [], defaultId: string | null = null): StorageAction =>
  act({ type: 'restored', durable: true, credentials, defaultId });
const fold = (actions: readonly StorageAction[]): StoreState => actions.reduce(reduce, UNKNOWN_STATE);
const failure = (changes: Partial<RefreshFailure> = {}): RefreshFailure => ({
  code: 'network_error',
  class: 'unknown_outcome',
  attempts: 1,
  nextTryAt: NOW + 1_000,
  ...changes,
});
const put = (
  type: 'token_added' | 'token_replaced' | 'metadata_updated' | 'sign_in_required',
  changes: Partial<CredentialFacts> = {},
  at = NOW,
) => {
  const credential = facts(changes);
  return act({ type, id: credential.id, generation: credential.generation, credential }, at);
};
/** A store with one (default, generation 3) and two. */
const two = fold([restored([facts({ generation: 3 }), facts({ id: 'two', storedAt: START_MS + 1 })], 'one')]);
const statusOf = (state: StoreState, id = 'one') => credentialState(state, id)?.status;

describe('the state after each action', () => {
  it('restored lists credentials in order of storing and says which is the default', () => {
    const state = fold([
      restored([facts({ id: 'b', storedAt: 2 }), facts({ id: 'c', storedAt: 3 }), facts({ id: 'a', storedAt: 2 })], 'c'),
    ]);
    expect(state).toMatchObject({ status: 'ready', durable: true, defaultId: 'c', ids: ['a', 'b', 'c'] });
    expect(state.credentials.map((one) => [one.id, one.isDefault])).toEqual([
      ['a', false],
      ['b', false],
      ['c', true],
    ]);
  });

  it('restored with a default that is not there has no default', () => {
    expect(fold([restored([facts()], 'gone')])).toMatchObject({ defaultId: null, ids: ['one'] });
  });

  it.each([
    ['valid', START_MS],
    ['expiring', START_MS + 570_000],
    ['expired', START_MS + 600_000],
  ])('restored finds a token %s by the time of the action', (token, at) => {
    expect(statusOf(reduce(UNKNOWN_STATE, { ...restored([facts()]), at }))).toEqual({ token, activity: 'idle' });
  });

  it('restored shows what a record was in the middle of', () => {
    const state = fold([
      restored([facts({ id: 'a', recordState: 'needs_sign_in', reason: 'rejected' }), facts({ id: 'b', recordState: 'revoking' })]),
    ]);
    expect(state.credentials.map(({ status, reason }) => [status.token, status.activity, reason])).toEqual([
      ['needs_sign_in', 'idle', 'rejected'],
      ['valid', 'revoking', null],
    ]);
    expect(state.credentials.map(isSignedIn)).toEqual([false, false]);
  });

  it('token_added appends, and sorts in what was stored earlier elsewhere', () => {
    const state = reduce(two, put('token_added', { id: 'zero', storedAt: START_MS - 1 }));
    expect(state.ids).toEqual(['zero', 'one', 'two']);
    expect(state.credentials.map((one) => one.id)).toEqual(['zero', 'one', 'two']);
    expect(reduce(state, put('token_added', { id: 'three', storedAt: START_MS + 2 })).ids).toEqual(['zero', 'one', 'two', 'three']);
    expect(state.defaultId).toBe('one');
  });

  it('token_replaced keeps the place, the default and the other snapshots', () => {
    const state = reduce(two, put('token_replaced', { generation: 4, expiresAt: START_MS + 900_000 }));
    expect(credentialState(state, 'one')).toMatchObject({ generation: 4, expiresAt: START_MS + 900_000, isDefault: true });
    expect(state.ids).toBe(two.ids);
    expect(credentialState(state, 'two')).toBe(credentialState(two, 'two'));
  });

  it('token_replaced by one that was stored later, after a removal that was missed, moves to its place', () => {
    const state = reduce(two, put('token_replaced', { generation: 5, storedAt: START_MS + 9 }));
    expect(state).toMatchObject({ ids: ['two', 'one'], defaultId: 'one' });
    expect(state.credentials.map((one) => one.id)).toEqual(['two', 'one']);
  });

  it('token_replaced ends refreshing and every doubt about the user', () => {
    const before = fold([restored([facts()]), act({ type: 'refresh_started', id: 'one', generation: 1 })]);
    expect(statusOf(before)).toEqual({ token: 'valid', activity: 'refreshing' });
    expect(statusOf(reduce(before, put('token_replaced', { generation: 2 })))).toEqual({ token: 'valid', activity: 'idle' });
    const asked = reduce(before, act({ type: 'interaction_required', id: 'one', generation: 1, code: 'oauth_error', class: 'needs_user' }));
    expect(statusOf(asked)).toEqual({ token: 'needs_interaction', activity: 'idle' });
    expect(statusOf(reduce(asked, put('token_replaced', { generation: 2 })))).toEqual({ token: 'valid', activity: 'idle' });
  });

  it('metadata_updated of the same token keeps refreshing and needs_interaction', () => {
    const refreshing = fold([
      restored([facts()]),
      act({ type: 'refresh_started', id: 'one', generation: 1 }),
      put('metadata_updated', { tags: ['new'] }),
    ]);
    expect(credentialState(refreshing, 'one')).toMatchObject({ tags: ['new'], status: { activity: 'refreshing' } });
    const asked = fold([
      restored([facts()]),
      act({ type: 'interaction_required', id: 'one', generation: 1, code: 'oauth_error', class: 'needs_user' }),
      put('metadata_updated', { tags: ['new'] }),
    ]);
    expect(statusOf(asked)).toEqual({ token: 'needs_interaction', activity: 'idle' });
  });

  it('metadata_updated to revoking shows it, and nothing but the removal ends it', () => {
    const revoking = fold([restored([facts()]), put('metadata_updated', { recordState: 'revoking' })]);
    expect(statusOf(revoking)).toEqual({ token: 'valid', activity: 'revoking' });
    const failed = act({ type: 'refresh_failed', id: 'one', generation: 1, ...failure() });
    expect(statusOf(reduce(revoking, failed))).toEqual({ token: 'valid', activity: 'revoking' });
    expect(reduce(revoking, act({ type: 'refresh_started', id: 'one', generation: 1 }))).toBe(revoking);
    expect(isSignedIn(credentialState(revoking, 'one'))).toBe(false);
  });

  it('metadata_updated shows what the record says: one that is active again is revoking no more', () => {
    const revoking = fold([restored([facts()]), put('metadata_updated', { recordState: 'revoking' })]);
    expect(statusOf(reduce(revoking, put('metadata_updated', { recordState: 'active' })))).toEqual({ token: 'valid', activity: 'idle' });
  });

  it('E7 sign_in_required says why, and a later sign-in takes the place', () => {
    const state = reduce(two, put('sign_in_required', { generation: 4, recordState: 'needs_sign_in', reason: 'rejected' }));
    expect(credentialState(state, 'one')).toMatchObject({
      reason: 'rejected',
      isDefault: true,
      status: { token: 'needs_sign_in', activity: 'idle' },
    });
    const again = reduce(state, put('token_replaced', { generation: 5 }));
    expect(credentialState(again, 'one')).toMatchObject({ reason: null, isDefault: true, status: { token: 'valid', activity: 'idle' } });
  });

  it('refresh_failed ends refreshing and keeps the token (E6)', () => {
    const state = fold([
      restored([facts()]),
      act({ type: 'refresh_started', id: 'one', generation: 1 }),
      act({ type: 'refresh_failed', id: 'one', generation: 1, ...failure() }),
    ]);
    expect(statusOf(state)).toEqual({ token: 'valid', activity: 'idle' });
  });

  it('refresh_ended ends refreshing, and nothing else', () => {
    const started = fold([restored([facts()]), act({ type: 'refresh_started', id: 'one', generation: 1 })]);
    expect(statusOf(reduce(started, act({ type: 'refresh_ended', id: 'one', generation: 1 })))).toEqual({
      token: 'valid',
      activity: 'idle',
    });
    expect(reduce(started, act({ type: 'refresh_ended', id: 'one', generation: 2 }))).toBe(started);
    const revoking = fold([restored([facts()]), put('metadata_updated', { recordState: 'revoking' })]);
    expect(reduce(revoking, act({ type: 'refresh_ended', id: 'one', generation: 1 }))).toBe(revoking);
  });

  it('the same refresh_failed once more changes nothing', () => {
    const failed = act({ type: 'refresh_failed', id: 'one', generation: 3, ...failure() });
    const once = reduce(two, failed);
    expect(reduce(once, failed)).toBe(once);
    expect(reduce(reduce(once, act({ type: 'refresh_started', id: 'one', generation: 3 })), failed).credentials[0]?.status.activity).toBe(
      'idle',
    );
  });

  it('E11 refresh_failed says why, how often and when it is tried again, each time anew, until the token is renewed', () => {
    const failed = reduce(two, act({ type: 'refresh_failed', id: 'one', generation: 3, ...failure() }));
    expect(credentialState(failed, 'one')?.refreshFailure).toEqual(failure());
    expect(credentialState(failed, 'two')).toBe(credentialState(two, 'two'));
    const again = failure({ code: 'timeout', attempts: 2, nextTryAt: null });
    const twice = reduce(failed, act({ type: 'refresh_failed', id: 'one', generation: 3, ...again }));
    expect(credentialState(twice, 'one')?.refreshFailure).toEqual(again);
    const started = reduce(twice, act({ type: 'refresh_started', id: 'one', generation: 3 }));
    const tagged = reduce(started, put('metadata_updated', { generation: 3, tags: ['new'] }));
    const expired = reduce(tagged, act({ type: 'expired', id: 'one', generation: 3 }, START_MS + 10 ** 9));
    for (const state of [started, tagged, expired]) expect(credentialState(state, 'one')?.refreshFailure).toEqual(again);
    for (const type of ['token_replaced', 'metadata_updated'] as const)
      expect(credentialState(reduce(expired, put(type, { generation: 4 })), 'one')?.refreshFailure).toBeNull();
    const ended = put('sign_in_required', { generation: 4, recordState: 'needs_sign_in', reason: 'rejected' });
    expect(credentialState(reduce(expired, ended), 'one')?.refreshFailure).toBeNull();
  });

  it('token_removed of the default leaves no default and promotes nobody', () => {
    const state = reduce(two, act({ type: 'token_removed', id: 'one', generation: 4 }));
    expect(state).toMatchObject({ defaultId: null, ids: ['two'] });
    expect(state.credentials.map((one) => one.isDefault)).toEqual([false]);
  });

  it('token_removed of another leaves the default', () => {
    expect(reduce(two, act({ type: 'token_removed', id: 'two', generation: 2 }))).toMatchObject({ defaultId: 'one', ids: ['one'] });
  });

  it('default_changed moves the mark and touches only the two snapshots concerned', () => {
    const three = reduce(two, put('token_added', { id: 'three', storedAt: START_MS + 2 }));
    const state = reduce(three, act({ type: 'default_changed', id: 'two' }));
    expect(state.defaultId).toBe('two');
    expect(state.credentials.map((one) => one.isDefault)).toEqual([false, true, false]);
    expect(state.credentials[2]).toBe(three.credentials[2]);
    expect(state.ids).toBe(three.ids);
    expect(reduce(state, act({ type: 'default_changed', id: null })).credentials.some((one) => one.isDefault)).toBe(false);
  });

  it('cleared forgets everything but that storage was read', () => {
    expect(reduce(two, act({ type: 'cleared' }))).toEqual({ status: 'ready', durable: true, defaultId: null, ids: [], credentials: [] });
  });

  it('not_durable says so and keeps all credentials', () => {
    const state = reduce(two, act({ type: 'not_durable', code: 'storage_failed', message: 'no' }));
    expect(state).toEqual({ ...two, durable: false, storageProblem: { code: 'storage_failed', message: 'no' } });
    expect(reduce(state, act({ type: 'durable' }))).toEqual(two);
  });

  it('durable says that what was in memory only is stored now', () => {
    const lost = reduce(two, act({ type: 'not_durable', code: 'storage_failed', message: 'no' }));
    expect(reduce(lost, act({ type: 'durable' }))).toEqual(two);
  });

  it('metadata_updated of the same token leaves what the clock said of it', () => {
    const expiring = reduce(two, act({ type: 'expiring', id: 'one', generation: 3, token: 'expiring' }));
    expect(statusOf(reduce(expiring, put('metadata_updated', { generation: 3, tags: ['new'] }, START_MS)))?.token).toBe('expiring');
    expect(statusOf(reduce(two, put('metadata_updated', { generation: 3, tags: ['new'] }, START_MS + 10 ** 9)))?.token).toBe('valid');
  });

  it('metadata_updated of what needed sign-in and is active again finds the token by the time of the action', () => {
    const waiting = reduce(two, put('sign_in_required', { generation: 3, recordState: 'needs_sign_in', reason: 'unreadable' }));
    expect(statusOf(waiting)?.token).toBe('needs_sign_in');
    expect(statusOf(reduce(waiting, put('metadata_updated', { generation: 3 })))).toEqual({ token: 'valid', activity: 'idle' });
  });

  it('throws for an action of no known type: a forgotten case is no silent one', () => {
    expect(() => reduce(two, { type: 'surprise', at: NOW } as never)).toThrow(TypeError);
  });
});

describe('the same reference if nothing changed', () => {
  it.each<[string, StorageAction]>([
    ['default_changed to the same', act({ type: 'default_changed', id: 'one' })],
    ['default_changed to what is not there', act({ type: 'default_changed', id: 'gone' })],
    ['token_removed of what is not there', act({ type: 'token_removed', id: 'gone', generation: 9 })],
    ['token_removed of an older generation', act({ type: 'token_removed', id: 'one', generation: 2 })],
    ['token_replaced of an older generation', put('token_replaced', { generation: 2 })],
    ['sign_in_required of an older generation', put('sign_in_required', { generation: 2, recordState: 'needs_sign_in' })],
    ['metadata_updated of an older generation', put('metadata_updated', { generation: 2, tags: ['late'] })],
    ['metadata_updated with nothing new in it', put('metadata_updated', { generation: 3 })],
    ['token_replaced with nothing new in it', put('token_replaced', { generation: 3, claims: { ...CLAIMS } })],
    ['metadata_updated of what is gone', put('metadata_updated', { id: 'gone', tags: ['late'] })],
    ['token_replaced of what is gone', put('token_replaced', { id: 'gone', generation: 9 })],
    ['sign_in_required of what is gone', put('sign_in_required', { id: 'gone', generation: 9, recordState: 'needs_sign_in' })],
    ['refresh_started of an older generation', act({ type: 'refresh_started', id: 'one', generation: 2 })],
    ['refresh_started of a newer generation', act({ type: 'refresh_started', id: 'one', generation: 4 })],
    ['refresh_started of what is gone', act({ type: 'refresh_started', id: 'gone', generation: 1 })],
    ['refresh_failed of an older generation', act({ type: 'refresh_failed', id: 'one', generation: 2, ...failure() })],
    ['refresh_failed of what is gone', act({ type: 'refresh_failed', id: 'gone', generation: 1, ...failure() })],
    [
      'interaction_required of an older generation',
      act({ type: 'interaction_required', id: 'one', generation: 2, code: 'oauth_error', class: 'needs_user' }),
    ],
    ['durable twice', act({ type: 'durable' })],
    ['expired of an older generation', act({ type: 'expired', id: 'one', generation: 2 })],
    ['expiring of what is gone', act({ type: 'expiring', id: 'gone', generation: 3, token: 'expiring' })],
    ['expiring before its time', act({ type: 'expiring', id: 'one', generation: 3 })],
    ['record_quarantined', act({ type: 'record_quarantined', id: 'x', reason: 'bad_state' })],
    [
      'challenged',
      act({ type: 'challenged', id: 'one', generation: 3, error: 'insufficient_scope', resource: 'https://api.example.com/' }),
    ],
  ])('%s', (_, action) => {
    expect(reduce(two, action)).toBe(two);
  });

  it('cleared of an empty store, not_durable for the same reason, refresh_started twice', () => {
    const empty = fold([restored()]);
    expect(reduce(empty, act({ type: 'cleared' }))).toBe(empty);
    const problem = act({ type: 'not_durable', code: 'storage_failed', message: 'no' });
    const failed = reduce(two, problem);
    expect(reduce(failed, problem)).toBe(failed);
    const started = act({ type: 'refresh_started', id: 'one', generation: 3 });
    const refreshing = reduce(two, started);
    expect(reduce(refreshing, started)).toBe(refreshing);
  });

  it('cleared forgets a default without a credential, too', () => {
    expect(reduce({ ...fold([restored()]), defaultId: 'gone' }, act({ type: 'cleared' }))).toEqual(fold([restored()]));
  });

  it('E12 needs_sign_in stays needs_sign_in whatever a late refresh reports of that generation', () => {
    const state = reduce(two, put('sign_in_required', { generation: 4, recordState: 'needs_sign_in', reason: 'rejected' }));
    const late = { id: 'one', generation: 4, code: 'oauth_error', class: 'needs_user' } as const;
    expect(reduce(state, act({ type: 'interaction_required', ...late }))).toBe(state);
    expect(reduce(state, act({ type: 'expired', id: 'one', generation: 4 }, START_MS + 10 ** 9))).toBe(state);
  });
});

describe('time', () => {
  it.each([
    ['expiring', START_MS + 570_000, 'expiring'],
    ['expired', START_MS + 600_000, 'expired'],
    ['expired', START_MS + 10 ** 12, 'expired'],
  ] as const)('TM-3 %s at %d makes a token %s and signs nobody out', (type, at, token) => {
    const state = reduce(two, act({ type, id: 'one', generation: 3 }, at));
    expect(statusOf(state)).toEqual({ token, activity: 'idle' });
    expect(isSignedIn(credentialState(state, 'one'))).toBe(true);
  });

  it.each(['valid', 'expiring'] as const)('TM-2 expiring to %s is what the status says, whatever the time of the action', (token) => {
    const expired = reduce(two, act({ type: 'expired', id: 'one', generation: 3 }, START_MS));
    expect(statusOf(expired)?.token).toBe('expired');
    for (const at of [START_MS, START_MS + 10 ** 12]) {
      expect(statusOf(reduce(expired, act({ type: 'expiring', id: 'one', generation: 3, token }, at)))).toEqual({
        token,
        activity: 'idle',
      });
    }
  });

  it('expiring that does not say how far: a clock that was set back makes an expired token valid again', () => {
    const expired = reduce(two, act({ type: 'expired', id: 'one', generation: 3 }, START_MS + 600_000));
    expect(statusOf(reduce(expired, act({ type: 'expiring', id: 'one', generation: 3 }, START_MS)))?.token).toBe('valid');
  });

  it('E26 a token without a lifetime is valid at any time', () => {
    const state = reduce(UNKNOWN_STATE, { ...restored([facts({ expiresAt: null })]), at: START_MS + 10 ** 12 });
    expect(statusOf(state)?.token).toBe('valid');
    expect(reduce(state, act({ type: 'expiring', id: 'one', generation: 1 }, START_MS + 10 ** 13))).toBe(state);
  });

  it('TM-3 no clock touches what needs the user; beside it, it says whether the token lives', () => {
    const asked = reduce(two, act({ type: 'interaction_required', id: 'one', generation: 3, code: 'oauth_error', class: 'needs_user' }));
    const [before] = asked.credentials;
    expect([before?.hasExpired, isSignedIn(before)]).toEqual([false, true]);
    for (const type of ['expired', 'expiring'] as const) {
      const late = reduce(asked, act({ type, id: 'one', generation: 3 }, START_MS + 10 ** 12));
      expect(late.credentials[0]).toEqual({ ...before, hasExpired: true });
      expect(isSignedIn(late.credentials[0])).toBe(false);
      expect(reduce(late, act({ type, id: 'one', generation: 3 }, START_MS + 10 ** 13))).toBe(late);
      const back = reduce(late, act({ type: 'expiring', token: 'valid', id: 'one', generation: 3 }, START_MS));
      expect(back.credentials[0]).toEqual(before);
      const told = reduce(
        late,
        act({ type: 'metadata_updated', credential: facts({ generation: 3, tags: ['x'] }), id: 'one', generation: 3 }),
      );
      expect(told.credentials[0]).toMatchObject({ hasExpired: true, status: { token: 'needs_interaction' }, tags: ['x'] });
      const renewed = reduce(
        late,
        act({ type: 'token_replaced', credential: facts({ generation: 4 }), id: 'one', generation: 4 }, START_MS),
      );
      expect(renewed.credentials[0]).toMatchObject({ hasExpired: false, status: { token: 'valid' } });
    }
  });

  it('no access token lives where one has expired, or the user must sign in', () => {
    const state = (changes: Partial<CredentialFacts>): boolean | undefined =>
      reduce(UNKNOWN_STATE, restored([facts(changes)])).credentials[0]?.hasExpired;
    expect([
      state({}),
      state({ expiresAt: START_MS - 1 }),
      state({ recordState: 'needs_sign_in' }),
      state({ recordState: 'revoking' }),
    ]).toEqual([false, true, true, false]);
  });
});

describe('snapshots', () => {
  it('are frozen all the way down when they come from a stored record', () => {
    const record = parseRecord(
      structuredClone({ ...aRecord(), claims: { ...CLAIMS, address: { city: 'Köln' } } }),
      'one',
    ) as CredentialRecord;
    const state = fold([restored([factsOf(record)!], 'one')]);
    expect(unfrozenIn(state)).toEqual([]);
  });

  it('UNKNOWN_STATE cannot be changed for everybody else', () => {
    expect(unfrozenIn(UNKNOWN_STATE)).toEqual([]);
  });
});

describe('replaying', () => {
  const id = fc.constantFrom('a', 'b', 'c');
  const generation = fc.integer({ min: 1, max: 4 });
  const credential = fc.record({
    id,
    generation,
    storedAt: fc.integer({ min: START_MS, max: START_MS + 3 }),
    tags: fc.subarray(['x', 'y']),
    recordState: fc.constantFrom('active' as const, 'active' as const, 'needs_sign_in' as const, 'revoking' as const),
    expiresAt: fc.constantFrom(null, START_MS + 60_000),
  });
  const of = fc.record({ id, generation });
  const fact: fc.Arbitrary<StorageFact> = fc.oneof(
    fc
      .record({
        type: fc.constantFrom('token_added', 'token_replaced', 'metadata_updated', 'sign_in_required'),
        credential: credential.map(facts),
      })
      .map((one) => ({ ...one, id: one.credential.id, generation: one.credential.generation })),
    of.map((one): StorageFact => ({ type: 'token_removed', ...one })),
    fc.option(id).map((one): StorageFact => ({ type: 'default_changed', id: one })),
    fc.constant<StorageFact>({ type: 'cleared' }),
    fc
      .tuple(fc.constantFrom('refresh_started' as const, 'refresh_ended' as const, 'expiring' as const, 'expired' as const), of)
      .map(([type, one]): StorageFact => ({ type, ...one })),
    of.map((one): StorageFact => ({ type: 'interaction_required', ...one, code: 'oauth_error', class: 'needs_user' })),
    fc
      .tuple(of, fc.integer({ min: 1, max: 9 }))
      .map(([one, attempts]): StorageFact => ({ type: 'refresh_failed', ...one, ...failure({ attempts }) })),
    fc
      .record({ id, generation, token: fc.constantFrom('valid' as const, 'expiring' as const) })
      .map((one): StorageFact => ({ type: 'expiring', ...one })),
    of.map((one): StorageFact => ({ type: 'challenged', ...one, error: 'insufficient_scope', resource: 'https://api.example.com/' })),
    fc.constantFrom<StorageFact>({ type: 'not_durable', code: 'storage_failed', message: 'no' }, { type: 'durable' }),
  );
  const again: fc.Arbitrary<StorageFact> = fc.array(credential.map(facts), { maxLength: 3 }).map((credentials): StorageFact => ({
    type: 'restored',
    durable: true,
    defaultId: credentials[0]?.id ?? null,
    credentials: [...new Map(credentials.map((one) => [one.id, one])).values()],
  }));
  const logOf = (of: fc.Arbitrary<StorageFact>) =>
    fc.array(fc.tuple(of, fc.integer({ min: 0, max: 90_000 })), { maxLength: 40 }).map((entries) => {
      const actions = [restored(), ...entries.map(([one, ms]) => act(one, START_MS + ms))];
      return deepFreeze(actions);
    });
  const log = logOf(fact);

  it('gives the state, whatever the order in which actions arrive, and changes no action', () => {
    fc.assert(
      fc.property(log, (actions) => {
        const once = fold(actions);
        expect(fold(structuredClone(actions) as readonly StorageAction[])).toEqual(once);
      }),
      { numRuns: runs(200, 10_000) },
    );
  });

  it('in batches of any size gives the same state, and the same changes', () => {
    fc.assert(
      fc.property(
        logOf(fc.oneof({ weight: 9, arbitrary: fact }, again)),
        fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 6 }),
        fc.boolean(),
        (actions, sizes, withIndex) => {
          const byId = new Map<string, CredentialState>(); // kept from the changes alone
          let state = UNKNOWN_STATE;
          let rest = [...actions];
          for (const size of [...sizes, Infinity]) {
            const batch = rest.slice(0, size);
            rest = rest.slice(size);
            const before = state;
            const folded = foldAll(state, batch, withIndex ? (one) => byId.get(one) : undefined);
            state = folded.state;
            for (const { before: was, after } of folded.changes) {
              expect(was === undefined ? undefined : byId.get(was.id)).toBe(was);
              if (was && was.id !== after?.id) byId.delete(was.id);
              if (after) byId.set(after.id, after);
            }
            expect(state).toEqual(batch.reduce(reduce, before));
            expect(reduceAll(before, batch)).toEqual(state);
            expect(
              unfrozenIn(state).filter((path) => !path.includes('tags') && !path.includes('claims') && !path.includes('context')),
            ).toEqual([]);
            expect([...byId.values()].sort((a, b) => a.storedAt - b.storedAt || (a.id < b.id ? -1 : 1))).toEqual(state.credentials);
          }
          expect(state).toEqual(fold(actions));
        },
      ),
      { numRuns: runs(300, 10_000) },
    );
  });

  it('a batch in which nothing changed gives the same reference, and one that changed nothing of the list keeps the list', () => {
    const nothing = [act({ type: 'default_changed', id: 'one' }), act({ type: 'expired', id: 'gone', generation: 1 })];
    expect(foldAll(two, nothing)).toEqual({ state: two, changes: [] });
    expect(reduceAll(two, nothing)).toBe(two);
    expect(reduceAll(two, [])).toBe(two);
    const lost = reduceAll(two, [...nothing, act({ type: 'not_durable', code: 'storage_failed', message: 'no' })]);
    expect([lost.ids, lost.credentials]).toEqual([two.ids, two.credentials]);
    expect(lost.credentials).toBe(two.credentials);
  });

  it('E68 ten thousand actions of one batch touch each list once', () => {
    const many = Array.from({ length: 10_000 }, (_, n) => facts({ id: `id-${n}`, storedAt: START_MS + n }));
    let copies = 0;
    const counted = <T>(list: readonly T[]): readonly T[] =>
      new Proxy(list, {
        get: (target, name, receiver) => {
          if (name === Symbol.iterator) copies++;
          return Reflect.get(target, name, receiver) as unknown;
        },
      });
    const full = fold([restored(many, 'id-7')]);
    const byId = new Map(full.credentials.map((one) => [one.id, one]));
    const state: StoreState = { ...full, ids: counted(full.ids), credentials: counted(full.credentials) };
    const batch = many.flatMap(({ id: one }, n) => [
      act({ type: 'expiring', id: one, generation: 1, token: 'expiring' }),
      put('token_added', { id: `new-${n}`, storedAt: START_MS + 20_000 + n }),
    ]);
    const folded = foldAll(state, batch, (one) => byId.get(one));
    expect(copies).toBe(2);
    expect(folded.state.ids).toHaveLength(20_000);
    expect(folded.changes).toHaveLength(20_000);
    expect(folded.state.credentials.filter(({ status }) => status.token === 'expiring')).toHaveLength(10_000);
  });

  it('E68 a batch of a thousand, without an index at hand, walks over the list once', () => {
    let looks = 0;
    const full = fold([restored(Array.from({ length: 1_000 }, (_, n) => facts({ id: `id-${n}`, storedAt: START_MS + n })))]);
    const watch = (one: CredentialState): CredentialState =>
      new Proxy(one, { get: (of, name) => (looks++, Reflect.get(of, name) as unknown) });
    const batch = full.ids.map((one) => act({ type: 'expired', id: one, generation: 1 }));
    const state = reduceAll({ ...full, credentials: full.credentials.map(watch) }, batch);
    expect(state.credentials.every(({ status }) => status.token === 'expired')).toBe(true);
    expect(looks).toBeLessThan(100 * 1_000);
  });

  it('E68 one of ten thousand is found without a walk', () => {
    const many = Array.from({ length: 10_000 }, (_, n) => facts({ id: `id-${n}`, storedAt: START_MS + n }));
    let looks = 0;
    const full = fold([restored(many, 'id-7')]);
    const byId = new Map(
      full.credentials.map((one) => [one.id, new Proxy(one, { get: (of, name) => (looks++, Reflect.get(of, name) as unknown) })]),
    );
    const state: StoreState = { ...full, credentials: [...byId.values()] };
    const folded = foldAll(state, [put('token_replaced', { id: 'id-3', generation: 2, storedAt: START_MS + 3 })], (one) => byId.get(one));
    expect(folded.state.credentials[3]).toMatchObject({ id: 'id-3', generation: 2 });
    expect(looks).toBeLessThan(150);
  });

  it('keeps the lists consistent, and gives a new reference exactly when something changed', () => {
    fc.assert(
      fc.property(log, (actions) => {
        let state = UNKNOWN_STATE;
        for (const action of actions) {
          const next = reduce(state, action);
          expect(next.ids).toEqual(next.credentials.map((one) => one.id));
          expect(new Set(next.ids).size).toBe(next.ids.length);
          expect(next.credentials.filter((one) => one.isDefault).map((one) => one.id)).toEqual(
            next.defaultId === null ? [] : [next.defaultId],
          );
          const order = next.credentials.map((one) => [one.storedAt, one.id] as const);
          expect(order).toEqual([...order].sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1)));
          expect(next !== state).toBe(JSON.stringify(next) !== JSON.stringify(state));
          for (const one of next.credentials) {
            const before = credentialState(state, one.id);
            if (before) expect(one.generation).toBeGreaterThanOrEqual(before.generation);
          }
          state = next;
        }
      }),
      { numRuns: runs(300, 10_000) },
    );
  });
});

describe('events', () => {
  it('OBS-1 show ids, generations, codes and reasons, never a claim, a tag or a context', () => {
    const secretive = facts({
      recordState: 'needs_sign_in',
      reason: 'rejected',
      tags: ['canary-tag'],
      claims: { ...CLAIMS, sub: 'canary-sub' },
    });
    const actions: StorageAction[] = [
      act({ type: 'restored', durable: true, defaultId: 'one', credentials: [secretive] }),
      ...(['token_added', 'token_replaced', 'metadata_updated', 'sign_in_required'] as const).map((type) =>
        act({ type, id: 'one', generation: 1, credential: secretive }),
      ),
    ];
    const events = actions.map((action) => eventOf(action, 'here'));
    expect(JSON.stringify(events)).not.toMatch(/canary|id\.example/);
    expect(events[0]).toEqual({ type: 'restored', at: NOW, origin: 'here' });
    expect(events[3]).toEqual({ type: 'metadata_updated', id: 'one', generation: 1, at: NOW, origin: 'here' });
    expect(events[4]).toEqual({ type: 'sign_in_required', id: 'one', generation: 1, reason: 'rejected', at: NOW, origin: 'here' });
  });

  it.each<StorageFact>([
    { type: 'token_removed', id: 'one', generation: 2 },
    { type: 'default_changed', id: null },
    { type: 'cleared' },
    { type: 'expired', id: 'one', generation: 1 },
    { type: 'refresh_failed', id: 'one', generation: 1, ...failure() },
    { type: 'not_durable', code: 'storage_failed', message: 'no' },
    { type: 'record_quarantined', id: 'x', reason: 'bad_state' },
    { type: 'challenged', id: 'one', generation: 1, error: 'insufficient_scope', resource: 'https://api.example.com/', scope: 'a' },
  ])('$type says all it holds, and where it came from', (fact) => {
    expect(eventOf(act(fact), 'elsewhere')).toEqual({ ...fact, at: NOW, origin: 'elsewhere' });
  });
});

/** Paths of objects in a value that are not frozen. */
function unfrozenIn(value: unknown, path = '$'): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const below = Object.entries(value).flatMap(([name, member]) => unfrozenIn(member, `${path}.${name}`));
  return Object.isFrozen(value) ? below : [path, ...below];
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}
