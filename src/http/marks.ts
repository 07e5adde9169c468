/**
 * What is remembered of one request with its tries and redirects, and of nothing else (E13).
 *
 * @module
 */

/** Why it was sent again already, at one resource. */
export interface Marks {
  /** The token that was refused and renewed. */
  renewedFor?: string;
  isSteppedUp?: boolean;
  hasWaited?: boolean;
}
