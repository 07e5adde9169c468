/**
 * The one policy of all HTTP adapters: which credential goes with a request, under which scheme, and what a 401 means. What must be
 * remembered of one request lives in the caller's closure, never on the request.
 *
 * @module
 */
import type { Token } from '../credential/token.js';
import { CredentialError, isCredentialError } from '../errors.js';
import type { Credential } from '../store/credential.js';
import type { CredentialStore } from '../store/store.js';
import { createResourceMatcher } from './resources.js';

/** Options of the policy. */
export interface AttachmentOptions {
  /** Where tokens may go; see `createResourceMatcher`. Empty: nowhere. */
  readonly resources: readonly string[];
  /** What relative request URLs are relative to. */
  readonly baseUrl?: () => string | undefined;
}

/** What was attached to one request. */
export interface Attachment {
  /** Value of the `Authorization` header: the scheme follows the token's type (E22). */
  readonly authorization: string;
  /**
   * What goes with the next try after a 401: another token, renewed if the one that failed is still the current one (6750-4).
   * `null` if a retry can't help.
   *
   * @param challenge value of `WWW-Authenticate`, if it could be read
   */
  afterUnauthorized(challenge: string | null): Promise<Attachment | null>;
}

/** Decides for each request. */
export interface AttachmentPolicy {
  /** True if a token may go to this URL. */
  covers(url: string): boolean;
  /**
   * What to attach to a request that is covered; `null` while nobody is signed in. Waits until storage was read and, if it must, for a
   * renewal.
   *
   * @throws {CredentialError} the token has expired and could not be renewed: an expired one is never sent (E18)
   */
  attach(): Promise<Attachment | null>;
}

/** 401 answers that a new token of the same kind does not change. */
const NOT_ABOUT_THE_TOKEN = /\berror\s*=\s*"?(insufficient_user_authentication|insufficient_scope|use_dpop_nonce|invalid_request)\b/i;

/** The policy of one store. @throws {TypeError} a wrong resource */
export function createAttachmentPolicy(store: Pick<CredentialStore, 'getDefault'>, options: AttachmentOptions): AttachmentPolicy {
  const covers = createResourceMatcher(options.resources, options.baseUrl);
  return {
    covers,
    attach: async () => {
      const credential = await store.getDefault();
      if (!credential || credential.status.activity === 'revoking' || credential.status.token === 'needs_sign_in') return null;
      try {
        await credential.accessToken();
      } catch (error) {
        if (isCredentialError(error) && error.code === 'client_unknown') return null; // left by another application of this origin
        throw error;
      }
      return attachmentOf(credential);
    },
  };
}

function attachmentOf(credential: Credential): Attachment | null {
  const { token } = credential;
  if (!token) return null;
  if (token.tokenType === 'DPoP') {
    throw new CredentialError('unsupported', 'The token is bound to a DPoP key; proofs for requests are not supported yet.');
  }
  return {
    authorization: `${token.tokenType} ${token.accessToken}`,
    afterUnauthorized: async (challenge) => {
      if (challenge !== null && NOT_ABOUT_THE_TOKEN.test(challenge)) return null;
      return (await hasAnotherToken(credential, token)) ? attachmentOf(credential) : null;
    },
  };
}

/** True once the credential holds another access token than the one that was refused. */
async function hasAnotherToken(credential: Credential, refused: Token): Promise<boolean> {
  if (credential.token?.accessToken === refused.accessToken) {
    try {
      await credential.refresh();
    } catch {
      return false; // the 401 itself is the answer; what failed is in events$ and in the credential's status
    }
  }
  return credential.token !== null && credential.token.accessToken !== refused.accessToken;
}
