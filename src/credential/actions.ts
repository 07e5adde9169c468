/**
 * Storage actions: facts that a committed record write means, and what else happened to a credential. The reducer folds them
 * into state; `events$` shows them without the facts themselves.
 *
 * @module
 */
import type { CredentialErrorCode, ErrorClass } from '../errors.js';
import type { CredentialState, RefreshFailure, SignInReason, Target } from './state.js';

/** What a record says that is no secret. */
export interface CredentialFacts extends Omit<CredentialState, 'status' | 'isDefault' | 'refreshFailure' | 'hasExpired'> {
  readonly recordState: 'active' | 'needs_sign_in' | 'revoking';
}

// No interfaces: a program that gives away streams of events has these in its declarations, and could not name them
type Interaction = {
  readonly code: CredentialErrorCode;
  readonly class: ErrorClass;
  /** What the server said, such as `mfa_required`: untrusted text, cleaned and cut. */
  readonly error?: string;
  /** What Microsoft Entra ID adds to it. */
  readonly suberror?: string;
};

type OfCredential = {
  readonly id: string;
  /** The generation the fact belongs to; the reducer ignores facts of an older one. */
  readonly generation: number;
};

/** What a resource server asks for instead of the token it was sent. What it says was validated and cut; it may still ask too much. */
export interface ResourceChallenge {
  /** RFC 6750 §3.1: more scope; RFC 9470 §3: a login that is stronger or more recent. */
  readonly error: 'insufficient_scope' | 'insufficient_user_authentication';
  /** The resource of the allow-list that asks. */
  readonly resource: string;
  /** Scopes, separated by blanks. */
  readonly scope?: string;
  /** Authentication context classes in order of preference, separated by blanks; for `acrValues` of a sign-in. */
  readonly acrValues?: string;
  /** Seconds since the user last logged in, at most; for `maxAge` of a sign-in. */
  readonly maxAge?: number;
}

/** One fact, without its time. */
export type StorageFact =
  | {
      readonly type: 'restored';
      readonly durable: boolean;
      readonly defaultId: string | null;
      readonly credentials: readonly CredentialFacts[];
    }
  | ({
      readonly type: 'token_added' | 'token_replaced' | 'metadata_updated' | 'sign_in_required';
      readonly credential: CredentialFacts;
    } & OfCredential)
  | ({ readonly type: 'token_removed' } & OfCredential)
  | ({ readonly type: 'signed_out' } & OfCredential)
  | { readonly type: 'default_changed'; readonly id: string | null }
  | { readonly type: 'cleared' }
  | ({ readonly type: 'refresh_started' | 'refresh_ended' | 'expired' } & OfCredential)
  // Near its end, or `valid` again: the clock was ahead and has been set right.
  | ({ readonly type: 'expiring'; readonly token?: 'valid' | 'expiring' } & OfCredential)
  | ({ readonly type: 'refresh_failed'; readonly target?: Target } & RefreshFailure & OfCredential)
  | ({ readonly type: 'interaction_required' } & Interaction & OfCredential)
  | ({ readonly type: 'challenged' } & ResourceChallenge & OfCredential)
  | { readonly type: 'not_durable'; readonly code: CredentialErrorCode; readonly message: string }
  | { readonly type: 'durable' }
  | { readonly type: 'record_quarantined'; readonly id: string; readonly reason: string };

/** One fact with the instant it was learned, in epoch milliseconds. */
export type StorageAction = StorageFact & { readonly at: number };

/** `here`: this store did it; `elsewhere`: another tab, process or store did. */
export type EventOrigin = 'here' | 'elsewhere';

/** One member per type, so that a comparison of `event.type` narrows. */
type EventOf<Type extends string, Members = unknown> = Type extends string
  ? { readonly type: Type; readonly at: number; readonly origin: EventOrigin } & Members
  : never;

/** What `events$` emits: ids, generations, codes and reasons; never a token, never a claim (OBS-1). `at` is epoch milliseconds. */
export type CredentialEvent =
  | EventOf<'restored' | 'cleared' | 'durable'>
  | EventOf<'token_added' | 'token_replaced' | 'metadata_updated' | 'token_removed', OfCredential>
  // By `signOut` here; the credential was removed before, which other tabs hear of.
  | EventOf<'signed_out', OfCredential>
  // Ended: there was nothing to renew after all, such as where a clock that was ahead has been set right.
  | EventOf<'refresh_started' | 'refresh_ended' | 'expired', OfCredential>
  | EventOf<'expiring', OfCredential & { readonly token?: 'valid' | 'expiring' }>
  // With a target only that could not be had: less scope or another resource. The credential itself is as it was.
  | EventOf<'refresh_failed', OfCredential & RefreshFailure & { readonly target?: Target }>
  | EventOf<'interaction_required', OfCredential & Interaction>
  // Our adapters report one a minute for each resource and credential, whatever the resource server says.
  | EventOf<'challenged', OfCredential & ResourceChallenge>
  | EventOf<'sign_in_required', OfCredential & { readonly reason: SignInReason | null }>
  | EventOf<'default_changed', { readonly id: string | null }>
  // The message is that of the error, which holds no secret: it says what is wrong and what to do.
  | EventOf<'not_durable', { readonly code: CredentialErrorCode; readonly message: string }>
  | EventOf<'record_quarantined', { readonly id: string; readonly reason: string }>;

/** The event of an action: everything but the facts. */
export function eventOf(action: StorageAction, origin: EventOrigin): CredentialEvent {
  switch (action.type) {
    case 'restored':
    case 'cleared':
    case 'durable':
      return { type: action.type, at: action.at, origin };
    case 'token_added':
    case 'token_replaced':
    case 'metadata_updated':
      return { type: action.type, id: action.id, generation: action.generation, at: action.at, origin };
    case 'sign_in_required':
      return {
        type: action.type,
        id: action.id,
        generation: action.generation,
        reason: action.credential.reason,
        at: action.at,
        origin,
      };
    default:
      return { ...action, origin };
  }
}

/** For the `default` of a switch over a union: a forgotten member is a compile error. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected ${JSON.stringify(value)}`);
}
