/**
 * The clients a store may ask. A record whose issuer and client id are not among them is kept, but nothing is ever sent for it:
 * endpoints never come from storage.
 *
 * @module
 */
import { assertNothingElse } from '../credential/options.js';
import type { IsOurs } from '../credential/facts.js';
import type { CredentialRecord } from '../credential/record.js';
import { CredentialError } from '../errors.js';
import { clientWith } from '../oauth/client-with.js';
import type { OAuth2Client, OAuth2ClientOptions } from '../oauth/client.js';
import type { Platform } from '../platform/platform.js';

/** Names a client; what is left out matches any. */
export interface ClientName {
  readonly issuer?: string;
  readonly clientId?: string;
}

/** The clients of one store. */
export interface Clients {
  readonly named: (name?: ClientName) => OAuth2Client;
  readonly ofRecord: (record: Pick<CredentialRecord, 'context'>) => OAuth2Client | undefined;
  readonly isOurs: IsOurs;
}

/** @throws {TypeError} no client, or the same one twice */
export function createClients(
  configured: OAuth2ClientOptions | OAuth2Client | readonly (OAuth2ClientOptions | OAuth2Client)[],
  platform: Platform,
  create: (options: OAuth2ClientOptions) => OAuth2Client,
): Clients {
  const given = [configured].flat();
  const own = given.map((client) => (isClient(client) ? client : create({ ...client, platform: client.platform ?? platform })));
  const clients = own.map((client) => withOthers(client, own)); // flows and the store ask the same: a renewal may be a flow, too
  if (clients.length === 0) throw new TypeError('clients must name at least one client');
  const names = new Set(clients.map(({ issuer, clientId }) => JSON.stringify([issuer, clientId])));
  if (names.size < clients.length) throw new TypeError('clients must not name the same issuer and clientId twice');
  const ofRecord: Clients['ofRecord'] = ({ context }) =>
    clients.find((client) => client.issuer === context.issuer && client.clientId === context.clientId);
  return {
    named: ({ issuer, clientId, ...rest } = {}) => {
      // Misspelled, it would be any; a client or the context of a token names one, whatever else it has
      if (issuer === undefined && clientId === undefined) assertNothingElse(rest, 'client takes issuer and clientId');
      const found = clients.filter(
        (client) => (issuer ?? client.issuer) === client.issuer && (clientId ?? client.clientId) === client.clientId,
      );
      const [first, second] = found;
      if (!first) throw new CredentialError('client_unknown', 'No client of this issuer and client id is configured.');
      if (second) throw new CredentialError('client_ambiguous', 'Several clients are configured; name the issuer and client id.');
      return first;
    },
    ofRecord,
    isOurs: (record) => ofRecord(record) !== undefined,
  };
}

/** The client, which knows where other authorization servers send users and frames back to (ISS-3). */
function withOthers(client: OAuth2Client, all: readonly OAuth2Client[]): OAuth2Client {
  const others = all.filter(({ issuer }) => issuer !== client.issuer);
  if (others.length === 0) return client;
  const uris = others.flatMap(({ redirectUri, renew }) => [redirectUri, renew?.redirectUri]);
  return clientWith(client, { redirectUrisOfOthers: uris.filter((uri) => uri !== undefined) });
}

function isClient(value: OAuth2ClientOptions | OAuth2Client): value is OAuth2Client {
  return 'sendRefresh' in value;
}
