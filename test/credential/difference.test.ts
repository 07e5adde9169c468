import fc from 'fast-check';
import { difference } from '../../src/credential/difference';
import { factsOf } from '../../src/credential/facts';
import type { CredentialRecord } from '../../src/credential/record';
import { reduce } from '../../src/credential/reducer';
import { UNKNOWN_STATE } from '../../src/credential/state';
import { aRecord } from '../support/tokens';
import { START_MS } from '../support/unit-platform';
import { runs } from '../support/counts';

const active = aRecord({ revision: 5, generation: 3 });
const waiting = aRecord({ revision: 6, generation: 4, state: 'needs_sign_in', reason: 'rejected', secrets: null });
const revoking = aRecord({ revision: 6, generation: 3, state: 'revoking' });
const removed = aRecord({ revision: 6, generation: 4, state: 'removed', secrets: null, claims: null, tags: [] });

describe('the fact between two readings of a record', () => {
  it.each<[string, CredentialRecord | undefined, CredentialRecord, string | null]>([
    ['nothing and an active record', undefined, active, 'token_added'],
    ['nothing and one that needs sign-in', undefined, waiting, 'token_added'],
    ['nothing and a tombstone', undefined, removed, null],
    ['a tombstone and a new token over it', removed, aRecord({ revision: 7, generation: 5 }), 'token_added'],
    ['a tombstone and itself', removed, removed, null],
    ['active and a tombstone', active, removed, 'token_removed'],
    ['revoking and a tombstone', revoking, { ...removed, revision: 7 }, 'token_removed'],
    ['active and the next generation', active, aRecord({ revision: 6, generation: 4 }), 'token_replaced'],
    ['active and one several generations on', active, aRecord({ revision: 60, generation: 40 }), 'token_replaced'],
    ['active and other tags', active, aRecord({ revision: 6, generation: 3, tags: ['b'] }), 'metadata_updated'],
    ['active and more tags', active, aRecord({ revision: 6, generation: 3, tags: ['a', 'b'] }), 'metadata_updated'],
    ['active and revoking', active, revoking, 'metadata_updated'],
    ['active and needing sign-in', active, waiting, 'sign_in_required'],
    ['needing sign-in and other tags', waiting, { ...waiting, revision: 7, tags: ['b'] }, 'metadata_updated'],
    ['needing sign-in and another reason', waiting, { ...waiting, revision: 7, reason: 'expired' }, 'metadata_updated'],
    ['needing sign-in and the user back', waiting, aRecord({ revision: 7, generation: 5 }), 'token_replaced'],
    ['a record and itself', active, active, null],
    ['active and a claim to be the default, which is no metadata', active, aRecord({ revision: 6, generation: 3, defaultClaim: 9 }), null],
    ['needing sign-in and a claim to be the default, which is no metadata', waiting, { ...waiting, revision: 7, defaultClaim: 9 }, null],
    [
      'active and an answer staged, which is nobody’s affair',
      active,
      { ...active, revision: 6, staged: { text: '{}', sentAt: 1, receivedAt: 2 } },
      null,
    ],
  ])('%s', (_, before, after, type) => {
    const fact = difference(before, after);
    expect(fact?.type ?? null).toBe(type);
    if (fact && 'credential' in fact) expect(fact).toMatchObject({ id: 'one', generation: after.generation, credential: factsOf(after) });
  });

  it.each<[string, CredentialRecord]>([
    ['an older revision', aRecord({ revision: 4, generation: 3, tags: ['late'] })],
    ['an older generation', aRecord({ revision: 9, generation: 2, tags: ['late'] })],
    ['an older tombstone', { ...removed, revision: 4 }],
  ])('RF-13 %s is late and means nothing', (_, late) => {
    expect(difference(active, late)).toBeNull();
  });

  it('E29 facts folded one reading at a time give the state of the last reading', () => {
    const reading = fc.record({
      state: fc.constantFrom('active' as const, 'needs_sign_in' as const, 'revoking' as const, 'removed' as const),
      step: fc.integer({ min: 0, max: 2 }),
      tags: fc.subarray(['x', 'y']),
    });
    fc.assert(
      fc.property(fc.array(reading, { minLength: 1, maxLength: 12 }), (readings) => {
        let generation = 1;
        let known: CredentialRecord | undefined;
        let state = reduce(UNKNOWN_STATE, { type: 'restored', durable: true, defaultId: null, credentials: [], at: START_MS });
        readings.forEach(({ state: recordState, step, tags }, index) => {
          // a state changes with a generation, except that revoking begins within one
          const changes = known !== undefined && known.state !== recordState && recordState !== 'revoking';
          generation += changes ? step + 1 : step;
          const after = aRecord({
            revision: index + 1,
            generation,
            state: recordState,
            tags,
            ...(recordState === 'active' ? {} : { secrets: null }),
          });
          const fact = difference(known, after);
          known = after;
          if (fact) state = reduce(state, { ...fact, at: START_MS });
        });
        const last = known && factsOf(known);
        expect(state.ids).toEqual(last ? ['one'] : []);
        if (last) {
          const { recordState, ...shown } = last;
          expect(state.credentials[0]).toMatchObject({ ...shown });
          expect(state.credentials[0]?.status.activity === 'revoking').toBe(recordState === 'revoking');
          if (recordState !== 'revoking')
            expect(state.credentials[0]?.status.token === 'needs_sign_in').toBe(recordState === 'needs_sign_in');
        }
      }),
      { numRuns: runs(300, 10_000) },
    );
  });
});
