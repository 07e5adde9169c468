import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
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

/** A program of files that are not on the disk, by their names. */
function programOf(files: ReadonlyMap<string, string>, more: ts.CompilerOptions = {}): ts.Program {
  const host = ts.createCompilerHost(options);
  const folders = new Set(Array.from(files.keys(), dirname));
  const { directoryExists, getSourceFile, fileExists, readFile } = host;
  host.directoryExists = (name) => folders.has(name) || directoryExists?.call(host, name) === true;
  host.fileExists = (name) => files.has(name) || fileExists.call(host, name);
  host.readFile = (name) => files.get(name) ?? readFile.call(host, name);
  host.getSourceFile = (name, target, ...rest) => {
    const code = files.get(name);
    return code === undefined ? getSourceFile.call(host, name, target, ...rest) : ts.createSourceFile(name, code, target);
  };
  return ts.createProgram([...files.keys()], { ...options, ...more }, host);
}

/** What the compiler has against a file. */
function problemsOf(program: ts.Program, name: string): string {
  const file = program.getSourceFile(name);
  const problems = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
  const format = { getCanonicalFileName: (path: string) => path, getCurrentDirectory: () => ROOT, getNewLine: () => '\n' };
  return ts.formatDiagnostics(problems, format);
}

describe('examples of the documentation', () => {
  const blocks = examples();
  const files = new Map(blocks.map(({ page, line, code }) => [join(ROOT, `example-${page.replaceAll('/', '-')}-${line}.ts`), code]));
  const program = programOf(files);

  it('there are some in the README and the guides', () => {
    expect(new Set(blocks.map(({ page }) => page))).toEqual(
      new Set([
        'README.md',
        'docs/angular.md',
        'docs/axios.md',
        'docs/concepts.md',
        'docs/errors.md',
        'docs/how-to.md',
        'docs/http.md',
        'docs/migrating.md',
        'docs/pitfalls.md',
        'docs/plain-rxjs.md',
        'docs/queries.md',
        'docs/refresh.md',
        'docs/servers.md',
        'docs/silent-renewal.md',
        'docs/storage.md',
        ...['call-two-apis', 'protect-a-route', 'tests', 'unauthorized'].map((page) => `docs/angular/${page}.md`),
        ...['cookie', 'file', 'indexeddb', 'key-value', 'localforage', 'sealed', 'web', 'writing-your-own'].map(
          (page) => `docs/storage/${page}.md`,
        ),
      ]),
    );
  });

  it.each(Array.from(files.keys(), (name) => [relative(ROOT, name), name]))('compile: %s', (_title, name) => {
    expect(problemsOf(program, name)).toBe('');
  });
});

/**
 * Blocks that are files of one application import each other: ```typescript, each with its path before it. Those of a section are compiled
 * together, in a folder of their own.
 */
describe('applications of the documentation', () => {
  const ROUTES = `import type { Routes } from '@angular/router';\nexport const routes: Routes = [];\n`; // of Angular's CLI
  const nobody = filesOf('docs/ssr.md', 'The server knows nobody');
  const cookie = filesOf('docs/ssr.md', "The server has the user's cookie");
  const applications = [
    ['ssr-nobody', { ...nobody, 'src/app/app.routes.server.ts': cookie['src/app/app.routes.server.ts'] ?? '' }],
    ['ssr-cookie', { ...nobody, ...cookie }],
    ['protect-a-route', filesOf('docs/angular/protect-a-route.md')],
    ['two-accounts', filesOf('docs/angular/two-accounts.md')],
    ['unauthorized', filesOf('docs/angular/unauthorized.md')],
    ['ng-add', { ...filesOf('docs/ng-add.md'), 'src/app/app.routes.ts': ROUTES }],
  ] as const;
  const files = new Map(
    applications.flatMap(([name, sources]) =>
      Object.entries(sources).map(([path, code]) => [join(ROOT, `example-${name}`, path), code] as const),
    ),
  );
  const program = programOf(files, { types: ['node'] });

  it('no block is left out', () => {
    const pages = ['docs', 'docs/angular', 'docs/storage'].flatMap((folder) =>
      readdirSync(join(ROOT, folder)).flatMap((name) => (name.endsWith('.md') ? [`${folder}/${name}`] : [])),
    );
    const taken = (page: string): number => Object.keys(filesOf(page)).length;
    const there = pages.map((page) => [page, readFileSync(join(ROOT, page), 'utf8').split('\n```typescript\n').length - 1]);
    expect(there.filter(([, count]) => count !== 0)).toEqual([
      ['docs/ng-add.md', taken('docs/ng-add.md')],
      ['docs/ssr.md', Object.keys(nobody).length + Object.keys(cookie).length],
      ['docs/angular/protect-a-route.md', taken('docs/angular/protect-a-route.md')],
      ['docs/angular/two-accounts.md', taken('docs/angular/two-accounts.md')],
      ['docs/angular/unauthorized.md', taken('docs/angular/unauthorized.md')],
    ]);
  });

  it.each(Array.from(files.keys(), (name) => [relative(ROOT, name), name]))('compile: %s', (_title, name) => {
    expect(problemsOf(program, name)).toBe('');
  });
});

/** The files of a page, or of one of its sections, by their paths. */
function filesOf(page: string, heading = ''): Readonly<Record<string, string>> {
  const sections = readFileSync(join(ROOT, page), 'utf8').split(/^## /m);
  const text = sections.filter((section) => section.startsWith(heading)).join('');
  return Object.fromEntries(
    Array.from(text.matchAll(/`(src\/[^`]+)`:?\n\n```typescript\n([^]*?)^```$/gm), ([, path = '', code = '']) => [path, code]),
  );
}
