/**
 * Waiting for a client: ours ends by itself, one of the application's own may never do.
 *
 * @module
 */
import { CredentialError, type ErrorClass } from '../errors.js';
import type { OAuth2Client } from '../oauth/client.js';
import { countdown } from '../platform/countdown.js';
import type { Platform } from '../platform/platform.js';

/** After this long nothing that a holder began is under way any more: three sends of 30 s each, and the pauses between. */
export const EPISODE_MS = 100_000;
/** A client of the application may take so long for an answer, in milliseconds; ours end sooner. */
const CLIENT_MS = 300_000;

/** What a client gives, or its function that renews: those of an application may never answer, ours end before. @throws {CredentialError} `timeout`, of the class that is named */
export function inTime<T>(
  ask: () => Promise<T>,
  { issuer, renew }: Pick<OAuth2Client, 'issuer' | 'renew'>,
  platform: Pick<Platform, 'setTimer'>,
  errorClass: ErrorClass,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const message = `The ${renew ? 'function that renews tokens' : 'client'} did not answer in time.`;
    const late = (): void => reject(new CredentialError('timeout', message, { issuer, class: errorClass }));
    const cancel = countdown(platform, renew ? EPISODE_MS : CLIENT_MS, late);
    (async () => ask())().then(resolve, reject).finally(cancel);
  });
}
