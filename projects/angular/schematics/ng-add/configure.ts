/**
 * Writes the providers into an application's configuration. What is there stays as it is: a second run changes nothing.
 *
 * @module
 */
import ts from 'typescript';
import type { AppConfig } from './bootstrap.js';
import type { NgAddOptions } from './options.js';
import { appending, callsOf, importing, indentOf, insertAll, localName, mentions, type Insertion } from './source.js';

const OURS = 'rx-credentials-angular';
const HTTP = '@angular/common/http';
const INTERCEPTOR = 'credentialsInterceptor';

/** An edit, and the names by module that it needs. */
interface Edit {
  readonly insertions: readonly Insertion[];
  /** For the end of the providers. */
  readonly providers: readonly string[];
  readonly imports: readonly (readonly [module: string, ...names: string[]])[];
}

const NO_EDIT: Edit = { insertions: [], providers: [], imports: [] };

/**
 * The text of the configuration's file with both providers; the same text where they are there. `undefined`: its providers are no list.
 *
 * @param features functions of Angular that the application's HTTP client needs, such as `withFetch`
 */
export function configured({ source, config }: AppConfig, options: NgAddOptions, features: readonly string[]): string | undefined {
  const property = config.properties.find(({ name }) => name && textOf(name) === 'providers');
  const list =
    property && ts.isPropertyAssignment(property) && ts.isArrayLiteralExpression(property.initializer) ? property.initializer : undefined;
  if (property && !list) return undefined;
  const first = list?.elements[0];
  const indent = first ? indentOf(source, first) : `${indentOf(source, config)}    `;
  const edits = [storeEdit(source, config, options, indent), httpEdit(source, config, features)];
  return insertAll(source.text, [
    ...mergedImports(edits).flatMap(([module, ...names]) => importing(source, names, module)),
    ...edits.flatMap((edit) => edit.insertions),
    ...providing(
      source,
      config,
      list,
      edits.flatMap((edit) => edit.providers),
    ),
  ]);
}

/** Whether the configuration provides an HTTP client. */
export function hasHttpClient({ source, config }: AppConfig): boolean {
  return callsOf(config, localName(source, 'provideHttpClient', HTTP) ?? 'provideHttpClient').length > 0;
}

/** What a member is called, in quotes or not. */
function textOf(name: ts.PropertyName): string | undefined {
  if (ts.isComputedPropertyName(name)) return ts.isStringLiteralLike(name.expression) ? name.expression.text : undefined;
  return name.text;
}

/** `provideCredentials(…)`, unless the configuration calls it. */
function storeEdit(source: ts.SourceFile, config: ts.Node, options: NgAddOptions, indent: string): Edit {
  const name = localName(source, 'provideCredentials', OURS);
  if (name !== undefined && callsOf(config, name).length > 0) return NO_EDIT;
  const resources = localName(source, 'withResources', OURS) ?? 'withResources';
  const lines = [
    `${name ?? 'provideCredentials'}(`,
    '  {',
    `    issuer: ${literal(options.issuer)},`,
    `    clientId: ${literal(options.clientId)},`,
    `    scope: ${literal(options.scope)},`,
    `    redirectUri: ${literal(options.redirectUri)},`,
    '  },',
    `  ${resources}(${literal(options.apiUrl)}),`,
    ')',
  ];
  return { ...NO_EDIT, providers: [lines.join(`\n${indent}`)], imports: [[OURS, 'provideCredentials', 'withResources']] };
}

/** The interceptor, in the call of `provideHttpClient` that is there, or with one. */
function httpEdit(source: ts.SourceFile, config: ts.Node, features: readonly string[]): Edit {
  const interceptor = localName(source, INTERCEPTOR, OURS) ?? INTERCEPTOR;
  if (mentions(config, interceptor)) return NO_EDIT;
  const provide = localName(source, 'provideHttpClient', HTTP) ?? 'provideHttpClient';
  const intercept = localName(source, 'withInterceptors', HTTP) ?? 'withInterceptors';
  const [call] = callsOf(config, provide);
  const ours = [OURS, INTERCEPTOR] as const;
  const feature = `${intercept}([${interceptor}])`;
  const missing = features.filter((name) => !call || callsOf(call, localName(source, name, HTTP) ?? name).length === 0);
  const calls = missing.map((name) => `${localName(source, name, HTTP) ?? name}()`);
  if (!call) {
    const names = ['provideHttpClient', ...missing, 'withInterceptors'];
    return { insertions: [], providers: [`${provide}(${[...calls, feature].join(', ')})`], imports: [ours, [HTTP, ...names]] };
  }
  const lists = callsOf(call, intercept).flatMap(({ arguments: [list] }) => (list && ts.isArrayLiteralExpression(list) ? [list] : []));
  const list = lists.at(-1);
  const added = appending(source, call.arguments, list ? calls : [...calls, feature]);
  if (!list) return { ...NO_EDIT, insertions: added, imports: [ours, [HTTP, ...missing, 'withInterceptors']] };
  const insertions = [...appending(source, list.elements, [interceptor]), ...(calls.length > 0 ? added : [])];
  return { ...NO_EDIT, insertions, imports: calls.length > 0 ? [ours, [HTTP, ...missing]] : [ours] };
}

/** Each module once: two edits of one import would not know of each other. */
function mergedImports(edits: readonly Edit[]): Edit['imports'] {
  const modules = new Map<string, string[]>();
  for (const [module, ...names] of edits.flatMap(({ imports }) => imports)) modules.set(module, [...(modules.get(module) ?? []), ...names]);
  return Array.from(modules, ([module, names]) => [module, ...names] as const);
}

/** The providers at the end of the list; the list, where there is none. */
function providing(
  source: ts.SourceFile,
  config: ts.ObjectLiteralExpression,
  list: ts.ArrayLiteralExpression | undefined,
  providers: readonly string[],
): Insertion[] {
  if (providers.length === 0) return [];
  if (list && list.elements.length > 0) return appending(source, list.elements, providers);
  const outer = indentOf(source, config);
  const lines = providers.map((provider) => `\n${outer}    ${provider},`).join('');
  if (list) return [{ at: list.elements.pos, text: `${lines}\n${outer}  ` }];
  return [{ at: config.properties.pos, text: `\n${outer}  providers: [${lines}\n${outer}  ],` }];
}

/** A string literal of TypeScript in single quotes. */
function literal(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}
