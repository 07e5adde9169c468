/**
 * One IndexedDB database with one object store, opened late and opened again when the browser or another tab made us let go of it.
 *
 * @module
 */
import { StorageError } from '../errors.js';
import type { Platform } from '../platform/platform.js';
import { within } from './deadline.js';

/** Milliseconds that an open may take; one that is blocked by another tab never answers. */
const OPEN_MS = 5_000;
/** The same for a transaction. */
const TRANSACTION_MS = 30_000;
const STORE = 'records';
const INSTEAD = 'credentials can be kept in memory only.';

/** Errors of a connection that is gone: closed by the browser, lost in the background (WebKit), or its transactions thrown away. */
const LOST = /^(InvalidState|Unknown|Abort)Error$/;

/** The object store within one transaction. */
export interface Records {
  get(key: string): Promise<unknown>;
  getAll(): Promise<unknown[]>;
  getAllKeys(): Promise<IDBValidKey[]>;
  /** `false`: there is one of this key already. The transaction goes on. */
  add(value: unknown, key: string): Promise<boolean>;
  put(value: unknown, key: string): Promise<unknown>;
  delete(key: IDBValidKey): Promise<unknown>;
  /** Nothing more is asked for: the transaction need not wait until this program has heard the last answer. */
  commit(): void;
}

/** A database that connects when it is asked something. */
export interface Database {
  /** Connects, so that a database that cannot be used is found out early. */
  open(): Promise<void>;
  /** True if it is connected, or about to be: nobody has deleted it, and the browser has not let go of it. */
  isConnected(): boolean;
  /**
   * Runs `work` in one transaction; resolves with its result once what it wrote is committed (RF-6), rejects if it was aborted.
   * On a lost connection `work` runs once more, on a new one, and is told so: an aborted transaction has changed nothing, but it may have
   * committed, and nobody heard of it.
   */
  run<T>(
    mode: 'readonly' | 'readwrite',
    work: (records: Records, isAgain?: boolean) => Promise<T>,
    durability?: DatabaseOptions['durability'],
  ): Promise<T>;
  close(): void;
}

/** What `database` needs. */
export interface DatabaseOptions {
  readonly name: string;
  readonly durability: 'strict' | 'relaxed';
  readonly platform: Pick<Platform, 'indexedDB' | 'setTimer'>;
}

/** A database with out-of-line keys; made when it is first opened. */
export function database({ name, durability: usual, platform }: DatabaseOptions): Database {
  let connection: Promise<IDBDatabase> | undefined;
  /** Lets go of this connection; transactions that run on it still end. */
  const drop = (dropped: Promise<IDBDatabase> | undefined): void => {
    if (connection === dropped) connection = undefined;
    dropped?.then(
      (db) => db.close(),
      () => undefined,
    );
  };
  const connect = (): Promise<IDBDatabase> => {
    if (connection) return connection;
    const mine: Promise<IDBDatabase> = openDatabase(name, platform, () => drop(mine));
    mine.catch(() => drop(mine)); // asked again the next time
    return (connection = mine);
  };
  return {
    open: async () => void (await connect()),
    isConnected: () => connection !== undefined,
    run: async (mode, work, durability = usual) => {
      const first = connect();
      try {
        return await transact(await first, { mode, durability, platform }, work);
      } catch (error) {
        if (!LOST.test(nameOf(error))) throw error;
        drop(first);
        return transact(await connect(), { mode, durability, platform }, (records) => work(records, true));
      }
    },
    close: () => drop(connection),
  };
}

async function transact<T>(
  db: IDBDatabase,
  { mode, durability, platform }: Omit<DatabaseOptions, 'name'> & { readonly mode: 'readonly' | 'readwrite' },
  work: (records: Records) => Promise<T>,
): Promise<T> {
  const transaction = db.transaction(STORE, mode, { durability });
  const store = transaction.objectStore(STORE);
  if (store.keyPath !== null || store.autoIncrement) {
    abort(transaction);
    throw foreign();
  }
  const result = work({
    get: (key) => answer(store.get(key)),
    getAll: () => answer(store.getAll()),
    getAllKeys: () => answer(store.getAllKeys()),
    add: (value, key) => isAdded(store.add(value, key)),
    put: (value, key) => answer(store.put(value, key)),
    delete: (key) => answer(store.delete(key)),
    commit: () => commit(transaction),
  });
  const done = mode === 'readonly' ? result : ended(transaction); // what was read is true already
  result.catch(() => undefined); // of an abort `done` knows why (QuotaExceededError)
  // One that waits for the transaction of a frozen tab never ends. Aborted, so that it does not commit after its caller was told of a failure
  await within<unknown>(platform, TRANSACTION_MS, 'The database does not answer: another tab uses it; try again.', done).catch(
    (error: unknown) => {
      if (error instanceof StorageError) abort(transaction);
      throw error;
    },
  );
  return result;
}

/** Resolves once it is complete; rejects if it was aborted. */
function ended(transaction: IDBTransaction): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () =>
      reject((transaction.error as Error | null) ?? new DOMException('The transaction was aborted.', 'AbortError'));
  });
}

/** Ends it; where the browser is too old for that, it ends by itself. */
function commit(transaction: IDBTransaction): void {
  try {
    transaction.commit?.();
  } catch {
    // it was aborted meanwhile: the requests and the transaction say so
  }
}

function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // it has ended by itself
  }
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a DOMException; `null` only before the request is done
    request.onerror = () => reject(request.error);
  });
}

/** By an event that is prevented nothing is aborted: of an abort Firefox and WebKit do not say why. */
function isAdded(request: IDBRequest): Promise<boolean> {
  return new Promise<boolean>((resolve, reject) => {
    request.onsuccess = () => resolve(true);
    request.onerror = (event) => {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a DOMException
      if (nameOf(request.error) !== 'ConstraintError') return reject(request.error);
      event.preventDefault();
      resolve(false);
    };
  });
}

/** Somebody else made a database under this name. */
function foreign(): StorageError {
  return new StorageError('storage_failed', 'A database of this name is there, and it is none of ours: take another namespace.');
}

/** The name of a DOMException, of whatever realm. */
function nameOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'name' in error ? String(error.name) : '';
}

async function openDatabase(name: string, platform: DatabaseOptions['platform'], onLost: () => void): Promise<IDBDatabase> {
  let isLate = false;
  const connect = async (): Promise<IDBDatabase> => {
    const request = platform.indexedDB?.open(name, 1); // where it is blocked, looking at it may throw (E38)
    if (!request) throw new StorageError('storage_failed', `IndexedDB is missing here: ${INSTEAD}`);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    const db = await answer(request);
    if (isLate) db.close();
    else if (!db.objectStoreNames.contains(STORE)) {
      db.close();
      throw foreign();
    }
    db.onversionchange = db.onclose = onLost; // others wait until everybody has let go
    return db;
  };
  try {
    return await within(platform, OPEN_MS, 'The database did not open: another tab blocks it; close other tabs, or reload.', connect());
  } catch (error) {
    isLate = true;
    if (error instanceof StorageError) throw error;
    const name = nameOf(error).replace(/\W/g, '');
    const what = name === 'VersionError' ? 'A newer release has made the database' : 'IndexedDB is blocked here';
    throw new StorageError('storage_failed', `${what} (${name}): ${INSTEAD}`, LOST.test(name) ? { class: 'transient' } : {});
  }
}
