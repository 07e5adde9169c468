/**
 * Which credential goes with a request.
 *
 * @module
 */
import { isPlainObject } from '../credential/data.js';
import type { CredentialCriteria } from '../credential/query.js';
import { isSignedIn, type CredentialState } from '../credential/state.js';
import type { TokenContext } from '../credential/token.js';
import type { Credential } from '../store/credential.js';
import type { CredentialStore } from '../store/store.js';
import type { ResourceRequest } from './resources.js';

/**
 * An id, or a tag; criteria as of `find`; or a function of the request that gives one of these, a credential, or `null` for none. Of
 * several that match and are signed in the default goes first, then the oldest. Criteria that say nothing (`{}`), or have a member that is
 * `undefined` (`{ issuer, sub: undefined }`), name nobody: no credential is there for them.
 */
export type CredentialChoice = string | CredentialCriteria | ((request: ResourceRequest) => Chosen | Promise<Chosen>);

type Chosen = string | CredentialCriteria | Credential | null;

/** What is asked of a store. */
export type StoreOfCredentials = Pick<CredentialStore, 'getDefault' | 'with' | 'find'>;

/** A credential, and whose it was. */
export interface User extends Pick<TokenContext, 'issuer' | 'clientId'> {
  readonly credential: Credential;
  readonly sub: string | undefined;
}

/** Who is chosen for a request, all its tries and redirects: what was asked in one name is not asked in another's (D-048). */
export interface Users {
  /**
   * The user of a choice, that is of the default if there is no choice, if she is signed in. Asked again it may give another credential, but
   * of the same user: where somebody else is chosen by now, the former one stays. `undefined`: whoever is named is not here; `null`: nobody
   * is named, because a function said so or nobody is the default.
   */
  chosenBy(choice: CredentialChoice | undefined, request: ResourceRequest): Promise<User | null | undefined>;
}

/** Knows nobody yet. */
export function createUsers(store: StoreOfCredentials): Users {
  const known = new Map<CredentialChoice | undefined, User | null | undefined>();
  return {
    chosenBy: async (choice, { url, method }) => {
      // A choice sees no more of the request
      const credential = await (choice === undefined ? store.getDefault() : chosenBy(store, choice, { url, method }));
      const now = credential && (isThere(credential.state) ? userOf(credential) : undefined);
      // A function is asked for one request: what it says of another address, or that nobody is to be named, is what it says
      const isFunction = typeof choice === 'function';
      const key = isFunction ? `${method} ${url}` : choice;
      const before = known.get(key);
      const isOther = known.has(key) && !(before && now && isSameUser(before, now));
      const user = isOther && !(isFunction && !now) ? before : now;
      known.set(key, user);
      return user;
    },
  };
}

/** False once a session has ended. One that cannot be renewed, or is not ours to use, is there: its request says so, and is not sent without a token. */
export function isThere({ status, reason }: CredentialState): boolean {
  return (status.token !== 'needs_sign_in' || reason === 'client_unknown') && status.activity !== 'revoking';
}

/** A credential as it is now. */
export function userOf(credential: Credential): User {
  const { context, claims } = credential.state;
  return { credential, issuer: context.issuer, clientId: context.clientId, sub: claims?.sub };
}

/** Without an ID token nobody knows whose a token is (D-044): then a credential is the same as itself alone. */
export function isSameUser(a: User, b: User): boolean {
  const isOne = a.sub === undefined || b.sub === undefined ? a.credential.id === b.credential.id : a.sub === b.sub;
  return isOne && a.issuer === b.issuer && a.clientId === b.clientId;
}

/** The credential; `undefined` where what is named is not here, `null` where a function named nobody. */
async function chosenBy(
  store: StoreOfCredentials,
  choice: CredentialChoice,
  request: ResourceRequest,
): Promise<Credential | null | undefined> {
  const what = typeof choice === 'function' ? await choice(request) : choice;
  if (what === null || isCredential(what)) return what;
  if (typeof what !== 'string') return isPlainObject(what) && !saysSomething(what) ? undefined : firstOf(store, what);
  // Storage last, for an id that has just come there: a tag is no id, and must not be looked for there by each request (D-037)
  return (await firstOf(store, { id: what })) ?? (await firstOf(store, { tags: what })) ?? (await store.with(what)) ?? undefined;
}

/**
 * False for criteria that hold of every credential, such as `{}`, and for those that have a member that is not known yet, such as
 * `{ issuer, sub: undefined }`: by them nobody is named, least of all the default (D-037).
 */
export function saysSomething(criteria: unknown): boolean {
  if (typeof criteria === 'string') return criteria.trim() !== '';
  if (typeof criteria !== 'object' || criteria === null) return criteria !== undefined;
  return isComplete(criteria) && Object.values(criteria).some(saysSomething);
}

/** Lists are judged by the query. */
function isComplete(criteria: unknown): boolean {
  return isPlainObject(criteria) ? Object.values(criteria).every(isComplete) : criteria !== undefined;
}

async function firstOf(store: StoreOfCredentials, criteria: CredentialCriteria): Promise<Credential | undefined> {
  const found = await store.find(criteria);
  // Of those that are of use, as guards ask (D-013); if there is none, one that says why
  const fit = [isSignedIn, isThere].map((isFit) => found.filter(({ state }) => isFit(state))).find(({ length }) => length > 0) ?? found;
  return fit.find(({ state }) => state.isDefault) ?? fit[0];
}

function isCredential(value: string | CredentialCriteria | Credential): value is Credential {
  return typeof value === 'object' && 'accessToken' in value;
}

/** @throws {TypeError} neither a text, nor criteria, nor a function */
export function assertChoice(choice: unknown): void {
  const isChoice = (typeof choice === 'string' && choice !== '') || isPlainObject(choice) || typeof choice === 'function';
  if (!isChoice) throw new TypeError('credential must be an id, a tag, criteria, or a function of the request');
}
