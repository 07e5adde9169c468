import fc from 'fast-check';
import { isHashed, nameInFile, nameOf, recordFile, textOf } from '../../src/storage/file/names';
import { runs } from '../support/counts';

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: fc.constantFrom('a', 'A', '_', '~', '-', '.', '/', '\\', '\0', '0', 'ä', '😀', '\ud800', '\udfff'), maxLength: 600 }),
);

describe('names of files', () => {
  it('CLI-2 are safe on every file system, whatever the id: no case, no path, at most 255 bytes', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(recordFile(nameOf(text))).toMatch(/^r-[a-z0-9_~-]*\.json$/);
        expect(nameOf(text).length).toBeLessThanOrEqual(130);
      }),
      { numRuns: runs(1_000, 50_000) },
    );
  });

  it('E39 tell ids apart, and short ones can be read back', () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(nameOf(a) === nameOf(b)).toBe(a === b);
        expect(textOf(nameOf(a))).toBe(isHashed(nameOf(a)) ? undefined : a);
        expect(nameInFile(recordFile(nameOf(a)))).toBe(nameOf(a));
      }),
      { numRuns: runs(1_000, 50_000) },
    );
  });

  it('E39 tell lone surrogates apart, in long ids too', () => {
    expect(nameOf('\ud800')).not.toBe(nameOf('\ud801'));
    expect(nameOf('\ud800'.repeat(100))).not.toBe(nameOf('\ud801'.repeat(100)));
  });

  it('stay readable for ids as they are made, and are the same for ever', () => {
    expect(nameOf('3f2b-17')).toBe('3f2b-17');
    expect(nameOf('aB/')).toBe('a_0042_002f');
    expect(nameOf('')).toBe('');
    expect(nameOf('x'.repeat(130))).toBe('x'.repeat(130));
    expect(nameOf('x'.repeat(131))).toMatch(/^~[0-9a-f]{64}$/);
  });

  it.each([
    'config.json',
    'r-A.json',
    'r-a.b.json',
    'r-_0061.json',
    'r-_00.json',
    'r-~1234.json',
    'r-a.json.bak',
    'locks',
    '.r-a.json',
    'r-ä.json',
    'r-a\n.json',
  ])('E67 the name %j is none of ours', (file) => expect(nameInFile(file)).toBeUndefined());
});
