/**
 * What a server publishes of itself (RFC 8414 §3, OpenID Connect Discovery §4), as it stands in an answer.
 *
 * @module
 */
import type { AuthorizationServer } from 'oauth4webapi';
import { isPlainObject, jsonObjectIn, parseJson } from '../credential/data.js';
import { CredentialError, ProtocolError } from '../errors.js';
import { withoutSecrets } from './redaction.js';
import { errorOf, isUnavailable } from './token-response.js';
import type { Exchange } from './transport.js';

const MAX_ISSUER_CHARACTERS = 200;

/**
 * The issuer of a document, cut, with a mark for what could not be seen or would end the quotation (6749-13). A server may write into it what it
 * was sent before: of parts that are not in our own issuer, what looks like a secret goes (OBS-3).
 */
function told(issuer: string, own: string): string {
  const ours = own.split('/');
  const printable = issuer.slice(0, MAX_ISSUER_CHARACTERS).replace(/[^ !#-~]/g, '?');
  const texts: string[] = [];
  let wasOurs = true;
  for (const part of printable.split('/')) {
    const isOurs = ours.includes(part);
    if (isOurs || wasOurs) texts.push(part);
    else texts.push(`${texts.pop() ?? ''}/${part}`); // a secret may have slashes
    wasOurs = isOurs;
  }
  return texts.map((text) => (ours.includes(text) ? text : withoutSecrets({ text }, []).text)).join('/');
}

/** True if there is no document: no such page, or a page that is none. */
export function isAbsent({ code, status = 200 }: CredentialError): boolean {
  return code === 'discovery_failed' && (status === 200 || status === 404);
}

/**
 * The document in an answer, if it is of this issuer.
 *
 * @throws {CredentialError} `server_unavailable`, `discovery_failed`, `issuer_mismatch`
 */
export function documentIn(exchange: Exchange, issuer: string): AuthorizationServer {
  const { status, text } = exchange;
  if (status !== 200) {
    const { retryAfterMs, class: errorClass } = errorOf(exchange, issuer);
    if (isUnavailable(status))
      throw new CredentialError('server_unavailable', `The discovery document could not be read (status ${status}).`, {
        issuer,
        status,
        retryAfterMs,
      });
    throw new CredentialError('discovery_failed', `No discovery document at this issuer (status ${status}). Check the issuer URL.`, {
      issuer,
      status,
      ...(errorClass === 'transient' && !jsonObjectIn(text) && { class: errorClass }), // a page is a firewall's, perhaps
    });
  }
  const as = parseJson(text);
  if (!isPlainObject(as) || typeof as['issuer'] !== 'string') {
    throw new CredentialError('discovery_failed', 'The discovery document is no JSON object with an issuer. Check the issuer URL.', {
      issuer,
      ...(as === undefined && { class: 'transient' }), // a page: of a hotel's network, perhaps, that asks for its own sign-in
    });
  }
  if (as['issuer'] !== issuer) {
    throw new ProtocolError(
      'issuer_mismatch',
      `The discovery document is of the issuer "${told(as['issuer'], issuer)}"; the URLs must be equal to the letter (RFC 8414 §3.3).`,
      { issuer },
    );
  }
  return as as unknown as AuthorizationServer; // frozen, and no way to a prototype (HT-7)
}
