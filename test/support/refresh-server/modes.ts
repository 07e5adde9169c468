// What becomes of a refresh token that is presented: the rules of each mode (standards.md §20, "Modes of the test AS"), as one pure function.

/**
 * How a server treats refresh tokens. "Spent" is a token that was exchanged at least once; "late" is the use of a spent token that the mode
 * no longer forgives, which is what RFC 9700 §4.14.2 calls a replay.
 *
 * - `keep`: no rotation. The one token works for ever, answers carry no `refresh_token` (RFC 6749 §6: the client keeps its own), and no
 *   use is a reuse.
 * - `open`: every use gives a new token and every token of the grant stays valid for ever, spent or not. There is nothing to lose.
 * - `leeway-siblings`: a spent token may be used again until `leewayMs` after its *first* use (a reuse does not prolong it), whatever was
 *   done with its children meanwhile. Each use gives a child of its own, and all children live, so two racing callers both win. Afterwards: late.
 * - `leeway-latest`: as above, but only the newest child lives. A reuse kills every token that descends from the spent one, used or not,
 *   so there is exactly one unspent token at any time: the last one issued. The loser of a race holds a dead one, and a request that
 *   the network delivers late kills the token that the winner holds. A dead token has no leeway of its own: presenting it is late.
 * - `parent-ok`: no clock. A spent token answers the *same* child again (with a fresh access token) until that child is presented for the
 *   first time; from then on the parent is late. So a lost answer is mended whenever the client comes back, and no reuse makes a sibling.
 *   This is the retry that FAPI 2.0 §5.3.2.1 asks of servers that rotate.
 * - `strict-fail`: any use of a spent token is `invalid_grant`; the newest token goes on working.
 * - `strict-revoke`: any use of a spent token is `invalid_grant` and revokes the grant, access tokens included.
 *
 * What late means in the two leeway modes and in `parent-ok` is `lateReuse`; the strict modes say it by their names.
 */
export type RefreshMode = 'keep' | 'open' | 'leeway-siblings' | 'leeway-latest' | 'parent-ok' | 'strict-fail' | 'strict-revoke';

export const REFRESH_MODES: readonly RefreshMode[] = [
  'keep',
  'open',
  'leeway-siblings',
  'leeway-latest',
  'parent-ok',
  'strict-fail',
  'strict-revoke',
];

export interface Rules {
  readonly mode: RefreshMode;
  /** Milliseconds from a token's first use during which the leeway modes forgive another; the last millisecond counts. Default 10 000. */
  readonly leewayMs: number;
  /** What a late use does in the modes that forgive an early one. Default `revoke-family`, as RFC 9700 §4.14.2 has it. */
  readonly lateReuse: 'refuse' | 'revoke-family';
}

/** A refresh token; times in epoch milliseconds. */
export interface RefreshToken {
  readonly value: string;
  /** Its place among the refresh tokens of its grant, from 0. */
  readonly index: number;
  /** The token that was exchanged for it; `null` for the first. */
  readonly parent: number | null;
  /** When it was exchanged for the first time. */
  spentAt: number | null;
  /** The last token it was exchanged for. */
  child: number | null;
  /** Why it is over: a newer sibling took its place (`leeway-latest`), or the client revoked it alone. */
  end: 'superseded' | 'revoked' | null;
}

export type Verdict =
  /** The same token goes on; nothing is issued. */
  | { readonly kind: 'keep'; readonly outcome: 'kept' }
  /** A new refresh token; `supersede`: those that descend from the presented one die. */
  | { readonly kind: 'issue'; readonly outcome: 'rotated' | 'reused' | 'reused-in-leeway'; readonly supersede: boolean }
  /** The child there is already. */
  | { readonly kind: 'repeat'; readonly outcome: 'parent-ok'; readonly child: number }
  | { readonly kind: 'refuse'; readonly outcome: 'reuse-refused' | 'reuse-revoked-family' | 'revoked' };

/**
 * Judges a token that belongs to a live grant. Changes nothing.
 *
 * @param tokens all refresh tokens of the grant, by index
 * @param now epoch milliseconds
 */
export function judge(rules: Rules, tokens: readonly RefreshToken[], token: RefreshToken, now: number): Verdict {
  if (token.end === 'revoked') return { kind: 'refuse', outcome: 'revoked' };
  if (rules.mode === 'keep') return { kind: 'keep', outcome: 'kept' };
  if (token.end === 'superseded') return late(rules);
  if (token.spentAt === null) return { kind: 'issue', outcome: 'rotated', supersede: false };
  switch (rules.mode) {
    case 'open':
      return { kind: 'issue', outcome: 'reused', supersede: false };
    case 'leeway-siblings':
    case 'leeway-latest':
      if (now - token.spentAt > rules.leewayMs) return late(rules);
      return { kind: 'issue', outcome: 'reused-in-leeway', supersede: rules.mode === 'leeway-latest' };
    case 'parent-ok':
      return repeated(rules, tokens, token);
    case 'strict-fail':
      return { kind: 'refuse', outcome: 'reuse-refused' };
    case 'strict-revoke':
      return { kind: 'refuse', outcome: 'reuse-revoked-family' };
  }
}

/** The tokens that descend from a token; not the token itself. */
export function descendants(tokens: readonly RefreshToken[], token: RefreshToken): readonly RefreshToken[] {
  const family = new Set([token.index]);
  return tokens.filter(({ index, parent }) => {
    const belongs = parent !== null && family.has(parent); // a parent stands before its children
    if (belongs) family.add(index);
    return belongs;
  });
}

function repeated(rules: Rules, tokens: readonly RefreshToken[], token: RefreshToken): Verdict {
  const child = token.child === null ? undefined : tokens[token.child];
  if (!child || child.end === 'revoked') return { kind: 'refuse', outcome: 'revoked' };
  return child.spentAt === null ? { kind: 'repeat', outcome: 'parent-ok', child: child.index } : late(rules);
}

function late({ lateReuse }: Rules): Verdict {
  return { kind: 'refuse', outcome: lateReuse === 'refuse' ? 'reuse-refused' : 'reuse-revoked-family' };
}
