// An example of the documentation as a module.
import ts from 'typescript';
import { examples } from './markdown';

/** What an example exports; `named` are the things that it takes from its surroundings. */
export function load(
  page: string,
  part: string,
  given: Readonly<Record<string, object>> = {},
  named: Readonly<Record<string, unknown>> = {},
): unknown {
  const example = examples().find((one) => one.page === page && one.code.includes(part));
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS };
  const { outputText } = ts.transpileModule(example?.code ?? '', { compilerOptions });
  const exported = {};
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- it is what a module loader does
  const run = new Function('require', 'exports', ...Object.keys(named), outputText) as (...all: readonly unknown[]) => void;
  const actual = (name: string): object => jest.requireActual<object>(name);
  run((name: string) => ({ ...actual(name), ...given[name] }), exported, ...Object.values(named));
  return exported;
}
