import { inProcessLocks } from '../../src/platform/in-process-locks';
import { settled } from '../support/unit-platform';

/** A promise and the way to end it. */
function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

describe('inProcessLocks', () => {
  it('say how far they reach', () => {
    expect(inProcessLocks().reach).toBe('process');
  });

  it('run the holders of one name alone and in the order they came', async () => {
    const locks = inProcessLocks();
    let holders = 0;
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        locks.withLock('a', async () => {
          expect(++holders).toBe(1);
          for (let turns = i % 3; turns >= 0; turns--) await Promise.resolve();
          order.push(i);
          holders--;
        }),
      ),
    );
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('of different names do not wait for each other', async () => {
    const locks = inProcessLocks();
    const { passed, open } = gate();
    const first = locks.withLock('a', () => passed);
    expect(await locks.withLock('b', () => Promise.resolve('b'))).toBe('b');
    open();
    await first;
  });

  it.each(['__proto__', 'constructor', ''])('take the name %j', async (name) => {
    const locks = inProcessLocks();
    const { passed, open } = gate();
    const order: string[] = [];
    const first = locks.withLock(name, () => passed.then(() => order.push('first')));
    const second = locks.withLock(name, async () => order.push('second'));
    await settled();
    open();
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
  });

  it('a holder waits until the one before has settled, however long that takes', async () => {
    const locks = inProcessLocks();
    const { passed, open } = gate();
    let ran = false;
    const first = locks.withLock('a', () => passed);
    const second = locks.withLock('a', async () => {
      ran = true;
    });
    await settled();
    expect(ran).toBe(false);
    open();
    await Promise.all([first, second]);
    expect(ran).toBe(true);
  });

  it('a holder that rejects or throws gets its own error, and the next one runs', async () => {
    const locks = inProcessLocks();
    const rejecting = locks.withLock('a', () => Promise.reject(new Error('rejected')));
    const throwing = locks.withLock('a', () => {
      throw new Error('thrown');
    });
    const fine = locks.withLock('a', () => Promise.resolve('fine'));
    await expect(rejecting).rejects.toThrow('rejected');
    await expect(throwing).rejects.toThrow('thrown');
    expect(await fine).toBe('fine');
  });

  it('two of them know nothing of each other (E50)', async () => {
    const { passed, open } = gate();
    const first = inProcessLocks().withLock('a', () => passed);
    expect(await inProcessLocks().withLock('a', () => Promise.resolve('free'))).toBe('free');
    open();
    await first;
  });

  it('are free again after the last holder, and give back what a holder returned', async () => {
    const locks = inProcessLocks();
    for (let i = 0; i < 3; i++) {
      expect(await locks.withLock('a', () => Promise.resolve(i))).toBe(i);
      await settled();
    }
  });

  it('E9 who still waits when its signal aborts is rejected at once, never runs, and keeps nobody waiting', async () => {
    const locks = inProcessLocks();
    const { passed, open } = gate();
    const waiting = new AbortController();
    const ran: string[] = [];
    const first = locks.withLock('a', () => passed);
    const second = locks.withLock('a', async () => ran.push('second'), waiting.signal);
    const third = locks.withLock('a', async () => ran.push('third'));
    waiting.abort(new Error('enough'));
    await expect(second).rejects.toThrow('enough');
    await expect(locks.withLock('a', async () => ran.push('late'), waiting.signal)).rejects.toThrow('enough');
    expect(ran).toEqual([]);
    open();
    await Promise.all([first, third]);
    expect(ran).toEqual(['third']);
  });

  it('E9 who runs already is waited for, whatever becomes of the signal', async () => {
    const locks = inProcessLocks();
    const { passed, open } = gate();
    const running = new AbortController();
    const held = locks.withLock('a', () => passed.then(() => 'done'), running.signal);
    await settled();
    running.abort();
    open();
    expect(await held).toBe('done');
  });
});
