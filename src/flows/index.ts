/**
 * Flows: how a token comes to be, and how a session ends at the server. Every flow has `start()` and `resume()`.
 *
 * @module
 */
export { createAuthorizationCodeFlow } from './authorization-code.js';
export type { AuthorizationCodeFlow, AuthorizationCodeFlowOptions, AuthorizationCodeStartOptions } from './authorization-code.js';
export type { AdditionalParameters } from './parameters.js';
export { createSessionLogoutFlow } from './session-logout.js';
export type { LogoutStates, SessionLogoutFlow, SessionLogoutFlowOptions, SessionLogoutStartOptions } from './session-logout.js';
export { silentAuthorization } from './silent-authorization.js';
export type { SilentAuthorizationOptions } from './silent-authorization.js';
export { memoryTransactions, sessionTransactions } from './transactions.js';
export type { Transaction, TransactionStorage } from './transactions.js';
