// Code of the documentation as a module.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { examples, ROOT } from './markdown';

type Modules = Readonly<Record<string, object>>;
type Named = Readonly<Record<string, unknown>>;

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.CommonJS,
  experimentalDecorators: true, // of Angular
  useDefineForClassFields: false,
};
const actual = (name: string): object => jest.requireActual<object>(name);

/** What the example of a page exports that has `part` in it; `given` takes the place of what modules export, `named` of what is global. */
export function load(page: string, part: string, given: Modules = {}, named: Named = {}): unknown {
  const example = examples().find((one) => one.page === page && one.code.includes(part));
  return run(example?.code ?? '', (name) => ({ ...actual(name), ...given[name] }), named);
}

/** What a file exports that a page shows under its path, the last of them; `given` are whole modules. */
export function loadFile(page: string, path: string, given: Modules = {}, named: Named = {}): unknown {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const files = [...text.matchAll(/`([^`\n]+)`:?\n\n```typescript\n([^]*?)^```$/gm)];
  const [, , code = ''] = files.findLast(([, of]) => of === path) ?? [];
  return run(code, (name) => given[name] ?? actual(name), named);
}

function run(code: string, imported: (name: string) => object, named: Named): unknown {
  const { outputText } = ts.transpileModule(code, { compilerOptions });
  const exported = {};
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- it is what a module loader does
  const module = new Function('require', 'exports', ...Object.keys(named), outputText) as (...all: readonly unknown[]) => void;
  module(imported, exported, ...Object.values(named));
  return exported;
}
