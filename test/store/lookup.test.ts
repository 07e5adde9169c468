import fc from 'fast-check';
import type { StorageFact } from '../../src/credential/actions';
import { compileQuery, idsOfMatches, type CredentialQuery } from '../../src/credential/query';
import { fold } from '../../src/credential/reducer';
import { UNKNOWN_STATE, type CredentialState, type StoreState } from '../../src/credential/state';
import { createLookup, type Lookup } from '../../src/store/lookup';
import { runs } from '../support/counts';
import { CLAIMS, facts } from '../support/tokens';
import { START_MS } from '../support/unit-platform';

interface Held {
  readonly lookup: Lookup;
  state(): StoreState;
  tell(...facts: readonly StorageFact[]): void;
  find(query: CredentialQuery): readonly string[];
}

/** A lookup as the loop keeps it: told of each change, asked with the list of now. */
function held(): Held {
  const lookup = createLookup();
  let state = UNKNOWN_STATE;
  return {
    lookup,
    state: () => state,
    tell: (...told) => {
      const folded = fold(
        state,
        told.map((fact) => ({ ...fact, at: START_MS })),
        lookup.get,
      );
      state = folded.state;
      for (const { before, after } of folded.changes) lookup.update(before, after);
    },
    find: (query) => lookup.ids(compileQuery(query), state.credentials),
  };
}

const restored = (credentials: readonly ReturnType<typeof facts>[], defaultId: string | null = null): StorageFact => ({
  type: 'restored',
  durable: true,
  credentials,
  defaultId,
});
const put = (type: 'token_added' | 'token_replaced' | 'metadata_updated', changes: Parameters<typeof facts>[0]): StorageFact => {
  const credential = facts(changes);
  return { type, id: credential.id, generation: credential.generation, credential };
};
/** Ten of these carry each tag, client and group, however many there are. */
const many = (count: number) =>
  Array.from({ length: count }, (_, n) =>
    facts({
      id: `id-${(n * 7919) % count}`,
      storedAt: START_MS + n,
      tags: ['all', `tag:${n % (count / 10)}`],
      scope: `openid s${n % (count / 10)}`,
      claims: { ...CLAIMS, sub: `user-${n}`, groups: ['staff', `g${n % (count / 10)}`] },
      context: { issuer: CLAIMS.iss, clientId: `client-${n % (count / 10)}` },
    }),
  );

/** Credentials that count how often anything is read of them. */
function counted(list: readonly CredentialState[]): { readonly list: readonly CredentialState[]; reads(): number } {
  let reads = 0;
  const handler: ProxyHandler<CredentialState> = { get: (of, name) => (reads++, Reflect.get(of, name) as unknown) };
  return { list: list.map((one) => new Proxy(one, handler)), reads: () => reads };
}

describe('finding', () => {
  const queries: readonly [string, CredentialQuery][] = [
    ['tags', { tags: 'tag:3' }],
    ['clientId', { clientId: 'client-3' }],
    ['a claim', { claims: { groups: 'g3' } }],
    ['a list claim', { claims: { groups: ['staff', 'g3'] } }],
    ['scopes', { scope: 'openid s3' }],
    ['several', { issuer: CLAIMS.iss, tags: ['all', 'tag:3'], scope: 'openid' }],
  ];

  it.each(queries)('E68 by %s looks at as many of ten thousand credentials as of a hundred', (_, query) => {
    const looked = [100, 10_000].map((count) => {
      const one = held();
      one.tell(restored(many(count)));
      const { list, reads } = counted(one.state().credentials);
      one.lookup.reset(list);
      expect(one.lookup.ids(compileQuery(query), list)).toHaveLength(10);
      const before = reads();
      one.lookup.ids(compileQuery(query), list);
      return reads() - before;
    });
    expect(looked[1]).toBe(looked[0]);
    expect(looked[1]).toBeLessThan(200);
  });

  it('E68 costs nothing for who never asks: neither starting nor changing reads a field of what is not asked for', () => {
    const { list } = counted(
      many(100).map((one) => ({
        ...one,
        status: { token: 'valid', activity: 'idle' },
        isDefault: false,
        hasExpired: false,
        refreshFailure: null,
      })),
    );
    const fields = new Set<string | symbol>();
    const watched = list.map((one) => new Proxy(one, { get: (of, name) => (fields.add(name), Reflect.get(of, name) as unknown) }));
    const lookup = createLookup();
    lookup.reset(watched);
    lookup.update(watched[5], watched[6]);
    lookup.update(undefined, watched[5]);
    expect([...fields].sort()).toEqual(['id', 'storedAt']);
  });

  it('an id is found without any index, and so is what is asked for besides', () => {
    const one = held();
    one.tell(restored(many(100)));
    const { list, reads } = counted(one.state().credentials);
    one.lookup.reset(list);
    const before = reads();
    expect(one.lookup.ids(compileQuery({ id: 'id-7', tags: 'all', claims: { groups: 'staff' } }), list)).toEqual(['id-7']);
    expect(one.lookup.ids(compileQuery({ id: 'id-7', tags: 'none' }), list)).toEqual([]);
    expect(one.lookup.ids(compileQuery({ id: 'id-1000' }), list)).toEqual([]);
    expect(reads() - before).toBeLessThan(10);
  });

  it('what all of them have is not looked at in each', () => {
    const one = held();
    one.tell(restored(many(100)));
    const { list, reads } = counted(one.state().credentials);
    one.lookup.reset(list);
    const query = compileQuery({ issuer: CLAIMS.iss, tags: 'all', claims: { groups: 'staff' } });
    expect(one.lookup.ids(query, list)).toHaveLength(100);
    const before = reads();
    expect(one.lookup.ids(query, list)).toEqual(one.state().ids);
    expect(reads()).toBe(before);
  });

  it.each([1, 2])('a list of values never means a single one, though an index names both: %d of three have a list', (count) => {
    const one = held();
    const groups = (n: number) => (n < count ? ['x'] : 'x');
    one.tell(restored(Array.from({ length: 3 }, (_, n) => facts({ id: `${n}`, storedAt: n, claims: { ...CLAIMS, groups: groups(n) } }))));
    const ids = ['0', '1'].slice(0, count);
    expect(one.find({ claims: { groups: 'x' } })).toEqual(['0', '1', '2']);
    expect(one.find({ claims: { groups: ['x'] } })).toEqual(ids);
    one.tell(...['a', 'b', 'c'].map((id, n) => put('token_added', { id, storedAt: 10 + n })));
    expect(one.find({ claims: { groups: ['x'] } })).toEqual(ids);
  });

  it('gives the same frozen list until something of it changes: nobody can change a later answer', () => {
    const one = held();
    one.tell(restored(many(100)));
    const first = one.find({ tags: 'tag:3' });
    expect(() => ((first as string[]).length = 0)).toThrow(TypeError);
    expect(one.find({ tags: 'tag:3' })).toBe(first);
    one.tell({ type: 'token_removed', id: first[0] ?? '', generation: 9 });
    expect(one.find({ tags: 'tag:3' })).toEqual(first.slice(1));
    expect(first).toHaveLength(10);
  });

  it('the error of a query’s own function reaches the caller, and the next query works', () => {
    const one = held();
    one.tell(restored(many(10)));
    const broken = (): boolean => {
      throw new RangeError('mine');
    };
    expect(() => one.find(broken)).toThrow(new RangeError('mine'));
    expect(one.find({ tags: 'all' })).toHaveLength(10);
  });

  it('more different claims than there are indexes are found all the same, and cost no more indexes', () => {
    const one = held();
    const claims = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`c${n}`, n]));
    one.tell(restored([facts({ id: 'a', claims: { ...CLAIMS, ...claims } }), facts({ id: 'b', storedAt: START_MS + 1 })]));
    expect(one.find({ issuer: CLAIMS.iss })).toEqual(['a', 'b']);
    for (let n = 0; n < 60; n++) expect([n, one.find({ claims: { [`c${n}`]: n } })]).toEqual([n, ['a']]);
    expect(one.find({ claims: { c59: 58 } })).toEqual([]);
    expect(one.find({ claims: { c59: 59 }, issuer: CLAIMS.iss })).toEqual(['a']);
    const { list, reads } = counted(one.state().credentials);
    one.lookup.update(one.state().credentials[0], list[0]);
    expect(reads()).toBeLessThan(60);
  });
});

describe('keeping up', () => {
  it.each(['__proto__', 'constructor', 'toString'])('HT-7 %s is a tag, a claim and an id like others', (name) => {
    const one = held();
    one.tell(restored([facts({ id: name, tags: [name], claims: { ...CLAIMS, role: name } }), facts({ id: 'b', storedAt: START_MS + 1 })]));
    for (const query of [{ id: name }, { tags: name }, { claims: { role: name } }]) expect(one.find(query)).toEqual([name]);
    one.tell({ type: 'token_removed', id: name, generation: 1 });
    for (const query of [{ id: name }, { tags: name }, { claims: { role: name } }]) expect(one.find(query)).toEqual([]);
  });

  it('a value that a claim names twice, or that is no value, does no harm', () => {
    const one = held();
    one.tell(restored(['a', 'b', 'c', 'd'].map((id, n) => facts({ id, storedAt: n, claims: { ...CLAIMS, groups: 'y' } }))));
    one.tell(put('token_replaced', { id: 'a', storedAt: 0, claims: { ...CLAIMS, groups: ['x', 'x', NaN, { y: 1 }, ['x']] } }));
    expect(one.find({ claims: { groups: 'x' } })).toEqual(['a']);
    one.tell(put('token_replaced', { id: 'c', storedAt: 2, claims: { ...CLAIMS, groups: ['x', 'x'] } }));
    expect(one.find({ claims: { groups: 'x' } })).toEqual(['a', 'c']);
    one.tell({ type: 'token_removed', id: 'a', generation: 1 });
    expect(one.find({ claims: { groups: 'x' } })).toEqual(['c']);
    one.tell({ type: 'token_removed', id: 'c', generation: 1 });
    expect(one.find({ claims: { groups: 'x' } })).toEqual([]);
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ['gained', ['x'], ['x', 'y']],
    ['lost', ['x', 'y'], ['y']],
    ['exchanged', ['x'], ['y']],
    ['came', [], ['y']],
  ])('a tag that was %s is followed, in the place where the credential stays', (_, before, after) => {
    const one = held();
    one.tell(restored(['a', 'b', 'c', 'd'].map((id, n) => facts({ id, storedAt: n, tags: id === 'b' ? before : [] }))));
    for (const tag of ['x', 'y']) expect(one.find({ tags: tag })).toEqual(before.includes(tag) ? ['b'] : []);
    one.tell(put('metadata_updated', { id: 'b', storedAt: 1, tags: after }));
    for (const tag of ['x', 'y']) expect(one.find({ tags: tag })).toEqual(after.includes(tag) ? ['b'] : []);
  });

  it('a credential that was stored again later moves in the answers, too', () => {
    const one = held();
    one.tell(restored(['a', 'b', 'c', 'd'].map((id, n) => facts({ id, storedAt: n, tags: id === 'd' ? [] : ['x'] }))));
    expect(one.find({ tags: 'x' })).toEqual(['a', 'b', 'c']);
    one.tell(put('token_replaced', { id: 'a', storedAt: 9, tags: ['x'], generation: 3 }));
    expect(one.find({ tags: 'x' })).toEqual(['b', 'c', 'a']);
  });

  it('reset forgets what was indexed before', () => {
    const one = held();
    one.tell(restored(many(40)));
    expect(one.find({ tags: 'tag:1' })).toHaveLength(10);
    const other = held();
    other.tell(restored(Array.from({ length: 40 }, (_, n) => facts({ id: `other-${n}`, storedAt: n, tags: n < 2 ? ['tag:1'] : [] }))));
    one.lookup.reset(other.state().credentials);
    expect(one.lookup.ids(compileQuery({ tags: 'tag:1' }), other.state().credentials)).toEqual(['other-0', 'other-1']);
    expect(one.lookup.get('id-1')).toBeUndefined();
  });

  it('answers as a walk over all credentials would, whatever happened and whatever was asked before', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', '__proto__');
    const word = fc.constantFrom('x', 'y', '__proto__', 'constructor');
    const value = fc.oneof(word, fc.constantFrom(0, 1, null, true));
    const credential = fc
      .record({
        id,
        generation: fc.integer({ min: 1, max: 5 }),
        storedAt: fc.option(fc.integer({ min: START_MS, max: START_MS + 4 }), { freq: 2 }),
        tags: fc.uniqueArray(word),
        scope: fc.array(word).map((words) => words.join(' ')),
        expiresAt: fc.constantFrom(null, START_MS + 60_000),
        claims: fc.option(fc.record({ role: fc.oneof(value, fc.array(value)), aud: fc.oneof(word, fc.array(word)), sub: word })),
        context: fc.record({ issuer: word, clientId: word, resource: word }, { requiredKeys: ['issuer', 'clientId'] }),
      })
      .map(({ claims, storedAt, ...rest }) =>
        facts({ ...rest, storedAt: storedAt ?? START_MS + rest.id.length, claims: claims && { ...CLAIMS, ...claims } }),
      );
    const fact: fc.Arbitrary<StorageFact> = fc.oneof(
      {
        weight: 6,
        arbitrary: fc
          .tuple(fc.constantFrom('token_added', 'token_replaced', 'metadata_updated'), credential)
          .map(([type, one]) => put(type, one)),
      },
      { weight: 2, arbitrary: fc.record({ id }).map((one): StorageFact => ({ type: 'token_removed', generation: 9, ...one })) },
      { weight: 1, arbitrary: fc.option(id).map((one): StorageFact => ({ type: 'default_changed', id: one })) },
      {
        weight: 1,
        arbitrary: fc.record({ id, generation: fc.integer({ min: 1, max: 5 }) }).map((one): StorageFact => ({ type: 'expired', ...one })),
      },
      {
        weight: 1,
        arbitrary: fc
          .array(credential, { maxLength: 6 })
          .map((all) => restored([...new Map(all.map((one) => [one.id, one])).values()], 'a')),
      },
      { weight: 1, arbitrary: fc.constant<StorageFact>({ type: 'cleared' }) },
    );
    const query: fc.Arbitrary<CredentialQuery> = fc.oneof(
      fc.record(
        {
          id,
          tags: fc.oneof(word, fc.array(word)),
          scope: fc.array(word),
          issuer: word,
          clientId: word,
          resource: word,
          sub: word,
          isDefault: fc.boolean(),
          expiresAt: fc.constantFrom(null, START_MS + 60_000),
          claims: fc.record({ role: fc.oneof(value, fc.array(value)), aud: fc.oneof(word, fc.array(word)) }, { requiredKeys: [] }),
        },
        { requiredKeys: [] },
      ),
      fc.constant<CredentialQuery>(({ tags }) => tags.includes('x')),
    );
    const step = fc.record({ told: fc.array(fact, { maxLength: 4 }), asked: fc.array(query, { maxLength: 3 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const one = held();
        one.tell(restored([]));
        for (const { told, asked } of steps) {
          one.tell(...told);
          for (const each of asked) expect([each, one.find(each)]).toEqual([each, idsOfMatches(one.state().credentials, naive(each))]);
          for (const known of one.state().credentials) expect(one.lookup.get(known.id)).toBe(known);
        }
      }),
      { numRuns: runs(400, 20_000) },
    );
  });

  it('does so among many, where most values are common', () => {
    const one = held();
    one.tell(restored(many(200)));
    const queries: CredentialQuery[] = [
      { tags: 'all' },
      { tags: ['all', 'tag:3'] },
      { issuer: CLAIMS.iss, clientId: 'client-4', tags: 'tag:4' },
      { claims: { groups: ['staff'] } },
      { claims: { groups: ['staff', 'g3'] }, scope: 's3' },
      { scope: 'openid', sub: 'user-77' },
      { issuer: 'https://other.example' },
    ];
    const check = (): void => {
      for (const query of queries) expect(one.find(query)).toEqual(idsOfMatches(one.state().credentials, naive(query)));
    };
    check();
    for (let n = 0; n < 200; n += 3)
      one.tell(put('token_replaced', { id: `id-${n}`, generation: 2, storedAt: START_MS + 500 - n, tags: ['tag:3'] }));
    check();
    for (let n = 0; n < 200; n += 7) one.tell({ type: 'token_removed', id: `id-${n}`, generation: 3 });
    check();
    for (let n = 0; n < 50; n++) one.tell(put('token_added', { id: `new-${n}`, storedAt: START_MS - 25 + n, tags: ['all', 'tag:3'] }));
    check();
  });
});

/** The same question, answered by reading the criteria one after the other. */
function naive(query: CredentialQuery): (credential: CredentialState) => boolean {
  if (typeof query === 'function') return query;
  const listOf = <T>(one: T | readonly T[] | undefined): readonly T[] => (one === undefined ? [] : ([one].flat() as T[]));
  return ({ id, tags, scope, context, claims, isDefault, expiresAt }) => {
    const words = listOf(query.scope).flatMap((asked) => asked.split(' '));
    const claimed = Object.entries(query.claims ?? {}).every(([name, asked]) => {
      const own = claims?.[name];
      if (!Array.isArray(asked)) return claims !== null && (own === asked || (Array.isArray(own) && own.includes(asked)));
      if (asked.length === 0) return true;
      const has = name === 'aud' && claims ? [claims.aud].flat() : own;
      return Array.isArray(has) && asked.every((each) => has.includes(each));
    });
    return (
      claimed &&
      (query.id === undefined || query.id === id) &&
      listOf(query.tags).every((tag) => tags.includes(tag)) &&
      words.every((word) => word === '' || scope.split(' ').includes(word)) &&
      (query.issuer === undefined || query.issuer === context.issuer) &&
      (query.clientId === undefined || query.clientId === context.clientId) &&
      (query.resource === undefined || query.resource === context.resource) &&
      (query.sub === undefined || query.sub === claims?.sub) &&
      (query.isDefault === undefined || query.isDefault === isDefault) &&
      (query.expiresAt === undefined || query.expiresAt === expiresAt)
    );
  };
}
