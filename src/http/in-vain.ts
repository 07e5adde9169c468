/**
 * Renewals that do not help: a resource that refuses every token must not cost a token request for each call (D-038).
 *
 * @module
 */
import type { Platform } from '../platform/platform.js';
import { createRecent } from './recent.js';

/** So many tokens are renewed for a resource that refuses them all: where other tabs renew, too, each would be another one. */
const MAX_TOKENS = 3;

/** What is known of them, for a minute. No token is held for it. */
export interface InVain {
  /** The token was renewed, and what came of it was refused as well. */
  add(key: string, token: string): void;
  /** The token came of a renewal after a refusal. */
  bring(token: string): void;
  /** True for such a one: whether it is of use shows when it is sent. */
  isBrought(token: string): boolean;
  /** It is, there: it was taken. A later refusal says nothing of the renewal. */
  accept(key: string, token: string): void;
  /** True for such a one that nobody has taken there. */
  isUntaken(key: string, token: string): boolean;
  /** True if to renew the token, which was refused, will not help. One from elsewhere, such as a sign-in, has its own try. */
  has(key: string, token: string): boolean;
}

/** Knows of none yet. */
export function createInVain(platform: Pick<Platform, 'monotonicNow'>): InVain {
  const tokens = createRecent<ReadonlySet<string>>(platform);
  const brought = createRecent<true>(platform);
  const taken = createRecent<true>(platform);
  const isBrought = (token: string): boolean => !brought.isEmpty() && brought.get(markOf(token)) === true;
  // One that was refused there all the same is in vain, though other requests may take it
  const isUntaken = (key: string, token: string): boolean =>
    isBrought(token) && (!taken.get(placeOf(key, token)) || tokens.get(key)?.has(markOf(token)) === true);
  return {
    add: (key, token) => tokens.set(key, new Set(tokens.get(key)).add(markOf(token))),
    bring: (token) => brought.set(markOf(token), true),
    isBrought,
    accept: (key, token) => taken.set(placeOf(key, token), true),
    isUntaken,
    has: (key, token) => {
      const known = tokens.get(key);
      return known !== undefined && (isUntaken(key, token) || (known.size >= MAX_TOKENS && !known.has(markOf(token))));
    },
  };
}

function placeOf(key: string, token: string): string {
  return `${markOf(token)} ${key}`;
}

/** What tells a token from others and is none (FNV-1a twice): who has signed out leaves no token here. */
function markOf(token: string): string {
  let [one, other] = [0x811c9dc5, 0x9747b28c];
  for (let i = 0; i < token.length; i++) {
    one = Math.imul(one ^ token.charCodeAt(i), 0x01000193);
    other = Math.imul(other ^ token.charCodeAt(i), 0x85ebca6b);
  }
  return `${one} ${other}`;
}
