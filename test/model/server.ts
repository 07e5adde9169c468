// The authorization server of the model: the rules of the test server (refresh-server/modes.ts) over a clock that knows two instants.
import { descendants, judge, type RefreshMode, type RefreshToken, type Rules } from '../support/refresh-server/modes.js';

export interface Server {
  /** All refresh tokens of the grant; a token is named by its place here. */
  readonly tokens: readonly RefreshToken[];
  readonly revoked: boolean;
  /** 0: whatever was spent is within its leeway; 1: what was spent before the clock moved is late. */
  readonly clock: 0 | 1;
}

export interface ServerRules {
  readonly mode: RefreshMode;
  /** What the revocation of a refresh token ends. */
  readonly revocation: 'grant' | 'token';
}

export const FIRST_TOKEN = 0;

export const newServer: Server = { tokens: [tokenAt(FIRST_TOKEN, null)], revoked: false, clock: 0 };

/** Whether a token would be answered with tokens now. */
export function honours(server: Server, rules: ServerRules, token: number): boolean {
  const known = server.tokens[token];
  return !server.revoked && known !== undefined && judge(judging(rules), server.tokens, known, server.clock).kind !== 'refuse';
}

/** A refresh request is handled. `answer` is the refresh token to use from now on; `null` is `invalid_grant`. */
export function present(server: Server, rules: ServerRules, token: number): { readonly server: Server; readonly answer: number | null } {
  const known = server.tokens[token];
  if (!known || server.revoked) return { server, answer: null };
  const verdict = judge(judging(rules), server.tokens, known, server.clock);
  switch (verdict.kind) {
    case 'keep':
      return { server, answer: token };
    case 'repeat':
      return { server, answer: verdict.child };
    case 'refuse':
      return { server: verdict.outcome === 'reuse-revoked-family' ? { ...server, revoked: true } : server, answer: null };
    case 'issue': {
      const child = server.tokens.length;
      const dying = verdict.supersede ? descendants(server.tokens, known) : [];
      const tokens = server.tokens.map((one) => {
        if (one === known) return { ...one, spentAt: one.spentAt ?? server.clock, child };
        return dying.includes(one) ? { ...one, end: one.end ?? ('superseded' as const) } : one;
      });
      return { server: { ...server, tokens: [...tokens, tokenAt(child, token)] }, answer: child };
    }
  }
}

/** RFC 7009. */
export function revoke(server: Server, { revocation }: ServerRules, token: number): Server {
  if (revocation === 'grant') return { ...server, revoked: true };
  return { ...server, tokens: server.tokens.map((one) => (one.index === token ? { ...one, end: 'revoked' as const } : one)) };
}

function tokenAt(index: number, parent: number | null): RefreshToken {
  return { value: '', index, parent, spentAt: null, child: null, end: null };
}

function judging({ mode }: ServerRules): Rules {
  return { mode, leewayMs: 0, lateReuse: 'revoke-family' };
}
