/** Resolves with the result of a request of IndexedDB. */
export function settled<T>(request: IDBRequest<T>): Promise<T>;
export function openDatabase(name: string, store?: string): Promise<IDBDatabase>;
/** Resolves when what `work` wrote into `records` has committed. */
export function write(database: IDBDatabase, work: (records: IDBObjectStore) => void, durability?: IDBTransactionDurability): Promise<void>;
