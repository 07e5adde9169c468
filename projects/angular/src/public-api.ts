/**
 * The Angular adapter of rx-credentials.
 *
 * @module
 */
export { CredentialStore, provideCredentials, withResources, withStorage } from './providers';
export type { CredentialsConfig, CredentialsFeature } from './providers';
export { injectAuthorizationCodeFlow, injectDefaultCredential, injectSessionLogoutFlow } from './inject';
export { credentialsInterceptor } from './interceptor';
export { requireCredential } from './guard';
export type { RequireCredentialOptions } from './guard';
