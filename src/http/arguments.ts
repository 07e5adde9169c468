/**
 * What adapters are given, judged before anything is sent.
 *
 * @module
 */
import { assertNothingElse } from '../credential/options.js';
import type { AttachmentOptions } from './attachment.js';
import type { StoreOfCredentials } from './choice.js';
import type { FetchOptions } from './fetch.js';

/** @throws {TypeError} no store, no resources, or an option of the wrong type */
export function assertArguments(store: unknown, options: unknown): void {
  if (typeof (store as Partial<StoreOfCredentials> | null | undefined)?.getDefault !== 'function')
    throw new TypeError('store must be what createCredentialStore returned');
  // `fetch` is an option of those who send by it
  const { resources, baseUrl, stepUp, fetch, ...times } = (options ?? {}) as Partial<Record<string, unknown>>;
  if (!Array.isArray(resources)) throw new TypeError('resources must be a list of URLs; an empty one means that no token goes anywhere');
  for (const [name, value] of Object.entries({ baseUrl, stepUp, fetch }))
    if (value !== undefined && typeof value !== 'function') throw new TypeError(`${name} must be a function`);
  const { waitMs = 0, retryAfterMaxMs = 0, stepUpWaitMs = 0 } = times;
  for (const [name, ms] of Object.entries({ waitMs, retryAfterMaxMs, stepUpWaitMs }))
    if (!(typeof ms === 'number' && ms >= 0)) throw new TypeError(`${name} must be a number of milliseconds, 0 or more`);
}

/** @throws {TypeError} an option that there is not: misspelled, it would be the default */
export function assertKnown(options: AttachmentOptions, taken: 'FetchOptions' | 'AttachmentOptions'): void {
  const {
    resources: _,
    baseUrl: __,
    waitMs: ___,
    retryAfterMaxMs: ____,
    stepUp: _____,
    stepUpWaitMs: ______,
    platform: _p,
    ...more
  } = options;
  const { fetch: _f, redirects: _r, ...rest }: Partial<FetchOptions> = more;
  assertNothingElse(taken === 'FetchOptions' ? rest : more, `options must be ${taken}`);
}
