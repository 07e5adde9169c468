/**
 * One silent authorization: a request with `prompt=none` in a hidden frame, and what came of it. Loaded when first needed.
 *
 * @module
 */
import { withFields } from '../credential/create-token.js';
import type { Token } from '../credential/token.js';
import { CredentialError, isCredentialError, ProtocolError, type CredentialErrorDetails } from '../errors.js';
import { clientWith } from '../oauth/client-with.js';
import type { Grant, OAuth2Client } from '../oauth/client.js';
import { isOAuthResponseError } from '../oauth/oauth-response-error.js';
import { asPassing } from '../oauth/passing.js';
import type { Page } from '../platform/platform.js';
import { createAuthorizationCodeFlow, type AuthorizationCodeStartOptions } from './authorization-code.js';
import type { AdditionalParameters } from './parameters.js';
import { memoryTransactions } from './transactions.js';

interface SilentRequest {
  readonly redirectUri: string | undefined;
  readonly timeoutMs: number;
  readonly added: AdditionalParameters;
}

type LoadFrame = NonNullable<Page['loadFrame']>;

/** A longer ID token makes addresses that servers refuse. It is a hint: who came back is compared anyway. */
const MAX_HINT_CHARACTERS = 4_096;

/**
 * The next token of a grant; `silentAuthorization` says how it may fail.
 *
 * @param options.redirectUri where the frame ends
 * @param options.timeoutMs milliseconds that the frame may take
 * @param options.added further parameters of the request
 */
export async function authorizeSilently(
  grant: Grant,
  client: OAuth2Client,
  { redirectUri, timeoutMs, added }: SilentRequest,
): Promise<Token> {
  const { issuer, platform } = client;
  const request = requestFor(grant, client, added);
  const { address, load } = frameFor(client, redirectUri);
  // Of its own: what waits in the tab for a sign-in to come back is not touched.
  const transactions = memoryTransactions(platform);
  const flow = createAuthorizationCodeFlow(redirectedTo(client, address), { transactions });
  try {
    const url = await flow.start(request);
    const end = await withinTime(client, timeoutMs, (signal) => load(url.href, signal));
    assertAnswer(end, url.searchParams.get('state'), issuer);
    return nextToken(grant, await flow.resume(end));
  } catch (error) {
    throw passing(error, issuer);
  }
}

/** @throws {ProtocolError} `token_substitution` */
function nextToken({ id, context, claims, refreshToken: kept }: Grant, token: Token): Token {
  if (token.claims?.sub !== claims?.sub) {
    // Not revoked: at some servers that would end another session of that user, who may be signed in here, too.
    throw new ProtocolError('token_substitution', 'Another user than that of this credential is signed in at the server now.', {
      issuer: context.issuer,
    });
  }
  const refreshToken = token.refreshToken ?? kept;
  return withFields(token, { id, context, ...(refreshToken !== undefined && { refreshToken }) });
}

/** What to ask for: what was asked for when the user signed in, but for how recent that sign-in had to be. */
function requestFor(
  { context, claims, idToken = '' }: Grant,
  client: OAuth2Client,
  added: AdditionalParameters,
): AuthorizationCodeStartOptions {
  const { scope = client.scope, acrValues, resource, resources = [] } = context;
  if (!scope.split(' ').includes('openid'))
    throw unsupported('A silent authorization needs the scope "openid": else nobody can tell whose token it brings.', client);
  // As of one that was taken over from another library: to whom the credential belongs is known from nowhere else
  if (!claims) throw unsupported('A silent authorization needs the claims of the sign-in, and this credential has no ID token.', client);
  const isHint = idToken.length > 0 && idToken.length <= MAX_HINT_CHARACTERS;
  const additionalParameters = {
    ...added,
    prompt: 'none',
    ...(isHint && { id_token_hint: idToken }),
    ...(resource !== undefined && { resource: [resource, ...resources] }), // each is named once
  };
  return { scope, ...(acrValues !== undefined && { acrValues }), additionalParameters };
}

/**
 * The client with another redirect URI. Where there are several servers, one that the client has not told of may be that of another server, too
 * (RFC 9700 §4.4).
 */
function redirectedTo(client: OAuth2Client, address: string): OAuth2Client {
  const { redirectUri, renew, redirectUrisOfOthers: others } = client;
  const isTold = address === redirectUri || address === renew?.redirectUri;
  return clientWith(client, { redirectUri: address, redirectUrisOfOthers: isTold ? others : others && [...others, address] });
}

/** Where the frame is to end, and what loads it. */
function frameFor(client: OAuth2Client, address: string | undefined): { readonly address: string; readonly load: LoadFrame } {
  const { page } = client.platform;
  const load = page?.loadFrame?.bind(page);
  if (!page || !load) throw unsupported('A silent authorization needs a page to put a frame in; servers and workers have none.', client);
  if (address === undefined) throw unsupported('A silent authorization needs a redirectUri, its own or that of the client.', client);
  if (new URL(address).origin !== new URL(page.url()).origin)
    throw unsupported('The redirectUri of a silent authorization must be of the origin of the page; no other can be read.', client);
  return { address, load };
}

/** @throws {CredentialError} `timeout`; the signal is aborted then */
function withinTime<T>({ platform, issuer }: OAuth2Client, timeoutMs: number, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  let cancel = (): void => undefined;
  const asked = new Promise<T>((resolve, reject) => {
    cancel = platform.setTimer(
      () => {
        const what =
          `The frame of the silent authorization came to no end within ${timeoutMs} ms: the server does not answer, cannot be reached, ` +
          'or a Content-Security-Policy forbids the frame.';
        abort.abort(new CredentialError('timeout', what, { issuer, class: 'transient' }));
        reject(abort.signal.reason as CredentialError);
      },
      timeoutMs,
      true,
    );
    ask(abort.signal).then(resolve, reject);
  });
  return asked.finally(() => cancel());
}

/** @throws {CredentialError} `renewal_failed`: the server has not answered; `callback_invalid`: the answer is to another question */
function assertAnswer(end: string | null, state: string | null, issuer: string): asserts end is string {
  const answer = end === null ? undefined : new URL(end).searchParams;
  if (!answer || !(answer.has('code') || answer.has('error'))) {
    throw new CredentialError(
      'renewal_failed',
      'The frame of the silent authorization ended at a page that is no answer: the server showed a page of its own, could not be reached, ' +
        'or a Content-Security-Policy or X-Frame-Options forbids the frame (frame-src of this page, frame-ancestors of the redirect URI).',
      { issuer },
    );
  }
  if (answer.get('state') !== state)
    throw new ProtocolError('callback_invalid', 'The answer in the frame has another "state" than the request (RFC 6749 §4.1.2).', {
      issuer,
    });
}

/**
 * A failure here has used up a code at most: the next try gets another one. So an unknown outcome is not one, and neither that the server
 * does not take a code nor that the page slept for longer than a request lives says anything of the session (E48).
 */
function passing(error: unknown, issuer: string): unknown {
  if (!isCredentialError(error)) return error;
  const { cause } = error;
  if (isCredentialError(cause) && cause.code === error.code) return passing(cause, issuer); // that the sign-in is spent costs nobody anything here
  if (error.class === 'unknown_outcome' || error.code === 'callback_state_unknown') return asPassing(error);
  if (isOAuthResponseError(error) && error.error === 'invalid_grant') {
    const { status, retryAfterMs } = error;
    const details: CredentialErrorDetails = { issuer, status, retryAfterMs, cause: error };
    return new CredentialError('renewal_failed', 'The server did not take the code that it had just given.', details);
  }
  return error;
}

function unsupported(message: string, { issuer }: OAuth2Client): CredentialError {
  return new CredentialError('unsupported', message, { issuer });
}
