/**
 * Reading and editing TypeScript sources: a handful of pure functions over its syntax tree.
 *
 * @module
 */
import { SchematicsException } from '@angular-devkit/schematics';
import ts from 'typescript';

/** Text that goes in before the character at `at`. */
export interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** @throws {SchematicsException} the text is no TypeScript: who edits it would guess */
export function parse(path: string, text: string): ts.SourceFile {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const compilerOptions = { target: ts.ScriptTarget.ESNext };
  const { diagnostics = [] } = ts.transpileModule(text, { fileName: path, reportDiagnostics: true, compilerOptions });
  const [error] = diagnostics.filter(({ file }) => file !== undefined); // others are about the options
  if (!error) return source;
  const { line } = source.getLineAndCharacterOfPosition(error.start ?? 0);
  throw new SchematicsException(`${path} has a syntax error in line ${line + 1}. Correct it first. Nothing was changed.`);
}

/** The text with all insertions; those of one place in their order. Lines end as they do in the text. */
export function insertAll(text: string, insertions: readonly Insertion[]): string {
  const inOrder = insertions.toSorted((one, other) => one.at - other.at);
  const starts = [0, ...inOrder.map(({ at }) => at)];
  const ended = (inserted = ''): string => (text.includes('\r\n') ? inserted.replaceAll('\n', '\r\n') : inserted);
  return starts.map((start, i) => ended(inOrder[i - 1]?.text) + text.slice(start, starts[i + 1])).join('');
}

/** Under which name a file knows an export of a module, `http.name` where it imports all of it; `undefined` where it does not import it as a value. */
export function localName(source: ts.SourceFile, name: string, module: string): string | undefined {
  const bindings = bindingsOf(source, module);
  const named = bindings
    .filter(ts.isNamedImports)
    .flatMap(({ elements }) => elements)
    .find((element) => !element.isTypeOnly && (element.propertyName ?? element.name).text === name);
  const all = bindings.find(ts.isNamespaceImport);
  return named?.name.text ?? (all && `${all.name.text}.${name}`);
}

/** Whether a file declares the name itself, or imports it from a file beside it. */
export function isOwn(source: ts.SourceFile, name: string): boolean {
  return source.statements.some((statement) => {
    if (ts.isFunctionDeclaration(statement)) return statement.name?.text === name;
    if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.some((one) => one.name.getText(source) === name);
    if (!ts.isImportDeclaration(statement) || !/^['"]\./.test(statement.moduleSpecifier.getText(source))) return false;
    const { name: whole, namedBindings } = statement.importClause ?? {};
    const isNamed = namedBindings && ts.isNamedImports(namedBindings) && namedBindings.elements.some((one) => one.name.text === name);
    return whole?.text === name || !!isNamed;
  });
}

/** Lets the file import the names: into an import of that module that is there, else a line of its own after the last import. */
export function importing(source: ts.SourceFile, names: readonly string[], module: string): Insertion[] {
  const missing = names.filter((name) => localName(source, name, module) === undefined);
  if (missing.length === 0) return [];
  const there = bindingsOf(source, module).find(ts.isNamedImports);
  if (there) return appending(source, there.elements, missing);
  const imports = source.statements.filter(ts.isImportDeclaration);
  const quote = imports[0]?.moduleSpecifier.getText(source)[0] ?? "'";
  const line = `import { ${missing.join(', ')} } from ${quote}${module}${quote};`;
  const last = imports.at(-1);
  return [last ? { at: behindComments(source, last.end), text: `\n${line}` } : { at: 0, text: `${line}\n\n` }];
}

/** The calls in a node of a function that the file knows as `name`, the outer before the inner. */
export function callsOf(node: ts.Node, name: string): ts.CallExpression[] {
  const isCall = ts.isCallExpression(node) && isName(node.expression, name);
  const inner: ts.CallExpression[] = [];
  node.forEachChild((child) => void inner.push(...callsOf(child, name)));
  return isCall ? [node, ...inner] : inner;
}

/** Whether the name stands anywhere in the node. */
export function mentions(node: ts.Node, name: string): boolean {
  return isName(node, name) || (node.forEachChild((child) => mentions(child, name) || undefined) ?? false);
}

/** Further members behind the last one of a list: on lines of their own if the first one has one, else on its line. */
export function appending(source: ts.SourceFile, list: ts.NodeArray<ts.Node>, members: readonly string[]): Insertion[] {
  const [first] = list;
  if (!first) return [{ at: list.pos, text: members.join(', ') }];
  const { end, hasTrailingComma = false } = list;
  const comma = hasTrailingComma ? '' : ',';
  if (!source.text.slice(first.pos, first.getStart(source)).includes('\n')) return [{ at: end, text: `${comma} ${members.join(', ')}` }];
  const lead = `\n${indentOf(source, first)}`;
  const lines = lead + members.join(`,${lead}`) + (hasTrailingComma ? ',' : '');
  return [
    { at: end, text: comma },
    { at: behindComments(source, end), text: lines },
  ];
}

/** What stands before the first word of the node's line. */
export function indentOf(source: ts.SourceFile, node: ts.Node): string {
  const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
  return /^[ \t]*/.exec(source.text.slice(source.getPositionOfLineAndCharacter(line, 0)))?.[0] ?? '';
}

/** Behind the comments that follow on the same line. */
function behindComments({ text }: ts.SourceFile, at: number): number {
  return ts.getTrailingCommentRanges(text, at)?.at(-1)?.end ?? at;
}

/** True for `name`, or `http.name`. */
export function isName(node: ts.Node, name: string): boolean {
  if (ts.isIdentifier(node)) return node.text === name;
  return ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression) && `${node.expression.text}.${node.name.text}` === name;
}

/** What the imports of values from a module bring. */
function bindingsOf(source: ts.SourceFile, module: string): ts.NamedImportBindings[] {
  return source.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) return [];
    const { importClause } = statement;
    const bindings = importClause?.namedBindings;
    const isOfValues = statement.moduleSpecifier.text === module && !/^import\s+type\b/.test(statement.getText(source));
    return isOfValues && bindings ? [bindings] : [];
  });
}
