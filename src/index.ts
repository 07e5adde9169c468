/**
 * A reactive store for OAuth 2 and OpenID Connect tokens.
 *
 * @module
 */
export { createCredentialStore } from './store/store.js';
export type { StoreOptions } from './store/membership.js';
export type { CredentialStore, CredentialStoreOptions } from './store/store.js';
export type { AccessTokenOptions, Credential, CredentialView } from './store/credential.js';
export type { ClientName } from './store/clients.js';
export type { RenewalOptions } from './store/renewal.js';
export type { RemoteRevocation, RevokeResult, RevokeTarget } from './store/revocation.js';
export type { TokenTypeHint } from './store/questions.js';
export type { SignOutFlow, SignOutOptions, SignOutResult } from './store/sign-out.js';
export { createToken } from './credential/create-token.js';
export type {
  ExtraParameters,
  IdTokenClaims,
  Token,
  TokenAttributes,
  TokenContext,
  TokenFields,
  TokenSecrets,
  TokenType,
} from './credential/token.js';
export { credentialState, isSignedIn } from './credential/state.js';
export type {
  Activity,
  CredentialState,
  CredentialStatus,
  RefreshFailure,
  SignInReason,
  StoreState,
  Target,
  TokenMetadata,
  TokenStatus,
} from './credential/state.js';
export type { CredentialEvent, EventOrigin, ResourceChallenge } from './credential/actions.js';
export { unverifiedClaims } from './credential/unverified.js';
export type { ClaimValue, CredentialCriteria, CredentialQuery } from './credential/query.js';
export type { StagedAnswer } from './credential/record.js';
export { createOAuth2Client } from './oauth/client.js';
export type {
  AuthorizationServer,
  CodeExchange,
  Grant,
  Introspection,
  OAuth2Client,
  OAuth2ClientOptions,
  RenewFunction,
  UserInfo,
} from './oauth/client.js';
export type { OnUnknownOutcome } from './credential/refresh-protocol.js';
export { memoryStorage } from './storage/memory/index.js';
export type { MemoryStorageOptions } from './storage/memory/index.js';
export type { CredentialStorage, StorageCapabilities, StoredEntry, StoredRecord } from './storage/storage.js';
export { defaultPlatform } from './platform/platform.js';
export type { Channel, LifecycleEvent, Locks, Page, Platform, WebItems } from './platform/platform.js';
export { CredentialError, isCredentialError, NetworkError, ProtocolError, StorageError } from './errors.js';
export { OAuthResponseError } from './oauth/oauth-response-error.js';
export type { CredentialErrorCode, CredentialErrorDetails, ErrorClass } from './errors.js';
