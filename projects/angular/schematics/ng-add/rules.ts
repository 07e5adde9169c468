/**
 * Which options of `ng add` (options.ts) an application can start with.
 *
 * @module
 */
import type { NgAddOptions } from './options.js';

/** One of them that is a text. */
type Given = Omit<NgAddOptions, 'project'>;

/**
 * What is wrong with an option. The rules of `createOAuth2Client` and of the allow-list once more: the packages are not installed yet, and are
 * no CommonJS (test/schematics compares them).
 */
const RULES: { readonly [Name in keyof Given]: (text: string) => string | undefined } = {
  issuer: (text) => wrongAddress(text) ?? notSecure(text) ?? (/[?#\s]/.test(text) ? 'has a query, a fragment or white space' : undefined),
  clientId: (text) => (text.trim() === '' ? 'is empty' : undefined),
  scope: (text) => (/[^\x20\x21\x23-\x5b\x5d-\x7e]/.test(text) ? 'has characters that no scope may have (RFC 6749 §3.3)' : undefined),
  apiUrl: (text) => wrongAddress(text) ?? notSecure(text) ?? notAPlace(text),
  redirectUri: (text) => wrongAddress(/^https?:\//i.test(text) ? text : '') ?? (text.includes('#') ? 'has a fragment' : undefined),
};

/** What is wrong with the first option that the application would refuse when it starts. */
export function complaintOf(options: NgAddOptions): string | undefined {
  for (const [name, rule] of Object.entries(RULES)) {
    const wrong = rule(options[name as keyof Given]);
    if (wrong !== undefined) return `--${kebab(name)} ${wrong}`;
  }
  return undefined;
}

function wrongAddress(text: string): string | undefined {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) ? undefined : 'is no absolute http(s) URL';
}

function notSecure(text: string): string | undefined {
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return 'has a user';
  const isLocal = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
  return protocol === 'https:' || isLocal ? undefined : 'is not https; http is for this machine only';
}

function notAPlace(text: string): string | undefined {
  const { search, hash, pathname } = new URL(text);
  if (text.includes('*')) return 'is no pattern: a path means itself and all below it';
  if (search !== '' || hash !== '') return 'has a query or a fragment';
  return /%2f|%5c|%2e|\\|\/\.\.?;/i.test(pathname) ? 'has encoded slashes, back-slashes or dots' : undefined;
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
