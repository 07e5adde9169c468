import { idsOfMatches, matcher, normalizeTags, type CredentialQuery } from '../../src/credential/query';
import { reduce } from '../../src/credential/reducer';
import { UNKNOWN_STATE } from '../../src/credential/state';
import { CLAIMS, facts } from '../support/tokens';
import { START_MS } from '../support/unit-platform';

const { credentials } = reduce(UNKNOWN_STATE, {
  type: 'restored',
  durable: true,
  defaultId: 'a',
  at: START_MS,
  credentials: [
    facts({ id: 'a', storedAt: 1, tags: ['service:purchase', 'home'] }),
    facts({ id: 'b', storedAt: 2, tags: ['service:purchase'], claims: { ...CLAIMS, sub: 'bob' } }),
    facts({ id: 'c', storedAt: 3, claims: null, context: { issuer: 'https://other.example', clientId: 'cli' } }),
  ],
});
const found = (query: CredentialQuery): readonly string[] => idsOfMatches(credentials, matcher(query));

describe('find', () => {
  it.each<[string, CredentialQuery, string[]]>([
    ['a tag', { tags: 'service:purchase' }, ['a', 'b']],
    ['a list of tags means all of them', { tags: ['service:purchase', 'home'] }, ['a']],
    ['no tags ask for nothing', { tags: [] }, ['a', 'b', 'c']],
    ['half a tag is no tag', { tags: 'service' }, []],
    ['tags are case-sensitive', { tags: 'Home' }, []],
    ['subject', { sub: 'bob' }, ['b']],
    ['a subject never matches a credential without claims', { sub: 'undefined' }, []],
    ['client', { clientId: 'cli' }, ['c']],
    ['issuer', { issuer: CLAIMS.iss }, ['a', 'b']],
    ['criteria join by and', { tags: 'service:purchase', sub: 'alice' }, ['a']],
    ['undefined is no criterion', { sub: undefined }, ['a', 'b', 'c']],
    ['nothing asked for is everything', {}, ['a', 'b', 'c']],
    ['a function of the state', ({ isDefault }) => isDefault, ['a']],
  ])('%s', (_, query, ids) => {
    expect(found(query)).toEqual(ids);
  });

  it.each<[unknown, RegExp]>([
    [null, /query must be/],
    ['home', /query must be/],
    [{ tag: 'home' }, /query\.tag is no criterion/],
    [{ subject: 'x' }, /query\.subject/],
    [{ constructor: 'x' }, /query\.constructor/],
    [{ tags: 5 }, /query\.tags/],
    [{ tags: ['a', 5] }, /query\.tags/],
    [{ sub: 5 }, /query\.sub/],
    [{ issuer: null }, /query\.issuer/],
  ])('%j is a TypeError that names the criterion, never a query for everything', (query, message) => {
    expect(() => matcher(query as CredentialQuery)).toThrow(TypeError);
    expect(() => matcher(query as CredentialQuery)).toThrow(message);
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
