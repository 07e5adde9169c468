// What all locks have in common: those of one program, Web Locks, their stand-in in IndexedDB, those of the file storage.
import type { Locks } from '../../src/platform/platform';
import { runs } from '../support/counts';

type WithLock = Locks['withLock'];

/** Locks under test. */
export interface LocksUnderTest {
  /** One more tab or program that shares the locks with the others; called several times in a test. */
  readonly open: () => WithLock;
  /** True if a signal ends the waiting. */
  readonly isAbortable: boolean;
}

const TIMEOUT_MS = 120_000; // a thousand folders on a busy disk

/** Something that happens when the test says so. */
function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

/** Lets others run, as often as it is told to. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Takes the lock; resolves, once it is held, with the way to let go of it. */
async function take(withLock: WithLock, name: string): Promise<() => Promise<void>> {
  const [taken, freed] = [gate(), gate()];
  const done = withLock(name, async () => {
    taken.open();
    await freed.passed;
  });
  await Promise.race([taken.passed, done]);
  return () => {
    freed.open();
    return done;
  };
}

let count = 0;

/** Runs the contract as tests of Jest. Names are new in each test, since the locks of a process outlive one. */
export function describeLocks(title: string, { open, isAbortable }: LocksUnderTest): void {
  describe(`the contract of locks on ${title}`, () => {
    let name = '';
    beforeEach(() => (name = `contract ${count++}`));
    const opened = (tabs: number): WithLock[] => Array.from({ length: tabs }, () => open());

    it(
      'RF-1 a counter that eight read, wait and write under the lock loses nothing',
      async () => {
        const rounds = runs(15, 150);
        let value = 0;
        const step = async (pause: number): Promise<void> => {
          const before = value;
          await turns(pause % 4);
          value = before + 1;
        };
        await Promise.all(
          opened(8).map(async (withLock, tab) => {
            for (let round = 0; round < rounds; round++) await withLock(name, () => step(tab + round));
          }),
        );
        expect(value).toBe(8 * rounds);
      },
      TIMEOUT_MS,
    );

    it(
      'serves a thousand who wait, each of them once and alone',
      async () => {
        const tabs = opened(4);
        const served = new Map<number, number>();
        let [holders, most] = [0, 0];
        await Promise.all(
          Array.from({ length: 1_000 }, (_, i) =>
            tabs[i % tabs.length](name, async () => {
              most = Math.max(most, ++holders);
              await turns(i % 2);
              served.set(i, (served.get(i) ?? 0) + 1);
              holders--;
            }),
          ),
        );
        expect([most, served.size, [...served.values()].every((times) => times === 1)]).toEqual([1, 1_000, true]);
      },
      TIMEOUT_MS,
    );

    it('gives the results of its holders back', async () => {
      const withLock = open();
      const value = { any: 'thing' };
      expect(await withLock(name, () => Promise.resolve(value))).toBe(value);
      expect(await withLock(name, () => Promise.resolve(undefined))).toBeUndefined();
    });

    it.each<[string, (error: Error) => Promise<never>]>([
      ['rejects', (error) => Promise.reject(error)],
      [
        'throws at once',
        (error) => {
          throw error;
        },
      ],
    ])('a holder that %s gets its own error back, and the next one runs', async (_, fail) => {
      const [one, other] = opened(2);
      const error = new Error('of the holder');
      const failing = one(name, () => fail(error));
      const next = other(name, () => Promise.resolve('next'));
      await expect(failing).rejects.toBe(error);
      expect(await next).toBe('next');
      expect(await one(name, () => Promise.resolve('again'))).toBe('again');
    });

    it('nobody runs while another holds the lock, in whichever tab', async () => {
      const [holder, other] = opened(2);
      const free = await take(holder, name);
      const order: string[] = [];
      const waiting = [holder, other].map((withLock) => withLock(name, async () => void order.push('waiter')));
      await turns(200);
      order.push('holder');
      await free();
      await Promise.all(waiting);
      expect(order).toEqual(['holder', 'waiter', 'waiter']);
    });

    it('different names do not wait for each other: in one tab, in two, and one inside the other', async () => {
      const [one, other] = opened(2);
      const free = await take(one, `${name}:a`);
      expect(await other(`${name}:b`, () => Promise.resolve('two'))).toBe('two');
      expect(await one(`${name}:b`, () => one(`${name}:c`, () => Promise.resolve('inside')))).toBe('inside');
      await free();
    });

    it.each(['', '__proto__', 'constructor', 'Ω 🔑', 'a/b\\..', 'x'.repeat(500)])('takes any text for a name: %j', async (text) => {
      const [holder, other] = opened(2);
      const unusual = text && `${text}${name}`;
      const free = await take(holder, unusual);
      let ran = false;
      const waiting = other(unusual, async () => void (ran = true));
      await turns(20);
      expect(ran).toBe(false);
      await free();
      await waiting;
      expect(ran).toBe(true);
    });

    it('a signal that says nothing changes nothing', async () => {
      const { signal } = new AbortController();
      expect(await open()(name, () => Promise.resolve('granted'), signal)).toBe('granted');
    });

    if (!isAbortable) return;

    it('a signal ends the waiting: its reason is thrown, nothing runs, and the next one is served', async () => {
      const [holder, other] = opened(2);
      const free = await take(holder, name);
      const abort = new AbortController();
      const ran: string[] = [];
      const waiting = other(name, async () => void ran.push('aborted'), abort.signal);
      const next = other(name, async () => void ran.push('next'));
      await turns(50);
      const reason = new Error('enough');
      abort.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      await free();
      await next;
      expect(ran).toEqual(['next']);
      await expect(other(name, async () => void ran.push('late'), abort.signal)).rejects.toBe(reason);
      expect(ran).toEqual(['next']);
    });

    it('a signal comes too late for a holder', async () => {
      const abort = new AbortController();
      const held = open()(
        name,
        async () => {
          abort.abort(new Error('late'));
          await turns(5);
          return 'done';
        },
        abort.signal,
      );
      expect(await held).toBe('done');
    });
  });
}
