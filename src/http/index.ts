/**
 * Attaching tokens to requests: the policy that the adapters share.
 *
 * @module
 */
export { createAttachmentPolicy } from './attachment.js';
export type { Attachment, AttachmentOptions, AttachmentPolicy, RequestOptions, ResourceAnswer } from './attachment.js';
export { copyOfBody } from './bodies.js';
export { parseChallenges } from './challenges.js';
export type { AuthenticationChallenge } from './challenges.js';
export type { CredentialChoice, StoreOfCredentials } from './choice.js';
export { createFetch } from './fetch.js';
export type { FetchOptions } from './fetch.js';
export { createResourceMatcher } from './resources.js';
export type { ProtectedResource, ResourceMatcher, ResourceRequest } from './resources.js';
