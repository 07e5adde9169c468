import { compileQuery, idsOfMatches, normalizeTags, type CredentialQuery } from '../../src/credential/query';
import { factsOf } from '../../src/credential/facts';
import { parseRecord, type CredentialRecord } from '../../src/credential/record';
import { reduce } from '../../src/credential/reducer';
import { UNKNOWN_STATE } from '../../src/credential/state';
import { aRecord, CLAIMS, facts } from '../support/tokens';
import { START_MS } from '../support/unit-platform';

const { credentials } = reduce(UNKNOWN_STATE, {
  type: 'restored',
  durable: true,
  defaultId: 'a',
  at: START_MS,
  credentials: [
    facts({
      id: 'a',
      storedAt: 1,
      tags: ['service:purchase', 'home'],
      claims: { ...CLAIMS, groups: ['x', 'y'], level: 2, vip: true, floors: [1, 2] },
    }),
    facts({
      id: 'b',
      storedAt: 2,
      tags: ['service:purchase'],
      scope: 'openid orders:read orders:write',
      claims: { ...CLAIMS, sub: 'bob', aud: ['spa', 'api'], groups: 'x', manager: null, address: { city: 'Köln' } },
      context: { issuer: CLAIMS.iss, clientId: 'spa', resource: 'https://api.example/v1', acrValues: 'gold', maxAge: 60 },
      issuedAt: START_MS + 5,
    }),
    facts({
      id: 'c',
      storedAt: 3,
      claims: null,
      scope: '',
      tokenType: 'DPoP',
      expiresAt: null,
      context: { issuer: 'https://other.example', clientId: 'cli', dpopKeyId: 'key' },
    }),
  ],
});
const found = (query: CredentialQuery): readonly string[] => idsOfMatches(credentials, compileQuery(query).test);

describe('find', () => {
  it.each<[string, CredentialQuery, string[]]>([
    ['a tag', { tags: 'service:purchase' }, ['a', 'b']],
    ['a list of tags means all of them', { tags: ['service:purchase', 'home'] }, ['a']],
    ['no tags ask for nothing', { tags: [] }, ['a', 'b', 'c']],
    ['half a tag is no tag', { tags: 'service' }, []],
    ['tags are case-sensitive', { tags: 'Home' }, []],
    ['id', { id: 'b' }, ['b']],
    ['an id is no prefix', { id: '' }, []],
    ['subject', { sub: 'bob' }, ['b']],
    ['a subject never matches a credential without claims', { sub: 'undefined' }, []],
    ['client', { clientId: 'cli' }, ['c']],
    ['issuer', { issuer: CLAIMS.iss }, ['a', 'b']],
    ['token type', { tokenType: 'DPoP' }, ['c']],
    ['key', { dpopKeyId: 'key' }, ['c']],
    ['acr values', { acrValues: 'gold' }, ['b']],
    ['max age', { maxAge: 60 }, ['b']],
    ['time of issue', { issuedAt: START_MS + 5 }, ['b']],
    ['time of expiry', { expiresAt: START_MS + 600_000 }, ['a', 'b']],
    ['no lifetime', { expiresAt: null }, ['c']],
    ['the default', { isDefault: true }, ['a']],
    ['all but the default', { isDefault: false }, ['b', 'c']],
    ['RES-1 resource', { resource: 'https://api.example/v1' }, ['b']],
    ['RES-1 a resource is no prefix', { resource: 'https://api.example/' }, []],
    [
      'RES-1 issuer, client, resource and scopes',
      { issuer: CLAIMS.iss, clientId: 'spa', resource: 'https://api.example/v1', scope: 'openid' },
      ['b'],
    ],
    ['a claim', { claims: { level: 2 } }, ['a']],
    ['a claim that is true', { claims: { vip: true } }, ['a']],
    ['a claim of another type', { claims: { level: '2', vip: 'true' } }, []],
    ['a claim of another type in one of two', { claims: { level: '2' } }, []],
    ['a list with values of another type', { claims: { floors: '1' } }, []],
    ['a number in a list', { claims: { floors: 1 } }, ['a']],
    ['a claim of null is one', { claims: { manager: null } }, ['b']],
    ['a claim that is an object is equal to nothing', { claims: { address: '[object Object]' } }, []],
    ['a list claim contains the value, a single one is it', { claims: { groups: 'x' } }, ['a', 'b']],
    ['a list of values: a list with all of them, never a single value', { claims: { groups: ['x'] } }, ['a']],
    ['all values of a list', { claims: { groups: ['y', 'x'] } }, ['a']],
    ['all values of a list, not some', { claims: { groups: ['x', 'z'] } }, []],
    ['an empty list of values asks for nothing', { claims: { groups: [] } }, ['a', 'b', 'c']],
    ['an audience', { claims: { aud: 'spa' } }, ['a', 'b']],
    ['an audience is a list, also where it is one string', { claims: { aud: ['spa'] } }, ['a', 'b']],
    ['several audiences', { claims: { aud: ['api', 'spa'] } }, ['b']],
    ['several claims', { claims: { groups: 'x', sub: 'alice' } }, ['a']],
    ['sub and claims.sub that differ', { sub: 'bob', claims: { sub: 'alice' } }, []],
    ['undefined in claims is no criterion', { claims: { sub: undefined } }, ['a', 'b', 'c']],
    ['criteria join by and', { tags: 'service:purchase', sub: 'alice' }, ['a']],
    ['undefined is no criterion', { sub: undefined }, ['a', 'b', 'c']],
    ['nothing asked for is everything', {}, ['a', 'b', 'c']],
    ['a function of the state', ({ isDefault }) => isDefault, ['a']],
  ])('%s', (_, query, ids) => {
    expect(found(query)).toEqual(ids);
  });

  it.each<[string | string[], string[]]>([
    ['orders:read', ['b']],
    ['orders:write openid', ['b']],
    ['openid  openid', ['a', 'b']],
    [['orders:read', 'openid'], ['b']],
    [['openid orders:read', 'orders:write'], ['b']],
    ['orders', []],
    ['OpenID', []],
    ['openid offline_access', []],
    ['', ['a', 'b', 'c']],
    [[], ['a', 'b', 'c']],
  ])('6749-2 E65 scopes %j are all granted, in any order', (scope, ids) => {
    expect(found({ scope })).toEqual(ids);
  });

  it('6749-2 a granted scope with a tab or a quote in it is no two scopes', () => {
    const one = credentials[0];
    expect(one && compileQuery({ scope: 'openid' }).test({ ...one, scope: 'openid\tx "openid"' })).toBe(false);
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('HT-7 %s is a name and a value like others', (name) => {
    const record = { ...aRecord(), tags: [name], claims: { ...CLAIMS, role: name } };
    const parsed = factsOf(parseRecord(structuredClone(record), 'one') as CredentialRecord);
    const state = reduce(UNKNOWN_STATE, {
      type: 'restored',
      durable: true,
      defaultId: null,
      at: START_MS,
      credentials: [...(parsed ? [parsed] : []), facts({ id: 'two' })],
    });
    const idsOf = (query: CredentialQuery) => idsOfMatches(state.credentials, compileQuery(query).test);
    expect(idsOf({ tags: name })).toEqual(['one']);
    expect(idsOf({ claims: { role: name } })).toEqual(['one']);
    for (const value of ['x', null, 'function']) expect(idsOf({ claims: { [name]: value } })).toEqual([]);
    expect(idsOf({ claims: JSON.parse(`{"${name}":"x"}`) as never })).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['a list', []],
    ['a map', new Map()],
    ['a date', new Date(0)],
    ['a promise', Promise.resolve({})],
  ])('%s is no query, least of all one for everything', (_, query) => {
    expect(() => compileQuery(query as never)).toThrow(/plain object/);
  });

  it.each<[unknown, RegExp]>([
    [null, /query must be/],
    ['home', /query must be/],
    [undefined, /query must be/],
    [{ tag: 'home' }, /query\.tag is no criterion; use id, issuer, clientId, .*sub, tags, scope, claims or a function$/],
    [{ subject: 'x' }, /query\.subject/],
    [{ constructor: 'x' }, /query\.constructor is no criterion/],
    [JSON.parse('{"__proto__":"x"}'), /query\.__proto__ is no criterion/],
    [['a'], /plain object/],
    [{ tags: 5 }, /query\.tags must be a string or a list of strings/],
    [{ tags: ['a', 5] }, /query\.tags/],
    [{ tags: null }, /query\.tags/],
    [{ sub: 5 }, /query\.sub must be a string/],
    [{ issuer: null }, /query\.issuer must be a string/],
    [{ clientId: ['a'] }, /query\.clientId must be a string, not a list/],
    [{ id: ['a', 'b'] }, /query\.id must be a string, not a list/],
    [{ sub: [] }, /query\.sub must be a string, not a list/],
    [{ tokenType: true }, /query\.tokenType must be a string/],
    [{ isDefault: 'true' }, /query\.isDefault must be a boolean/],
    [{ maxAge: NaN }, /query\.maxAge must be a number/],
    [{ expiresAt: '5' }, /query\.expiresAt must be a number or null/],
    [{ resource: new URL('https://api.example') }, /query\.resource must be a string/],
    [{ scope: 5 }, /query\.scope must be a string or a list of strings/],
    [{ scope: 'a"b' }, /query\.scope: /],
    [{ claims: null }, /query\.claims must be an object/],
    [{ claims: ['sub'] }, /query\.claims must be an object/],
    [{ claims: 'alice' }, /query\.claims must be an object/],
    [{ claims: { sub: ['a'] } }, /query\.claims\.sub must be one value, not a list/],
    [{ claims: { email: [] } }, /query\.claims\.email must be one value, not a list/],
    [{ claims: { x: {} } }, /query\.claims\.x must be/],
    [{ claims: { x: [['a']] } }, /query\.claims\.x must be/],
    [{ claims: { x: NaN } }, /query\.claims\.x must be/],
    [{ claims: { x: [undefined] } }, /query\.claims\.x must be/],
  ])('%j is a TypeError that names the criterion, never a query for everything', (query, message) => {
    expect(() => compileQuery(query as CredentialQuery)).toThrow(TypeError);
    expect(() => compileQuery(query as CredentialQuery)).toThrow(message);
  });
});

describe('tags', () => {
  it('are kept once each, in the order given, frozen, apart from the caller’s list', () => {
    const given = ['b', 'a', 'b'];
    const tags = normalizeTags(given);
    given.push('later');
    expect(tags).toEqual(['b', 'a']);
    expect(Object.isFrozen(tags)).toBe(true);
  });

  it.each(['home', [''], [5], null, undefined, { 0: 'a', length: 1 }])('%j is a TypeError', (tags) => {
    expect(() => normalizeTags(tags as never)).toThrow(TypeError);
  });
});
