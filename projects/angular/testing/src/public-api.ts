/**
 * Tests of applications that use rx-credentials-angular: no server, no browser storage, and time that moves when the test says so.
 *
 * @module
 */
export { CredentialsTestingController } from './controller';
export type { RefreshMatch, TestRefresh, TestSignInOptions } from './controller';
export { provideCredentialsTesting } from './provide';
export type { CredentialsTestingOptions } from './provide';
export type { TestCredential, TestTokens } from './tokens';
