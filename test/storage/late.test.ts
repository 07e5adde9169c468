import { StorageError } from '../../src/errors';
import { late } from '../../src/storage/late';
import { memoryStorage } from '../../src/storage/memory';

describe('a storage whose code is loaded late', () => {
  it('BBA-2 is loaded once, when it is first asked something, and not to be closed', async () => {
    const load = jest.fn(() => Promise.resolve(memoryStorage({ namespace: 'app' })));
    const storage = late('app', load);
    await storage.close();
    expect(load).not.toHaveBeenCalled();
    expect(await Promise.all([storage.readAll(), storage.write({ id: 'one', revision: 1 }, 'absent')])).toEqual([[], true]);
    expect(await storage.read('one')).toEqual({ id: 'one', revision: 1 });
    await storage.prepare();
    await storage.sweep();
    await storage.close();
    expect(load).toHaveBeenCalledTimes(1);
  });

  it('E38 code that could not be loaded is program_not_loaded, says nothing of where it lies, and is loaded again the next time', async () => {
    let isOffline = true;
    const storage = late('app', () =>
      isOffline
        ? Promise.reject(new TypeError('https://canary.example.com/page.js'))
        : Promise.resolve(memoryStorage({ namespace: 'app' })),
    );
    const error = await storage.open().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({
      code: 'program_not_loaded',
      class: 'transient',
      message: 'A part of the program could not be loaded (TypeError), and nothing was done; reload the page.', // its name, since E51 keeps its text
    });
    isOffline = false;
    expect(await storage.open()).toMatchObject({ reach: 'process' });
  });

  it('E38 is closed, whatever becomes of the code that is on its way', async () => {
    const storage = late('app', () => Promise.reject(new TypeError('offline')));
    const opening = storage.open().catch(() => undefined);
    await storage.close();
    await opening;
  });

  it('E38 an error of the storage itself stays what it is', async () => {
    const storage = late('app', () => Promise.reject(new StorageError('lock_unavailable', 'No locks.')));
    expect(await storage.open().catch((reason: unknown) => reason)).toMatchObject({ code: 'lock_unavailable' });
  });
});
