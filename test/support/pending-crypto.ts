/**
 * How much Web Crypto has been asked for and not answered yet. It works in threads of its own: without this, time that a test lets pass would run
 * ahead of it on a busy machine, and deadlines would end what needs no waiting.
 */
interface Pending {
  count: number;
}

const KEY = Symbol.for('rx-credentials:test:pending-crypto');
const METHODS = ['encrypt', 'decrypt', 'sign', 'verify', 'digest', 'generateKey', 'importKey', 'exportKey', 'deriveBits'] as const;

/** One for all test files of a process, which share its Web Crypto. */
function watch(): Pending {
  const subtle = (globalThis.crypto as Partial<Crypto> | undefined)?.subtle;
  if (!subtle) return { count: 0 };
  const methods = Object.getPrototypeOf(subtle) as Record<string, (...args: unknown[]) => Promise<unknown>> & { [KEY]?: Pending };
  if (methods[KEY]) return methods[KEY];
  const pending: Pending = { count: 0 };
  for (const name of METHODS) {
    const method = methods[name];
    if (!method) continue;
    methods[name] = function (this: unknown, ...args) {
      const answer = method.apply(this, args);
      const ended = (): void => void pending.count--;
      pending.count++;
      answer.then(ended, ended);
      return answer;
    };
  }
  return Object.defineProperty(methods, KEY, { value: pending })[KEY] ?? pending;
}

const pending = watch();

export function isCryptoPending(): boolean {
  return pending.count > 0;
}
