// A browser, a disk and an authorization server, with stores on top: what most tests of the store begin with.
import type { Observable, Subscription } from 'rxjs';
import type { CredentialEvent } from '../../src/credential/actions.js';
import type { CredentialStorage } from '../../src/storage/storage.js';
import type { Platform } from '../../src/platform/platform.js';
import { createCredentialStore, type CredentialStore, type CredentialStoreOptions } from '../../src/store/store.js';
import { createFakeAuthority, type FakeAuthority } from './fake-client.js';
import { createFakeDisk, type FakeDisk } from './fake-disk.js';
import { createFakeBrowser, settle, type FakeBrowser, type FakePlatform } from './fake-platform.js';

export interface Tab {
  readonly store: CredentialStore;
  readonly platform: FakePlatform;
  /** All events since the store was made. */
  readonly events: readonly CredentialEvent[];
  /** Types of the events since the last call. */
  newEvents(): readonly string[];
}

export interface World {
  readonly browser: FakeBrowser;
  readonly disk: FakeDisk;
  readonly authority: FakeAuthority;
  /** Another tab over the same disk, ready. */
  openTab(options?: TabOptions): Promise<Tab>;
  /** The same, before storage was read. */
  startTab(options?: TabOptions): Tab;
}

export interface TabOptions {
  /** Default: the client of the fake authority. */
  readonly clients?: (platform: FakePlatform) => CredentialStoreOptions['clients'];
  /** Default: the shared disk. */
  readonly storage?: CredentialStorage;
  readonly options?: Pick<CredentialStoreOptions, 'persist' | 'renewal'>;
  /** What of the browser's platform is another. */
  readonly platform?: Partial<
    Pick<Platform, 'page' | 'indexedDB' | 'crypto' | 'setTimer' | 'now' | 'monotonicNow' | 'openChannel' | 'lifecycle'>
  >;
}

const worlds: World[] = [];
const tabs: Tab[] = [];

export function createWorld(): World {
  const browser = createFakeBrowser();
  const disk = createFakeDisk();
  const authority = createFakeAuthority(() => browser.now());
  const startTab = ({ clients = authority.client, storage = disk.storage(), options, platform: other }: TabOptions = {}): Tab => {
    const platform = { ...browser.openTab(), ...other };
    const store = createCredentialStore({ clients: clients(platform), storage, platform, ...options });
    const events: CredentialEvent[] = [];
    let seen = 0;
    store.events$.subscribe((event) => events.push(event));
    const tab: Tab = {
      store,
      platform,
      events,
      newEvents: () => {
        const types = events.slice(seen).map(({ type }) => type);
        seen = events.length;
        return types;
      },
    };
    tabs.push(tab);
    return tab;
  };
  const world: World = {
    browser,
    disk,
    authority,
    startTab,
    openTab: async (options) => {
      const tab = startTab(options);
      await tab.store.ready;
      await settle();
      tab.newEvents();
      return tab;
    },
  };
  worlds.push(world);
  return world;
}

/** For `afterEach`: lets everything finish and closes all stores; nothing of timers, channels, listeners and locks may be left. */
export async function closeAll(): Promise<void> {
  const [ended, closing] = [worlds.splice(0), tabs.splice(0)];
  const closed = closing.map(({ store }) => store.close());
  for (const { authority, browser, disk } of ended) {
    authority.release();
    disk.release();
    await browser.advance(60_000); // deadlines of what hangs
  }
  await Promise.all(closed);
  for (const { platform } of closing) expect(platform.held()).toEqual({ timers: 0, channels: 0, listeners: 0 });
  for (const { browser } of ended) expect([...browser.heldLocks]).toEqual([]);
}

/** Everything a stream emits from now on. */
export function collect<T>(source: Observable<T>): { readonly values: readonly T[]; completed(): boolean; stop(): void } {
  const values: T[] = [];
  let completed = false;
  const subscription: Subscription = source.subscribe({ next: (value) => values.push(value), complete: () => (completed = true) });
  return { values, completed: () => completed, stop: () => subscription.unsubscribe() };
}

/**
 * What a promise comes to while time passes, and no more time than it needs: a refresh whose answer is lost is sent three times, with pauses.
 * Fails if it has not settled after `limitMs`.
 */
export async function inTime<T>(browser: FakeBrowser, promise: Promise<T>, limitMs = 10_000): Promise<T> {
  let settled = false;
  const note = (): void => void (settled = true);
  promise.then(note, note);
  for (let ms = 0; ms < limitMs; ms += 100) {
    await settle();
    if (settled) return promise;
    await browser.advance(100);
  }
  throw new Error(`nothing has come of it after ${limitMs} ms`);
}

/** The code a promise is rejected with; fails if it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  throw new Error('the promise was not rejected');
}

export { settle };
