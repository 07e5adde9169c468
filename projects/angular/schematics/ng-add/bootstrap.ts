/**
 * Where the configuration of an application stands: followed from its main file.
 *
 * @module
 */
import { posix } from 'node:path';
import { SchematicsException, type Tree } from '@angular-devkit/schematics';
import { readWorkspace } from '@schematics/angular/utility';
import ts from 'typescript';
import { callsOf, localName, parse } from './source.js';

/** An object literal of type `ApplicationConfig` in a file. */
export interface AppConfig {
  readonly source: ts.SourceFile;
  readonly config: ts.ObjectLiteralExpression;
  /** What `mergeApplicationConfig` adds to it; `undefined`: one that cannot be followed. */
  readonly merged: readonly (AppConfig | undefined)[];
}

/** An application of the workspace. */
export interface Application {
  readonly mainFile: string;
  /** True if its requests may be sent by XMLHttpRequest on a server: it is rendered there, and Angular is older than 22. */
  readonly needsFetch: boolean;
}

/** The first Angular whose `HttpClient` sends by `fetch`, if nothing is said. */
const FETCH_BY_DEFAULT = 22;

const DOCS = 'See docs/ng-add.md of rx-credentials. Nothing was changed.';

/**
 * An application, with the path of its main file.
 *
 * @param name default: the only application of the workspace
 * @throws {SchematicsException} no such application, or several and no name
 */
export async function applicationOf(tree: Tree, name: string | undefined): Promise<Application> {
  const { projects } = await readWorkspace(tree);
  const applications = Array.from(projects).filter(([key, { extensions }]) =>
    name === undefined ? extensions['projectType'] === 'application' : key === name,
  );
  const [found, another] = applications;
  if (!found)
    throw new SchematicsException(`There is no ${name === undefined ? 'application' : `project "${name}"`} here. Nothing was changed.`);
  if (another) throw new SchematicsException('There are several applications: name one with --project. Nothing was changed.');
  const [key, project] = found;
  const options = project.targets.get('build')?.options;
  const path = options?.['browser'] ?? options?.['main'] ?? posix.join(project.sourceRoot ?? posix.join(project.root, 'src'), 'main.ts');
  if (typeof path !== 'string' || !tree.exists(path)) throw new SchematicsException(`"${key}" has no main file. ${DOCS}`);
  const isServed = project.targets.has('server') || !!options?.['server'] || !!options?.['ssr'];
  return { mainFile: path, needsFetch: isServed && !(majorOf(tree) >= FETCH_BY_DEFAULT) };
}

/** That of Angular, as the manifest asks for it; `NaN` if it does not say. */
function majorOf(tree: Tree): number {
  const { dependencies } = tree.exists('package.json')
    ? (tree.readJson('package.json') as { readonly dependencies?: Record<string, string> })
    : {};
  return Number(/\d+/.exec(dependencies?.['@angular/core'] ?? '')?.[0] ?? NaN);
}

/**
 * The configuration that the main file bootstraps with.
 *
 * @throws {SchematicsException} an application of NgModules, or one whose configuration cannot be followed
 */
export function appConfigOf(tree: Tree, mainFile: string): AppConfig {
  const source = parse(mainFile, tree.readText(mainFile));
  const bootstrap = localName(source, 'bootstrapApplication', '@angular/platform-browser');
  const [call] = bootstrap === undefined ? [] : callsOf(source, bootstrap);
  if (!call) throw new SchematicsException(withoutBootstrap(source));
  const config = call.arguments[1];
  if (!config)
    throw new SchematicsException(
      `bootstrapApplication in ${mainFile} has no second argument. Pass one, such as { providers: [] }, and run this command again. ${DOCS}`,
    );
  const found = resolve(tree, source, config);
  if (!found)
    throw new SchematicsException(`The second argument of bootstrapApplication in ${mainFile} is no object that can be followed. ${DOCS}`);
  return found;
}

function withoutBootstrap({ fileName, text }: ts.SourceFile): string {
  if (!text.includes('bootstrapModule')) return `There is no call of bootstrapApplication in ${fileName}. ${DOCS}`;
  return (
    `${fileName} bootstraps an NgModule, which this command does not edit. Add provideCredentials(…) and ` +
    `provideHttpClient(withInterceptors([credentialsInterceptor])) to the providers of the root module by hand. ${DOCS}`
  );
}

/** @param within names that are being resolved: what leads to itself leads nowhere */
function resolve(tree: Tree, source: ts.SourceFile, config: ts.Expression, within: readonly string[] = []): AppConfig | undefined {
  if (ts.isObjectLiteralExpression(config)) return { source, config, merged: [] };
  if (ts.isIdentifier(config)) return resolveName(tree, source, config.text, within);
  if (ts.isSatisfiesExpression(config) || ts.isAsExpression(config)) return resolve(tree, source, config.expression, within);
  const merge = localName(source, 'mergeApplicationConfig', '@angular/core');
  const [call] = merge === undefined ? [] : callsOf(config, merge);
  const [first, ...others] = (call?.arguments ?? []).map((argument) => resolve(tree, source, argument, within));
  return first && { ...first, merged: [...first.merged, ...others] };
}

/** A constant of the file, or of a file that it imports by a relative path. */
function resolveName(tree: Tree, source: ts.SourceFile, name: string, outer: readonly string[]): AppConfig | undefined {
  const id = `${source.fileName} ${name}`;
  if (outer.includes(id)) return undefined;
  const within = [...outer, id];
  const declaration = source.statements
    .flatMap((statement) => (ts.isVariableStatement(statement) ? statement.declarationList.declarations : []))
    .find((variable) => ts.isIdentifier(variable.name) && variable.name.text === name);
  if (declaration) return declaration.initializer && resolve(tree, source, declaration.initializer, within);
  for (const { moduleSpecifier, importClause } of source.statements.filter(ts.isImportDeclaration)) {
    const bindings = importClause?.namedBindings;
    if (!bindings || !ts.isNamedImports(bindings) || !ts.isStringLiteral(moduleSpecifier)) continue;
    const element = bindings.elements.find((candidate) => candidate.name.text === name);
    const path = element && `${posix.join(posix.dirname(source.fileName), moduleSpecifier.text).replace(/\.(js|ts)$/, '')}.ts`;
    if (element && path && moduleSpecifier.text.startsWith('.') && tree.exists(path)) {
      return resolveName(tree, parse(path, tree.readText(path)), (element.propertyName ?? element.name).text, within);
    }
  }
  return undefined;
}
