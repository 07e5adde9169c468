// What no module of the product may do, looked for in its sources.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');
const sources = ['src', 'projects/angular/src'].flatMap((folder) =>
  (readdirSync(join(ROOT, folder), { recursive: true }) as string[])
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => [`${folder}/${path}`, readFileSync(join(ROOT, folder, path), 'utf8').replace(/\/\*[^]*?\*\/|\/\/.*/g, '')] as const),
);
const offenders = (pattern: RegExp): string[] => sources.filter(([, text]) => pattern.test(text)).map(([path]) => path);
/** Each place, with what stands there. */
const places = (pattern: RegExp): string[] =>
  sources.flatMap(([path, text]) => [...text.matchAll(pattern)].map(([found]) => `${path}: ${found}`));

/** Asks which globals there are: by a name that tells programs apart, or by any that is capitalised. */
const ASKS_GLOBALS =
  /typeof (globalThis\.)?(window|self|document|process|localStorage|sessionStorage|navigator|location|importScripts|[A-Z]\w*)\b(?= *[!=]=)|'(window|document|process|localStorage|sessionStorage|navigator|location|importScripts|[A-Z]\w*)' in \w+/g;
/** A variable of a module, a static member, or a constant of a module that can be filled; Angular's tokens hold nothing. */
const KEEPS_STATE =
  /^(export )?(let|var) \w+|^ +static (?!readonly)[#\w]+(?= *[:=;])|^(export )?const \w+(?:[^=;]|=>)*= (new (?!(InjectionToken|HttpContextToken)\b)\w+|\[\]|\{\}|Object\.create\()|^ +static readonly [#\w]+[^=;]*= (new \w+|\[\]|\{\})/gm;

/** Reads a clock or sets a timer: by the language, a runtime, or an operator of RxJS that takes a time. `Date.parse` and `Date.UTC` read none. */
const MEASURES_TIME =
  /\bDate\b(?!\.(parse|UTC)\b)|\bTemporal\b|\bperformance\b|\bhrtime\b|\bset(Timeout|Interval|Immediate)\b|\brequest(AnimationFrame|IdleCallback)\b|\bAbortSignal\.timeout\b|\bfrom 'node:(timers|perf_hooks)|\bimport \{[^}]*\b(timer|interval|delay|debounceTime|throttleTime|auditTime|sampleTime|bufferTime|windowTime|timeout|timeoutWith|timestamp|timeInterval|animationFrames|\w+Scheduler)\b[^}]*\} from 'rxjs/;

describe('the sources', () => {
  it('are found', () => {
    expect(sources.length).toBeGreaterThan(100);
  });

  it('TM-5 read a clock and set a timer in the platform alone', () => {
    expect(offenders(MEASURES_TIME)).toEqual([
      'src/platform/platform.ts',
      'src/storage/file/locks.ts', // an interval that measures nothing: it keeps a process alive that waits for a lock
    ]);
  });

  it('E49 ask no global what kind of program this is', () => {
    expect(places(ASKS_GLOBALS)).toEqual([
      'src/http/fetch.ts: typeof WorkerGlobalScope', // HT-3: who follows redirects; not where anything is kept
      "src/http/fetch.ts: 'location' in self", // the same
      "src/platform/platform.ts: 'document' in scope", // a page is a document, whatever other globals a server has // whether there is one to open
      'src/testing/place.ts: typeof MessageChannel', // how to wait for a turn: jsdom has none
      'projects/angular/src/providers.ts: typeof DOMException', // names the class for `instanceof`
    ]);
  });

  it('E50 keep no state in a module', () => {
    expect(places(KEEPS_STATE)).toEqual([
      'src/http/attachment.ts: const memories = new WeakMap', // by store, and gone with it
      'src/http/axios.ts: let finalUrlsOfAll', // by the `fetch` and the request of a caller, and gone with them: axios keeps each `fetch` for ever
      'src/http/redirects.ts: const REDIRECTS: ReadonlySet<number> = new Set', // never written to: its type has no `add`
      'src/oauth/key-set.ts: const MATERIAL: ReadonlyMap<unknown, readonly string[]> = new Map', // never written to
      'src/storage/cookie/index.ts: const LOCKS = new WeakMap', // by the jar of one request, and gone with it
      'src/storage/key-value/index.ts: const SHARED = new WeakMap', // by the object the application keeps records in, and gone with it
      'projects/angular/src/stores.ts: const tokens = new Map', // names of stores and their InjectionTokens: each injector has stores of its own
    ]);
  });

  it.each([
    'const now = Date.now();',
    'const now = Date();',
    'const now = new Date().getTime();',
    'const clock = Date;\nclock.now();',
    'const { now } = performance;',
    'fetch(url, { signal: AbortSignal.timeout(5) });',
    'setImmediate(run);',
    "import { map, timer } from 'rxjs';",
    "import {\n  interval as every,\n} from 'rxjs';",
    "import { debounceTime } from 'rxjs/operators';",
    "import { setTimeout as sleep } from 'node:timers/promises';",
  ])('TM-5 time is found: %j', (text) => {
    expect(text).toMatch(MEASURES_TIME);
  });

  it.each([
    'const at = Date.parse(text);',
    "import { defer, shareReplay } from 'rxjs';",
    'signal: AbortSignal | undefined',
    'readonly delay: number;',
  ])('TM-5 no time is found: %j', (text) => expect(text).not.toMatch(MEASURES_TIME));

  it.each([
    "typeof window === 'undefined'",
    "typeof globalThis.localStorage !== 'undefined'",
    "typeof Deno === 'object'",
    "'document' in globalThis",
  ])('E49 a question is found: %j', (text) => {
    expect(text.match(ASKS_GLOBALS)).not.toBeNull();
  });

  it.each([
    'let count = 0;',
    'export const known = new Map<string, string>();',
    'const known: Map<string, () => void> = new Map();',
    'const subject = new BehaviorSubject(null);',
    'const waiting: string[] = [];',
    'const cache: Record<string, string> = {};',
    'class Store {\n  static #last: Store | undefined;',
    'class Store {\n  static readonly all = new Set<Store>();',
  ])('E50 state is found: %j', (text) => {
    expect(text.match(KEEPS_STATE)).not.toBeNull();
  });
});
