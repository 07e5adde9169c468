/** Tells engines which functions are called while a page starts. */
import ts from 'typescript';

/**
 * Puts functions in parentheses, which V8 takes for a sign that they are called soon: it compiles them with the rest, while the script is
 * loaded and off the main thread, instead of one by one as they are first called (https://v8.dev/blog/preparser#pife). esbuild and Rolldown
 * leave such parentheses alone. Declarations become constants, and come first in their module, so that everything finds them.
 */
export function eager(context) {
  const { factory } = context;
  const isFunction = (node) => ts.isArrowFunction(node) || ts.isFunctionExpression(node);
  const within = (node) => ts.visitEachChild(node, visit, context);
  const visit = (node) => {
    if (ts.isParenthesizedExpression(node) && isFunction(node.expression))
      return factory.createParenthesizedExpression(early(within(node.expression)));
    if (isFunction(node)) return factory.createParenthesizedExpression(early(within(node)));
    const visited = within(node);
    if (ts.isBlock(visited)) return factory.updateBlock(visited, declaredFirst(visited.statements));
    if (!ts.isObjectLiteralExpression(visited)) return visited;
    const properties = visited.properties.map((one) => (ts.isMethodDeclaration(one) ? asProperty(one) : one));
    return factory.updateObjectLiteralExpression(visited, properties);
  };
  /** The sign is not taken before arrow functions that are asynchronous. */
  const early = (node) => {
    const isLate = ts.isArrowFunction(node) && node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) && !hasThis(node);
    if (!isLate) return node;
    const body = ts.isBlock(node.body) ? node.body : factory.createBlock([factory.createReturnStatement(node.body)], true);
    return factory.createFunctionExpression(node.modifiers, undefined, undefined, undefined, node.parameters, undefined, body);
  };
  const asProperty = ({ modifiers, asteriskToken, name, parameters, body }) =>
    factory.createPropertyAssignment(
      name,
      factory.createParenthesizedExpression(
        factory.createFunctionExpression(modifiers, asteriskToken, undefined, undefined, parameters, undefined, body),
      ),
    );
  const asConstant = ({ modifiers = [], asteriskToken, name, parameters, body }) => {
    const own = modifiers.filter(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword);
    const value = factory.createFunctionExpression(own, asteriskToken, name, undefined, parameters, undefined, body);
    const list = factory.createVariableDeclarationList(
      [factory.createVariableDeclaration(name, undefined, undefined, factory.createParenthesizedExpression(value))],
      ts.NodeFlags.Const,
    );
    return factory.createVariableStatement(
      modifiers.filter(({ kind }) => kind === ts.SyntaxKind.ExportKeyword),
      list,
    );
  };
  const declaredFirst = (statements) => {
    const [imports, functions, others] = [[], [], []];
    for (const one of statements) {
      if (ts.isFunctionDeclaration(one)) functions.push(ts.setOriginalNode(asConstant(one), one));
      else (ts.isImportDeclaration(one) ? imports : others).push(one);
    }
    return [...imports, ...functions, ...others];
  };
  return (file) => factory.updateSourceFile(file, declaredFirst(within(file).statements));
}

/** True if an arrow function has something of what is around it that other functions have of their own. */
function hasThis(node) {
  const isOwn = (one) => ts.isFunctionExpression(one) || ts.isFunctionDeclaration(one) || ts.isMethodDeclaration(one);
  const has = (one) =>
    one.kind === ts.SyntaxKind.ThisKeyword ||
    one.kind === ts.SyntaxKind.SuperKeyword ||
    (ts.isIdentifier(one) && one.text === 'arguments') ||
    (!isOwn(one) && ts.forEachChild(one, has));
  return Boolean(has(node));
}
