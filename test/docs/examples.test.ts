import { join, relative } from 'node:path';
import ts from 'typescript';
import { examples, ROOT } from '../support/markdown';

const config = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config,
  ts.sys,
  ROOT,
);
const options: ts.CompilerOptions = {
  ...config.options,
  noEmit: true,
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  importHelpers: false,
  verbatimModuleSyntax: false,
  moduleDetection: ts.ModuleDetectionKind.Force,
};

describe('examples of the documentation', () => {
  const blocks = examples();
  const files = new Map(blocks.map(({ page, line, code }) => [join(ROOT, `example-${page.replaceAll('/', '-')}-${line}.ts`), code]));
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists.call(host, name);
  host.readFile = (name) => files.get(name) ?? readFile.call(host, name);
  host.getSourceFile = (name, target, ...rest) => {
    const code = files.get(name);
    return code === undefined ? getSourceFile.call(host, name, target, ...rest) : ts.createSourceFile(name, code, target);
  };
  const program = ts.createProgram([...files.keys()], options, host);

  it('there are some in the README and the guides', () => {
    expect(new Set(blocks.map(({ page }) => page))).toEqual(
      new Set([
        'README.md',
        'docs/angular.md',
        'docs/axios.md',
        'docs/concepts.md',
        'docs/errors.md',
        'docs/http.md',
        'docs/plain-rxjs.md',
        'docs/queries.md',
        'docs/refresh.md',
        'docs/silent-renewal.md',
        'docs/storage.md',
        ...['call-two-apis', 'protect-a-route', 'tests', 'two-accounts', 'unauthorized'].map((page) => `docs/angular/${page}.md`),
        ...['cookie', 'file', 'indexeddb', 'key-value', 'localforage', 'sealed', 'web', 'writing-your-own'].map(
          (page) => `docs/storage/${page}.md`,
        ),
      ]),
    );
  });

  it.each(Array.from(files.keys(), (name) => [relative(ROOT, name), name]))('compile: %s', (_title, name) => {
    const file = program.getSourceFile(name);
    const problems = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    expect(
      ts.formatDiagnostics(problems, { getCanonicalFileName: (path) => path, getCurrentDirectory: () => ROOT, getNewLine: () => '\n' }),
    ).toBe('');
  });
});
