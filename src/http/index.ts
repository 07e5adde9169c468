/**
 * Attaching tokens to requests: the policy that the adapters share.
 *
 * @module
 */
export { createAttachmentPolicy } from './attachment.js';
export type { Attachment, AttachmentOptions, AttachmentPolicy } from './attachment.js';
export { createResourceMatcher } from './resources.js';
export type { ResourceMatcher } from './resources.js';
