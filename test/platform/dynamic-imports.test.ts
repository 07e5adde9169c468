import { globSync, readFileSync } from 'node:fs';
import * as ts from 'typescript';

/** The nearest function around a node. */
function functionAround(node: ts.Node): ts.Node | undefined {
  return ts.findAncestor(node, (one) => ts.isFunctionLike(one));
}

// webpack's import() throws at once where Trusted Types are required and it may make no address of a script: no promise is rejected then.
it('D-061 what import() throws rejects a promise: each is within an asynchronous function', () => {
  const found: string[] = [];
  for (const file of globSync('src/**/*.ts')) {
    const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        const around = functionAround(node);
        const isAsync =
          around && ts.canHaveModifiers(around) && ts.getModifiers(around)?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword);
        found.push(`${isAsync ? 'async' : 'throws at once'}: ${file}`);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  expect(found.length).toBeGreaterThan(5);
  expect(found.filter((one) => !one.startsWith('async'))).toEqual([]);
});
