import fc from 'fast-check';
import { deepFreezeData, isPlainObject, isScalar, parseJson, sameData, stringOr } from '../../src/credential/data';
import { runs } from '../support/counts';

describe('parseJson', () => {
  it.each(['', '{', 'undefined', '{"a":1}x', "{'a':1}", '\u0000'])('%j is no JSON', (text) => {
    expect(parseJson(text)).toBeUndefined();
  });

  it('HT-7 yields frozen objects without a prototype, lists frozen too', () => {
    const value = parseJson('{"a":{"b":[{"c":1}]},"toString":"mine"}') as { a: { b: { c: number }[] } };
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.getPrototypeOf(value.a)).toBeNull();
    expect(Object.isFrozen(value) && Object.isFrozen(value.a.b) && Object.isFrozen(value.a.b[0])).toBe(true);
    expect(value).toEqual({ a: { b: [{ c: 1 }] }, toString: 'mine' });
  });

  it('HT-7 has no member that leads to a prototype, whatever the JSON', () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'prototype'));
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ maxDepth: 4 }, fc.jsonValue({ maxDepth: 0 }), fc.dictionary(key, tie('tree')), fc.array(tie('tree'))),
    }));
    const dangerous = (value: unknown): boolean =>
      typeof value === 'object' &&
      value !== null &&
      (Object.getOwnPropertyNames(value).some((name) => ['__proto__', 'constructor', 'prototype'].includes(name)) ||
        (!Array.isArray(value) && Object.getPrototypeOf(value) !== null) ||
        Object.values(value).some(dangerous));
    fc.assert(
      fc.property(tree, (value) => {
        expect(dangerous(parseJson(JSON.stringify(value)))).toBe(false);
      }),
      { numRuns: runs(300, 10_000) },
    );
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('takes scalars as they are', () => {
    expect(['1', '"x"', 'null', 'true'].map(parseJson)).toEqual([1, 'x', null, true]);
  });

  it('refuses what is deeper than 20 levels', () => {
    expect(parseJson('['.repeat(21) + ']'.repeat(21))).toBeDefined();
    expect(parseJson('['.repeat(22) + ']'.repeat(22))).toBeUndefined();
    expect(parseJson('['.repeat(100_000) + ']'.repeat(100_000))).toBeUndefined();
  });
});

describe('deepFreezeData', () => {
  it('copies: the input stays as it was', () => {
    const input = { a: [1] };
    const copy = deepFreezeData(input) as { a: number[] };
    input.a.push(2);
    expect(copy.a).toEqual([1]);
    expect(Object.isFrozen(input.a)).toBe(false);
  });

  it('refuses more than 2,000 members, wherever they are', () => {
    const list = (length: number): unknown[] => Array.from({ length }, () => []);
    const object = (length: number): unknown => Object.fromEntries(list(length).map((_, n) => [`m${n}`, n]));
    for (const of of [list, object]) {
      expect(deepFreezeData(of(2_000))).toBeDefined();
      expect(deepFreezeData(of(2_001))).toBeUndefined();
      expect(deepFreezeData({ a: of(1_000), b: of(998) })).toBeDefined();
      expect(deepFreezeData({ a: of(1_000), b: of(999) })).toBeUndefined();
    }
  });

  it('E37 counts no texts and numbers of lists: groups of a user, scopes of a server', () => {
    const groups = Array.from({ length: 20_000 }, (_, n) => (n % 2 ? n : `group-${n}`));
    expect(deepFreezeData({ groups })).toEqual({ groups });
  });

  it('HT-5 refuses more than 500,000 of them, which no answer has: a structured clone has a list once, however often it is there', () => {
    const list = Array.from({ length: 1_000 }, (_, n) => n);
    const shared = (times: number): unknown => structuredClone(Array.from({ length: times }, () => list));
    expect(deepFreezeData(shared(500))).toBeDefined();
    expect(deepFreezeData(shared(501))).toBeUndefined();
    expect(parseJson(`[${'1,'.repeat(256 * 1024 - 2)}1]`)).toHaveLength(256 * 1024 - 1); // 512 KiB
  });

  it('a list with four billion holes has the members it has', () => {
    const holes: unknown[] = [];
    holes[4_294_967_294] = 'last';
    expect(deepFreezeData(holes)).toEqual(['last']);
  });

  it('HT-7 a setter that somebody put on all objects never sees what is copied', () => {
    const seen: unknown[] = [];
    Object.defineProperty(Object.prototype, 'sub', { set: (value) => void seen.push(value), configurable: true });
    try {
      expect(Object.entries(parseJson('{"sub":"alice"}') as object)).toEqual([['sub', 'alice']]);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'sub');
    }
    expect(seen).toEqual([]);
  });

  it('leaves functions and what is undefined out, and takes of other objects what they list', () => {
    const copy = deepFreezeData({ f: () => 1, u: undefined, d: new Date(0), m: new Map([[1, 2]]) }) as object;
    expect(copy).toEqual({ d: {}, m: {} });
    expect(Object.keys(copy)).toEqual(['d', 'm']);
  });
});

describe('small helpers', () => {
  it('isPlainObject takes no lists and no null', () => {
    expect([{}, Object.create(null), [], null, 'x', undefined, 5].map(isPlainObject)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  it('stringOr takes strings only', () => {
    expect([stringOr('x', null), stringOr('', null), stringOr(5, null), stringOr(Object('x'), null)]).toEqual(['x', '', null, null]);
  });

  it('isScalar takes what is equal to every copy of it', () => {
    const taken = ['', 'x', 0, -1.5, true, false, null];
    const others = [undefined, NaN, Infinity, {}, [], () => 1, Symbol('x'), 5n];
    expect([taken.every(isScalar), others.some(isScalar)]).toEqual([true, false]);
  });

  it('sameData agrees with Jest’s own comparison of JSON data', () => {
    const value = fc.jsonValue({ maxDepth: 3 });
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(sameData(a, structuredClone(a))).toBe(true);
        expect(sameData(a, b)).toBe(JSON.stringify(sorted(a)) === JSON.stringify(sorted(b)));
      }),
    );
    expect(sameData([], {})).toBe(false);
    expect(sameData({ a: undefined }, {})).toBe(false);
    expect(sameData(null, {})).toBe(false);
    expect(sameData({ toString: 1 }, Object.assign(Object.create(null), { b: 1 }))).toBe(false);
    expect(sameData({ constructor: undefined }, { a: 1 })).toBe(false);
    expect(sameData({ constructor: Object }, { a: 1 })).toBe(false);
    expect(sameData({ a: 1, b: 2 }, { b: 2, a: 1 })).toBe(true);
  });
});

/** The value with what JSON text does not tell: lists and objects marked, members in order, -0 apart from 0. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return ['list', ...value.map(sorted)];
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? ['-0'] : value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return ['object', ...members.map(([name, member]) => [name, sorted(member)])];
}
