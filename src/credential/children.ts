/**
 * Child tokens: access tokens for less scope or another resource. They are kept in the record of their parent, by whose refresh token
 * they live, and leave the parent as it is (RFC 6749 §6, RFC 8707 §2.2).
 *
 * @module
 */
import { CredentialError } from '../errors.js';
import type { ChildToken, CredentialRecord, StoredSecrets, Target } from './record.js';
import { assertScope, includesScope, parseScope, sameScope } from './scope.js';
import { isResource, type Token, type TokenContext } from './token.js';

/** More than this are not kept; the oldest go first. */
const MAX_CHILDREN = 20;
/** About refresh tokens, ID tokens and user info (OIDC Core §5.4, §11). */
const OF_OPENID: readonly string[] = ['offline_access', 'openid', 'profile', 'email', 'address', 'phone'];

/**
 * What a caller asks for, in the form that is compared; `null` if that is the token itself.
 *
 * @throws {TypeError} a scope or resource that cannot be sent
 * @throws {CredentialError} `scope_not_granted`: more than the user has granted, or a resource that the login did not name though it named some; nothing is
 * sent (6749-11, RFC 8707 §2.2): a server may use up the refresh token before it refuses
 */
export function targetFor(
  record: Pick<CredentialRecord, 'scope' | 'context' | 'renewable'>,
  asked: { readonly scope?: string | undefined; readonly resource?: string | undefined },
): Target | null {
  const { context } = record;
  const scope = asked.scope === undefined ? undefined : parseScope(assertScope(asked.scope, 'scope')).toSorted().join(' ');
  if (scope === '') throw new TypeError('scope must name at least one scope; leave it out for all that were granted');
  if (asked.resource !== undefined && !isResource(asked.resource)) throw new TypeError('resource must be an absolute URI without fragment');
  const named = asNamed(asked.resource, context);
  const resource = named === context.resource ? undefined : named;
  if (scope !== undefined && !includesScope(`${record.scope} ${context.scope ?? ''}`, scope))
    throw notGranted('The scope goes beyond what the user has granted', context);
  if (!mayBeGranted(resource, record)) throw notGranted('The sign-in named others than this resource (RFC 8707 §2.2)', context);
  const isWhole = scope === undefined || sameScope(scope, record.scope);
  if (resource === undefined && isWhole) return null;
  return { ...(scope !== undefined && { scope }), ...(resource !== undefined && { resource }) };
}

/** As the login spelled it, since servers compare letters: `https://api.example.com` with a slash and without is one resource (RFC 3986 §6.2.3). */
function asNamed(
  asked: string | undefined,
  { resource, resources = resource === undefined ? [] : [resource] }: TokenContext,
): string | undefined {
  if (asked === undefined || resources.includes(asked)) return asked;
  return resources.find((one) => normalized(one) === normalized(asked)) ?? asked;
}

function normalized(uri: string): string {
  return URL.canParse(uri) ? new URL(uri).href : uri;
}

/** Where the login named no resource, only the server knows what it gives; where nothing renews, it is not asked, and that is told. */
function mayBeGranted(resource: string | undefined, { renewable, context }: Pick<CredentialRecord, 'context' | 'renewable'>): boolean {
  const { resource: named, resources } = context;
  return resource === undefined || renewable === false || (resources?.includes(resource) ?? named === undefined);
}

function notGranted(what: string, { issuer }: TokenContext): CredentialError {
  return new CredentialError('scope_not_granted', `${what}; sign in again and ask for it.`, { issuer });
}

/**
 * Some servers write a scope otherwise than it was asked for (Entra without the resource's URI, Google with its own): that is not less.
 *
 * @throws {CredentialError} `scope_not_granted`: the server gave less than was asked for (E65)
 */
export function assertGranted({ scope, context }: Token, target: Target | undefined): void {
  const [words, granted] = [parseScope(target?.scope ?? ''), parseScope(scope)];
  // Entra leaves out of an access token's scope what is about other tokens: asked for beside a scope of an API, they are no part of it
  const ofApi = words.filter((one) => !OF_OPENID.includes(one));
  const asked = ofApi.length > 0 ? ofApi : words.filter((one) => one !== 'offline_access');
  const others = granted.filter((one) => !asked.includes(one));
  if (asked.every((one) => granted.includes(one) || others.some((other) => isSameWord(one, other)))) return;
  throw notGranted('The server gave less scope than was asked for', context);
}

/** True for `https://graph.microsoft.com/User.Read` and `user.read`, for `email` and `https://www.googleapis.com/auth/userinfo.email`. */
function isSameWord(asked: string, granted: string): boolean {
  const [a, b] = [asked.toLowerCase(), granted.toLowerCase()];
  const names = (uri: string, word: string): boolean => uri.includes('://') && (uri.endsWith(`/${word}`) || uri.endsWith(`.${word}`));
  return a === b || names(a, b) || names(b, a) || a.endsWith('/.default');
}

/** A name for a target: who asks for the same shares a request. */
export function targetKey(target: Target | null | undefined): string {
  return target ? `${target.resource ?? ''} ${target.scope ?? ''}` : '';
}

/** The child that was had for this target. */
export function childFor(secrets: StoredSecrets | null, target: Target): ChildToken | undefined {
  return secrets?.children?.find((child) => targetKey(child) === targetKey(target));
}

/** How much later than now a child may have been issued, in milliseconds: after that the clock was set back, and its age is unknown (E42). */
const SET_BACK_MS = 60_000;

/** How long a child is good for, in milliseconds: never longer than it was given, wherever the clock stands. */
export function childRemainingMs({ issuedAt, expiresAt }: Pick<ChildToken, 'issuedAt' | 'expiresAt'>, now: number): number {
  if (expiresAt === null) return Infinity;
  return issuedAt > now + SET_BACK_MS ? 0 : Math.min(expiresAt - now, expiresAt - issuedAt);
}

/** Children that have not expired, with one more. */
export function childrenWith(
  secrets: StoredSecrets | null,
  now: number,
  added?: ChildToken,
): { readonly children?: readonly ChildToken[] } {
  const living = (secrets?.children ?? []).filter(
    (child) => (child.expiresAt === null || child.expiresAt > now) && !(added && targetKey(child) === targetKey(added)),
  );
  const children = added ? [...living, added].slice(-MAX_CHILDREN) : living;
  return children.length > 0 ? { children } : {};
}

/** The child that an answer brought. */
export function childOf({ accessToken, tokenType, scope, issuedAt, expiresAt }: Token, target: Target): ChildToken {
  return { ...target, accessToken, tokenType, granted: scope, issuedAt, expiresAt };
}

/** What is presented, and compared with the answer, where something else than the token itself is asked for. */
export function narrowed<G extends { readonly scope: string; readonly context: TokenContext }>(grant: G, target: Target | undefined): G {
  return target ? { ...grant, scope: target.scope ?? grant.scope, context: { ...grant.context, ...target } } : grant;
}
