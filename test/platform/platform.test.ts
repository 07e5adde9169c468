import { clockSkewSeconds, defaultPlatform, type LifecycleEvent } from '../../src/platform/platform';
import { settled } from '../support/unit-platform';

/** Puts values over globals for one test. */
const put = (globals: Record<string, unknown>): void => {
  for (const [name, value] of Object.entries(globals)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    undo.push(() => (before ? Object.defineProperty(globalThis, name, before) : Reflect.deleteProperty(globalThis, name)));
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
};
/** Takes a global away for one test. */
const take = (name: string): void => {
  put({ [name]: undefined });
  Reflect.deleteProperty(globalThis, name);
};
const undo: (() => unknown)[] = [];
afterEach(() => {
  for (const restore of undo.splice(0).reverse()) restore();
  jest.restoreAllMocks();
});

/** As much of a document as the platform touches. */
function fakeDocument(href = 'https://app.example.com/a?b=c') {
  const view = Object.assign(new EventTarget(), {
    history: { state: { kept: 1 }, replaceState: jest.fn() },
    sessionStorage: { length: 0 },
  });
  return Object.assign(new EventTarget(), { visibilityState: 'visible', location: { href }, defaultView: view });
}

const LONG = 'x'.repeat(2_000);

describe('defaultPlatform', () => {
  it('calls globals late: what is put in their place afterwards is used', async () => {
    const platform = defaultPlatform();
    const fetch = jest.fn(() => Promise.resolve('response'));
    put({
      fetch,
      crypto: 'other crypto',
      location: {},
      navigator: { locks: { request: (name: string, options: object, run: () => unknown) => Promise.resolve([name, options, run()]) } },
    });
    expect(await platform.fetch('https://x.example', { method: 'POST' })).toBe('response');
    expect(fetch).toHaveBeenCalledWith('https://x.example', { method: 'POST' });
    expect(platform.crypto).toBe('other crypto');
    expect(platform.locks?.reach).toBe('origin');
    expect(await platform.locks?.withLock('n', () => Promise.resolve(1))).toEqual(['n', {}, Promise.resolve(1)]);
    const { signal } = new AbortController();
    expect(await platform.locks?.withLock('n', () => Promise.resolve(1), signal)).toEqual(['n', { signal }, Promise.resolve(1)]);
    jest.spyOn(Date, 'now').mockReturnValue(42);
    expect(platform.now()).toBe(42);
  });

  it('E39 locks have any name, and no two names are one lock', async () => {
    const names = ['-a', '~-a', '~~-a', '~a', '~~a', 'a', 'a-', '-', '~', '--a', `${LONG}a`, `${LONG}b`, `b${LONG}`];
    const asked: string[] = [];
    put({ location: {} });
    const { locks } = defaultPlatform();
    const request = jest.spyOn(navigator.locks, 'request');
    for (const name of names) {
      expect(await locks!.withLock(name, () => Promise.resolve(name))).toBe(name);
      asked.push(request.mock.lastCall![0]);
    }
    expect(new Set(asked).size).toBe(names.length);
    expect(asked.filter((name) => name.startsWith('-'))).toEqual([]);
    expect(asked).toContain('a'); // names that need no mark have none
    expect(asked.filter(({ length }) => length > 1_024)).toEqual([]); // WebKit refuses them
  });

  it('RF-2 takes no Web Locks where there is no origin, as in Node and Deno: they reach this process alone', () => {
    expect(typeof navigator.locks.request).toBe('function');
    expect(defaultPlatform().locks).not.toBeUndefined(); // those of IndexedDB
    take('indexedDB');
    expect(defaultPlatform().locks).toBeUndefined();
    put({ location: undefined }); // Deno
    expect(defaultPlatform().locks).toBeUndefined();
    put({ location: { href: 'https://app.example.com/' } });
    expect(defaultPlatform().locks?.reach).toBe('origin');
  });

  it.each<[string, unknown]>([
    ['no navigator', undefined],
    ['a navigator without locks', {}],
  ])('has no locks where there is %s and no IndexedDB; where there is, it has locks of the same reach', (_, navigator) => {
    put({ navigator });
    const platform = defaultPlatform();
    expect(platform.locks?.reach).toBe('origin');
    expect(platform.locks).toBe(platform.locks);
    take('indexedDB');
    expect(defaultPlatform().locks).toBeUndefined();
  });

  it.each([
    ['no navigator', undefined, undefined],
    ['a navigator that does not know', {}, undefined],
    ['a device that is offline', { onLine: false }, false],
    ['a device that may be online', { onLine: true }, true],
  ])('says whether the device is online: %s', (_, navigator, isOnline) => {
    put({ navigator });
    expect(defaultPlatform().isOnline?.()).toBe(isOnline);
  });

  it('E49 has no page and no lifecycle where there is no document, whatever other globals a server has', () => {
    put({ localStorage: {}, sessionStorage: {}, Storage: class {} });
    expect(defaultPlatform().page).toBeUndefined();
    expect(defaultPlatform().lifecycle).toBeUndefined();
  });

  it('has two clocks: one of them never goes back', () => {
    const platform = defaultPlatform();
    const before = platform.monotonicNow();
    jest.spyOn(Date, 'now').mockReturnValue(0);
    expect(platform.now()).toBe(0);
    expect(platform.monotonicNow()).toBeGreaterThanOrEqual(before);
  });

  it('a timer calls back once, unless it was cancelled, and keeps no program alive', () => {
    jest.useFakeTimers();
    try {
      const platform = defaultPlatform();
      const calls: string[] = [];
      const cancel = platform.setTimer(() => calls.push('cancelled'), 10);
      platform.setTimer(() => calls.push('fired'), 10);
      cancel();
      jest.advanceTimersByTime(100);
      expect(calls).toEqual(['fired']);
      expect(jest.getTimerCount()).toBe(0);
    } finally {
      jest.useRealTimers();
    }
    const unref = jest.fn();
    put({ setTimeout: () => ({ unref }), clearTimeout: jest.fn() });
    defaultPlatform().setTimer(() => undefined, 1);
    expect(unref).toHaveBeenCalledTimes(1);
    defaultPlatform().setTimer(() => undefined, 1, true); // somebody waits for what comes after: the program must not end before
    expect(unref).toHaveBeenCalledTimes(1);
  });

  it('a timer of a browser, which is a number, is cancelled by it', () => {
    const clearTimeout = jest.fn();
    put({ setTimeout: () => 7, clearTimeout });
    defaultPlatform().setTimer(() => undefined, 1)();
    expect(clearTimeout).toHaveBeenCalledWith(7);
  });

  it('channels of one name hear each other, and none after close', async () => {
    const platform = defaultPlatform();
    const heard: unknown[] = [];
    const a = platform.openChannel!('platform-test', (message) => heard.push(message));
    const b = platform.openChannel!('platform-test', () => undefined);
    const other = platform.openChannel!('platform-test-2', () => undefined);
    other.post('not this');
    b.post({ id: 'one' });
    while (heard.length === 0) await settled();
    a.close();
    b.post('late');
    await settled();
    expect(heard).toEqual([{ id: 'one' }]);
    b.close();
    other.close();
  });

  it('has no channel where there is no BroadcastChannel, or only its name', () => {
    take('BroadcastChannel');
    expect(defaultPlatform().openChannel).toBeUndefined();
    Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined, configurable: true });
    expect(defaultPlatform().openChannel).toBeUndefined();
  });
});

describe('in a page', () => {
  it('2.1-2 the address is read late, and replaced without a history entry, keeping its state', () => {
    const document = fakeDocument();
    put({ document });
    const page = defaultPlatform().page!;
    document.location.href = 'https://app.example.com/later';
    expect(page.url()).toBe('https://app.example.com/later');
    page.replaceUrl('https://app.example.com/clean');
    expect(document.defaultView.history.replaceState).toHaveBeenCalledWith({ kept: 1 }, '', 'https://app.example.com/clean');
    page.replaceUrl('https://app.example.com/clean', { note: 'n' });
    expect(document.defaultView.history.replaceState).toHaveBeenLastCalledWith({ kept: 1, note: 'n' }, '', 'https://app.example.com/clean');
    expect(page.entryState?.()).toEqual({ kept: 1 });
  });

  it.each<[string, unknown, unknown]>([
    ['null', null, { note: 'n' }],
    ['a plain object', { kept: 1 }, { kept: 1, note: 'n' }],
    ['a text', 'hello', 'hello'],
    ['a number', 7, 7],
    ['a list', [1], [1]],
    ['a map', new Map([['a', 1]]), new Map([['a', 1]])],
  ])('2.1-2 what an application keeps with the entry stays: %s, and a note goes again', (_, found, noted) => {
    const document = fakeDocument();
    put({ document });
    const { history } = document.defaultView;
    Object.assign(history, { state: found });
    history.replaceState.mockImplementation((state: unknown) => Object.assign(history, { state }));
    const page = defaultPlatform().page!;
    page.replaceUrl('https://app.example.com/clean');
    expect(history.state).toEqual(found);
    const restore = page.replaceUrl('https://app.example.com/clean', { note: 'n' });
    expect(history.state).toEqual(noted);
    restore?.();
    expect(history.state).toEqual(found);
  });

  it.each([[null], [{ kept: 1 }]])('2.1-2 what was not written is not taken back, as where a router puts the change off: %j', (state) => {
    const document = fakeDocument();
    put({ document });
    const { history } = document.defaultView;
    Object.assign(history, { state });
    const restore = defaultPlatform().page!.replaceUrl('https://app.example.com/clean', { note: 'n' });
    history.replaceState.mockClear();
    restore?.();
    expect(history.replaceState).not.toHaveBeenCalled();
  });

  it('2.1-2 a note stays where something else was written to the entry since', () => {
    const document = fakeDocument();
    put({ document });
    const { history } = document.defaultView;
    const restore = defaultPlatform().page!.replaceUrl('https://app.example.com/clean', { note: 'n' });
    Object.assign(history, { state: { of: 'router' } });
    history.replaceState.mockClear();
    restore?.();
    expect(history.replaceState).not.toHaveBeenCalled();
  });

  it('E38 session storage is touched late, and is none where access alone throws', () => {
    const document = fakeDocument();
    put({ document });
    const page = defaultPlatform().page!;
    expect(page.sessionItems()).toBe(document.defaultView.sessionStorage);
    Object.defineProperty(document.defaultView, 'sessionStorage', {
      get: () => {
        throw new DOMException('denied', 'SecurityError');
      },
    });
    expect(page.sessionItems()).toBeUndefined();
  });

  it('TM-4 tells of becoming visible, of coming online, of standing still and of coming back, until it is stopped', () => {
    const document = fakeDocument();
    put({ document });
    const heard: LifecycleEvent[] = [];
    const stop = defaultPlatform().lifecycle!((event) => heard.push(event));
    const fire = (): void => {
      document.dispatchEvent(new Event('visibilitychange'));
      document.dispatchEvent(new Event('freeze'));
      document.dispatchEvent(new Event('resume'));
      document.defaultView.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }));
      document.defaultView.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: false }));
      document.defaultView.dispatchEvent(new Event('online'));
      document.defaultView.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
      document.defaultView.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: false }));
    };
    fire();
    // RF-11: a page that goes for good begins nothing either; one that is loaded anew has not come back.
    expect(heard).toEqual(['visible', 'frozen', 'resumed', 'frozen', 'frozen', 'online', 'resumed']);
    document.visibilityState = 'hidden';
    document.dispatchEvent(new Event('visibilitychange'));
    expect(heard).toHaveLength(7);
    stop();
    document.visibilityState = 'visible';
    fire();
    expect(heard).toHaveLength(7);
  });
});

describe('clockSkewSeconds', () => {
  it.each([
    [1_000_000, 1_000_000, 0],
    [1_000_999, 1_000_000, 0],
    [1_001_000, 1_000_999, 1],
    [1_000_000, 1_000_600, 0],
    [2_000_000, 1_000_600, 1_000],
    [0, 1_000_600, -1_000],
  ])('at %d by the platform and %d by the system adds %d s, so that whole seconds agree', (at, system, skew) => {
    jest.spyOn(Date, 'now').mockReturnValue(system);
    expect(clockSkewSeconds(at)).toBe(skew);
    expect(Math.floor(Date.now() / 1000) + clockSkewSeconds(at)).toBe(Math.floor(at / 1000));
  });
});
