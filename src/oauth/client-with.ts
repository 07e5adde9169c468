/**
 * A client of which some members are others.
 *
 * @module
 */
import type { OAuth2Client } from './client.js';

/**
 * An object that reads all other members from the client when they are asked for: it may be of a class, whose methods no copy has and which may
 * keep its own to itself, and it may be frozen.
 */
export function clientWith(client: OAuth2Client, members: Partial<OAuth2Client>): OAuth2Client {
  const copy = { ...members };
  for (let from: object | null = client; from && from !== Object.prototype; from = Object.getPrototypeOf(from) as object | null) {
    for (const name of Object.getOwnPropertyNames(from)) {
      if (!(name in copy)) Object.defineProperty(copy, name, { enumerable: true, get: () => memberOf(client, name) });
    }
  }
  return copy as OAuth2Client;
}

/** A function keeps what was put on it, such as the `redirectUri` of a `renew`. */
function memberOf(client: OAuth2Client, name: string): unknown {
  const member: unknown = Reflect.get(client, name);
  return typeof member === 'function' ? Object.assign(member.bind(client) as object, member) : member;
}
