/**
 * Builds `dist/core`: `tsc`, and then each part that is loaded later becomes one file that imports nothing of what is there already.
 * It is handed that instead. Else a bundler must put whatever both need into files of their own, and a page waits for each of them at
 * its start: esbuild, and with it Angular's CLI, made four scripts of the smallest application (`docs/decisions.md`, D-042).
 *
 *     node tools/build-core.mjs
 */
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import ts from 'typescript';
import { eager } from './eager.mjs';
import { packageReadme } from './package-readme.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CORE = join(ROOT, 'dist/core');

/** What every program with a store has, whatever else it imports. */
const STORE = join(CORE, 'store/store.js');
/** Classes that `instanceof` is asked of: there must be one of each. */
const ONE_OF_EACH = [join(CORE, 'oauth/oauth-response-error.js')];
/** Entry points on the way to the first request. */
const FIRST = ['index.js', 'http/index.js', 'storage/indexeddb/index.js', 'storage/sealed/index.js', 'storage/localforage/index.js'].map(
  (entry) => join(CORE, entry),
);
/** The only package that the store itself needs at start. */
const SHARED_PACKAGE = 'rxjs';

rmSync(CORE, { recursive: true, force: true });
compile();
for (const file of ['src/package.json', 'LICENSE']) copyFileSync(join(ROOT, file), join(CORE, basename(file)));
writeFileSync(join(CORE, 'README.md'), packageReadme(readFileSync(join(ROOT, 'README.md'), 'utf8')));
await linkParts();

/** `tsc`, and once more for what a page needs to get to its first token: with functions that engines compile at once. */
function compile() {
  const configFile = join(ROOT, 'tsconfig.core.json');
  const { options, fileNames } = ts.parseJsonConfigFileContent(ts.readConfigFile(configFile, ts.sys.readFile).config, ts.sys, ROOT);
  const program = ts.createProgram(fileNames, options);
  const { diagnostics } = program.emit();
  const all = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  if (all.length > 0) {
    const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => ROOT, getNewLine: () => '\n' };
    throw new Error(ts.formatDiagnostics(all, host));
  }
  const source = (file) => program.getSourceFile(join(ROOT, 'src', relative(CORE, file)).replace(/\.js$/, '.ts'));
  for (const file of withImports(FIRST)) program.emit(source(file), undefined, undefined, false, { after: [eager] });
}

/** Everything that a module imports when it is loaded: the names, by module; and what it loads later, where that stands in its text. */
function importsOf(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
  const names = new Map();
  const later = [];
  const target = (specifier) => (specifier.text.startsWith('.') ? resolve(dirname(file), specifier.text) : specifier.text);
  const add = (specifier, imported) => names.set(target(specifier), [...(names.get(target(specifier)) ?? []), ...imported]);
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) {
      const bindings = node.importClause?.namedBindings;
      const named =
        bindings && ts.isNamedImports(bindings) ? bindings.elements.map(({ name, propertyName }) => (propertyName ?? name).text) : [];
      add(node.moduleSpecifier, bindings && ts.isNamespaceImport(bindings) ? ['*'] : named);
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier) add(node.moduleSpecifier, []);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && node.arguments[0].text.startsWith('.'))
      later.push({ part: target(node.arguments[0]), ...placeOf(node) });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { names, later };
}

/**
 * Where a function goes around what an `import()` gives. Of `const { x } = await import(…)` Vite 5 and 6 keep no more than `x`, and of the
 * whole statement nothing but the call: what follows it gets only that. So the function goes around the `await`.
 */
function placeOf(node) {
  const isAwaited = ts.isAwaitExpression(node.parent);
  const whole = isAwaited ? node.parent : node;
  return { isAwaited, start: whole.getStart(), end: whole.getEnd() };
}

/** A module and all that is loaded with it. */
function withImports(files, seen = new Set()) {
  for (const file of files) {
    if (seen.has(file) || !file.startsWith(CORE)) continue;
    seen.add(file);
    withImports(importsOf(file).names.keys(), seen);
  }
  return seen;
}

async function linkParts() {
  const entries = Object.values(JSON.parse(readFileSync(join(CORE, 'package.json'), 'utf8')).exports)
    .map((entry) => entry.default && join(CORE, entry.default))
    .filter(Boolean);
  const atStart = withImports(entries);
  const parts = []; // of all programs, those within parts too
  for (const importer of atStart) for (const one of importsOf(importer).later) parts.push({ importer, ...one });

  const linked = await Promise.all(parts.map((part) => linkPart(part, atStart)));
  const byPart = Map.groupBy(linked, ({ part }) => part);
  for (const [part, { length }] of byPart)
    if (length > 1) throw new Error(`${part}: loaded from ${length} places, which would hand over different things`);
  const copies = Map.groupBy(
    linked.flatMap(({ own = [] }) => own),
    (file) => file,
  );
  for (const [file, { length }] of copies) if (length > 1) assertPlain(file);
  linked.forEach(assertBasesAreThere);
  const withNames = linked.filter(({ names }) => names.length > 0);
  for (const importer of new Set(withNames.map((one) => one.importer)))
    handOver(
      importer,
      withNames.filter((one) => one.importer === importer),
    );
  const needed = withImports([...entries, ...parts.map(({ part }) => part)]);
  const handed = new Set(withNames.map(({ part }) => part));
  for (const file of needed)
    for (const module of importsOf(file).names.keys())
      if (handed.has(module)) throw new Error(`${file} imports ${module}, which is loaded later, and handed what it needs`);
  for (const name of readdirSync(CORE, { recursive: true })) {
    const file = join(CORE, name);
    if (file.endsWith('.js') && !needed.has(file)) for (const one of [file, `${file}.map`]) rmSync(one); // it is within a part now
  }
}

/** One file of a part, with a function `link` that takes what it is handed. Returns the names of that, in order, with their modules. */
async function linkPart(place, atStart) {
  const { importer, part } = place;
  if (atStart.has(part)) return { ...place, names: [] }; // another entry point loads it at once: nobody would hand it anything
  const there = withImports([importer, STORE, ...ONE_OF_EACH]);
  const own = [...withImports([part])].filter((file) => !there.has(file));
  const names = new Map(); // name → module
  for (const file of own) {
    if (atStart.has(file)) assertPlain(file);
    for (const [module, imported] of importsOf(file).names) {
      if (!there.has(module) && module !== SHARED_PACKAGE) continue;
      for (const name of imported) {
        if (name === '*' || (names.get(name) ?? module) !== module)
          throw new Error(`${file}: "${name}" of ${module} cannot be handed over`);
        names.set(name, module);
      }
    }
  }
  const list = [...names].toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (list.length === 0 && own.length === 1) return { ...place, names: list };
  const exported = list.map(([name]) => name).join(', ');
  const handed = `export let ${exported}; export const link = (handed) => { [${exported}] = handed; };`;
  const { outputFiles } = await build({
    stdin: {
      contents: `export * from ${JSON.stringify(part)};${list.length > 0 ? `export { link } from 'handed';` : ''}`,
      resolveDir: CORE,
    },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    sourcemap: true,
    sourcesContent: true,
    outfile: part,
    allowOverwrite: true,
    packages: 'external',
    write: false,
    plugins: [
      {
        name: 'handed',
        setup: ({ onResolve, onLoad }) => {
          onResolve({ filter: /^(handed|rxjs|\.)/ }, ({ path, importer: from, kind }) => {
            if (path === 'handed' || path === SHARED_PACKAGE) return { path: 'handed', namespace: 'handed' };
            if (kind === 'dynamic-import') throw new Error(`${from}: a part of a part`);
            return there.has(resolve(dirname(from), path)) ? { path: 'handed', namespace: 'handed' } : undefined;
          });
          onLoad({ filter: /./, namespace: 'handed' }, () => ({ contents: handed }));
        },
      },
    ],
  });
  return { ...place, own, names: list, files: outputFiles };
}

/** A class is made when its file is evaluated, before anything is handed over: its base would not be there yet. */
function assertBasesAreThere({ part, names, files = [] }) {
  const handed = new Set(names.map(([name]) => name));
  const text = files.find(({ path }) => path === part)?.text ?? '';
  const visit = (node) => {
    const base = ts.isHeritageClause(node) && node.token === ts.SyntaxKind.ExtendsKeyword && node.types[0].expression.getText();
    if (base && handed.has(base)) throw new Error(`${part}: a class extends ${base}, which is handed over later`);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(part, text, ts.ScriptTarget.ES2022, true));
}

/** Has the module hand over what its parts need, and writes them. */
function handOver(importer, parts) {
  let text = readFileSync(importer, 'utf8');
  const additions = [];
  for (const [index, { isAwaited, start, end, names, files }] of parts.toSorted((a, b) => b.end - a.end).entries()) {
    if (!isAwaited && /\{[^}]*\} = await $/.test(text.slice(0, start)))
      throw new Error(`${importer}: Vite would hand ${text.slice(start, end)} on without "link"; use then(…, …)`);
    text = isAwaited
      ? `${text.slice(0, start)}handOver${index}(${text.slice(start, end)})${text.slice(end)}`
      : `${text.slice(0, end)}.then(handOver${index})${text.slice(end)}`;
    for (const module of new Set(names.map(([, from]) => from))) {
      const imported = names.filter(([, from]) => from === module).map(([name]) => `${name} as handed${index}_${name}`);
      additions.push(`import { ${imported.join(', ')} } from '${specifierFrom(importer, module)}';`);
    }
    const handed = names.map(([name]) => `handed${index}_${name}`).join(', ');
    additions.push(`function handOver${index}(part) { part.link([${handed}]); return part; }`);
    for (const file of files) writeFileSync(file.path, file.contents);
  }
  const [code, map] = text.split(/^(?=\/\/# sourceMappingURL)/m); // lines stay where the source map has them
  writeFileSync(importer, `${code}${additions.join('\n')}\n${map}`);
}

function specifierFrom(importer, module) {
  if (module === SHARED_PACKAGE) return module;
  const path = relative(dirname(importer), module);
  const url = path.replaceAll('\\', '/');
  return url.startsWith('.') ? url : `./${url}`;
}

/** What a part has a copy of must hold no state and no class: there would be two of it. */
function assertPlain(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
  const visit = (node) => {
    if (ts.isFunctionLike(node)) return; // runs later
    const isSymbol = ts.isCallExpression(node) && node.expression.getText() === 'Symbol';
    const isVariable = ts.isVariableDeclarationList(node) && !(node.flags & ts.NodeFlags.Const);
    if (ts.isClassLike(node) || ts.isNewExpression(node) || isSymbol || isVariable)
      throw new Error(`${file}: a part would have its own ${node.getText().slice(0, 60)}`);
    ts.forEachChild(node, visit);
  };
  visit(source);
}
