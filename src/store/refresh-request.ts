/**
 * What is asked of a refresh, and how one ends.
 *
 * @module
 */
import type { ChildToken, StagedAnswer, Target } from '../credential/record.js';
import type { Token } from '../credential/token.js';
import type { CredentialError } from '../errors.js';

/** What a caller asks for. */
export interface RefreshRequest {
  /** Send unless the token is good for this many milliseconds more; `null` sends unless another refresh finishes first. */
  readonly minValidityMs: number | null;
  /** Less scope or another resource; left out: the token itself. */
  readonly target?: Target | undefined;
  /** The access token that a resource server refused: any other serves. */
  readonly refused?: string | undefined;
  /** What an earlier refresh has left in doubt is taken up, if it is time, though the token at hand would serve. */
  readonly takesUp?: boolean;
}

/** What a caller knew when it asked. */
export interface Seen {
  readonly generation: number;
  readonly accessToken: string | undefined;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** Answers that could not be written, by id. They are used before anything is sent again. */
export type Unwritten = Map<
  string,
  { readonly sent: string | undefined; readonly over: string | undefined; readonly answer: StagedAnswer }
>;
/** What a refresh gave. */
export type Renewed = Token | ChildToken;
/** How a refresh ended; `begun` is the generation that it could not renew, if it came to that. */
export type RefreshEnd =
  | { readonly ending: 'served'; readonly renewed: Renewed }
  | { readonly ending: 'again' }
  | { readonly ending: 'failed' | 'gone' | 'needs_sign_in'; readonly error: CredentialError; readonly begun: number | undefined };
