import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

// The tests of docs/angular/tests.md are run as they stand there.
const PAGE = join(__dirname, '../../docs/angular/tests.md');
const blocks = [...readFileSync(PAGE, 'utf8').matchAll(/## (.+)\n\n<!-- test -->\n\n```ts\n([\s\S]*?)\n```/g)];
const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.CommonJS,
  esModuleInterop: true,
  experimentalDecorators: true,
};

it('docs/angular/tests.md has three examples', () => {
  expect(blocks).toHaveLength(3);
});

describe.each(blocks.map(([, title = '', code = '']) => [title, code]))('docs/angular/tests.md: %s', (_, code) => {
  const { outputText } = ts.transpileModule(code, { compilerOptions });
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- it is what a test runner does with a test file
  const run = new Function('require', 'exports', outputText) as (load: NodeJS.Require, exports: object) => void;
  run(require, {});
});
