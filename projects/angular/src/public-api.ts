/**
 * The Angular adapter of rx-credentials.
 *
 * @module
 */
export { CredentialStore, credentialStoreToken, CREDENTIALS_OVERRIDES as ɵCREDENTIALS_OVERRIDES } from './stores';
export type { CredentialsOverrides as ɵCredentialsOverrides, StoreChoice } from './stores';
export { provideCredentials } from './providers';
export type { CredentialsConfig } from './providers';
export { withLogger, withName, withPlatform, withRefresh, withResources, withStepUp, withStorage, withTransactions } from './features';
export type { CredentialsFeature, CredentialsLogger, RefreshOptions, SignInFailed, StepUp } from './features';
export { injectCredentials, injectCredentialStatus, injectDefaultCredential, injectSessionLogoutFlow, injectToken } from './inject';
export type { CredentialId } from './inject';
export { completeSignIn, injectAuthorizationCodeFlow, injectSignInFailure } from './sign-in';
export type { CompleteSignInOptions, SignInFailure } from './sign-in';
export { CredentialsInterceptor, credentialsInterceptor } from './interceptor';
export { noCredential, noRetry, useCredential } from './request-context';
export { requireCredential } from './guard';
export type { CredentialGuard, MissingCredential, RequireCredentialOptions } from './guard';
export type { Destination, DestinationOf } from './redirect';
