/**
 * Signing in by authorization code, and the route the authorization server sends the user back to.
 *
 * @module
 */
import { DOCUMENT, isPlatformServer } from '@angular/common';
import { assertInInjectionContext, inject, PLATFORM_ID } from '@angular/core';
import { Router } from '@angular/router';
import type { RedirectCommand } from '@angular/router';
import { isCredentialError, isSignedIn } from 'rx-credentials';
import type {
  ClientName,
  CredentialError,
  CredentialErrorCode,
  CredentialStore,
  ErrorClass,
  OAuthResponseError,
  Token,
} from 'rx-credentials';
import type { AuthorizationCodeFlow } from 'rx-credentials/flows';
import { injectBaseUrl } from './base-url';
import { assertCalled } from './guard';
import type { CredentialGuard } from './guard';
import { injectRedirect, injectWantedPath } from './redirect';
import type { DestinationOf } from './redirect';
import { FAILURE } from './sign-in-flow';
import { injectStore, tokensOf } from './stores';
import type { StoreChoice } from './stores';

/** Why a sign-in did not succeed. No secret is in it. */
export interface SignInFailure {
  readonly code: CredentialErrorCode | 'unknown';
  /** What can be done, as of a `CredentialError`. */
  readonly class: ErrorClass | 'unknown';
  /** What the authorization server said, if it did, such as `access_denied`, or `login_required` after `prompt=none`; cleaned, untrusted text. */
  readonly error?: string;
  /** How the server explains it, for who looks into it; cleaned, untrusted text. */
  readonly errorDescription?: string;
  readonly message: string;
  /** Where the user wanted to go. */
  readonly returnTo: string;
}

/** Options of `completeSignIn`. */
export interface CompleteSignInOptions extends StoreChoice {
  /** The client that began; left out: the only one. */
  readonly client?: ClientName | undefined;
  /**
   * Tags of the credential. Only one that has all of them is taken for the same, so that one user can have several. Left out: the default, or
   * another of the user's, keeps what tags it has. A function gets the path that is gone to, the `returnTo` of the sign-in, where sign-ins for
   * several APIs come back to one route; it runs once the code was exchanged, and what it throws is a failure of the sign-in.
   */
  readonly tags?: readonly string[] | ((returnTo: string) => readonly string[]) | undefined;
  /**
   * `true`: who has just signed in is the default, whoever was: for an application with one account. Left out: only where nobody is the
   * default, or one that is of no use.
   */
  readonly asDefault?: boolean | undefined;
  /** Where to go if the sign-in was begun without `returnTo`. Default `/`. */
  readonly home?: string | undefined;
  /**
   * Where to go if it failed: a path, or a function that runs in an injection context. Default: as `home`. `injectSignInFailure` says why; a
   * `RedirectCommand` is taken as it is, without that: back to this route with a parameter `error` it would go for ever.
   */
  readonly failure?: DestinationOf<SignInFailure> | undefined;
}

/**
 * Sign-in by authorization code for a client of the store; without a name for the only one. What `start` is given as `returnTo` is where
 * `completeSignIn` goes.
 */
export function injectAuthorizationCodeFlow(client?: ClientName, options: StoreChoice = {}): AuthorizationCodeFlow {
  assertInInjectionContext(injectAuthorizationCodeFlow);
  return inject(tokensOf(options.store).flows).of(injectStore(options).client(client));
}

/**
 * A guard for the route of the redirect URI, `canActivate: [completeSignIn()]`: exchanges the code, stores the credential and sends the
 * user to where the sign-in began. An answer that is none any more (the user went back) is no failure while somebody is signed in. The
 * route itself is shown to nobody, unless it is `home` or `failure`, too. The code leaves the address bar before anything is asked, and is
 * in no history entry. Only paths of the application are gone to.
 *
 * Who signs in again, for more scope or a stronger login, keeps her credential: the new token takes its place, with its id, tags and rank as
 * the default. Who signs in while nobody is the default, as after a sign-out, is.
 */
export function completeSignIn(options: CompleteSignInOptions = {}, ...more: readonly never[]): CredentialGuard {
  assertCalled(more);
  const { home = '/', failure: onFailure = home } = options;
  return async () => {
    if (isPlatformServer(inject(PLATFORM_ID))) return true; // what began in a browser ends there
    if (injectSignInFailure() !== null) return true; // to tell of it; its address may look like an answer, such as `?error=…`
    const store = injectStore(options);
    const flow = injectAuthorizationCodeFlow(options.client, options);
    const router = inject(Router);
    const redirect = injectRedirect();
    const flows = inject(tokensOf(options.store).flows);
    const {
      location: { href },
      defaultView,
    } = inject(DOCUMENT);
    const wanted = injectWantedPath();
    const asked = new URL(`.${wanted}`, injectBaseUrl()()).href;
    const replaceUrl = true;
    // Later the address bar has the page that is being left, or an answer that is over: a browser may refuse to clean it
    const isFirst = !router.navigated && flows.answering === undefined;
    // Loaded anew before its answer was exchanged, a page has the note of a flow, which knows where it would have led
    const noted = flows.answering ? null : (defaultView?.history.state as Noted)?.[STATE];
    const address = [isFirst ? href : '', asked].find((one) => flow.isCallback(one)) ?? (noted && href);
    if (!address) {
      // Cleaning the address bar is a navigation to `withExperimentalPlatformNavigation()`, which takes the place of the one that waits. Else
      // somebody came by hand. Where the callback is home, or shows what failed, she is there already: a redirect would come here for ever
      const atHome = router.serializeUrl(router.parseUrl(home));
      return flows.answering ?? (pathOf(atHome) === pathOf(wanted) || redirect(home, null, { replaceUrl }));
    }
    const answer = async (): Promise<RedirectCommand> => {
      const returnTo = (): string => flow.returnToOf(address) ?? home;
      try {
        const token = await flow.resume(address);
        const { tags, asDefault } = options;
        await keep(store, token, { tags: typeof tags === 'function' ? tags(returnTo()) : tags, asDefault });
        return redirect(returnTo(), null, { replaceUrl });
      } catch (error) {
        const why = whyOf(error);
        const failure = { ...why, returnTo: returnTo() };
        // Back, or a second tab of the address: what was wanted is there. Nothing was asked or stored, so a forged answer gains nothing (D-060)
        if (failure.code === 'callback_state_unknown' && (await isSomebodyIn(store))) return redirect(returnTo(), null, { replaceUrl });
        flows.failed(why);
        return redirect(onFailure, failure, { replaceUrl, state: { [FAILURE]: failure } });
      } finally {
        // Where the way leads to this very entry, the note would be taken for a page that was loaded anew, for ever
        takeNote(defaultView);
        flows.answering = null;
      }
    };
    return (flows.answering = answer());
  };
}

/** Why the sign-in failed that sent the user to this page; `null`: none did. For components that the router makes. */
export function injectSignInFailure(): SignInFailure | null {
  assertInInjectionContext(injectSignInFailure);
  return (inject(Router).getCurrentNavigation()?.extras.state?.[FAILURE] as SignInFailure | undefined) ?? null;
}

async function isSomebodyIn(store: CredentialStore): Promise<boolean> {
  await store.ready;
  return isSignedIn(store.snapshot().credentials.find(({ isDefault }) => isDefault));
}

type Tags = readonly string[] | undefined;

interface Place {
  readonly tags: Tags;
  readonly asDefault: boolean | undefined;
}

/** Keeps the token of a sign-in. Where its credential cannot become the default, it is stored all the same. */
async function keep(store: CredentialStore, token: Token, { tags, asDefault = false }: Place): Promise<void> {
  await store.ready;
  const credential = await store.store(token, { ...(tags && { tags }), onePerUser: true });
  // After a sign-out the store promotes nobody (design §4.1); but who signs in means to be somebody
  if (asDefault || store.snapshot().defaultId === null) await store.setDefault(credential);
}

/** Without query, fragment and matrix parameters. */
function pathOf(path: string): string {
  return path.replace(/[?#;].*/s, '');
}

/** What a flow notes of a sign-in in the history entry whose address it cleans. */
const STATE = 'rx-credentials:state';
type Noted = { readonly [STATE]?: string | null } | null;

/** Takes out of the history entry what a flow has noted there, and nothing else. */
function takeNote(view: Window | null): void {
  const { [STATE]: note, ...rest } = (view?.history.state as Noted) ?? {};
  if (note === undefined) return;
  try {
    view?.history.replaceState(rest, '');
  } catch {
    // WebKit and Firefox refuse it where the entry was changed too often
  }
}

function whyOf(error: unknown): Omit<SignInFailure, 'returnTo'> {
  if (!isCredentialError(error)) return { code: 'unknown', class: 'unknown', message: 'The sign-in failed.' };
  const { code, class: errorClass, message, error: said, errorDescription } = error as CredentialError & Partial<OAuthResponseError>;
  return { code, class: errorClass, message, ...(said && { error: said }), ...(errorDescription && { errorDescription }) };
}
