/**
 * What a sign-in asks for, judged.
 *
 * @module
 */
import { isPlainObject, parseJson } from '../credential/data.js';
import { isResource } from '../credential/token.js';
import type { AuthorizationCodeStartOptions } from './authorization-code.js';
import type { Transaction } from './transactions.js';

/** The resources of a sign-in. */
type Named = Partial<Pick<Transaction, 'resource' | 'resources'>>;

/** What was asked for: parameters without those that the flow sets itself, and one value each. */
export interface Asked extends Omit<AuthorizationCodeStartOptions, 'additionalParameters'> {
  readonly additionalParameters: Readonly<Record<string, string>>;
  readonly named: Named;
}

/** Each once; the first is that of the token, since a token request names one (RFC 8707 §2.2). @throws {TypeError} one that is none */
export function namedResources(given: string | readonly string[] | undefined): Named {
  if (given === undefined) return {};
  const resources = [...new Set([given].flat())];
  const [resource] = resources;
  if (resource === undefined || !resources.every(isResource))
    throw new TypeError('resource must be an absolute URI without fragment (RFC 8707 §2), or a list of such');
  return { resource, ...(resources.length > 1 && { resources }) };
}

/** What the login must be like, also where it is among the further parameters: it is checked on return. */
export function loginAskedFor(options: Omit<Asked, 'named'>, scope: string): Pick<Transaction, 'maxAge' | 'acrValues' | 'requireAcr'> {
  const { max_age: rawMaxAge, acr_values: rawAcrValues, claims } = options.additionalParameters;
  const essential = options.requireAcr === undefined ? essentialAcrIn(claims) : undefined;
  const { acrValues = rawAcrValues, requireAcr = false } = essential === undefined ? options : { acrValues: essential, requireAcr: true };
  const maxAge = options.maxAge ?? secondsOf(rawMaxAge);
  assertLogin(maxAge, acrValues, requireAcr);
  // Without a scope the server has one of its own (RFC 6749 §3.3), which may bring an ID token
  if ((maxAge !== undefined || requireAcr) && scope !== '' && !isForIdToken(scope))
    throw new TypeError('maxAge and requireAcr need the scope "openid": only an ID token says how the user signed in');
  return { ...(maxAge !== undefined && { maxAge }), ...(acrValues !== undefined && { acrValues }), ...(requireAcr && { requireAcr }) };
}

/** The `acr` that a `claims` parameter demands of the ID token (OIDC Core §5.5.1.1), separated by spaces. */
function essentialAcrIn(claims: string | undefined): string | undefined {
  const asked = memberOf(memberOf(parseJson(claims ?? ''), 'id_token'), 'acr');
  if (memberOf(asked, 'essential') !== true) return undefined;
  const values = [memberOf(asked, 'values') ?? memberOf(asked, 'value')].flat();
  const isChecked = values.length > 0 && values.every((one) => typeof one === 'string' && one !== '' && !one.includes(' '));
  return isChecked ? values.join(' ') : undefined;
}

function memberOf(data: unknown, name: string): unknown {
  return isPlainObject(data) ? data[name] : undefined;
}

/** @throws {TypeError} no answer could be one to this */
function assertLogin(maxAge: number | undefined, acrValues: unknown, requireAcr: unknown): void {
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0))
    throw new TypeError('maxAge must be whole seconds, 0 or more');
  if (acrValues !== undefined && typeof acrValues !== 'string') throw new TypeError('acrValues must be a text, separated by spaces');
  if (typeof requireAcr !== 'boolean') throw new TypeError('requireAcr must be true or false');
  if (requireAcr && !acrValues?.trim()) throw new TypeError('requireAcr needs acrValues');
}

/** True for a sign-in that brings an ID token (OIDC Core §3.1.2.1). */
export function isForIdToken(scope: string): boolean {
  return scope.split(' ').includes('openid');
}

/** `Number` would make 0 of a blank, which asks for another login. */
function secondsOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text.trim() === '' ? NaN : text);
}
