/**
 * A token that is good for a while: what is at hand, else a new one, else what is at hand as long as it lives. And access tokens for less
 * scope or another resource: had when they are first asked for, then kept beside the token they come from.
 *
 * @module
 */
import { childFor, childRemainingMs, targetFor } from '../credential/children.js';
import { defaultGraceMs, reachableMs } from '../credential/expiry.js';
import { isOpen, type ChildToken, type Target } from '../credential/record.js';
import type { Token } from '../credential/token.js';
import type { Platform } from '../platform/platform.js';
import type { Holding } from './ledger.js';
import type { AccessTokenOptions, CredentialContext } from './credential.js';
import { clientFor, currentToken, sameAsNow, takeUp, usableRecord } from './usable-token.js';
import type { RefreshRequest, Renewed } from './refresh-request.js';

/** Who has a token that still lives waits no longer than this for the next one, in milliseconds. */
const MAX_WAIT_MS = 2_000;

/** What getting tokens needs of the store around it. */
export interface ValidTokenContext {
  readonly credentials: CredentialContext;
  readonly platform: Pick<Platform, 'now' | 'setTimer'>;
  /** For `accessTokenFor` a command of its own. */
  readonly renew: (own: Holding, request: RefreshRequest) => Promise<Renewed>;
}

/** A renewed token, or the one at hand if it lives on and the renewal takes too long or fails. */
export function renewedOrHeld(
  { credentials: { ledger, clientOf }, platform, renew }: ValidTokenContext,
  own: Holding,
  minValidityMs: number,
): Promise<Token> {
  const { id } = own;
  const isTheirs = sameAsNow(ledger, own);
  const held = (): Token | undefined => (isTheirs() && ledger.remainingMs(id) > 0 ? (ledger.token(id) ?? undefined) : undefined);
  const token = held();
  if (token && token.refreshToken === undefined && !clientOf(id)?.renew) return Promise.resolve(token); // nothing could bring another one
  return orHeld(platform, renew(own, { minValidityMs }) as Promise<Token>, held, ledger.remainingMs(id));
}

/**
 * The access token for what is asked; that of the credential itself where that is the same (TMB-1: one that can do more never is).
 *
 * @throws {TypeError} a scope or resource that cannot be sent
 * @throws {CredentialError} `scope_not_granted`, or why there is none
 */
export async function accessTokenFor(context: ValidTokenContext, own: Holding, options: AccessTokenOptions): Promise<string> {
  const { credentials } = context;
  const refused: unknown = options.refused;
  if (refused !== undefined && typeof refused !== 'string') throw new TypeError('refused must be a text');
  const record = await usableRecord(credentials, own);
  const target = targetFor(record, options);
  clientFor(credentials, own.id); // also for what is at hand
  takeUp(credentials, own, record);
  const { accessToken } = target ? await childToken(context, own, target, options) : await parentToken(context, own, options);
  if (options.resource === undefined || target?.resource !== undefined) return accessToken;
  // It is for the resource of the sign-in. If there was one for another meanwhile, the token is for that, and goes to nobody who asks for this
  const { resource } = (await usableRecord(credentials, own)).context;
  return resource === record.context.resource ? accessToken : accessTokenFor(context, own, options);
}

async function parentToken({ credentials, renew }: ValidTokenContext, own: Holding, options: AccessTokenOptions): Promise<Renewed> {
  const { minValidityMs, forceRefresh, refused } = options;
  if (forceRefresh) return renew(own, { minValidityMs: null });
  const token = await currentToken(credentials, own, minValidityMs);
  return token.accessToken === refused ? renew(own, { minValidityMs: null, refused }) : token;
}

async function childToken(
  { credentials, platform, renew }: ValidTokenContext,
  own: Holding,
  target: Target,
  { minValidityMs, forceRefresh = false, refused }: AccessTokenOptions,
): Promise<ChildToken> {
  const remainingMs = (child: ChildToken): number => childRemainingMs(child, platform.now());
  const isTheirs = sameAsNow(credentials.ledger, own);
  const held = (): ChildToken | undefined => {
    const current = credentials.ledger.record(own.id);
    const child = isTheirs() && current?.state === 'active' && isOpen(current) ? childFor(current.secrets, target) : undefined;
    return child && remainingMs(child) > 0 ? child : undefined;
  };
  const renewed = (request: RefreshRequest): Promise<ChildToken> => renew(own, { ...request, target }) as Promise<ChildToken>;
  const child = held();
  if (!child) return renewed({ minValidityMs: forceRefresh ? null : (minValidityMs ?? 0) });
  if (forceRefresh) return renewed({ minValidityMs: null });
  if (child.accessToken === refused) return renewed({ minValidityMs: null, refused });
  const graceMs = minValidityMs === undefined ? defaultGraceMs(child) : reachableMs(child, minValidityMs);
  if (remainingMs(child) > graceMs) return child;
  const renewing = renewed({ minValidityMs: graceMs });
  return minValidityMs === undefined ? orHeld(platform, renewing, held, remainingMs(child)) : renewing;
}

/** What is renewed, or what is held if that takes too long or fails; the renewal goes on. */
function orHeld<T>({ setTimer }: Pick<Platform, 'setTimer'>, renewing: Promise<T>, held: () => T | undefined, livesMs: number): Promise<T> {
  if (held() === undefined) return renewing;
  return new Promise((resolve, reject) => {
    const settle = (otherwise: () => void): void => {
      const one = held();
      if (one === undefined) otherwise();
      else resolve(one);
    };
    const cancel = setTimer(() => settle(() => undefined), Math.min(livesMs / 2, MAX_WAIT_MS), true);
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- it is passed on as it came
    renewing.then(resolve, (error: unknown) => settle(() => reject(error))).finally(cancel);
  });
}
