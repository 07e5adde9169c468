// What no module of the product may do, looked for in its sources.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SRC = join(__dirname, '../../src');
const sources = (readdirSync(SRC, { recursive: true }) as string[])
  .filter((path) => path.endsWith('.ts'))
  .map((path) => [path, readFileSync(join(SRC, path), 'utf8').replace(/\/\*[^]*?\*\/|\/\/.*/g, '')] as const);
const offenders = (pattern: RegExp): string[] => sources.filter(([, text]) => pattern.test(text)).map(([path]) => path);

describe('the sources', () => {
  it('are found', () => {
    expect(sources.length).toBeGreaterThan(40);
  });

  it('TM-5 read a clock and set a timer in the platform alone', () => {
    expect(offenders(/\bDate\.now\b|\bnew Date\b|\bperformance\.now\b|\bsetTimeout\b|\bsetInterval\b/)).toEqual([
      'platform/platform.ts',
      'storage/file/locks.ts', // an interval that measures nothing: it keeps a process alive that waits for a lock
    ]);
  });

  it('E49 ask no global what kind of program this is', () => {
    expect(offenders(/typeof (window|document|process|localStorage|navigator)\b/)).toEqual([]);
  });

  it('E50 keep no state in a module: nothing is assigned to later', () => {
    expect(offenders(/^(export )?(let|var) /m)).toEqual([]);
  });
});
