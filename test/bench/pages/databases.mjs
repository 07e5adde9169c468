/** IndexedDB as one would use it by hand. For pages. */

export function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** A database with one object store. */
export function openDatabase(name, store = 'records') {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(store);
  return settled(request);
}

/** Resolves when what `work` wrote has committed. */
export function write(database, work, durability = 'strict') {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction('records', 'readwrite', { durability });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    work(transaction.objectStore('records'));
  });
}
