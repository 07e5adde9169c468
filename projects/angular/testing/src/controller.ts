/**
 * What a test does to the world around a store.
 *
 * @module
 */
import type { ClientName, Credential, CredentialError, CredentialStore } from 'rx-credentials';
import type { StoreChoice } from 'rx-credentials-angular';
import type { TestCredential, TestTokens } from './tokens';

/** Which refresh: the id of its credential, what it asks for, or a function of it. */
export type RefreshMatch =
  string | { readonly credentialId?: string; readonly scope?: string; readonly resource?: string } | ((refresh: TestRefresh) => boolean);

/** A refresh that was sent and waits for its answer. */
export interface TestRefresh {
  readonly credentialId: string;
  /** Scopes, if less than all is asked for. */
  readonly scope: string | undefined;
  /** Another resource, if one is asked for. */
  readonly resource: string | undefined;
  /** The server answers. Resolves once everything that follows has happened; rejects if there was an answer before, as `fail` does. */
  flush(tokens?: TestTokens): Promise<void>;
  /**
   * The refresh fails. A text is an OAuth error code, such as `invalid_grant`; without one the network is down, and the store tries again
   * by itself as time passes.
   */
  fail(error?: string | CredentialError): Promise<void>;
}

/** Whose sign-in it is. */
export interface TestSignInOptions extends StoreChoice {
  /** Left out: the only client of the store. */
  readonly client?: ClientName;
}

/** For tests, in the manner of `HttpTestingController`: `TestBed.inject(CredentialsTestingController)`. */
export abstract class CredentialsTestingController {
  /** The clock of the store, in epoch milliseconds. */
  abstract now(): number;
  /** Lets time pass, in milliseconds. Resolves once everything that follows has happened; `tick()` just lets it happen. */
  abstract tick(ms?: number): Promise<void>;
  /** Lets time pass until the access token of a credential has expired. */
  abstract expire(credential: Credential | string): Promise<void>;
  /** Stores a credential, as after a sign-in. The store of a route is there once it was injected. */
  abstract signIn(credential?: TestCredential, options?: TestSignInOptions): Promise<Credential>;
  /** What the next code exchange of a flow gives. Default: a new credential. */
  abstract nextSignIn(answer: TestCredential | CredentialError): void;
  /**
   * From now on storage gives out nothing, as when it is slow: call this before the store is injected. Returns what lets it answer. Nothing
   * can be stored meanwhile; a store gives up after ten seconds.
   */
  abstract holdStorage(): () => Promise<void>;
  /** From now on revocation requests wait, as when the server is slow. Returns what lets all of them succeed; a store waits five seconds. */
  abstract holdRevocations(): () => Promise<void>;
  /** Another tab over the same storage: its store. Closed when the test ends. */
  abstract openTab(options?: StoreChoice): Promise<CredentialStore>;
  /** The one refresh that matches, to be answered. @throws {Error} there is none, or more than one */
  abstract expectRefresh(match?: RefreshMatch): TestRefresh;
  /** Nothing that matches was sent. @throws {Error} there is a refresh */
  abstract expectNoRefresh(match?: RefreshMatch): void;
  /** For `afterEach`: nothing was sent that nobody expected. @throws {Error} there is such a refresh */
  abstract verify(): void;
}
