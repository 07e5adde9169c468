/**
 * What a resource server says of a request it refused: `WWW-Authenticate` (RFC 9110 §11.6.1, 6750-3), and what of it asks for another
 * token (RFC 6750 §3, RFC 9470 §3).
 *
 * @module
 */
import type { ResourceChallenge } from '../credential/actions.js';
import { parseScope } from '../credential/scope.js';
import { wordsWithout } from '../oauth/redaction.js';

/** One challenge of a `WWW-Authenticate` header. */
export interface AuthenticationChallenge {
  /** In lower case. */
  readonly scheme: string;
  /** What stands in the place of parameters, with some schemes. */
  readonly token68: string | null;
  /** By name in lower case; of a parameter that comes twice the first counts. */
  readonly params: ReadonlyMap<string, string>;
}

/** Characters, challenges, and parameters of a challenge. What comes after that many is not read. */
const MAX = { chars: 8_192, challenges: 16, params: 64 } as const;

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const EQUALS = /[ \t]*=[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\[^])*)"/y;
/** A value without quotes: servers write what is no token so, such as `urn:x:loa:2` or `https://api/read`. It is whole, or none. */
const BARE = /[^\s,;"]+(?=[ \t,;]|$)/y;
const BLANKS = /[ \t]+/y;
const SEPARATORS = /[ \t,]+/y;
/** Up to the next comma; a quoted text that does not end goes on to the end. */
const REST = /(?:"(?:[^"\\]|\\[^]?)*(?:"|$)|[^",])+/y;

/** Reads a header from left to right. */
class Reader {
  #at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }
  get isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }
  /** What a sticky pattern finds here; the place moves behind it. */
  take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found) this.#at = pattern.lastIndex;
    return found;
  }
  /** A parameter; the place stays where it was if there is none. */
  param(): readonly [name: string, value: string] | null {
    const start = this.#at;
    const name = this.take(TOKEN)?.[0];
    const value = name !== undefined && this.take(EQUALS) ? this.#value() : undefined;
    if (name !== undefined && value !== undefined) return [name.toLowerCase(), value];
    this.#at = start;
    return null;
  }
  /** A scheme in lower case; what is none is passed over up to the next comma. */
  scheme(): string | null {
    const scheme = this.take(TOKEN)?.[0].toLowerCase();
    if (scheme !== undefined && (this.isAtEnd || /[ \t,]/.test(this.#text.charAt(this.#at)))) return scheme;
    this.take(REST);
    return null;
  }
  #value(): string | undefined {
    return this.take(QUOTED)?.[1]?.replace(/\\([^])/g, '$1') ?? this.take(BARE)?.[0];
  }
}

/**
 * The challenges of a header. Several fields are one, joined by commas, as `Headers.get` gives them. What is no challenge is passed over.
 *
 * @param header its value; `null` where there is none, or a browser does not show it
 */
export function parseChallenges(header: string | null): readonly AuthenticationChallenge[] {
  if (header === null || header.length > MAX.chars) return [];
  const reader = new Reader(header);
  const challenges: AuthenticationChallenge[] = [];
  let params: Map<string, string> | null = null;
  while (!reader.isAtEnd) {
    reader.take(SEPARATORS);
    const param: readonly [string, string] | null = params && reader.param();
    if (params && param) {
      if (params.size < MAX.params && !params.has(param[0])) params.set(...param);
      continue;
    }
    const scheme = reader.scheme();
    if (scheme === null) continue;
    if (challenges.length === MAX.challenges) break;
    params = new Map();
    const token68 = reader.take(BLANKS) ? (reader.take(TOKEN68)?.[0] ?? null) : null;
    challenges.push({ scheme, token68, params });
  }
  return challenges;
}

/** What an answer says of the token that was sent. */
export type Refusal =
  /** The token is of no use: another may be. */
  | { readonly is: 'token' }
  /** A better token would be. */
  | { readonly is: 'challenge'; readonly challenge: Omit<ResourceChallenge, 'resource'> }
  /** Something else. */
  | { readonly is: 'other' };

/** Text a server may put into an event, at most so many characters. */
const MAX_VALUE = 1_000;
/** Of Okta's MyAccount API, with a `max_age`, for `insufficient_user_authentication`: it is older than RFC 9470. */
const OKTAS_WORD = 'insufficient_authentication_context';
/** A hundred years of seconds. */
const MAX_AGE = 3_155_760_000;

/**
 * What a 401 or 403 says of the token (RFC 6750 §3.1, RFC 9470 §3). A 401 that asks for nothing better means the token, in whatever words:
 * servers challenge with `Basic` or a scheme of their own, or have codes of their own. The token that was `sent` is not repeated (OBS-3).
 */
export function refusalOf(status: number, header: string | null, sent: string): Refusal {
  const challenges = parseChallenges(header);
  const ours = challenges.filter(({ scheme }) => scheme === 'bearer' || scheme === 'dpop');
  const errors = new Map(ours.map((challenge) => [challenge.params.get('error')?.toLowerCase(), challenge]));
  for (const error of ['insufficient_user_authentication', 'insufficient_scope'] as const) {
    const challenge = errors.get(error) ?? (error === 'insufficient_scope' ? undefined : errors.get(OKTAS_WORD));
    if (challenge) return { is: 'challenge', challenge: challengeOf(error, challenge, sent) };
  }
  const isAboutRequest = errors.has('invalid_request') || errors.has('use_dpop_nonce');
  return { is: status === 401 && !(isAboutRequest && errors.size === 1) ? 'token' : 'other' };
}

function challengeOf(
  error: ResourceChallenge['error'],
  { params }: AuthenticationChallenge,
  sent: string,
): Omit<ResourceChallenge, 'resource'> {
  const scope = wordsOf(params.get('scope'), sent);
  const acrValues = wordsOf(params.get('acr_values'), sent);
  const maxAge = params.get('max_age') ?? '';
  return {
    error,
    ...(scope !== '' && { scope }),
    ...(acrValues !== '' && { acrValues }),
    ...(/^\d{1,10}$/.test(maxAge) && Number(maxAge) <= MAX_AGE && { maxAge: Number(maxAge) }),
  };
}

/** Words with characters that scopes and ACR values can have, without those that show a token; nothing, if it is longer than any of ours. */
function wordsOf(text = '', sent: string): string {
  return text.length > MAX_VALUE ? '' : wordsWithout(parseScope(text), [sent]).join(' ');
}
