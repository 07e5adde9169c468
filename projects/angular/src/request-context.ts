/**
 * What a request says of its credential. Only the choice is in the context: what was tried with it never is (E13).
 *
 * @module
 */
import { HttpContext, HttpContextToken } from '@angular/common/http';
import type { CredentialChoice } from 'rx-credentials/http';

/** Whose token; `null`: nobody's; `undefined`: what the resource says. */
const CHOICE = new HttpContextToken<CredentialChoice | null | undefined>(() => undefined);
const SENT_ONCE = new HttpContextToken<boolean>(() => false);

/**
 * Whose token goes with a request: an id, a tag, criteria, or a function of the request. If there is no such credential, the request fails
 * with `needs_sign_in`. Off the allow-list nothing is attached all the same.
 *
 * @param context one to build upon; it is not changed
 */
export function useCredential(choice: CredentialChoice, context?: HttpContext): HttpContext {
  // A parameter of a route that is not there names nobody, least of all the default (D-037)
  return copyOf(context).set(CHOICE, choice === (undefined as unknown) ? {} : choice);
}

/** The request goes as it is: no token, no waiting, no retry. */
export function noCredential(context?: HttpContext): HttpContext {
  return copyOf(context).set(CHOICE, null);
}

/** The request is sent once, whatever the answer. A 401 renews the token for those that come after. */
export function noRetry(context?: HttpContext): HttpContext {
  return copyOf(context).set(SENT_ONCE, true);
}

/** What a context says. Asked without `get` alone, which would write the defaults into it. */
export function choiceOf(context: HttpContext): { readonly credential: CredentialChoice | null | undefined; readonly isSentOnce: boolean } {
  return {
    credential: context.has(CHOICE) ? context.get(CHOICE) : undefined,
    isSentOnce: context.has(SENT_ONCE) && context.get(SENT_ONCE),
  };
}

/**
 * The same context, by which the request is left as it is: who covers it has nobody to send, and an injector above is not to find somebody else
 * (`withRequestsMadeViaParent`). What others write into it is seen by the caller.
 */
export function leftAsItIs(context: HttpContext): HttpContext {
  const get: HttpContext['get'] = (token) => ((token as unknown) === CHOICE ? (null as never) : context.get(token));
  const has: HttpContext['has'] = (token) => (token as unknown) === CHOICE || context.has(token);
  const keys: HttpContext['keys'] = () => new Set([...context.keys(), CHOICE]).values();
  return Object.create(context, { get: { value: get }, has: { value: has }, keys: { value: keys } }) as HttpContext;
}

function copyOf(context?: HttpContext): HttpContext {
  const copy = new HttpContext();
  for (const key of context?.keys() ?? []) copy.set(key, context?.get(key));
  return copy;
}
