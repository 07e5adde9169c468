// localStorage as several renderer processes see it, and tabs over it. What one process wrote the others see when it is delivered to them.
import { defaultPlatform, type Page, type Platform } from '../../src/platform/platform';

export interface FakeTab {
  readonly storage: Storage;
  /** Everything that others wrote arrives. */
  deliver(): void;
}

export interface FakeOrigin {
  /** A tab in a process of its own. It sees what others wrote after `lag` reads of its own; `Infinity`: only when it is delivered. */
  openTab(lag?: number): FakeTab;
  /** Writes from outside, seen by every tab at once. */
  plant(key: string, text: string): void;
  /** The user clears the storage, seen by every tab at once. */
  clear(): void;
  /** What is on disk. */
  texts(): Readonly<Record<string, string>>;
}

export function fakeOrigin(): FakeOrigin {
  const log: { readonly key: string; readonly text: string | null; readonly by: object | null }[] = []; // in the browser's order
  const view = (seen: number, by: object | null): Map<string, string> => {
    const items = new Map<string, string>();
    for (const [i, entry] of log.entries()) {
      if (i >= seen && entry.by !== by && entry.by !== null) continue;
      if (entry.text === null) items.delete(entry.key);
      else items.set(entry.key, entry.text);
    }
    return items;
  };
  const all = (): Map<string, string> => view(log.length, null);
  return {
    openTab: (lag = 0) => {
      const me = {};
      let seen = log.length; // a new process reads what is on disk
      let reads = 0;
      const items = (): Map<string, string> => {
        if (lag === 0 || (seen < log.length && reads++ >= lag)) {
          seen = log.length;
          reads = 0;
        }
        return view(seen, me);
      };
      const storage: Storage = {
        get length() {
          return view(seen, me).size;
        },
        key: (index) => [...view(seen, me).keys()][index] ?? null,
        getItem: (key) => items().get(key) ?? null,
        setItem: (key, text) => void log.push({ key, text: String(text), by: me }),
        removeItem: (key) => void log.push({ key, text: null, by: me }),
        clear: () => [...items().keys()].forEach((key) => storage.removeItem(key)),
      };
      return { storage, deliver: () => void (seen = log.length) };
    },
    plant: (key, text) => void log.push({ key, text, by: null }),
    clear: () => [...all().keys()].forEach((key) => log.push({ key, text: null, by: null })),
    texts: () => Object.fromEntries(all()),
  };
}

/** A page that has these storages; `undefined` where they are blocked. */
export function pageWith(storages: { readonly local?: Storage | undefined; readonly session?: Storage | undefined }): Page {
  return {
    url: () => 'https://app.example.com/',
    replaceUrl: () => undefined,
    sessionItems: () => storages.session,
    localItems: () => storages.local,
  };
}

/** The platform of a tab: real locks, databases and crypto; short timers fire in the next turn, deadlines never. */
export function tabPlatform(page: Page, changes: Partial<Platform> = {}): Platform & { readonly pauses: number[] } {
  const pauses: number[] = [];
  const { locks, indexedDB } = defaultPlatform();
  return {
    ...defaultPlatform(),
    locks,
    indexedDB,
    crypto: globalThis.crypto,
    page,
    setTimer: (callback, delayMs) => {
      if (delayMs >= 2_500) return () => undefined; // a deadline, or the first half of one
      pauses.push(delayMs);
      const turn = setImmediate(callback);
      return () => clearImmediate(turn);
    },
    pauses,
    ...changes,
  };
}

/** sessionStorage of a duplicated tab. */
export function duplicateOf(storage: Storage, into: Storage): Storage {
  for (let i = 0; i < storage.length; i++) {
    const key = storage.key(i) ?? '';
    into.setItem(key, storage.getItem(key) ?? '');
  }
  return into;
}
