import { createInVain } from '../../src/http/in-vain.js';
import { createRecent } from '../../src/http/recent.js';

afterEach(() => jest.restoreAllMocks());

it('OBS-1 what is remembered of tokens in vain is none of them: who has signed out leaves none behind', () => {
  const kept: unknown[] = [];
  const [set, add] = [jest.spyOn(Map.prototype, 'set'), jest.spyOn(Set.prototype, 'add')];
  const inVain = createInVain({ monotonicNow: () => 0 });
  inVain.add('api', 'canary-1');
  inVain.bring('canary-2');
  kept.push(...set.mock.calls, ...add.mock.calls);
  expect(kept.length).toBeGreaterThan(2);
  expect(JSON.stringify(kept)).not.toContain('canary');
  expect(['canary-1', 'canary-2', 'canary-3'].map((token) => inVain.has('api', token))).toEqual([false, true, false]);
  expect(inVain.has('other', 'canary-2')).toBe(false);
});

it('D-038 a token that was taken at a place has a renewal of its own there, and is in vain elsewhere', () => {
  const inVain = createInVain({ monotonicNow: () => 0 });
  for (const key of ['api', 'other']) inVain.add(key, 'old');
  inVain.bring('new');
  inVain.accept('api', 'new');
  expect(['api', 'other'].map((key) => [inVain.isUntaken(key, 'new'), inVain.has(key, 'new')])).toEqual([
    [false, false],
    [true, true],
  ]);
  expect([inVain.isBrought('new'), inVain.isBrought('old')]).toEqual([true, false]);
  for (const token of ['new', 'newer']) inVain.add('api', token);
  expect(inVain.has('api', 'newest')).toBe(true); // three a minute at most
});

it('what is over is let go of when something else is remembered', () => {
  let now = 0;
  const recent = createRecent<object>({ monotonicNow: () => now });
  recent.set('a', {});
  recent.set('b', {}, Infinity);
  now = 60_000;
  const remove = jest.spyOn(Map.prototype, 'delete');
  recent.set('c', {});
  expect(remove.mock.calls).toContainEqual(['a']);
  expect([recent.get('a') ?? null, recent.get('b'), recent.get('c')]).toEqual([null, {}, {}]);
});

it('D-038 age alone ends what is remembered of our own credentials, however many there are', () => {
  let now = 0;
  const recent = createRecent<number>({ monotonicNow: () => now });
  for (let i = 0; i < 1_000; i++) recent.set(`${i}`, i);
  expect([recent.get('0'), recent.get('999')]).toEqual([0, 999]);
  now = 60_000;
  const remove = jest.spyOn(Map.prototype, 'delete');
  recent.set('another', 0);
  expect(remove.mock.calls.filter(([key]) => key !== 'another')).toHaveLength(1_000); // those of credentials that are gone, too
});

it('STEP-2 of what a server can fill the oldest go first', () => {
  const recent = createRecent<number>({ monotonicNow: () => 0 }, 2);
  for (const key of ['a', 'b', 'a', 'c']) recent.set(key, 0);
  expect(['a', 'b', 'c'].map((key) => recent.get(key))).toEqual([0, undefined, 0]);
});
