import { IDBFactory } from 'fake-indexeddb';
import fc from 'fast-check';
import { StorageError } from '../../src/errors';
import { inProcessLocks } from '../../src/platform/in-process-locks';
import type { Locks, Page, Platform } from '../../src/platform/platform';
import { cookieStorage, requestJar, type CookieStorageOptions } from '../../src/storage/cookie';
import { sealed, staticKeys } from '../../src/storage/sealed';
import type { CredentialStorage, StoredRecord } from '../../src/storage/storage';
import { describeStorage } from '../contract/storage-contract';
import { aRecord, CANARY } from '../support/tokens';
import { fakePage, unitPlatform } from '../support/unit-platform';
import { browserJar, type BrowserJar } from './cookie-jar';
import { tabPlatform } from './web-fakes';

const originLocks = (): Locks => ({ ...inProcessLocks(), reach: 'origin' });

/** A page that has these cookies. */
function pageOf(jar: Pick<BrowserJar, 'read' | 'write'>): Page {
  return { ...fakePage('https://app.example.com/'), cookies: () => jar.read(), setCookie: (cookie) => jar.write(cookie) };
}

/** The platform of a page with these cookies. Pages of one browser share their databases and locks. */
function pageWith(jar: Pick<BrowserJar, 'read' | 'write'> & Partial<BrowserJar>, locks = originLocks()): Platform {
  return tabPlatform(pageOf(jar), { locks, indexedDB: jar.indexedDB ?? new IDBFactory() });
}

const onPage = (jar: BrowserJar, options: CookieStorageOptions = {}): CredentialStorage =>
  cookieStorage({ namespace: 'app', platform: pageWith(jar), ...options });

/** The same cookies, as a server has them: of which form they are shows without the copies that tabs need. */
const onServer = (jar: BrowserJar): CredentialStorage => cookieStorage({ namespace: 'app', jar });

/** Many changes, each with a database of its own. */
const PATIENCE_MS = 60_000;
const BASE = '__Host-app.';
const namesIn = (jar: BrowserJar): string[] => jar.stored().map(({ name }) => name);
const valueIn = (jar: BrowserJar, name: string): string | undefined => jar.stored().find((one) => one.name === name)?.value;
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof StorageError ? error.code : error),
  );
/** A record with so much text in it. */
const long = (length: number, revision = 1, fill = 'x') => ({ id: 'one', revision, text: fill.repeat(length) });

{
  const [jar, locks] = [browserJar(), originLocks()];
  describeStorage('cookieStorage in a page, every tab in a process of its own', {
    create: (namespace) => cookieStorage({ namespace, maxAgeS: 3_600, platform: pageWith(jar.inProcess(3), locks) }),
    plant: async (namespace, id, value) => {
      const text = encodeURIComponent(JSON.stringify(value));
      jar.write(`__Host-${namespace}.${id}=${text}; Path=/; Secure`);
      jar.deliver();
      return text;
    },
  });
}
{
  const made = new Map<string, { storage: CredentialStorage; jar: ReturnType<typeof requestJar> }>();
  const at = (namespace: string) => {
    const jar = made.get(namespace)?.jar ?? requestJar('theirs=1');
    const one = made.get(namespace) ?? { jar, storage: cookieStorage({ namespace, jar }) };
    made.set(namespace, one);
    return one;
  };
  describeStorage('cookieStorage in a request', {
    create: (namespace) => at(namespace).storage,
    plant: async (namespace, id, value) => {
      const text = encodeURIComponent(JSON.stringify(value));
      at(namespace).jar.write(`__Host-${namespace}.${id}=${text}`);
      return text;
    },
  });
}

describe('cookieStorage', () => {
  it('6750-5 demands to be sealed', () => {
    expect(cookieStorage({ jar: requestJar() }).needsSealing).toBe(true);
  });

  it('6750-5 inside sealed no token is in a cookie, and the record comes back', async () => {
    const jar = browserJar();
    const keys = staticKeys([{ kid: 'k', key: new Uint8Array(32) }]);
    const storage = sealed(onPage(jar), { keys });
    expect(storage.needsSealing).toBeUndefined();
    await storage.open();
    expect(await storage.write(aRecord(), 'absent')).toBe(true);
    const text = decodeURIComponent(jar.read());
    expect(text).toContain(`'sealed':'`);
    for (const secret of Object.values(CANARY)) expect(text).not.toContain(secret);
    const stored = (await storage.read('one')) as StoredRecord;
    expect(await storage.unseal(stored)).toEqual(aRecord());
    await storage.close();
  });

  it('says what it is: shared by the tabs of an origin, small, and gone with the browser unless told to stay', async () => {
    const expected = { coherent: true, durability: 'none', reach: 'origin', capacity: 8_192 };
    expect(await onPage(browserJar()).open()).toEqual(expected);
    expect(await onPage(browserJar(), { maxAgeS: 60 }).open()).toEqual({ ...expected, durability: 'relaxed' });
    expect(await cookieStorage({ jar: requestJar() }).open()).toEqual({ ...expected, reach: 'process' });
    expect(cookieStorage().namespace).toBe('rx-credentials');
  });

  it('BBA-2 touches nothing before it is opened, and leaves nothing behind when it is', async () => {
    const page = {
      get page(): never {
        throw new Error('touched');
      },
    } as unknown as Platform;
    expect(() => cookieStorage({ platform: page })).not.toThrow();
    const jar = browserJar();
    await onPage(jar).open();
    expect(jar.stored()).toEqual([]);
    const request = requestJar();
    await cookieStorage({ jar: request }).open();
    expect(request.setCookies()).toEqual([]);
  });

  describe('attributes', () => {
    const wrong = (name: keyof CookieStorageOptions, value: unknown): [string, CookieStorageOptions, string] => [
      `a ${name} that is ${JSON.stringify(value)}`,
      { [name]: value },
      name,
    ];

    it.each<[string, CookieStorageOptions, string]>([
      ['a name that browsers guard, by default', {}, '; Path=/; Secure; SameSite=Lax'],
      ['a lifetime', { maxAgeS: 34_560_000 }, '; Path=/; Max-Age=34560000; Secure; SameSite=Lax'],
      ['an embedded page', { sameSite: 'None', partitioned: true }, '; Path=/; Secure; SameSite=None; Partitioned'],
      ['a domain', { prefix: '__Secure-', domain: 'example.com', path: '/' }, '; Path=/; Domain=example.com; Secure; SameSite=Lax'],
      ['little', { prefix: '', secure: false, sameSite: 'Strict' }, '; Path=/; SameSite=Strict'],
    ])('CK-1 CK-5 are those of %s, and the same when a cookie is deleted', async (_, options, attributes) => {
      const jar = browserJar();
      const storage = onPage(jar, options);
      expect(await storage.write(long(10), 'absent')).toBe(true);
      expect(jar.written.map((cookie) => cookie.slice(cookie.indexOf(';')))).toEqual([attributes]);
      expect(namesIn(jar)).toEqual([`${options.prefix ?? '__Host-'}app.one`]);
      expect(await storage.remove('one', 1)).toBe(true);
      const deleted = jar.written.at(-1) ?? '';
      expect(deleted).toContain('=; ');
      expect(deleted.slice(deleted.indexOf(';')).replace('; Max-Age=0', '')).toBe(attributes.replace(/; Max-Age=\d+/, ''));
      expect(jar.stored()).toEqual([]);
    });

    it.each<[string, CookieStorageOptions, string]>([
      ['a __Host- cookie with a domain', { domain: 'example.com' }, 'prefix'],
      ['a __Host- cookie with a path', { path: '/app' }, 'prefix'],
      ['a __Host- cookie that is not Secure', { secure: false }, 'secure'],
      ['a __Secure- cookie that is not Secure', { prefix: '__Secure-', secure: false }, 'secure'],
      ['SameSite=None that is not Secure', { prefix: '', secure: false, sameSite: 'None' }, 'secure'],
      ['Partitioned that is not Secure', { prefix: '', secure: false, partitioned: true }, 'secure'],
      ['more than 400 days', { maxAgeS: 34_560_001 }, 'maxAgeS'],
      ['no time at all', { maxAgeS: 0 }, 'maxAgeS'],
      ['half a second', { maxAgeS: 0.5 }, 'maxAgeS'],
      ['a time that is none', { maxAgeS: NaN }, 'maxAgeS'],
      ['a path that is none', { prefix: '', path: 'app' }, 'path'],
      ['a path with attributes in it', { prefix: '', path: '/;Domain=evil.example' }, 'path'],
      ['a path with a line break', { prefix: '', path: '/\r\nSet-Cookie: a=b' }, 'path'],
      ['a path that browsers ignore', { prefix: '', path: `/${'é'.repeat(512)}` }, 'path'],
      ['a domain with attributes in it', { prefix: '', domain: 'example.com; Path=/' }, 'domain'],
      ['a domain that is empty', { prefix: '', domain: '' }, 'domain'],
      ['a domain that browsers ignore', { prefix: '', domain: 'a'.repeat(1_025) }, 'domain'],
      ['a namespace that makes a prefix of its own', { prefix: '', namespace: '__host-app' }, 'namespace'],
      ['a namespace that makes the prefix another one', { namespace: 'Http-app' }, 'namespace'],
      ...['__Host-Http-', '__host-', 'app-', 'a;Domain=evil.example', null].map((prefix) => wrong('prefix', prefix)),
      ...['lax', 'Lax; Domain=evil.example', '', null, true].map((sameSite) => wrong('sameSite', sameSite)),
    ])('CK-1 CK-3 refuse %s', (_, options, name) => {
      expect(() => cookieStorage(options)).toThrow(new RegExp(`^cookieStorage: \`${name}\` `));
      expect(() => cookieStorage(options)).toThrow(TypeError);
    });

    const blanks = ['\u2003', '\u00a0', '\ufeff', '\u3000', '\u2028', '\u00a0 \t'];
    it.each(blanks)('CK-1 a cookie of another host whose name begins with white space (%j) is none of ours', async (blank) => {
      const [planted, jar] = [requestJar(), browserJar({ url: 'https://app.example.com/' })];
      await cookieStorage({ namespace: 'app', jar: planted }).write({ id: 'planted', revision: 1 }, 'absent');
      const text = planted.read();
      const evil = jar.at('https://evil.app.example.com/');
      evil.write(`${text}; Domain=app.example.com; Path=/; Secure`);
      expect(jar.read()).toBe(''); // as a browser guards the name
      evil.write(`${blank}${text}; Domain=app.example.com; Path=/; Secure`);
      expect(jar.read()).toBe(`${blank}${text}`);
      expect(await onPage(jar).readAll()).toEqual([]);
      for (const header of [jar.read(), `a=1; ${jar.read()}`, `a=1;\t${jar.read()}`]) {
        expect(await cookieStorage({ namespace: 'app', jar: requestJar(header) }).readAll()).toEqual([]);
      }
      for (const header of [`a=1;${text}`, `a=1;  ${text}`, `a=1;\t${text} \t; b=2`]) {
        expect(await cookieStorage({ namespace: 'app', jar: requestJar(header) }).read('planted')).toEqual({ id: 'planted', revision: 1 });
      }
    });

    it('CK-3 a record is kept so long after its last write, and all of it', async () => {
      const jar = browserJar();
      const storage = onPage(jar, { maxAgeS: 100 });
      await storage.write(long(4_000), 'absent');
      jar.advance(99);
      await storage.write(long(4_000, 2, 'y'), 1);
      jar.advance(99);
      expect(await storage.read('one')).toEqual(long(4_000, 2, 'y'));
      jar.advance(1);
      expect(await storage.readAll()).toEqual([]);
    });

    const claim = (id: string, revision: number, defaultClaim: number) => ({ id, revision, defaultClaim, text: 'x'.repeat(20) });
    const nobodyOf = (revision: number, nullClaim: number) => ({ id: '@store', revision, nullClaim });
    const nobody = nobodyOf(1, 5);
    it('E29 what says who the default is ends with the last record, not before it', async () => {
      const jar = browserJar();
      const storage = onPage(jar, { maxAgeS: 100 });
      await storage.write(nobody, 'absent');
      for (const [i, id] of ['low', 'tombstone', 'bob'].entries()) await storage.write(claim(id, 1, [1, 3, 2][i] ?? 0), 'absent');
      jar.advance(99);
      await storage.write(claim('bob', 2, 2), 1);
      jar.advance(99);
      expect(new Map((await storage.readAll()).map(({ id, value }) => [id, value]))).toEqual(
        new Map<string, unknown>([
          ['@store', nobody],
          ['tombstone', claim('tombstone', 1, 3)],
          ['bob', claim('bob', 2, 2)],
        ]),
      );
      await storage.close();
    });

    it('RF-2 on a server a write sets its own cookies alone: what another request has written meanwhile must not come back', async () => {
      const jar = browserJar();
      const endless = onServer(jar);
      await endless.write(nobody, 'absent');
      await endless.write(claim('alice', 1, 2), 'absent');
      await endless.write(claim('bob', 1, 1), 'absent');
      const request = requestJar(jar.read());
      await cookieStorage({ namespace: 'app', jar: request }).write(claim('bob', 2, 1), 1);
      expect(request.setCookies()).toHaveLength(1);
      const timed = requestJar(jar.read());
      await cookieStorage({ namespace: 'app', jar: timed, maxAgeS: 100 }).write(claim('alice', 2, 2), 1);
      expect(timed.setCookies().map((line) => line.split('=', 1)[0])).toEqual(['__Host-app.alice']);
    });

    it('RF-2 an old copy of it is not set over what another tab has written', async () => {
      const [jar, locks] = [browserJar(), originLocks()];
      const tab = () => cookieStorage({ namespace: 'app', maxAgeS: 100, platform: pageWith(jar.inProcess(3), locks) });
      const [a, b] = [tab(), tab()];
      await a.write(nobody, 'absent');
      await a.write(claim('bob', 1, 2), 'absent');
      jar.deliver();
      expect(await a.read('@store')).toEqual(nobody);
      await b.write(nobodyOf(2, 9), 1);
      await a.write(claim('bob', 2, 2), 1);
      jar.deliver();
      for (const one of [a, b]) expect(await one.read('@store')).toEqual(nobodyOf(2, 9));
      await Promise.all([a.close(), b.close()]);
    });

    it('CK-2 what cannot be read, or has two cookies of its name, is not set anew', async () => {
      const jar = browserJar({ url: 'https://app.example.com/in/' });
      const storage = cookieStorage({ namespace: 'app', prefix: '', jar, maxAgeS: 100 });
      jar.write('app.%40store=broken; Path=/; Secure');
      jar.write('app.%40store=another; Path=/in/; Secure');
      await storage.write(claim('bob', 1, 2), 'absent');
      expect(jar.stored().map(({ value }) => value)).toEqual(expect.arrayContaining(['broken', 'another']));
    });
  });

  describe('size', () => {
    it('CK-2 around 3,799 to 4,097 bytes every record comes back, no cookie is larger than 3,800, and no byte is wasted', async () => {
      const jar = browserJar();
      const storage = onServer(jar);
      const largest = (): number => Math.max(...jar.stored().map(({ name, value }) => name.length + value.length));
      await storage.write(long(0), 'absent');
      const overhead = largest();
      const seen = new Set<number>();
      let revision = 1;
      for (let total = 3_799; total <= 4_097; total++) {
        const record = long(total - overhead, revision + 1);
        expect(await storage.write(record, revision++)).toBe(true);
        expect(await storage.read('one')).toEqual(record);
        expect(largest()).toBeLessThanOrEqual(3_800);
        seen.add(jar.stored().length);
      }
      expect(seen).toEqual(new Set([1, 3]));
      expect(jar.written.some((cookie) => cookie.split(';', 1)[0]?.length === 3_801)).toBe(true); // 3,800 and the =
    });

    it('CK-2 a cookie of 3,800 bytes is one cookie', async () => {
      const sizes = new Set<number>();
      for (const fill of ['x', 'y', 'z']) {
        for (let length = 3_690; length < 3_750; length++) {
          const jar = browserJar();
          await onServer(jar).write(long(length, 1, fill), 'absent');
          const [first] = jar.stored();
          if (first && jar.stored().length === 1) sizes.add(first.name.length + first.value.length);
        }
      }
      expect(Math.max(...sizes)).toBe(3_800);
    });

    it('CK-2 a record that shrinks and grows leaves no stale part', async () => {
      const jar = browserJar();
      const storage = onServer(jar);
      let revision = 0;
      for (const [length, cookies] of [
        [7_500, 3],
        [10, 1],
        [4_000, 3],
        [7_000, 3],
        [3_900, 3],
        [0, 1],
      ] as const) {
        // prettier-ignore
        expect(await storage.write(long(length, revision + 1), revision || 'absent')).toBe(true);
        expect(await storage.read('one')).toEqual(long(length, ++revision));
        expect([length, namesIn(jar).length]).toEqual([length, cookies]);
      }
      expect(await storage.remove('one', revision)).toBe(true);
      expect(jar.stored()).toEqual([]);
    });

    it('CK-2 all of them together take at most 8 KiB: what is more is refused with storage_failed, and says how much it is', async () => {
      const jar = browserJar();
      jar.write(`theirs=${'x'.repeat(4_000)}; Path=/`);
      const storage = onServer(jar);
      const header = (): number => jar.read().length + '; '.length - (4_000 + 'theirs=; '.length);
      await storage.write({ ...long(3_000), id: 'two' }, 'absent');
      await storage.write(long(0), 'absent');
      const left = 8_192 - header();
      expect(await storage.write(long(left - 200, 2), 1)).toBe(true);
      await expect(storage.write(long(left, 3), 2)).rejects.toThrow(/^The cookies would take \d{4} bytes, and 8192 is the limit\.$/);
      expect(await codeOf(storage.write(long(left, 3), 2))).toBe('storage_failed');
      expect(await storage.read('one')).toEqual(long(left - 200, 2));
      const room = 8_192 - header();
      expect(room).toBeGreaterThan(0);
      expect(await storage.write(long(left - 200 + room, 3), 2)).toBe(true);
      expect(header()).toBe(8_192);
      expect(await codeOf(storage.write(long(left - 200 + room + 1, 4), 3))).toBe('storage_failed');
    });

    it('CK-2 an id that leaves no room in a cookie is refused', async () => {
      const jar = browserJar();
      const id = 'i'.repeat(3_790);
      await expect(onServer(jar).write({ id, revision: 1 }, 'absent')).rejects.toThrow('The id of the record is too long');
      expect(jar.stored()).toEqual([]);
    });

    it('E37 values are of the shorter form: JSON as it is, but for quotes and commas, or base64url', async () => {
      const jar = browserJar();
      const storage = onServer(jar);
      await storage.write({ id: 'one', revision: 1, sealed: 'eyJ.a-b_c', odd: 'it\'s 100%; "ok"!\\' } as never, 'absent');
      expect(valueIn(jar, `${BASE}one`)).toMatch(
        /^0\.[0-9a-z]+-[0-9a-z]+\.j{'id':'one'!'revision':1!'sealed':'eyJ\.a-b_c'!'odd':'it%27s%20100%25%3B%20%5C'ok%5C'%21%5C%5C'}$/,
      );
      await storage.write({ id: 'two', revision: 1, name: '東京'.repeat(20) } as never, 'absent');
      expect(valueIn(jar, `${BASE}two`)).toMatch(/^0\.[0-9a-z]+-[0-9a-z]+\.b[\w-]+$/);
      expect((await storage.readAll()).map(({ value }) => value)).toEqual([
        { id: 'one', revision: 1, sealed: 'eyJ.a-b_c', odd: 'it\'s 100%; "ok"!\\' },
        { id: 'two', revision: 1, name: '東京'.repeat(20) },
      ]);
    });

    it('E37 any id and any text come back, and cookies hold nothing but what RFC 6265 lets them', async () => {
      const jar = browserJar();
      const storage = onServer(jar);
      const text = fc.string({ unit: 'binary', maxLength: 60 });
      await fc.assert(
        fc.asyncProperty(
          text,
          fc.dictionary(text, fc.jsonValue({ maxDepth: 2, stringUnit: 'binary' }), { maxKeys: 4 }),
          async (id, more) => {
            const record = JSON.parse(JSON.stringify({ ...more, id, revision: 1 })) as { id: string; revision: number };
            await storage.write(record, 'absent');
            for (const { name, value } of jar.stored()) {
              expect(name).toMatch(/^[\w!#$%&'*+.^`|~-]+$/);
              expect(value).toMatch(/^[!#-+\--:<-[\]-~]*$/);
            }
            expect(await storage.readAll()).toEqual([{ id, value: record }]);
            await storage.remove(id, 'any');
            expect(jar.stored()).toEqual([]);
          },
        ),
        { numRuns: 100 },
      );
    });

    it('E37 an id with half a character in it is an id', async () => {
      const storage = onServer(browserJar());
      const [high, low] = ['\ud83d', '\ude00'].map((id) => ({ id, revision: 1 }));
      await storage.write(high, 'absent');
      await storage.write(low, 'absent');
      expect(await storage.readAll()).toEqual([high, low].map((value) => ({ id: value.id, value })));
    });
  });

  describe('faults', () => {
    type Fault = 'the tab ends' | 'the browser drops it' | 'it throws';
    const SIZES: readonly (readonly [from: number | null, to: number | null])[] = [
      [null, 10],
      [null, 5_000],
      [10, 20],
      [10, 5_000],
      [5_000, 20],
      [5_000, 7_000],
      [7_000, 5_000],
      [20, null],
      [7_000, null],
    ];

    /** A change of one record, to be tried with a fault at one of its cookies. */
    async function change([from, to]: (typeof SIZES)[number], at = Infinity, fault: Fault = 'it throws') {
      const jar = browserJar();
      if (from !== null) await onPage(jar).write(long(from), 'absent');
      jar.write('theirs=1; Path=/');
      let cookies = 0;
      const write = (cookie: string): void => {
        const isFault = ++cookies === at || (cookies > at && fault === 'the tab ends');
        if (!isFault) jar.write(cookie);
        else if (fault !== 'the browser drops it') throw new Error('canary: no cookies');
      };
      const storage = onPage(jar, { platform: pageWith({ ...jar, write }) });
      const outcome = await codeOf(to === null ? storage.remove('one', 1) : storage.write(long(to, 2, 'y'), from === null ? 'absent' : 1));
      const found = await onPage(jar).read('one');
      const [old, next] = [from === null ? undefined : long(from), to === null ? undefined : long(to, 2, 'y')];
      return { jar, cookies, outcome, found, old, next };
    }

    it.each(SIZES)(
      'CK-2 from %j to %j: at whatever cookie the tab ends, there is the old record or the new, and the next write cleans up',
      async (...sizes) => {
        const { cookies: steps } = await change(sizes);
        expect(steps).toBeGreaterThan(0);
        for (let at = 1; at <= steps; at++) {
          const { jar, found, old, next } = await change(sizes, at, 'the tab ends');
          expect([old, next]).toContainEqual(found);
          expect((await onPage(jar).readAll()).map(({ value }) => value)).toEqual(found === undefined ? [] : [found]);
          const revision = (found as { revision: number } | undefined)?.revision ?? 'absent';
          expect(await onPage(jar).write(long(1, 9), revision)).toBe(true);
          expect(namesIn(jar).sort()).toEqual([`${BASE}one`, 'theirs']);
        }
      },
      PATIENCE_MS,
    );

    it.each(SIZES)(
      'CK-2 from %j to %j: whatever cookie the browser drops or refuses, true means the new record, and an error the old',
      async (...sizes) => {
        const { cookies: steps } = await change(sizes);
        const outcomes = new Set<unknown>();
        for (let at = 1; at <= steps; at++) {
          for (const fault of ['the browser drops it', 'it throws'] as const) {
            const { jar, outcome, found, old, next } = await change(sizes, at, fault);
            outcomes.add(outcome);
            if (outcome === 'no error') expect(found).toEqual(next);
            else if (fault === 'the browser drops it') expect(found).toEqual(old);
            else expect([old, next]).toContainEqual(found); // an old part that cannot be deleted: the record is the new one already
            await onPage(jar).sweep?.();
            const whole = (await onPage(jar).readAll()).length === 0 ? 0 : namesIn(jar).filter((name) => name.startsWith(BASE)).length;
            expect(namesIn(jar).length).toBe(whole + 1);
          }
        }
        expect(outcomes).toContain('storage_failed');
        expect(Array.from(outcomes).every((outcome) => outcome === 'storage_failed' || outcome === 'no error')).toBe(true);
      },
      PATIENCE_MS,
    );

    it('CK-2 what the browser pushes out for a record that it then does not keep whole comes back', async () => {
      const jar = browserJar({ limit: 2 });
      const storage = onPage(jar);
      await storage.write(long(10), 'absent');
      await storage.write({ ...long(10), id: 'two' }, 'absent');
      const before = jar.stored();
      expect(await codeOf(storage.write(long(5_000, 2, 'y'), 1))).toBe('storage_failed');
      expect(await storage.read('one')).toEqual(long(10));
      expect(new Set(jar.stored())).toEqual(new Set(before));
      expect(await storage.write(long(20, 2), 1)).toBe(true);
    });

    it('CK-2 of a first record that the browser does not keep whole nothing is left', async () => {
      const jar = browserJar({ limit: 2 });
      expect(await codeOf(onPage(jar).write(long(5_000), 'absent'))).toBe('storage_failed');
      expect(jar.stored()).toEqual([]);
    });

    it('CK-2 what a tab that ended has left takes no room from others', async () => {
      const { jar, found } = await change([null, 7_000], 3, 'the tab ends');
      expect([found, namesIn(jar).length]).toEqual([undefined, 3]);
      const other = { ...long(6_000), id: 'two' };
      expect(await onPage(jar).write(other, 'absent')).toBe(true);
      expect(await onPage(jar).readAll()).toEqual([{ id: 'two', value: other }]);
      expect(namesIn(jar).filter((name) => !name.startsWith(`${BASE}two`))).toEqual(['theirs']);
    });

    it('E38 an error says nothing of the record, and nothing of the error of the browser', async () => {
      const secret = { id: 'one', revision: 1, secrets: { accessToken: 'canary' } };
      for (const size of [0, 9_000]) {
        const storage = onPage(browserJar(), { platform: pageWith({ read: () => '', write: () => undefined }) });
        const error = await storage.write({ ...secret, text: 'x'.repeat(size) } as never, 'absent').catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(StorageError);
        expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain('canary');
      }
      const throwing = onPage(browserJar(), {
        platform: pageWith({
          read: () => {
            throw new Error('canary');
          },
          write: () => undefined,
        }),
      });
      const error = await throwing.read('one').catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'storage_failed', message: 'Cookies cannot be read or set here.' });
      expect(await codeOf(throwing.readAll())).toBe('storage_failed');
    });

    it('E38 where cookies are blocked, the page is not secure, or there is no page, it does not open: storage_failed', async () => {
      const blocked = pageWith({ read: () => '', write: () => undefined });
      const insecure = pageWith(browserJar({ url: 'http://app.example.com/' }));
      const without = { ...unitPlatform(), locks: originLocks() };
      const halfway = { ...without, page: { ...fakePage('https://app.example.com/'), cookies: () => '' } };
      for (const platform of [blocked, insecure, without, halfway]) {
        const storage = cookieStorage({ platform });
        expect(await codeOf(storage.open())).toBe('storage_failed');
        expect(await codeOf(storage.write({ id: 'one', revision: 1 }, 'absent'))).toBe('storage_failed');
      }
      expect(await codeOf(cookieStorage({ prefix: '', secure: false, platform: insecure }).open())).toBe('no error');
      expect(await codeOf(cookieStorage({ path: '/elsewhere', prefix: '', platform: pageWith(browserJar()) }).open())).toBe(
        'storage_failed',
      );
    });

    it('RF-1 without Web Locks it neither opens nor writes: lock_unavailable; with a jar it needs none', async () => {
      const storage = cookieStorage({ platform: { ...pageWith(browserJar()), locks: undefined } });
      expect(await codeOf(storage.open())).toBe('lock_unavailable');
      expect(await codeOf(storage.write({ id: 'one', revision: 1 }, 'absent'))).toBe('lock_unavailable');
      expect(await codeOf(storage.remove('one', 'any'))).toBe('lock_unavailable');
      const platform = { ...unitPlatform(), locks: undefined };
      expect(await cookieStorage({ jar: requestJar(), platform }).write({ id: 'one', revision: 1 }, 'absent')).toBe(true);
    });

    it('E68 a change locks under one name of the namespace, which holds no secret, and a read under none', async () => {
      const names: string[] = [];
      const inner = inProcessLocks();
      const locks: Platform['locks'] = { reach: 'origin', withLock: (name, run) => (names.push(name), inner.withLock(name, run)) };
      const storage = cookieStorage({ namespace: 'app', platform: pageWith(browserJar(), locks) });
      await storage.write({ id: 'one', revision: 1, secret: 'canary' } as never, 'absent');
      await storage.remove('one', 'any');
      await storage.read('one');
      await storage.readAll();
      expect(names).toEqual(['app:cookies', 'app:cookies']);
    });
  });

  describe('cookies of others', () => {
    it('E67 E39 are neither read, counted nor deleted, also where their names begin like ours', async () => {
      const jar = browserJar();
      const theirs = [
        'theirs',
        'app.one',
        '__Host-app',
        '__Host-app2.one',
        '__Host-other.one',
        `${BASE}one.settings`,
        `${BASE}one.5-abc`,
        `${BASE}one.5-abc.10`,
        `${BASE}one.5-abc.0.0`,
        `${BASE}%61`,
        `${BASE}%ZZ`,
        `${BASE}%5C`,
        `${BASE}a(b)`,
      ];
      for (const name of theirs) jar.write(`${name}=${'t'.repeat(700)}; Path=/; Secure`);
      jar.write('nameless; Path=/');
      const storage = onPage(jar);
      await storage.open();
      expect(await storage.readAll()).toEqual([]);
      await storage.write(long(6_000), 'absent');
      await storage.write(long(10, 2), 1);
      expect(await storage.readAll()).toEqual([{ id: 'one', value: long(10, 2) }]);
      for (const { id } of await storage.readAll()) await storage.remove(id, 'any');
      await storage.sweep?.();
      expect(namesIn(jar).filter((name) => name !== '')).toEqual(theirs);
    });

    it('CK-6 two cookies of one name are no record: nothing says which is ours; what is not ours cannot be removed, and remove says so', async () => {
      const jar = browserJar();
      const options = { prefix: '' } as const;
      const storage = onPage(jar, options);
      await storage.write(long(5_000), 'absent');
      const sibling = jar.at('https://evil.example.com/');
      const [own] = jar.stored().filter(({ name }) => name === 'app.one');
      sibling.write(`app.one=${own?.value.replace('.', '.x')}; Domain=example.com; Path=/`);
      expect(await storage.read('one')).toBe('two cookies of one name');
      expect(await storage.write(long(10, 2), 1)).toBe(false);
      await storage.sweep?.();
      sibling.write('app.one=; Domain=example.com; Path=/; Max-Age=0');
      expect(await storage.read('one')).toEqual(long(5_000));
      sibling.write('app.one=x; Domain=example.com; Path=/');
      expect(await codeOf(storage.remove('one', 'any'))).toBe('storage_failed');
      expect(jar.stored().map(({ domain, name }) => [domain, name])).toEqual([['example.com', 'app.one']]);
    });

    it('CK-2 parts of different writes, missing, doubled or swapped ones are never taken for a record', async () => {
      const jar = browserJar();
      const storage = onPage(jar);
      await storage.write(long(7_000), 'absent');
      const good = jar.stored().map(({ name, value }) => [name, value] as const);
      const [[first, text], [second], [head, names]] = good as [(typeof good)[0], (typeof good)[0], (typeof good)[0]];
      const put = (name: string, value: string): void => jar.write(`${name}=${value}; Path=/; Secure`);
      const spoil: (() => void)[] = [
        () => jar.write(`${first}=; Path=/; Secure; Max-Age=0`),
        () => jar.write(`${second}=; Path=/; Secure; Max-Age=0`),
        () => put(first, text.replace('xx', 'xy')),
        () => put(first, text.slice(0, -1)),
        () => put(first, ''),
        () => put(second, text),
        () => put(head, names.replace('2.', '1.')),
        () => put(head, names.replace('2.', '0.')),
        () =>
          put(
            head,
            names.replace(/.\.$/, (end) => (end === '0.' ? '1.' : '0.')),
          ), // whatever it was
        () => put(head, 'x'),
        () => put(head, ''),
      ];
      for (const [i, harm] of spoil.entries()) {
        harm();
        const found = await storage.read('one');
        expect([i, typeof found]).toEqual([i, 'string']);
        expect(await storage.write(long(1, 2), 1)).toBe(false);
        for (const [name, value] of good) put(name, value);
        expect(await storage.read('one')).toEqual(long(7_000));
      }
      put(head, '');
      await storage.sweep?.();
      expect(namesIn(jar)).toHaveLength(3); // of a head that cannot be read nothing is deleted …
      expect(await storage.remove('one', 'any')).toBe(true);
      expect(jar.stored()).toEqual([]); // … until it is removed
    });

    it('E62 ten thousand values that a stranger has set are neither a crash nor a record', async () => {
      let cookie = '';
      const storage = cookieStorage({ namespace: 'app', jar: { read: () => cookie, write: () => undefined } });
      const value = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.stringMatching(/^[0-9]\.[0-9a-z]{1,3}-[0-9a-z]{1,7}\.[jb][\w%'!{}:-]*$/),
        fc.json().map((json) => `0.0-0.j${json}`),
      );
      const name = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[\w%]{0,4}(\.[0-9a-z]-[0-9a-z]\.[0-9])?$/));
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 5 }), async (pairs) => {
          cookie = pairs.map(([one, text]) => `${BASE}${one}=${text}`).join('; ');
          const entries = await storage.readAll();
          expect(new Set(entries.map(({ id }) => id)).size).toBe(entries.length);
          for (const { id, value: found } of entries) {
            expect(typeof found).toBe('string');
            expect(await storage.read(id)).toBe(found);
          }
          expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
        }),
        { numRuns: 10_000 },
      );
    });
  });
});

describe('cookieStorage in several tabs, each of them in a process of its own', () => {
  const rec = (revision: number, more: object = {}) => ({ id: 'one', revision, ...more });
  let jar: BrowserJar;
  let locks: ReturnType<typeof originLocks>;
  beforeEach(() => {
    [jar, locks] = [browserJar(), originLocks()];
  });
  const tab = (lag = 0, options: CookieStorageOptions = {}, changes: Partial<Platform> = {}) => {
    const mine = jar.inProcess(lag);
    // Its clock stands still: a pause takes what it was asked to take
    const platform = tabPlatform(pageOf(mine), { locks, indexedDB: jar.indexedDB, monotonicNow: () => 0, ...changes });
    return { jar: mine, platform, storage: cookieStorage({ namespace: 'app', platform, ...options }) };
  };
  const waited = (...tabs: readonly ReturnType<typeof tab>[]): number =>
    tabs.flatMap(({ platform }) => platform.pauses.splice(0)).reduce((sum, ms) => sum + ms, 0);
  const later = (ms: number): Partial<Platform> => ({ now: () => Date.now() + ms });

  it('RF-2 the control: a process sees old cookies, whatever lock it holds, and its own at once', () => {
    const [a, b] = [jar.inProcess(0), jar.inProcess(3)];
    a.write('plain=new; Path=/');
    expect([1, 2, 3, 4].map(() => b.read())).toEqual(['', '', '', 'plain=new']);
    b.write('own=1; Path=/');
    expect(b.read()).toBe('plain=new; own=1');
  });

  it.each([0, 1, 4, 5, 12])('RF-2 a read waits for what another tab has committed, %i looks long', async (lag) => {
    const [a, b] = [tab(), tab(lag)];
    await a.storage.write(rec(1), 'absent');
    expect(await b.storage.read('one')).toEqual(rec(1));
    await a.storage.write(rec(2, { text: 'x'.repeat(5_000) }), 1);
    expect(await b.storage.readAll()).toEqual([{ id: 'one', value: rec(2, { text: 'x'.repeat(5_000) }) }]);
    await a.storage.write(rec(3), 2);
    expect(await b.storage.write(rec(3), 2)).toBe(false);
    expect(await b.storage.write(rec(4), 3)).toBe(true);
    expect(await a.storage.read('one')).toEqual(rec(4));
  });

  it('RF-5 E29 four tabs that count up by re-reading on conflict lose no step', async () => {
    const tabs = [0, 2, 5, 9].map((lag) => tab(lag));
    await tabs[0]?.storage.write(rec(1, { n: 0 }), 'absent');
    const up = async ({ storage }: (typeof tabs)[number]): Promise<void> => {
      for (let steps = 0; steps < 15;) {
        const { revision, n } = (await storage.read('one')) as { revision: number; n: number };
        if (await storage.write(rec(revision + 1, { n: n + 1 }), revision)) steps++;
      }
    };
    await Promise.all(tabs.map(up));
    for (const { storage } of tabs) expect(await storage.read('one')).toEqual(rec(61, { n: 60 }));
  });

  it('RF-13 what was removed stays removed for a tab that still sees it, also where its predecessor was written more often', async () => {
    const [a, b] = [tab(), tab(Infinity)];
    for (let revision = 1; revision <= 3; revision++) await a.storage.write(rec(revision), revision === 1 ? 'absent' : revision - 1);
    jar.deliver();
    expect(await b.storage.read('one')).toEqual(rec(3));
    await a.storage.remove('one', 3);
    expect(b.jar.read()).not.toBe('');
    expect(await b.storage.readAll()).toEqual([]);
    expect(await b.storage.write(rec(4), 3)).toBe(false);
    expect(await b.storage.write(rec(1, { again: true }), 'absent')).toBe(true);
    expect(await a.storage.read('one')).toEqual(rec(1, { again: true }));
  });

  it('RF-13 a removal that is on its way does not take what another tab stores next', async () => {
    await tab().storage.write(rec(1), 'absent');
    const sent: string[] = [];
    const slow = {
      ...jar,
      read: () => (sent.length > 0 ? '' : jar.read()),
      write: (cookie: string) => void (cookie.includes('Max-Age=0') ? sent.push(cookie) : jar.write(cookie)),
    };
    const arrive = (): void => sent.splice(0).forEach((cookie) => jar.write(cookie));
    expect(await cookieStorage({ namespace: 'app', platform: pageWith(slow, locks) }).remove('one', 1)).toBe(true);
    const setTimer: Platform['setTimer'] = (callback, delayMs) => {
      if (delayMs < 5_000) setImmediate(() => (arrive(), callback()));
      return () => undefined;
    };
    expect(await tab(0, {}, { setTimer }).storage.write(rec(1, { again: true }), 'absent')).toBe(true);
    arrive();
    expect(await tab().storage.read('one')).toEqual(rec(1, { again: true }));
  });

  it('CK-2 parts that have arrived before their head are waited for, not swept', async () => {
    const [a, b] = [tab(), tab(12)];
    const large = rec(2, { text: 'x'.repeat(5_000) });
    await a.storage.write(rec(1), 'absent');
    jar.deliver();
    await a.storage.write(large, 1);
    jar.deliver((name) => name !== `${BASE}one`);
    expect(b.jar.read()).toContain(`${BASE}one.`); // what looks as if a tab that ended had left it
    expect(await b.storage.write({ id: 'two', revision: 1 }, 'absent')).toBe(true);
    await b.storage.sweep?.();
    for (const { storage } of [a, b, tab()]) expect(await storage.read('one')).toEqual(large);
  });

  it('CK-2 nor are those swept that arrive in the middle of a write of another record', async () => {
    const [a, b] = [tab(), jar.inProcess(12)];
    const large = rec(2, { text: 'x'.repeat(5_000) });
    await a.storage.write(rec(1), 'absent');
    jar.deliver();
    await a.storage.write(large, 1);
    const write = (cookie: string): void => {
      jar.deliver((name) => name !== `${BASE}one`);
      b.write(cookie);
    };
    const other = tab(0, { platform: pageWith({ ...b, write }, locks) });
    expect(await other.storage.write({ id: 'two', revision: 1 }, 'absent')).toBe(true);
    for (const { storage } of [a, tab()]) expect(await storage.read('one')).toEqual(large);
  });

  it('what is current is read without a lock and without a pause', async () => {
    await tab().storage.write(rec(1), 'absent');
    const withLock = jest.fn();
    const b = tab(0, {}, { locks: { reach: 'origin', withLock } });
    expect(await b.storage.read('one')).toEqual(rec(1));
    expect(await b.storage.readAll()).toHaveLength(1);
    expect(withLock).not.toHaveBeenCalled();
    expect(waited(b)).toBe(0);
  });

  it('a browser that ended has forgotten its cookies and not its databases: the next start looks for a quarter of a second in all', async () => {
    const ids = ['@store', 'one', 'two'];
    for (const id of ids) await tab().storage.write({ id, revision: 1 }, 'absent');
    for (const id of ids) jar.write(`${BASE}${encodeURIComponent(id)}=; Path=/; Secure; Max-Age=0`);
    const names: string[] = [];
    const counting: Platform['locks'] = { reach: 'origin', withLock: (name, run) => (names.push(name), locks.withLock(name, run)) };
    const next = tab(0, {}, { ...later(61_000), locks: counting });
    expect(await next.storage.readAll()).toEqual([]);
    expect(names).toEqual(['app:cookies']);
    expect(waited(next)).toBe(3 * 250); // of each, at the same time
    expect(await next.storage.readAll()).toEqual([]);
    expect(await next.storage.write(rec(1), 'absent')).toBe(true);
    expect(waited(next)).toBe(0);
  });

  it('cookies that are missing a moment after they were written are looked for for two seconds', async () => {
    await tab().storage.write(rec(1), 'absent');
    jar.write(`${BASE}one=; Path=/; Secure; Max-Age=0`);
    const next = tab();
    expect(await next.storage.read('one')).toBeUndefined();
    expect(waited(next)).toBe(2_000);
  });

  it('cookies of other attributes are other cookies, and have entries of their own', async () => {
    const paths = ['/a', '/b'].map((path) => {
      const platform = tabPlatform(pageOf(jar.at(`https://app.example.com${path}/`)), { locks, indexedDB: jar.indexedDB });
      return { platform, storage: cookieStorage({ namespace: 'app', prefix: '', path, platform }) };
    });
    for (const { storage } of paths) expect(await storage.write(rec(1), 'absent')).toBe(true);
    for (const { storage, platform } of paths) {
      expect(await storage.read('one')).toEqual(rec(1));
      expect(platform.pauses).toEqual([]);
    }
  });

  it('RF-15 a write that does not fit leaves the old record, at once and in all tabs', async () => {
    const [a, b] = [tab(), tab()];
    await a.storage.write(rec(1), 'absent');
    expect(await codeOf(a.storage.write(long(9_000, 2), 1))).toBe('storage_failed');
    for (const { storage } of [a, b]) expect(await storage.read('one')).toEqual(rec(1));
    expect(waited(a, b)).toBe(0);
    expect(await b.storage.write(rec(2), 1)).toBe(true);
  });

  it('a server reads what a page has written, and a page what was written before there were entries', async () => {
    await onServer(jar).write(rec(1), 'absent');
    jar.deliver();
    const a = tab();
    expect(await a.storage.read('one')).toEqual(rec(1));
    expect(await a.storage.write(rec(2), 1)).toBe(true);
    expect(await onServer(jar).read('one')).toEqual(rec(2));
    expect(await onServer(jar).readAll()).toEqual([{ id: 'one', value: rec(2) }]);
    expect(await onServer(jar).remove('one', 2)).toBe(true);
  });

  it('6750-5 E68 in IndexedDB lies nothing of a record but its id', async () => {
    const a = tab();
    await a.storage.write(rec(1, { secret: 'canary' }), 'absent');
    const asked = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    expect((await jar.indexedDB.databases()).map(({ name }) => name)).toEqual(['app:cookies']);
    const records = (await asked(jar.indexedDB.open('app:cookies'))).transaction('records').objectStore('records');
    expect(await asked(records.getAllKeys())).toEqual(['one']);
    const [entry] = (await asked(records.getAll())) as object[];
    expect(Object.keys(entry ?? {}).sort()).toEqual(['at', 'count', 'stamp']);
  });

  it('E38 a page without IndexedDB opens none, and says why: storage_failed', async () => {
    const { storage } = tab(0, {}, { indexedDB: undefined });
    await expect(storage.open()).rejects.toThrow('IndexedDB is missing here');
    expect(await codeOf(storage.open())).toBe('storage_failed');
  });
});

describe('requestJar', () => {
  it('gives a request its records, and the answer one HttpOnly line for each cookie that changed, in an order that is safe', async () => {
    const browser = browserJar();
    const answered = (jar: ReturnType<typeof requestJar>): void => jar.setCookies().forEach(browser.receive);
    /** What the browser sends: HttpOnly cookies too. */
    const header = (): string => browser.stored().map(({ name, value }) => `${name}=${value}`).join('; '); // prettier-ignore
    browser.write('theirs=1; Path=/');

    const first = requestJar(header());
    await cookieStorage({ namespace: 'app', jar: first }).write(long(5_000), 'absent');
    expect(first.setCookies().map((line) => line.slice(line.indexOf(';')))).toEqual(
      Array(3).fill('; Path=/; Secure; SameSite=Lax; HttpOnly'),
    );
    expect(first.setCookies().at(-1)).toMatch(/^__Host-app\.one=2\./);
    answered(first);
    expect(browser.read()).toBe('theirs=1');

    const second = requestJar(header());
    const storage = cookieStorage({ namespace: 'app', jar: second });
    expect(await storage.read('one')).toEqual(long(5_000));
    expect(second.setCookies()).toEqual([]);
    await storage.write(long(7_000, 2), 1);
    await storage.write(long(6_000, 3), 2);
    const order = second
      .setCookies()
      .map((line) => (line.includes('Max-Age=0') ? 'deletes' : line.startsWith('__Host-app.one=') ? 'head' : 'part'));
    expect(order.filter((what) => what !== 'deletes')).toEqual(['part', 'part', 'head']);
    expect(order.slice(order.indexOf('head') + 1)).toEqual(['deletes', 'deletes']);
    await storage.write(long(20, 4), 3);
    expect(await storage.read('one')).toEqual(long(20, 4));
    answered(second);
    expect(namesIn(browser)).toEqual(['theirs', '__Host-app.one']);

    const third = requestJar(header());
    expect(await cookieStorage({ namespace: 'app', jar: third }).remove('one', 4)).toBe(true);
    expect(third.setCookies()).toEqual(['__Host-app.one=; Path=/; Max-Age=0; Secure; SameSite=Lax; HttpOnly']);
    answered(third);
    expect(namesIn(browser)).toEqual(['theirs']);
  });

  it('E50 requests share nothing, and need no header', async () => {
    const [a, b] = [requestJar(null), requestJar()];
    await cookieStorage({ jar: a }).write({ id: 'one', revision: 1 }, 'absent');
    expect(await cookieStorage({ jar: b }).readAll()).toEqual([]);
    expect(b.setCookies()).toEqual([]);
  });

  it('CK-6 two cookies of one name in a header are no record', async () => {
    const jar = requestJar('__Host-app.one=1; __Host-app.one=2; __Host-app.two=1; __Host-app.two=1');
    expect(await cookieStorage({ namespace: 'app', jar }).readAll()).toEqual([
      { id: 'one', value: 'two cookies of one name' },
      { id: 'two', value: '1' },
    ]);
  });
});
