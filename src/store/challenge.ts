/**
 * What a resource server asked for becomes an event, without the tokens that it was sent: an adapter may pass on whatever was answered.
 *
 * @module
 */
import type { ResourceChallenge } from '../credential/actions.js';
import { isOpen, type CredentialRecord } from '../credential/record.js';
import { parseScope } from '../credential/scope.js';
import { isFreeOf, wordsWithout } from '../oauth/redaction.js';
import type { CredentialContext } from './credential.js';
import { usableRecord } from './usable-token.js';
import type { Holding } from './ledger.js';

/** Tells of it, and of nothing else that was given (OBS-1, OBS-3). @throws {CredentialError} the user has signed out: nobody is told (D-039) */
export async function reportChallenge(context: CredentialContext, own: Holding, challenge: ResourceChallenge): Promise<void> {
  const { error, resource, maxAge } = challenge;
  const record = await usableRecord(context, own);
  const secrets = secretsOf(record);
  const words = (text: unknown): string => (typeof text === 'string' ? wordsWithout(parseScope(text), secrets).join(' ') : '');
  const [scope, acrValues] = [words(challenge.scope), words(challenge.acrValues)];
  context.loop.dispatch(
    [
      {
        type: 'challenged',
        id: own.id,
        generation: record.generation,
        error: error === 'insufficient_scope' ? error : 'insufficient_user_authentication',
        resource: isFreeOf(String(resource), secrets) ? String(resource) : '[redacted]',
        ...(scope !== '' && { scope }),
        ...(acrValues !== '' && { acrValues }),
        ...(typeof maxAge === 'number' && { maxAge }),
      },
    ],
    'here',
  );
}

/** All tokens of a credential that may have been sent somewhere. */
function secretsOf(record: CredentialRecord): readonly string[] {
  const { accessToken, refreshToken, idToken, children = [] } = (isOpen(record) && record.secrets) || {};
  return [accessToken, refreshToken, idToken, ...children.map((child) => child.accessToken)].filter((one) => one !== undefined);
}
