/**
 * Whether the ID token of an answer holds: `oauth4webapi` checks claims and signature, `id-token.ts` what it leaves to its caller.
 *
 * @module
 */
import * as oauth from 'oauth4webapi';
import { parseClaims, type IdTokenClaims } from '../credential/token.js';
import { isCredentialError } from '../errors.js';
import { reasonOf } from './callback.js';
import type { ResolvedClientOptions } from './client.js';
import {
  checkAccessTokenHash,
  checkClaims,
  invalid,
  isOfSameLogin,
  parseIdTokenHeader,
  unverifiedPayload,
  type IdTokenHeader,
} from './id-token.js';
import type { KeySet } from './key-set.js';
import { subtleOf } from '../platform/random.js';
import type { TokenResponse } from './token-response.js';
import { responseOf, type Exchange } from './transport.js';

/** ID tokens for which keys are asked for at the same time, as by a server with many users; who drops out is refused as if the keys were new. */
const MAX_DOUBTED = 1_000;

/** A function of `oauth4webapi` for one grant. */
export type Process = (as: oauth.AuthorizationServer, client: oauth.Client, response: Response) => Promise<oauth.TokenEndpointResponse>;

/** Judges ID tokens for one client. */
export interface Judge {
  /**
   * Signature, claims and `at_hash` of the ID token of a sign-in; `null` where there is none.
   *
   * @param atMs epoch milliseconds of the answer
   * @param maxAgeS seconds
   * @throws {ProtocolError} `id_token_invalid`
   * @throws {CredentialError} `crypto_unavailable`
   */
  signIn(answer: TokenResponse, atMs: number, maxAgeS: number, process: Process): Promise<IdTokenClaims | null>;
  /**
   * The claims of a refreshed ID token; `null` where it is not taken over: one that is of the same user and otherwise not as it should be (D-046).
   *
   * @throws {ProtocolError} `id_token_invalid`, `token_substitution`
   * @throws {CredentialError} `crypto_unavailable`
   */
  refresh(answer: TokenResponse, atMs: number, login: IdTokenClaims | null): Promise<IdTokenClaims | null>;
  /** True for an ID token whose signature did not fit the keys at hand, which are to be asked for once more (JWK-1). */
  isDoubted(idToken: string): boolean;
}

/** An ID token whose claims are as they should be, and what is left to prove of it. */
interface Checked {
  readonly claims: IdTokenClaims | null;
  readonly prove: () => Promise<void>;
}

/** @param clientAt the client as `oauth4webapi` takes it, at a time in epoch milliseconds */
export function createJudge(
  options: ResolvedClientOptions,
  keys: KeySet,
  metadata: () => Promise<oauth.AuthorizationServer>,
  clientAt: (atMs: number, extra?: Partial<oauth.Client>) => oauth.Client,
): Judge {
  const { issuer, idTokenSigningAlgs, platform } = options;
  const doubted = new Set<string>();

  /** All but signature and `at_hash`. */
  async function check(answer: TokenResponse, atMs: number, maxAgeS: number, process: Process): Promise<Checked> {
    const as = await metadata();
    const header = answer.idToken === undefined ? undefined : parseIdTokenHeader(answer.idToken, idTokenSigningAlgs, issuer);
    const client = clientAt(atMs, header && { id_token_signed_response_alg: header.alg });
    const idToken = answer.idToken !== undefined && { id_token: answer.idToken };
    const response = responseOf(jsonOf(JSON.stringify({ access_token: answer.accessToken, token_type: 'bearer', ...idToken })));
    const judged = await process(as, client, response).catch((error: unknown) => refuse(error, issuer));
    if (!header) return { claims: null, prove: () => Promise.resolve() };
    const claims = parseClaims(oauth.getValidatedIdTokenClaims(judged) ?? null);
    if (!claims) throw invalid('lacks a claim that is required, or has more than 2,000 members', issuer);
    checkClaims(claims, options, atMs, maxAgeS);
    return { claims, prove: () => prove(as, response, header, claims['at_hash'], answer) };
  }

  /**
   * True for an ID token that is refused for something else, and yet proves whose the tokens are: signed by the issuer, for this access token, of
   * this user. As a user info answer (OIDC Core §5.3.2) it is asked for no more, by a clock that tolerates everything.
   */
  async function isOfUser(answer: TokenResponse, login: IdTokenClaims | null): Promise<boolean> {
    const { idToken = '' } = answer;
    const as = await metadata();
    const header = parseIdTokenHeader(idToken, idTokenSigningAlgs, issuer);
    const [audience] = [unverifiedPayload(idToken)?.['aud']].flat();
    const client = {
      ...clientAt(platform.now(), { userinfo_signed_response_alg: header.alg, [oauth.clockTolerance]: Number.MAX_SAFE_INTEGER }),
      ...(typeof audience === 'string' && { client_id: audience }),
    };
    const response = responseOf({ status: 200, headers: new Headers({ 'content-type': 'application/jwt' }), text: idToken });
    const processing = oauth.processUserInfoResponse(as, client, oauth.skipSubjectCheck, response);
    const { iss, sub, at_hash } = await processing.catch((error: unknown) => refuse(error, issuer));
    await prove(as, response, header, at_hash, answer);
    return iss === issuer && (!login || (login.iss === iss && login.sub === sub));
  }

  function doubt(idToken: string): void {
    doubted.add(idToken);
    for (const oldest of [...doubted].slice(0, -MAX_DOUBTED)) doubted.delete(oldest);
  }

  /**
   * Signature and `at_hash`. A signature that does not fit keys of some time ago puts the token in doubt, and is refused: who asks for the next proof has
   * the keys asked for once more, unless another token had them asked for since, and has written the answer down before, if it is worth that (RF-4).
   */
  async function prove(
    as: oauth.AuthorizationServer,
    response: Response,
    header: IdTokenHeader,
    atHash: unknown,
    { idToken = '', accessToken }: TokenResponse,
  ): Promise<void> {
    subtleOf(platform); // without it every signature would look forged
    const { alg, kid } = header;
    const keyText = await (doubted.has(idToken) && keys.isOld() ? keys.anew(kid, alg) : keys.text(kid, alg));
    doubted.delete(idToken);
    await verify(as, response, header, keyText).catch((error: unknown) => {
      if (keys.isOld()) doubt(idToken);
      throw error;
    });
    await checkAccessTokenHash(atHash, accessToken, alg, platform, issuer);
  }

  async function verify(as: oauth.AuthorizationServer, response: Response, header: IdTokenHeader, keyText: string): Promise<void> {
    const verifying = oauth.validateApplicationLevelSignature({ ...as }, response, {
      // a copy: oauth4webapi caches keys by identity, we cache them ourselves
      [oauth.customFetch]: () => Promise.resolve(responseOf(jsonOf(keyText))),
      [oauth.allowInsecureRequests]: true, // answered from our own cache: nothing is sent
    });
    await verifying.catch((error: unknown) => {
      const newer = keys.known(header.kid, header.alg);
      if (newer !== keyText) return verify(as, response, header, newer); // they came meanwhile, for another token
      if (isOfLibrary(error)) refuse(error, issuer);
      throw invalid('is signed with a key that is damaged, or of no use here', issuer);
    });
  }

  return {
    signIn: async (answer, atMs, maxAgeS, process) => {
      const { claims, prove: proving } = await check(answer, atMs, maxAgeS, process);
      await proving().catch((error: unknown) => {
        if (!doubted.has(answer.idToken ?? '')) throw error;
        return proving(); // with the keys as they are now: the code is spent
      });
      return claims;
    },
    isDoubted: (idToken) => doubted.has(idToken),
    refresh: async (answer, atMs, login) => {
      if (answer.idToken === undefined) return null; // nothing is left to judge: the members have been
      const refreshed: Process = (as, client, response) => oauth.processRefreshTokenResponse(as, client, response);
      const checked = await check(answer, atMs, Infinity, refreshed).catch(async (error: unknown) => {
        if (isInvalid(error) && (await isOfUser(answer, login).catch(unlessInvalid))) return null;
        throw error;
      });
      if (!checked) return null;
      await checked.prove();
      return checked.claims && (!login || isOfSameLogin(login, checked.claims)) ? checked.claims : null;
    },
  };
}

function isOfLibrary(error: unknown): boolean {
  return error instanceof oauth.OperationProcessingError || error instanceof oauth.UnsupportedOperationError;
}

function isInvalid(error: unknown): boolean {
  return isCredentialError(error) && error.code === 'id_token_invalid';
}

/** Keys that cannot be had now say nothing of a token. */
function unlessInvalid(error: unknown): false {
  if (isInvalid(error)) return false;
  throw error;
}

/**
 * What `oauth4webapi` finds wrong with an answer that our own checks have passed is wrong with its ID token. Only its fixed text is copied.
 *
 * @throws {ProtocolError} `id_token_invalid`
 */
function refuse(error: unknown, issuer: string): never {
  if (!(error instanceof oauth.OperationProcessingError)) throw error;
  const isOver = error.message.includes('expiration is past current timestamp');
  throw invalid(
    isOver ? 'has expired (exp): it is old, or the clock here is ahead (clockToleranceS)' : `was refused: ${reasonOf(error)}`,
    issuer,
  );
}

/** An answer as if it came from a server. */
function jsonOf(text: string): Pick<Exchange, 'status' | 'headers' | 'text'> {
  return { status: 200, headers: new Headers({ 'content-type': 'application/json' }), text };
}
