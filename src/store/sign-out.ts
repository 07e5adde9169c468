/**
 * Signing out: the tokens are revoked and forgotten, and the user gets the address that ends the session of the server, too.
 *
 * @module
 */
import { assertNothingElse, optionsOf } from '../credential/options.js';
import type { TokenContext } from '../credential/token.js';
import { asCredentialError, CredentialError, type CredentialErrorCode } from '../errors.js';
import { furtherParameters, OF_LOGOUT } from '../flows/parameters.js';
import type { Meant } from './ledger.js';
import type { Loop } from './loop.js';
import { DEADLINE_MS, deadlineOf, revoke, type RevocationContext, type RevokeResult } from './revocation.js';

/** What ends the session of the server: `createSessionLogoutFlow(client)` of `rx-credentials/flows`, or something like it. */
export interface SignOutFlow {
  /** Whose sessions it ends: it is asked for no credential of another. Left out: of any. */
  readonly issuer?: string | undefined;
  /** The same for the client. */
  readonly clientId?: string | undefined;
  start(options: {
    readonly idToken?: string | undefined;
    readonly additionalParameters?: Readonly<Record<string, string | undefined>>;
  }): Promise<URL>;
}

/** Options of `signOut`. */
export interface SignOutOptions {
  /** Ends the session of the server, too (OpenID Connect RP-Initiated Logout 1.0). Without it the server keeps its session. */
  readonly flow?: SignOutFlow | undefined;
  /** For the flow, such as `ui_locales`. */
  readonly additionalParameters?: Readonly<Record<string, string | undefined>> | undefined;
}

/** What `signOut` did. */
export interface SignOutResult extends RevokeResult {
  /** Where to send the user, whose session there ends; `null` without a flow, and where it failed. */
  readonly url: URL | null;
  /**
   * Why there is no address: `endpoint_missing` of a server without such sessions, `issuer_mismatch` of a flow of another server or client, which
   * is not asked, `timeout` after 5 s, or what else the flow failed with.
   */
  readonly urlFailure?: CredentialErrorCode;
}

/** What signing out needs of the store around it. */
export interface SignOutContext extends RevocationContext {
  readonly loop: Loop;
}

/** Revokes and removes, whatever the server and the flow answer. @throws {TypeError} a wrong option: nothing was done */
export async function signOut(context: SignOutContext, meant: Meant, options: SignOutOptions): Promise<SignOutResult> {
  const { flow, additionalParameters, ...rest } = optionsOf(options, 'signOut');
  assertNothingElse(rest, 'signOut takes flow and additionalParameters');
  if (flow !== undefined && typeof (flow as Partial<SignOutFlow> | null)?.start !== 'function')
    throw new TypeError('flow must be a logout flow: createSessionLogoutFlow(client)');
  furtherParameters(additionalParameters, OF_LOGOUT); // before anything is revoked: what the flow refuses later is told by a code alone
  const { ledger, loop, platform } = context;
  const { id } = meant;
  const known = ledger.record(id); // before it is revoked: of what is forgotten there is no ID token
  const generation = known?.generation ?? 0;
  const begun = async (of: SignOutFlow): Promise<URL> => {
    assertSame(of, known?.context);
    const isMeant = known !== undefined && known.storedAt === meant.storedAt; // what cannot be opened is signed out, too
    const record = isMeant ? await ledger.unsealed(known, DEADLINE_MS).catch(() => undefined) : undefined;
    const idToken = record?.secrets?.idToken;
    return of.start({ idToken, ...(additionalParameters && { additionalParameters }) });
  };
  const deadline = deadlineOf(platform);
  const started = async (): Promise<Pick<SignOutResult, 'url' | 'urlFailure'>> => {
    if (!flow) return { url: null };
    try {
      const url = await Promise.race([begun(flow), deadline.passed.then(() => null)]);
      return url ? { url } : { url, urlFailure: 'timeout' };
    } catch (error) {
      return { url: null, urlFailure: asCredentialError(error, 'network_error', '').code };
    }
  };
  const [end, revoked] = await Promise.all([started(), revoke(context, meant, 'all')]).finally(() => deadline.cancel());
  const isOurs = revoked.refreshToken.status !== 'not_asked'; // else another call has said so
  if (isOurs) loop.dispatch([{ type: 'signed_out', id, generation }], 'here');
  return { ...revoked, ...end };
}

/** An ID token goes to nobody but the server that gave it. @throws {CredentialError} `issuer_mismatch` */
function assertSame({ issuer, clientId }: SignOutFlow, origin: TokenContext | undefined): void {
  if ((issuer ?? origin?.issuer) !== origin?.issuer || (clientId ?? origin?.clientId) !== origin?.clientId)
    throw new CredentialError('issuer_mismatch', 'The logout flow is of another server or client than the credential.', { issuer });
}
