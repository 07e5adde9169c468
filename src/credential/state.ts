/**
 * What is known, as frozen snapshots without a secret in them: of one credential, and of the whole store.
 *
 * @module
 */
import type { CredentialErrorCode, ErrorClass } from '../errors.js';
import type { TokenAttributes } from './token.js';

/**
 * Why a user must sign in again. `rejected`: the server takes the refresh token no more; `rotation_lost`: it was used up, and the answer was
 * lost; `expired`: only a refresh token would have been persisted, and there was none; `unreadable`: the tokens are sealed and cannot be
 * opened; `client_unknown`: their client is not configured any more, or is that of another application of the origin. Of these two what is
 * stored stays as it is.
 */
export type SignInReason = 'rejected' | 'rotation_lost' | 'expired' | 'unreadable' | 'client_unknown';

/** What we hold. `unknown`: storage has not been read; `needs_interaction`: the server asks for the user, the token is kept. */
export type TokenStatus = 'unknown' | 'valid' | 'expiring' | 'expired' | 'needs_sign_in' | 'needs_interaction';

/** What we do. */
export type Activity = 'idle' | 'refreshing' | 'revoking';

/** Two axes, never mixed: what we hold and what we do. */
export interface CredentialStatus {
  readonly token: TokenStatus;
  readonly activity: Activity;
}

/** What is asked for when it is not the token of the login itself: less scope, or another resource (RFC 6749 §6, RFC 8707 §2.2). */
export interface Target {
  /** Scopes separated by blanks, in order; `undefined`: all that were granted. */
  readonly scope?: string;
  readonly resource?: string;
}

/** Why the last refresh failed; the token stays as it was. */
export interface RefreshFailure {
  readonly code: CredentialErrorCode;
  /** What can be done: `transient` and `unknown_outcome` pass by themselves, `configuration` does not. */
  readonly class: ErrorClass;
  /** How many have failed in a row, in this program. */
  readonly attempts: number;
  /** When the store tries again by itself, in epoch milliseconds, which may be when a token that lives on is due; `null`: when it is asked to. */
  readonly nextTryAt: number | null;
}

/** What may be known without opening the token. Never a secret. */
export interface TokenMetadata extends TokenAttributes {
  readonly tags: readonly string[];
}

/** A frozen snapshot of one credential, new on each change: what signals and templates hold. */
export interface CredentialState extends TokenMetadata {
  /** +1 for every replaced token, sign-out or removal. */
  readonly generation: number;
  /** Orders credentials: epoch milliseconds of storing, made unique by counting up. */
  readonly storedAt: number;
  readonly status: CredentialStatus;
  /** True once no access token lives any more, also while `status.token` is `needs_interaction`, which does not say so. */
  readonly hasExpired: boolean;
  /** Set while `status.token` is `needs_sign_in`. */
  readonly reason: SignInReason | null;
  /** Set from a failed refresh of this program until the token is renewed, here or elsewhere. */
  readonly refreshFailure: RefreshFailure | null;
  /** `false` where nothing renews the token without the user: there is no refresh token, and its client has no `renew`. */
  readonly isRenewable: boolean;
  readonly isDefault: boolean;
}

/** The state of a store. Both lists are in order of storing. */
export interface StoreState {
  /** `unknown` until storage has been read. */
  readonly status: 'unknown' | 'ready';
  /** False when what is stored will not outlive this program: no storage was given, or it failed. */
  readonly durable: boolean;
  /** Why, where a storage was given: the same as `not_durable` said, for who comes later. Left out where all is well. */
  readonly storageProblem?: { readonly code: CredentialErrorCode; readonly message: string };
  readonly defaultId: string | null;
  /** A new array only when a credential came or went. */
  readonly ids: readonly string[];
  readonly credentials: readonly CredentialState[];
}

/** The state before storage has been read. */
export const UNKNOWN_STATE: StoreState = Object.freeze({
  status: 'unknown',
  durable: false,
  defaultId: null,
  ids: Object.freeze([]),
  credentials: Object.freeze([]),
});

/** The state of one credential, or `undefined` if the store does not hold it. */
export function credentialState(state: StoreState, id: string): CredentialState | undefined {
  return state.credentials.find((credential) => credential.id === id);
}

/**
 * True if the credential can be attached to requests, or renewed without the user: not once it has expired and nothing renews it, or the server asks
 * for the user, and not by the state of a handle whose credential was removed.
 */
export function isSignedIn(credential: CredentialState | null | undefined): boolean {
  if (!credential) return false;
  const { status, isRenewable, hasExpired } = credential;
  if (status.token === 'needs_sign_in' || status.activity === 'revoking') return false;
  return status.token === 'needs_interaction' ? !hasExpired : isRenewable || status.token !== 'expired';
}
