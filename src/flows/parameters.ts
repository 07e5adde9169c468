/**
 * What an application adds to the requests of a flow.
 *
 * @module
 */

/** Further parameters of a request, by name. */
export type AdditionalParameters = Readonly<Record<string, string>>;

/** Parameters of an authorization request that the flow sets itself. */
export const OF_AUTHORIZATION: readonly string[] = [
  'client_id',
  'response_type',
  'response_mode',
  'redirect_uri',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'scope',
];

/** @throws {TypeError} one of those that the flow sets itself, or no text */
export function assertAdditional(parameters: AdditionalParameters, own: readonly string[]): void {
  for (const [name, value] of Object.entries(parameters)) {
    if (own.includes(name)) throw new TypeError(`additionalParameters must not set ${name}; the flow does`);
    if (typeof value !== 'string') throw new TypeError(`additionalParameters: ${name} must be a string`);
  }
}
