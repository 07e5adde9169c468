/**
 * Which credential goes with a request.
 *
 * @module
 */
import { isPlainObject } from '../credential/data.js';
import type { CredentialCriteria } from '../credential/query.js';
import type { Credential } from '../store/credential.js';
import type { CredentialStore } from '../store/store.js';
import type { ResourceRequest } from './resources.js';

/**
 * An id, or a tag; criteria as of `find`; or a function of the request that gives one of these, a credential, or `null` for none. Of
 * several that match the default goes first, then the oldest.
 */
export type CredentialChoice = string | CredentialCriteria | ((request: ResourceRequest) => Chosen | Promise<Chosen>);

type Chosen = string | CredentialCriteria | Credential | null;

/** What is asked of a store. */
export type StoreOfCredentials = Pick<CredentialStore, 'getDefault' | 'with' | 'find'>;

/** The credential of a choice, that is the default if there is no choice; `null` if there is none. */
export function chosen(
  store: StoreOfCredentials,
  choice: CredentialChoice | undefined,
  request: ResourceRequest,
): Promise<Credential | null> {
  return choice === undefined ? store.getDefault() : chosenBy(store, choice, request);
}

async function chosenBy(store: StoreOfCredentials, choice: CredentialChoice, request: ResourceRequest): Promise<Credential | null> {
  const what = typeof choice === 'function' ? await choice(request) : choice;
  if (what === null || isCredential(what)) return what;
  if (typeof what !== 'string') return firstOf(store, what);
  return (await store.with(what)) ?? firstOf(store, { tags: what });
}

async function firstOf(store: StoreOfCredentials, criteria: CredentialCriteria): Promise<Credential | null> {
  const found = await store.find(criteria);
  return found.find(({ state }) => state.isDefault) ?? found[0] ?? null;
}

function isCredential(value: string | CredentialCriteria | Credential): value is Credential {
  return typeof value === 'object' && 'accessToken' in value;
}

/** @throws {TypeError} neither a text, nor criteria, nor a function */
export function assertChoice(choice: unknown): void {
  const isChoice = (typeof choice === 'string' && choice !== '') || isPlainObject(choice) || typeof choice === 'function';
  if (!isChoice) throw new TypeError('credential must be an id, a tag, criteria, or a function of the request');
}
