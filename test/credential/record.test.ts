import fc from 'fast-check';
import { factsOf } from '../../src/credential/facts';
import {
  defaultIdOf,
  NEW_STORE_RECORD,
  parseRecord,
  parseStoreRecord,
  recordFieldsOf,
  STORE_RECORD_ID,
  tokenOf,
  type ChildToken,
  type CredentialRecord,
} from '../../src/credential/record';
import { createToken } from '../../src/credential/create-token';
import type { Token, TokenFields } from '../../src/credential/token';
import { aRecord, aToken, CANARY, CLAIMS } from '../support/tokens';
import { START_MS } from '../support/unit-platform';
import { runs } from '../support/counts';

const parsed = (value: unknown, id = 'one'): CredentialRecord => {
  const record = parseRecord(value, id);
  if ('corrupt' in record) throw new Error(`corrupt: ${record.corrupt}`);
  return record;
};
const childToken = (changes: Partial<ChildToken> = {}): ChildToken => ({
  resource: 'https://api.example.com/orders',
  accessToken: 'canary-child',
  tokenType: 'Bearer',
  granted: 'a',
  issuedAt: START_MS,
  expiresAt: START_MS + 60_000,
  ...changes,
});
const full = aRecord({
  tags: ['b', 'a'],
  claims: { ...CLAIMS, aud: ['spa'], nonce: 'n', address: { street: ['x', { y: null }] } },
  context: {
    issuer: CLAIMS.iss,
    clientId: 'spa',
    scope: 'openid',
    resource: 'https://api.example.com/',
    resources: ['https://api.example.com/', 'https://api.example.com/a'],
    dpopKeyId: 'k',
    acrValues: 'gold',
    maxAge: 0,
  },
  secrets: { ...CANARY, children: [childToken(), childToken({ scope: 'a b', expiresAt: null })] },
  staged: {
    text: '{"access_token":"x"}',
    contentType: 'application/json',
    sentAt: START_MS,
    receivedAt: START_MS + 5,
    target: { scope: 'a', resource: 'https://api.example.com/a' },
  },
  intent: { holder: 'h', attempt: 2, generation: 1, startedAt: START_MS + 1, since: START_MS },
});

describe('a stored record', () => {
  it('E62 HT-7 with lists that are mostly holes, as a structured clone keeps them, is read in no time', () => {
    const holes = (...members: unknown[]): unknown[] => structuredClone(Object.assign([...members], { length: 2 ** 32 - 1 }));
    const before = performance.now();
    const secrets = { ...full.secrets, children: holes(childToken()) };
    const record = parsed({ ...full, tags: holes('a'), claims: { ...CLAIMS, aud: holes('spa') }, secrets });
    expect(performance.now() - before).toBeLessThan(1_000);
    expect(record).toMatchObject({ tags: ['a'], claims: { aud: ['spa'] }, secrets: { children: [{ resource: childToken().resource }] } });
  });

  it.each(['https://api.example.com/', ['urn:a'], ['urn:a', 'a'], [7], [['urn:a']], {}, null])(
    'RES-1 without other resources than its own, where the list of them is damaged, or lacks its own: %j',
    (resources) => {
      const { resources: _, ...one } = full.context;
      expect(parsed({ ...full, context: { ...full.context, resources } })).toEqual({ ...full, context: one });
    },
  );

  it.each([full.generation + 1, 1e15, -1, 'x'])(
    '7009-2 without a generation of revoked access tokens that has not been yet: %j',
    (agedAt) => {
      expect(parsed({ ...full, agedAt })).toEqual(full);
      expect(parsed({ ...full, agedAt: full.generation })).toEqual({ ...full, agedAt: full.generation });
    },
  );

  it('is read with sealed secrets: metadata needs no key', () => {
    const sealed = { ...full, secrets: { sealed: 'a.b.c', more: 1 }, staged: { sealed: 'd' } };
    const record = parsed(sealed);
    expect([record.secrets, record.staged]).toEqual([{ sealed: 'a.b.c' }, { sealed: 'd' }]);
    expect(factsOf(record)).toEqual(factsOf(full));
    expect(tokenOf(record)).toBeNull();
  });

  it('may hold the refresh token alone: then it holds no token that can be used', () => {
    const record = parsed({ ...full, secrets: { refreshToken: 'r' } });
    expect(record.secrets).toEqual({ refreshToken: 'r' });
    expect(tokenOf(record)).toBeNull();
  });

  it('has no refresh token where that is empty: nothing could be sent', () => {
    expect(parsed({ ...full, secrets: { accessToken: 'a', refreshToken: '' } }).secrets).toEqual({ accessToken: 'a' });
  });

  it.each<[string, (value: unknown) => unknown]>([
    ['structured clone', (value) => structuredClone(value)],
    ['JSON', (value) => JSON.parse(JSON.stringify(value)) as unknown],
  ])('E37 comes back whole through %s', (_, stored) => {
    expect(parsed(stored(full))).toEqual(full);
  });

  it('shares nothing with what was read, and cannot be changed', () => {
    const stored = structuredClone(full) as { -readonly [Name in keyof CredentialRecord]: CredentialRecord[Name] };
    const record = parsed(stored);
    (stored.tags as string[]).push('later');
    (stored.claims as { sub: string }).sub = 'mallory';
    expect(record).toEqual(full);
    expect(
      Object.isFrozen(record) && Object.isFrozen(record.tags) && Object.isFrozen(record.context) && Object.isFrozen(record.claims),
    ).toBe(true);
    expect(Object.isFrozen(record.secrets) && Object.isFrozen(record.staged) && Object.isFrozen(record.intent)).toBe(true);
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['a list', []],
    ['text', 'h'],
    ['no holder', { ...full.intent, holder: undefined }],
    ['a holder that is none', { ...full.intent, holder: 7 }],
    ['half an attempt', { ...full.intent, attempt: 0.5 }],
    ['a generation as text', { ...full.intent, generation: '1' }],
    ['a start of NaN', { ...full.intent, startedAt: NaN }],
    ['no first start', { ...full.intent, since: undefined }],
  ])('E62 RF-3 an intent that cannot be read is none, and the record is good: %s', (_, intent) => {
    const { intent: __, ...rest } = full;
    expect(parsed({ ...full, intent })).toEqual(rest);
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['text', 'x'],
    ['no access token', childToken({ accessToken: undefined as never })],
    ['an access token that breaks out of its header (6750-1)', childToken({ accessToken: 'a\r\nX-Evil: 1' })],
    ['another token type', childToken({ tokenType: 'mac' as never })],
    ['a scope that is none', childToken({ scope: 7 as never })],
    ['a resource that is none', childToken({ resource: 'orders' })],
    ['no granted scope', childToken({ granted: null as never })],
    ['an expiry of NaN (E70)', childToken({ expiresAt: NaN })],
    ['no expiry at all', childToken({ expiresAt: undefined as never })],
    ['no instant of issue', childToken({ issuedAt: undefined as never })],
  ])('E62 a child token that cannot be read is none, and harms no other: %s', (_, child) => {
    const kept = childToken({ scope: 'kept' });
    expect(parsed({ ...full, secrets: { ...CANARY, children: [child, kept] } }).secrets).toEqual({ ...CANARY, children: [kept] });
    expect(parsed({ ...full, secrets: { ...CANARY, children: [child] } }).secrets).toEqual(CANARY);
    expect(parsed({ ...full, secrets: { ...CANARY, children: child } }).secrets).toEqual(CANARY);
  });

  it('E37 every token that createToken accepts survives the way through storage', () => {
    const text = fc.string({ minLength: 1, unit: 'binary' });
    const fields = fc.record<TokenFields>(
      {
        id: text,
        accessToken: fc.stringMatching(/^[\x21-\x7e]+$/),
        refreshToken: text,
        idToken: text,
        tokenType: fc.constantFrom('Bearer', 'DPoP'),
        scope: fc.stringMatching(/^[a-z ]*$/),
        issuedAt: fc.double(),
        expiresAt: fc.option(fc.double()),
        claims: fc.option(
          fc.record({
            iss: text,
            sub: text,
            aud: fc.oneof(text, fc.array(text)),
            exp: fc.double(),
            iat: fc.double(),
            x: fc.jsonValue({ maxDepth: 3 }),
          }),
        ),
        context: fc.record({ issuer: text, clientId: text, maxAge: fc.nat() }, { requiredKeys: ['issuer', 'clientId'] }),
      },
      { requiredKeys: ['id', 'accessToken', 'tokenType', 'scope', 'issuedAt', 'expiresAt', 'claims', 'context'] },
    );
    const accepted: Token[] = [];
    fc.assert(
      fc.property(fields, (one) => {
        let token: Token;
        try {
          token = createToken(one);
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
          return;
        }
        accepted.push(token);
        const stored = structuredClone(aRecord({ id: token.id, ...recordFieldsOf(token) }));
        const back = tokenOf(parsed(stored, token.id));
        expect(back?.isEqual(token)).toBe(true);
        expect(back?.claims).toEqual(token.claims);
      }),
      { numRuns: runs(400, 10_000) },
    );
    expect(accepted.length).toBeGreaterThan(40);
  });
});

describe('E62 what is no record says why and throws nothing', () => {
  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'not_an_object'],
    ['null', null, 'not_an_object'],
    ['text', 'one', 'not_an_object'],
    ['a list', [full], 'not_an_object'],
    ['an older version', { ...full, v: 0 }, 'unknown_version'],
    ['a newer version', { ...full, v: 2 }, 'unknown_version'],
    ['the version as text', { ...full, v: '1' }, 'unknown_version'],
    ['the record of another id', { ...full, id: 'two' }, 'foreign_id'],
    ['a negative revision', { ...full, revision: -1 }, 'bad_counters'],
    ['a revision that only what is not stored has', { ...full, revision: 0 }, 'bad_counters'],
    ['half a revision', { ...full, revision: 1.5 }, 'bad_counters'],
    ['a generation beyond counting', { ...full, generation: 2 ** 53 }, 'bad_counters'],
    ['a claim that outranks all others for ever', { ...full, defaultClaim: Infinity }, 'bad_counters'],
    ['an epoch as text', { ...full, epoch: '0' }, 'bad_counters'],
    ['no storedAt', { ...full, storedAt: undefined }, 'bad_times'],
    ['an expiry of NaN (E70)', { ...full, expiresAt: NaN }, 'bad_times'],
    ['no expiry at all', { ...full, expiresAt: undefined }, 'bad_times'],
    ['issuedAt as a date', { ...full, issuedAt: new Date(START_MS) }, 'bad_times'],
    ['an unknown state', { ...full, state: 'ACTIVE' }, 'bad_state'],
    ['no context', { ...full, context: undefined }, 'bad_attributes'],
    ['a context without issuer', { ...full, context: { clientId: 'spa' } }, 'bad_attributes'],
    ['a context with an empty client', { ...full, context: { issuer: 'x', clientId: '' } }, 'bad_attributes'],
    ['tags that are none', { ...full, tags: 'a' }, 'bad_attributes'],
    ['a tag that is none', { ...full, tags: ['a', 1] }, 'bad_attributes'],
    ['claims without sub', { ...full, claims: { ...CLAIMS, sub: undefined } }, 'bad_attributes'],
    ['claims with an empty sub', { ...full, claims: { ...CLAIMS, sub: '' } }, 'bad_attributes'],
    ['claims with a number for an audience', { ...full, claims: { ...CLAIMS, aud: [1] } }, 'bad_attributes'],
    ['claims that expire at NaN', { ...full, claims: { ...CLAIMS, exp: NaN } }, 'bad_attributes'],
    ['another token type', { ...full, tokenType: 'mac' }, 'bad_attributes'],
    ['a resource that is no absolute URI', { ...full, context: { ...full.context, resource: 'api' } }, 'bad_attributes'],
    ['a resource that is no text', { ...full, context: { ...full.context, resource: null } }, 'bad_attributes'],
    ['no scope', { ...full, scope: null }, 'bad_attributes'],
    ['an active record without secrets', { ...full, secrets: null }, 'bad_secrets'],
    ['secrets without an access token and without a refresh token', { ...full, secrets: { idToken: 'i' } }, 'bad_secrets'],
    [
      'an access token that is no text beside a refresh token',
      { ...full, secrets: { accessToken: null, refreshToken: 'r' } },
      'bad_secrets',
    ],
    ['an empty refresh token, and nothing else', { ...full, secrets: { refreshToken: '' } }, 'bad_secrets'],
    ['sealed text that is none', { ...full, secrets: { sealed: 7 } }, 'bad_secrets'],
    ['an access token that breaks out of its header (6750-1)', { ...full, secrets: { accessToken: 'a\r\nX-Evil: 1' } }, 'bad_secrets'],
    ['secrets as text', { ...full, secrets: 'a' }, 'bad_secrets'],
    ['a staged answer without text', { ...full, staged: { sentAt: 1, receivedAt: 2 } }, 'bad_staged'],
    ['a staged answer of null', { ...full, staged: null }, 'bad_staged'],
    // Else a token that can do less would take the place of the whole one.
    ['a staged answer to nobody knows what', { ...full, staged: { ...full.staged, target: 7 } }, 'bad_staged'],
    ['a staged answer for a scope that is none', { ...full, staged: { ...full.staged, target: { scope: 7 } } }, 'bad_staged'],
  ])('%s', (_, value, reason) => {
    expect(parseRecord(value, 'one')).toEqual({ corrupt: reason });
  });

  it.each(['', '@store', '@anything'])('an id that no credential can have: %p', (id) => {
    expect(parseRecord({ ...full, id }, id)).toEqual({ corrupt: 'foreign_id' });
  });

  it('HT-7 garbage of any shape is judged, never thrown, and reaches no prototype', () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    fc.assert(
      fc.property(
        fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true, withMap: true, withSparseArray: true }),
        (value) => {
          expect(parseRecord(value, 'one')).toHaveProperty('corrupt');
          expect(parseStoreRecord(value)).toBeNull();
        },
      ),
      { numRuns: runs(500, 10_000) },
    );
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
  });

  it('E62 a record with one member replaced by garbage is either refused or usable', () => {
    const names = Object.keys(full);
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.anything(),
        fc.constantFrom('active', 'needs_sign_in', 'revoking', 'removed'),
        (name, garbage, state) => {
          const record = parseRecord({ ...full, state, [name]: garbage }, 'one');
          if ('corrupt' in record) return;
          expect(() => [tokenOf(record), factsOf(record), JSON.stringify(record)]).not.toThrow();
          expect(parseRecord(structuredClone(record), 'one')).toEqual(record);
        },
      ),
      { numRuns: runs(800, 10_000) },
    );
  });

  it('HT-7 __proto__, constructor and prototype are dropped at every depth of the claims', () => {
    const evil = '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}},"prototype":1,"kept":1}';
    const claims = JSON.parse(`{${JSON.stringify(CLAIMS).slice(1, -1)},"deep":[{"er":${evil}}],${evil.slice(1)}`) as unknown;
    const record = parsed({ ...full, claims });
    expect(record.claims).toMatchObject({ sub: 'alice', kept: 1, deep: [{ er: { kept: 1 } }] });
    const names = (value: unknown): string[] =>
      typeof value === 'object' && value !== null ? Object.entries(value).flatMap(([name, member]) => [name, ...names(member)]) : [];
    expect(names(record.claims).filter((name) => ['__proto__', 'constructor', 'prototype'].includes(name))).toEqual([]);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
    expect((record.claims as unknown as { admin?: boolean }).admin).toBeUndefined();
  });

  it('a record whose members come from __proto__ in JSON is none', () => {
    const text = JSON.stringify(full);
    expect(parseRecord(JSON.parse(`{"__proto__":${text}}`), 'one')).toEqual({ corrupt: 'unknown_version' });
  });

  it('HT-7 claims nested beyond 20 levels or with more than 2,000 members are refused, those at the bound are not', () => {
    const nested = (depth: number): unknown => (depth === 0 ? 'x' : { d: nested(depth - 1) });
    const wide = (count: number): unknown => Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, i]));
    const own = Object.keys(CLAIMS).length + 1;
    expect(parseRecord({ ...full, claims: { ...CLAIMS, deep: nested(20) } }, 'one')).not.toHaveProperty('corrupt');
    expect(parseRecord({ ...full, claims: { ...CLAIMS, deep: nested(21) } }, 'one')).toHaveProperty('corrupt');
    expect(parseRecord({ ...full, claims: { ...CLAIMS, wide: wide(2_000 - own) } }, 'one')).not.toHaveProperty('corrupt');
    expect(parseRecord({ ...full, claims: { ...CLAIMS, wide: wide(2_001 - own) } }, 'one')).toHaveProperty('corrupt');
  });

  it('claims that hold themselves are refused', () => {
    const loop: Record<string, unknown> = { ...CLAIMS };
    loop['self'] = loop;
    expect(parseRecord({ ...full, claims: loop }, 'one')).toEqual({ corrupt: 'bad_attributes' });
  });

  it('an unknown reason is no reason', () => {
    expect(parsed({ ...full, state: 'needs_sign_in', reason: 'canary' }).reason).toBeNull();
  });
});

describe('what a record yields', () => {
  it('tokenOf gives the token of an active record only', () => {
    expect(tokenOf(aRecord())?.isEqual(aToken())).toBe(true);
    expect(tokenOf(aRecord({ state: 'needs_sign_in' }))).toBeNull();
    expect(tokenOf(aRecord({ state: 'revoking' }))).toBeNull();
    expect(tokenOf(aRecord({ state: 'removed' }))).toBeNull();
    expect(tokenOf(aRecord({ secrets: null }))).toBeNull();
  });

  it('factsOf holds no secret, no staged answer and no counter of the storage, and nothing of a tombstone', () => {
    const shown = factsOf(full);
    expect(JSON.stringify(shown)).not.toMatch(/canary|access_token|holder/);
    expect(Object.keys(shown!).sort()).toEqual(
      [
        'claims',
        'context',
        'expiresAt',
        'generation',
        'id',
        'isRenewable',
        'issuedAt',
        'reason',
        'recordState',
        'scope',
        'storedAt',
        'tags',
        'tokenType',
      ].sort(),
    );
    expect(factsOf({ ...full, state: 'removed' })).toBeNull();
  });

  it('recordFieldsOf leaves out the secrets a token does not have', () => {
    const { accessToken } = CANARY;
    const token = createToken({ ...aToken(), accessToken, claims: null });
    expect(recordFieldsOf(token).secrets).toEqual({ accessToken });
    expect(recordFieldsOf(token)).not.toHaveProperty('id');
  });
});

describe('the default', () => {
  const store = { ...NEW_STORE_RECORD, revision: 1, epoch: 2 };
  const record = (id: string, defaultClaim: number, changes: Partial<CredentialRecord> = {}): CredentialRecord =>
    aRecord({ id, defaultClaim, epoch: 2, ...changes });

  it.each<[string, CredentialRecord[], number, string | null]>([
    ['nobody claimed it', [record('a', 0)], 0, null],
    ['the highest claim wins', [record('a', 1), record('b', 3), record('c', 2)], 0, 'b'],
    ['E61 of equal claims the one stored earlier', [record('b', 1, { storedAt: 5 }), record('a', 1, { storedAt: 6 })], 0, 'b'],
    ['of equal claims stored at once the lower id', [record('b', 1, { storedAt: 5 }), record('a', 1, { storedAt: 5 })], 0, 'a'],
    ['the claim that nobody is the default wins over lower ones', [record('a', 3)], 4, null],
    ['… and over an equal one', [record('a', 3)], 3, null],
    ['… and loses to a higher one', [record('a', 4)], 3, 'a'],
    ['a removed default is followed by nobody', [record('a', 1), record('b', 2, { state: 'removed' })], 0, null],
    ['one that needs sign-in stays the default', [record('a', 1, { state: 'needs_sign_in' })], 0, 'a'],
    ['what was cleared does not count', [record('a', 9, { epoch: 1 }), record('b', 1)], 0, 'b'],
    ['no records', [], 0, null],
  ])('%s', (_, records, nullClaim, id) => {
    expect(defaultIdOf(records, { ...store, nullClaim })).toBe(id);
    expect(defaultIdOf([...records].reverse(), { ...store, nullClaim })).toBe(id);
  });
});

describe('the store record', () => {
  const stored = { v: 1, id: STORE_RECORD_ID, revision: 3, epoch: 2, nullClaim: 1, topClaim: 4 };

  it('comes back whole, and nothing else with it', () => {
    expect(parseStoreRecord({ ...stored, more: 1 })).toEqual(stored);
  });

  it.each([
    null,
    'x',
    [],
    { ...stored, v: 2 },
    { ...stored, id: 'one' },
    { ...stored, epoch: -1 },
    { ...stored, revision: null },
    { ...stored, nullClaim: 0.5 },
    { ...stored, topClaim: -1 },
    { ...stored, topClaim: 'x' },
  ])('E62 %j is none', (value) => {
    expect(parseStoreRecord(value)).toBeNull();
  });
});
