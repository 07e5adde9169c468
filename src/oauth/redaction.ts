/**
 * The two filters of OBS-3 for texts of a server, which may echo what it was sent: first the exact secrets of the request, then whatever
 * looks like one.
 *
 * @module
 */

/** Parameters of our requests that let somebody in. */
const SECRET_PARAMETERS = ['code', 'code_verifier', 'refresh_token', 'token', 'id_token_hint'];
/** A shorter one would be found in every word. */
const MIN_SECRET_CHARACTERS = 3;
const GONE = '[redacted]';

/** The secrets in a request: in its form, and after the scheme of its `Authorization`. */
export function secretsIn(headers: Readonly<Record<string, string>>, body: unknown): readonly string[] {
  const form = body instanceof URLSearchParams ? body : new URLSearchParams();
  const [, credentials] = (headers['authorization'] ?? '').split(' ');
  return [...SECRET_PARAMETERS.map((name) => form.get(name)), credentials].filter((one) => typeof one === 'string');
}

/** The texts of an error without the secrets, and without what looks like one. Codes of RFCs are plain words, and stay what they are. */
export function withoutSecrets<T extends Readonly<Record<string, string | undefined>>>(texts: T, secrets: readonly string[]): T {
  const written = secrets.filter((one) => one.length >= MIN_SECRET_CHARACTERS).flatMap(spellingsOf);
  written.sort((a, b) => b.length - a.length); // what holds another one goes first
  const clean = (text: string): string =>
    isWord(text) && !secrets.includes(text) ? text : withoutRuns(written.reduce((rest, one) => rest.replaceAll(one, GONE), text));
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, text === undefined ? text : clean(text)])) as T;
}

/**
 * The words of a server that hold none of the secrets. No pattern: scopes and login classes look as random as tokens do (addresses, ids of an
 * application, several words in one), and a server knows no other secrets than those it was sent.
 */
export function wordsWithout(words: readonly string[], secrets: readonly string[]): readonly string[] {
  return words.filter((word) => isFreeOf(word, secrets));
}

/** True if none of the secrets is in a text, in whatever spelling. */
export function isFreeOf(text: string, secrets: readonly string[]): boolean {
  return !secrets.some((one) => text === one || (one.length >= MIN_SECRET_CHARACTERS && spellingsOf(one).some((it) => text.includes(it))));
}

/** A text as it is, and percent-encoded as in an address or a form, in both cases of the digits. */
function spellingsOf(text: string): readonly string[] {
  const encoded = [encodeURIComponent(text), new URLSearchParams({ '': text }).toString().slice(1)];
  const lower = encoded.map((one) => one.replace(/%[0-9A-F]{2}/g, (digits) => digits.toLowerCase()));
  return [...new Set([text, ...encoded, ...lower])];
}

/** Runs of 20 or more characters of base64, base64url and JWTs, unless they are words or the path of an address. */
function withoutRuns(text: string): string {
  return text.replace(/[\w+/=.~-]{20,}/g, (run) => (run.split(/[_+/=.~-]+/).every(isPlain) ? run : GONE));
}

/** A word, an abbreviation or a small number. Of random characters that is unlikely to be said of all parts. */
function isPlain(part: string): boolean {
  return /^(?:[A-Za-z]?[a-z]{0,24}|[A-Z]{2,12}|\d{1,4})$/.test(part);
}

/** True for what an OAuth error code looks like (RFC 6749 §5.2). */
function isWord(text: string): boolean {
  return /^[a-z]{1,24}(?:_[a-z]{1,24})*$/.test(text);
}
