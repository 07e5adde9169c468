import { assertGranted, childFor, childOf, childrenWith, narrowed, targetFor, targetKey } from '../../src/credential/children';
import type { ChildToken, StoredSecrets, Target } from '../../src/credential/record';
import { aRecord, aToken, CANARY, CLAIMS } from '../support/tokens';
import { START_MS } from '../support/unit-platform';

const RESOURCE = 'https://api.example.com/';
const record = aRecord({
  scope: 'a b',
  context: { issuer: CLAIMS.iss, clientId: 'spa', scope: 'a b c', resource: RESOURCE, resources: [RESOURCE, 'urn:other'] },
});
const child = (changes: Partial<ChildToken> = {}): ChildToken => ({
  scope: 'a',
  accessToken: 'canary-child',
  tokenType: 'Bearer',
  granted: 'a',
  issuedAt: START_MS,
  expiresAt: START_MS + 60_000,
  ...changes,
});
const secrets = (...children: readonly ChildToken[]): StoredSecrets => ({ ...CANARY, children });

describe('what is asked for', () => {
  it.each<[string, { scope?: string; resource?: string }, Target | null]>([
    ['nothing', {}, null],
    ['all of the scope', { scope: 'b a' }, null],
    ['the resource of the login', { resource: RESOURCE }, null],
    ['both of them', { scope: 'a b', resource: RESOURCE }, null],
    ['less scope', { scope: 'a' }, { scope: 'a' }],
    ['less scope at the resource of the login', { scope: 'a', resource: RESOURCE }, { scope: 'a' }],
    ['more than the token has, but not more than was granted', { scope: 'c b a' }, { scope: 'a b c' }],
    ['another resource', { resource: 'urn:other' }, { resource: 'urn:other' }],
    ['all of the scope at another resource', { scope: 'b  a b', resource: 'urn:other' }, { scope: 'a b', resource: 'urn:other' }],
  ])('%s', (_, asked, target) => {
    expect(targetFor(record, asked)).toEqual(target);
  });

  it.each(['d', 'a d', 'A', 'a.b'])('6749-11 more than was granted is refused: %s', (scope) => {
    expect(() => targetFor(record, { scope })).toThrow(
      expect.objectContaining({ code: 'scope_not_granted', class: 'needs_user' }) as Error,
    );
  });

  it.each([`${RESOURCE}a`, 'http://api.example.com/', 'urn:third', 'urn:othe'])(
    'RES-1 E7 a resource that the login did not name is refused, where it named some: %s',
    (resource) => {
      const refused = expect.objectContaining({ code: 'scope_not_granted', class: 'needs_user' }) as Error;
      const { resources: _, ...one } = record.context;
      for (const context of [record.context, one]) expect(() => targetFor({ ...record, context }, { resource })).toThrow(refused);
      expect(() => targetFor({ ...record, context: one }, { resource: 'urn:other' })).toThrow(refused);
      const { resource: __, ...none } = one;
      expect(targetFor({ ...record, context: none }, { resource })).toEqual({ resource }); // some servers give what nobody named
    },
  );

  it.each(['https://api.example.com', 'HTTPS://API.example.com:443/'])(
    'RES-1 E7 a resource that the login spelled otherwise is that one: %s',
    (resource) => {
      const { resources: _, ...one } = record.context;
      for (const context of [record.context, one]) {
        expect(targetFor({ ...record, context }, { resource })).toBeNull();
        expect(targetFor({ ...record, context }, { resource, scope: 'a' })).toEqual({ scope: 'a' });
      }
      const second = { ...record.context, resource: 'urn:other' };
      expect(targetFor({ ...record, context: second }, { resource })).toEqual({ resource: RESOURCE }); // to the letter, for the server
      const both = { ...record.context, resources: [RESOURCE, 'https://api.example.com'] };
      expect(targetFor({ ...record, context: both }, { resource: 'https://api.example.com' })).toEqual({
        resource: 'https://api.example.com',
      });
    },
  );

  it('RES-1 is not refused where nothing renews: that is told, and nothing asked', () => {
    expect(targetFor({ ...record, renewable: false }, { resource: 'urn:third' })).toEqual({ resource: 'urn:third' });
  });

  it.each(['', ' ', 'a\tb', 'a\u00e9'])('is no scope: %j', (scope) => {
    expect(() => targetFor(record, { scope })).toThrow(TypeError);
  });

  it.each(['', '/a', 'a b:c', 'https://x.example/#f', 'https://x.example/a b'])('is no resource: %j', (resource) => {
    expect(() => targetFor(record, { resource })).toThrow(TypeError);
  });

  it('E63 no two targets share a name', () => {
    const targets: readonly (Target | null)[] = [null, ...['a', 'b', 'a b', undefined].flatMap((scope) =>
      [RESOURCE, `${RESOURCE}a`, 'urn:a', undefined].map((resource) => ({ ...(scope && { scope }), ...(resource && { resource }) })),
    )]; // prettier-ignore
    expect(new Set(targets.map(targetKey)).size).toBe(targets.length);
    expect(targetKey(undefined)).toBe(targetKey(null));
  });
});

describe('the children of a record', () => {
  it('TMB-1 E65 are found by exactly what is asked for', () => {
    const both = secrets(child(), child({ scope: 'a b' }), child({ resource: 'urn:a' }));
    expect(childFor(both, { scope: 'a' })).toBe(both.children?.[0]);
    expect(childFor(both, { scope: 'a b' })).toBe(both.children?.[1]);
    expect(childFor(both, { scope: 'a', resource: 'urn:a' })).toBe(both.children?.[2]);
    for (const target of [{ scope: 'b' }, { resource: 'urn:a' }, { scope: 'a b c' }, {}]) expect(childFor(both, target)).toBeUndefined();
    expect(childFor(null, { scope: 'a' })).toBeUndefined();
    expect(childFor(CANARY, { scope: 'a' })).toBeUndefined();
  });

  it('lose those that have expired, and take a new one in the place of its like', () => {
    const [dead, alive, eternal] = [
      child({ expiresAt: START_MS }),
      child({ scope: 'b', expiresAt: START_MS + 1 }),
      child({ scope: 'c', expiresAt: null }),
    ];
    expect(childrenWith(secrets(dead, alive, eternal), START_MS)).toEqual({ children: [alive, eternal] });
    const next = child({ scope: 'b', accessToken: 'next' });
    expect(childrenWith(secrets(dead, alive, eternal), START_MS, next)).toEqual({ children: [eternal, next] });
    expect(childrenWith(secrets(dead), START_MS)).toEqual({});
    expect(childrenWith(null, START_MS, next)).toEqual({ children: [next] });
  });

  it('are twenty at most: the oldest go', () => {
    let held: StoredSecrets = CANARY;
    for (let i = 0; i < 30; i++) held = { ...CANARY, ...childrenWith(held, START_MS, child({ resource: `urn:${i}` })) };
    expect(held.children?.map(({ resource }) => resource)).toEqual(Array.from({ length: 20 }, (_, i) => `urn:${i + 10}`));
  });

  it('come from an answer, whose scope is what was granted', () => {
    const token = aToken({ scope: 'a', accessToken: 'got' });
    const target = { scope: 'a', resource: 'urn:a' };
    const { tokenType, issuedAt, expiresAt } = token;
    expect(childOf(token, target)).toEqual({ ...target, accessToken: 'got', granted: 'a', tokenType, issuedAt, expiresAt });
  });
});

describe('the answer for a target', () => {
  it('E65 must grant all that was asked for', () => {
    expect(() => assertGranted(aToken({ scope: 'a b c' }), { scope: 'a b' })).not.toThrow();
    expect(() => assertGranted(aToken({ scope: 'b a' }), { scope: 'a b' })).not.toThrow();
    expect(() => assertGranted(aToken({ scope: '' }), { resource: 'urn:a' })).not.toThrow();
    expect(() => assertGranted(aToken({ scope: 'a' }), undefined)).not.toThrow();
    expect(() => assertGranted(aToken({ scope: 'a' }), { scope: 'a b' })).toThrow(
      expect.objectContaining({ code: 'scope_not_granted' }) as Error,
    );
  });

  it.each([
    ['api://x/read offline_access', 'api://x/read'],
    ['openid profile email address phone api://x/read', 'api://x/read'],
    ['api://x/.default offline_access', 'api://x/read'],
    ['offline_access', ''],
    ['openid offline_access', 'openid'],
  ])('E65 Entra: asked for %j, %j is not less: the others are about other tokens', (scope, granted) => {
    expect(() => assertGranted(aToken({ scope: granted }), { scope })).not.toThrow();
  });

  it.each([
    ['openid email', 'openid'],
    ['email offline_access', 'openid offline_access'],
    ['openid api://x/read', 'openid'],
  ])('E65 asked for %j, %j is less', (scope, granted) => {
    expect(() => assertGranted(aToken({ scope: granted }), { scope })).toThrow(
      expect.objectContaining({ code: 'scope_not_granted' }) as Error,
    );
  });

  it('is compared with what was asked for; the token itself with its grant', () => {
    const grant = { scope: 'a b', context: record.context, more: 1 };
    expect(narrowed(grant, undefined)).toBe(grant);
    expect(narrowed(grant, { resource: 'urn:a' })).toEqual({ ...grant, context: { ...record.context, resource: 'urn:a' } });
    expect(narrowed(grant, { scope: 'a' })).toMatchObject({ scope: 'a', more: 1 });
  });
});
