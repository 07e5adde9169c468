/**
 * Writes the providers into an application's configuration. What is there stays as it is: a second run changes nothing.
 *
 * @module
 */
import ts from 'typescript';
import type { AppConfig } from './bootstrap.js';
import type { NgAddOptions } from './options.js';
import { appending, callsOf, importing, indentOf, insertAll, isName, isOwn, localName, mentions, type Insertion } from './source.js';

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

/** What a configuration becomes. */
export interface Configured {
  readonly text: string;
  /** Why the interceptor could not be added: where an HTTP client is, or may be, provided that cannot be edited. */
  readonly hidden?: string;
}

/**
 * The text of the configuration's file with both providers; the same text where they are there. `undefined`: its providers are no list.
 *
 * @param features functions of Angular that the application's HTTP client needs, such as `withFetch`
 */
export function configured(appConfig: AppConfig, options: NgAddOptions, features: readonly string[]): Configured | undefined {
  const { source, config } = appConfig;
  const property = providersOf(config);
  const list = listOf(property);
  if (property && !list) return undefined;
  const first = list?.elements[0];
  const indent = first ? indentOf(source, first) : `${indentOf(source, config)}    `;
  const hidden = hiddenClient(appConfig);
  const edits = [storeEdit(appConfig, options, indent), hidden === undefined ? httpEdit(appConfig, features) : NO_EDIT];
  const text = insertAll(source.text, [
    ...mergedImports(edits).flatMap(([module, ...names]) => importing(source, names, module)),
    ...edits.flatMap((edit) => edit.insertions),
    ...providing(
      source,
      config,
      list,
      edits.flatMap((edit) => edit.providers),
    ),
  ]);
  return hidden === undefined ? { text } : { text, hidden };
}

/** Whether the configuration provides an HTTP client. */
export function hasHttpClient(appConfig: AppConfig): boolean {
  return clientsOf(appConfig).length > 0;
}

/** Where an HTTP client is, or may be, that a second one would take the place of; `undefined`: nowhere, or it can be edited. */
function hiddenClient(appConfig: AppConfig): string | undefined {
  if (clientsOf(appConfig).length > 0) return undefined;
  for (const other of appConfig.merged) {
    if (!other) return 'a configuration that is merged into it';
    if (clientsOf(other).length > 0) return mentionsOurs(other) ? undefined : other.source.fileName;
  }
  const all = [appConfig, ...appConfig.merged.filter((other) => other !== undefined)];
  for (const { source, config } of all) {
    const opaque = providedIn(config).find((node) => isOpaque(source, node));
    if (opaque) return `"${opaque.getText(source).replace(/\s+/g, ' ').slice(0, 60)}"`;
  }
  return undefined;
}

/** The calls of `provideHttpClient` among the providers of the application; those of a route are for that route. */
function clientsOf({ source, config }: AppConfig): ts.CallExpression[] {
  return callsAmong(config, localName(source, 'provideHttpClient', HTTP) ?? 'provideHttpClient');
}

function mentionsOurs({ source, config }: AppConfig): boolean {
  return clientsOf({ source, config, merged: [] }).some((call) => mentions(call, localName(source, INTERCEPTOR, OURS) ?? INTERCEPTOR));
}

function callsAmong(config: ts.ObjectLiteralExpression, name: string): ts.CallExpression[] {
  return providedIn(config).filter((node): node is ts.CallExpression => ts.isCallExpression(node) && isName(node.expression, name));
}

/** The providers of a configuration, each by itself: lists within lists, spread ones, and both sides of a condition are looked into. */
function providedIn(config: ts.ObjectLiteralExpression): ts.Expression[] {
  return listOf(providersOf(config))?.elements.flatMap(providersIn) ?? [];
}

function providersIn(node: ts.Expression): ts.Expression[] {
  if (ts.isArrayLiteralExpression(node)) return node.elements.flatMap(providersIn);
  if (ts.isSpreadElement(node)) {
    const inner = providersIn(node.expression);
    return inner.length === 1 && inner[0] === node.expression ? [node] : inner;
  }
  if (ts.isCallExpression(node) && node.expression.getText() === 'makeEnvironmentProviders') return node.arguments.flatMap(providersIn);
  if (ts.isBinaryExpression(node)) {
    const { kind } = node.operatorToken;
    if (kind === ts.SyntaxKind.AmpersandAmpersandToken) return providersIn(node.right); // its left side is a condition
    if (kind === ts.SyntaxKind.BarBarToken || kind === ts.SyntaxKind.QuestionQuestionToken)
      return [...providersIn(node.left), ...providersIn(node.right)];
  }
  if (ts.isConditionalExpression(node)) return [...providersIn(node.whenTrue), ...providersIn(node.whenFalse)];
  if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isSatisfiesExpression(node)) return providersIn(node.expression);
  return [node];
}

/**
 * True for what may bring an HTTP client that is not seen: a list or a member that stands elsewhere, NgModules, and functions of the application's own. Those of
 * packages are taken for what they are called.
 */
function isOpaque(source: ts.SourceFile, node: ts.Expression): boolean {
  if (ts.isSpreadElement(node) || ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) return true;
  if (ts.isIdentifier(node)) return /^[a-z_$]/.test(node.text); // a class has a capital
  if (!ts.isCallExpression(node)) return false;
  if (isName(node.expression, localName(source, 'importProvidersFrom', '@angular/core') ?? 'importProvidersFrom')) return true;
  return ts.isIdentifier(node.expression) && isOwn(source, node.expression.text);
}

function providersOf(config: ts.ObjectLiteralExpression): ts.ObjectLiteralElementLike | undefined {
  return config.properties.find(({ name }) => name && textOf(name) === 'providers');
}

function listOf(property: ts.ObjectLiteralElementLike | undefined): ts.ArrayLiteralExpression | undefined {
  return property && ts.isPropertyAssignment(property) && ts.isArrayLiteralExpression(property.initializer)
    ? property.initializer
    : undefined;
}

/** What a member is called, in quotes or not. */
function textOf(name: ts.PropertyName): string | undefined {
  if (ts.isComputedPropertyName(name)) return ts.isStringLiteralLike(name.expression) ? name.expression.text : undefined;
  return name.text;
}

/** `provideCredentials(…)`, unless a configuration calls it. */
function storeEdit(appConfig: AppConfig, options: NgAddOptions, indent: string): Edit {
  const { source, merged } = appConfig;
  const name = localName(source, 'provideCredentials', OURS);
  const all = [appConfig, ...merged.filter((one) => one !== undefined)];
  const isThere = all.some((one) => callsAmong(one.config, localName(one.source, 'provideCredentials', OURS) ?? '').length > 0);
  if (isThere) return NO_EDIT;
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

/** The interceptor, in each call of `provideHttpClient` that is there and has none, or with one. */
function httpEdit(appConfig: AppConfig, features: readonly string[]): Edit {
  const { source, merged } = appConfig;
  if (merged.some((other) => other && mentionsOurs(other))) return NO_EDIT;
  const calls = clientsOf(appConfig);
  const interceptor = localName(source, INTERCEPTOR, OURS) ?? INTERCEPTOR;
  const edits = calls.filter((call) => !mentions(call, interceptor)).map((call) => clientEdit(source, call, features));
  if (calls.length > 0)
    return { ...NO_EDIT, insertions: edits.flatMap(({ insertions }) => insertions), imports: edits.flatMap(({ imports }) => imports) };
  const provide = localName(source, 'provideHttpClient', HTTP) ?? 'provideHttpClient';
  const all = [...features.map((name) => `${localName(source, name, HTTP) ?? name}()`), intercepting(source)].join(', ');
  return {
    ...NO_EDIT,
    providers: [`${provide}(${all})`],
    imports: [
      [OURS, INTERCEPTOR],
      [HTTP, 'provideHttpClient', ...features, 'withInterceptors'],
    ],
  };
}

/** Functions of Angular beside which the order of interceptors does not matter. */
const NO_INTERCEPTORS = [
  'withFetch',
  'withXhr',
  'withXsrfConfiguration',
  'withNoXsrfProtection',
  'withJsonpSupport',
  'withRequestsMadeViaParent',
];

/** Ours is the last: in the list of interceptors that is there, or in one of its own where more follow, as those of `withInterceptorsFromDi()`. */
function clientEdit(source: ts.SourceFile, call: ts.CallExpression, features: readonly string[]): Edit {
  const local = (name: string): string => localName(source, name, HTTP) ?? name;
  const missing = features.filter((name) => callsOf(call, local(name)).length === 0);
  const calls = missing.map((name) => `${local(name)}()`);
  const isCallOf = (node: ts.Node | undefined, name: string): node is ts.CallExpression =>
    !!node && ts.isCallExpression(node) && isName(node.expression, local(name));
  const last = call.arguments.filter((argument) => !NO_INTERCEPTORS.some((name) => isCallOf(argument, name))).at(-1);
  const list = isCallOf(last, 'withInterceptors') ? last.arguments[0] : undefined;
  if (!list || !ts.isArrayLiteralExpression(list)) {
    const insertions = appending(source, call.arguments, [...calls, intercepting(source)]);
    return {
      ...NO_EDIT,
      insertions,
      imports: [
        [OURS, INTERCEPTOR],
        [HTTP, ...missing, 'withInterceptors'],
      ],
    };
  }
  const added = calls.length > 0 ? appending(source, call.arguments, calls) : [];
  const insertions = [...appending(source, list.elements, [localName(source, INTERCEPTOR, OURS) ?? INTERCEPTOR]), ...added];
  return {
    ...NO_EDIT,
    insertions,
    imports:
      calls.length > 0
        ? [
            [OURS, INTERCEPTOR],
            [HTTP, ...missing],
          ]
        : [[OURS, INTERCEPTOR]],
  };
}

/** `withInterceptors([credentialsInterceptor])`, as the file knows them. */
function intercepting(source: ts.SourceFile): string {
  return `${localName(source, 'withInterceptors', HTTP) ?? 'withInterceptors'}([${localName(source, INTERCEPTOR, OURS) ?? INTERCEPTOR}])`;
}

/** Each module once: two edits of one import would not know of each other. */
function mergedImports(edits: readonly Edit[]): Edit['imports'] {
  const modules = new Map<string, string[]>();
  for (const [module, ...names] of edits.flatMap(({ imports }) => imports))
    modules.set(module, [...new Set([...(modules.get(module) ?? []), ...names])]);
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
