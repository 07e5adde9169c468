/**
 * The clients a store may ask. A record whose issuer and client id are not among them is kept, but nothing is ever sent for it:
 * endpoints never come from storage.
 *
 * @module
 */
import type { CredentialRecord } from '../credential/record.js';
import { CredentialError } from '../errors.js';
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
}

/** @throws {TypeError} no client, or the same one twice */
export function createClients(
  configured: OAuth2ClientOptions | OAuth2Client | readonly (OAuth2ClientOptions | OAuth2Client)[],
  platform: Platform,
  create: (options: OAuth2ClientOptions) => OAuth2Client,
): Clients {
  const clients = [configured].flat().map((client) => (isClient(client) ? client : create({ platform, ...client })));
  if (clients.length === 0) throw new TypeError('clients must name at least one client');
  const names = new Set(clients.map(({ issuer, clientId }) => JSON.stringify([issuer, clientId])));
  if (names.size < clients.length) throw new TypeError('clients must not name the same issuer and clientId twice');
  const ofFlows = new Map(clients.map((client) => [client, withOthers(client, clients)])); // one for each, for life
  return {
    named: ({ issuer, clientId } = {}) => {
      const found = clients.filter(
        (client) => (issuer ?? client.issuer) === client.issuer && (clientId ?? client.clientId) === client.clientId,
      );
      const [first, second] = found;
      if (!first) throw new CredentialError('client_unknown', 'No client of this issuer and client id is configured.');
      if (second) throw new CredentialError('client_ambiguous', 'Several clients are configured; name the issuer and client id.');
      return ofFlows.get(first) ?? first;
    },
    ofRecord: ({ context }) => clients.find((client) => client.issuer === context.issuer && client.clientId === context.clientId),
  };
}

/** For flows: the client, which knows where other authorization servers send users back to (ISS-3). It may be of a class with members of its own. */
function withOthers(client: OAuth2Client, all: readonly OAuth2Client[]): OAuth2Client {
  const uris = all.filter(({ issuer }) => issuer !== client.issuer).map(({ redirectUri }) => redirectUri);
  const redirectUrisOfOthers = uris.filter((uri) => uri !== undefined);
  if (client.redirectUri === undefined || redirectUrisOfOthers.length === 0) return client;
  return new Proxy(client, {
    get: (_, name) => {
      if (name === 'redirectUrisOfOthers') return redirectUrisOfOthers;
      const member: unknown = Reflect.get(client, name);
      return typeof member === 'function' ? (member.bind(client) as unknown) : member;
    },
  });
}

function isClient(value: OAuth2ClientOptions | OAuth2Client): value is OAuth2Client {
  return 'sendRefresh' in value;
}
