import { conditionHolds, revisionOf } from '../../src/storage/storage';

describe('the condition of a write', () => {
  it.each<[string, unknown, number | 'absent' | 'any', boolean]>([
    ['nothing is absent', undefined, 'absent', true],
    ['null is absent, as some stores put it', null, 'absent', true],
    ['a record is not absent', { revision: 1 }, 'absent', false],
    ['garbage is not absent', 'x', 'absent', false],
    ['zero is not absent', 0, 'absent', false],
    ['the revision named', { revision: 1 }, 1, true],
    ['another revision', { revision: 2 }, 1, false],
    ['a revision as text', { revision: '1' }, 1, false],
    ['a revision of NaN', { revision: NaN }, NaN, false],
    ['no record', undefined, 0, false],
    ['garbage', 'x', 0, false],
    ['any is anything', { revision: 9 }, 'any', true],
    ['any is nothing, too', undefined, 'any', true],
  ])('RF-5 %s', (_, stored, condition, holds) => {
    expect(conditionHolds(stored, condition)).toBe(holds);
  });

  it('RF-5 garbage has no revision', () => {
    expect([null, undefined, 'x', 5, {}, [], { revision: null }, { revision: '1' }].map(revisionOf)).toEqual(Array(8).fill(undefined));
    expect(revisionOf({ revision: 7 })).toBe(7);
  });
});
