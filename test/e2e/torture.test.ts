// Eight tabs of a real Chromium that break in every way they can while a token is refreshed. test/browsers/torture.mjs runs it, as it does in the other
// engines; here each scenario is a test. By puppeteer in a program of its own: playwright keeps all tabs visible, and a visible tab is never frozen.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../support/markdown';
import { runs } from '../support/counts';

const TITLES: Readonly<Record<string, string>> = {
  'one instant': 'E2 RF-1 RF-2 send one request when the token has expired in all of them at one instant',
  'staggered by 15 ms': 'E2 RF-1 RF-2 send one request when they ask one after the other',
  'renewed ahead, unasked': 'E41 RF-1 send one request when all of them find the token due',
  restarted: 'E4 RF-1 RF-6 send one request when the browser starts again with all of them, after it was closed or killed',
  'holder killed': 'RF-3 RF-4 RF-7 RF-8 E4 go on when one crashes at any step of a refresh; what a strict server took for used is reported',
  'holder closed':
    'RF-3 RF-4 RF-7 RF-8 E4 go on when one is closed at any step of a refresh; what a strict server took for used is reported',
  'signed out by remove': 'RF-13 7009-6 E12 E45 E60 are all signed out at any step of a refresh, and what came later is revoked',
  'signed out by revoke': 'RF-13 7009-6 E12 E45 E60 are all signed out at any step of a refresh, and nothing lives at the server',
  'clocks leap': 'E41 E42 send no request too many when clocks leap, between refreshes and in the middle of one',
  'holder frozen': 'RF-16 RF-9 RF-11 RF-5 go on when one is frozen at any step of a refresh, and what is thawed writes nothing stale',
  'holder frozen for a moment': 'RF-16 RF-5 RF-8 lose nothing when it thaws while the next one waits, or sends',
  'holder navigated away': 'RF-16 RF-9 RF-11 RF-5 go on when one goes to another page at any step of a refresh',
  'holder navigated away for a moment':
    'RF-16 RF-5 RF-8 lose nothing when it comes back from the back/forward cache while the next one waits, or sends',
};

/** The scenarios as they end, in a program that the tests share. */
interface Torture {
  /** Resolves with what came of a scenario: a line that begins with `ok` or `FAILED`, and in that case all that was said. */
  result(name: string): Promise<string>;
  /** Resolves with the names of all that were run. */
  names(): Promise<readonly string[]>;
}

let child: ChildProcess;
let torture: Torture;

beforeAll(() => {
  child = spawn(process.execPath, [join(ROOT, 'test/browsers/torture.mjs'), 'chromium', '--rounds', String(runs(10, 100))], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  torture = follow(child);
});
afterAll(() => child.kill());

function follow({ stdout, stderr }: ChildProcess): Torture {
  if (!stdout || !stderr) throw new TypeError('no pipes');
  const results = new Map<string, string>();
  const said: string[] = [];
  const listeners = new Set<() => void>();
  let ended = false;
  const tell = (): void => listeners.forEach((listener) => listener());
  const lines = createInterface(stdout);
  lines.on('line', (line) => {
    said.push(line);
    const name = /^(?:ok|FAILED) (.+?): /.exec(line)?.[1];
    if (name !== undefined) results.set(name, line);
    tell();
  });
  lines.on('close', () => {
    ended = true;
    tell();
  });
  stderr.on('data', (text: Buffer) => void said.push(String(text)));
  const when = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!holds() && !ended) return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
    });
  return {
    result: async (name) => {
      await when(() => results.has(name));
      const line = results.get(name);
      if (line?.startsWith('ok ')) return line;
      await when(() => ended);
      return said.join('\n');
    },
    names: async () => {
      await when(() => ended);
      return [...results.keys()];
    },
  };
}

describe('in Chromium, eight tabs of one origin', () => {
  it.each(Object.entries(TITLES))(
    '%s: %s',
    async (name) => {
      expect(await torture.result(name)).toMatch(/^ok /);
    },
    runs(300_000, 3_600_000),
  );

  it('all scenarios are tried here', async () => {
    expect(await torture.names()).toEqual(Object.keys(TITLES));
  });
});
