/**
 * Records as cookies. A record is a head, `<base><id>`, and, if it does not fit there, parts, `<base><id>.<check>.<n>`. The head says how
 * many parts there are and the check over their text, so that parts of different writes never make a record:
 * `<number of parts>.<check>.<text, if there are no parts>`.
 *
 * @module
 */
import { StorageError } from '../../errors.js';
import { base64url } from '../../platform/random.js';
import type { StoredEntry } from '../storage.js';

/** Name and value of a cookie of ours; browsers drop more than 4,096 without a word (CK-2). All are ASCII: a character is a byte. */
const MAX_COOKIE_BYTES = 3_800;

/** What stands for the value where there are two cookies of one name: one is not ours, and nothing says which. */
const AMBIGUOUS = 'two cookies of one name';

/** What a cookie's value may not hold (RFC 6265 §4.1.1, cookie-octet), and `%`, `'` and `!`, which mean something here. */
const UNSAFE = /[^#-$&(-+\--:<-[\]-~]/gu;

/** Names and values of cookies. */
export type Cookies = ReadonlyMap<string, string>;

/** What a name of ours means. */
interface NameParts {
  readonly head: string;
  readonly id: string;
  /** Of a part. */
  readonly check?: string | undefined;
}

/** The cookies of a header or a page: `a=1; b=2`. */
export function parseCookies(text: string): Map<string, string> {
  const cookies = new Map<string, string>();
  for (const pair of text.split(';')) {
    const at = pair.indexOf('=');
    if (at < 1) continue;
    const [name, value] = [stripped(pair.slice(0, at)), stripped(pair.slice(at + 1))];
    cookies.set(name, cookies.has(name) && cookies.get(name) !== value ? AMBIGUOUS : value);
  }
  return cookies;
}

/**
 * Without spaces and tabs at both ends, and nothing else (RFC 6265 §5.2): to a browser a name that begins with other white space has no
 * prefix, so it guards none, and another host of the domain may set it.
 */
function stripped(text: string): string {
  let [start, end] = [0, text.length];
  while (isBlank(text[start])) start++;
  while (end > start && isBlank(text[end - 1])) end--;
  return text.slice(start, end);
}

function isBlank(char: string | undefined): boolean {
  return char === ' ' || char === '\t';
}

/** Text as part of a cookie's name, without a dot; every text has one form. */
export function nameOf(text: string): string {
  const json = JSON.stringify(text).slice(1, -1); // lone surrogates, which have no percent form
  return encodeURIComponent(json).replace(/[.()]/g, percent);
}

/** What is stored under the id; text that is no record for what cannot be read. */
export function valueOf(cookies: Cookies, base: string, id: string): unknown {
  const head = base + nameOf(id);
  const value = cookies.get(head);
  if (value === undefined) return undefined;
  const { count = 0, check, text = '' } = parseHead(value) ?? {};
  const parts = Array.from({ length: count }, (_, i) => cookies.get(`${head}.${check}.${i}`) ?? '');
  const whole = count > 0 ? parts.join('') : text;
  return (checkOf(whole) === check && decode(whole)) || value;
}

/** Every record there is, readable or not. */
export function entriesOf(cookies: Cookies, base: string): readonly StoredEntry[] {
  return Array.from(cookies.keys()).flatMap((name) => {
    const ours = parseName(name, base);
    return ours && ours.check === undefined ? [{ id: ours.id, value: valueOf(cookies, base, ours.id) }] : [];
  });
}

/** The record in a value: that of a page lies in a copy (`coordination.ts`), that of a server is the value. */
export function recordIn(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'stamp' in value && 'value' in value ? value.value : value;
}

/**
 * The cookies of a value, JSON, the head of them last.
 *
 * @throws {StorageError} `storage_failed`: the id alone is too long for a cookie
 */
export function crumbsOf(id: string, value: unknown, base: string): Cookies {
  const head = base + nameOf(id);
  const text = encode(value);
  const check = checkOf(text);
  const short = `0.${check}.${text}`;
  if (head.length + short.length <= MAX_COOKIE_BYTES) return new Map([[head, short]]);
  const size = MAX_COOKIE_BYTES - `${head}.${check}.0`.length; // ten would take more than the capacity
  if (size < 1) throw new StorageError('storage_failed', 'The id of the record is too long for the name of a cookie.');
  const parts = Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));
  return new Map([...parts.map((part, i) => [`${head}.${check}.${i}`, part] as const), [head, `${parts.length}.${check}.`]]);
}

/** Names of parts that belong to no record: of a write that was cut short, or of one that has been written over. */
export function orphansOf(cookies: Cookies, base: string): readonly string[] {
  return Array.from(cookies.keys()).filter((name) => {
    const ours = parseName(name, base);
    if (ours?.check === undefined) return false;
    const value = cookies.get(ours.head);
    if (value === undefined) return true;
    const head = parseHead(value);
    return head !== undefined && head.check !== ours.check; // of a head that cannot be read nothing is touched
  });
}

/** Bytes that cookies take in a `Cookie` header. */
export function sizeOf(cookies: Cookies): number {
  return Array.from(cookies).reduce((sum, [name, value]) => sum + name.length + value.length + '=; '.length, 0);
}

/** False for the cookie of someone else, also where its name begins like ours (E67). */
export function isOurs(name: string, base: string): boolean {
  return parseName(name, base) !== undefined;
}

function parseName(name: string, base: string): NameParts | undefined {
  const [, encoded, check] = (name.startsWith(base) && /^([^.]*)(?:\.([0-9a-z]+-[0-9a-z]+)\.\d)?$/.exec(name.slice(base.length))) || [];
  if (encoded === undefined) return undefined;
  try {
    const id: unknown = JSON.parse(`"${decodeURIComponent(encoded)}"`);
    return typeof id === 'string' && nameOf(id) === encoded ? { head: base + encoded, id, check } : undefined;
  } catch {
    return undefined;
  }
}

function parseHead(value: string): { readonly count: number; readonly check: string; readonly text: string } | undefined {
  const [, count, check, text] = /^(\d)\.([0-9a-z]+-[0-9a-z]+)\.(.*)$/.exec(value) ?? [];
  return check === undefined ? undefined : { count: Number(count), check, text: text ?? '' };
}

/** Length and FNV-1a hash: against mishaps only; whoever may write cookies may write this, too. */
function checkOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return `${text.length.toString(36)}-${(hash >>> 0).toString(36)}`;
}

/** JSON in the shorter of two forms: percent encoding (j) suits what is ASCII already, base64url (b) the rest. */
function encode(value: unknown): string {
  const json = JSON.stringify(value);
  const [readable, compact] = [`j${json.replace(UNSAFE, escaped)}`, `b${base64url(new TextEncoder().encode(json))}`];
  return readable.length <= compact.length ? readable : compact;
}

/** `undefined` for what is no JSON. */
function decode(text: string): unknown {
  try {
    const json = text.startsWith('b') ? decodeBase64(text.slice(1)) : decodeURIComponent(text.slice(1).replace(/['!]/g, unswapped));
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function decodeBase64(text: string): string {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return new TextDecoder().decode(Uint8Array.from(binary, (byte) => byte.charCodeAt(0)));
}

/** JSON is full of quotes and commas, which cookies may not hold: they change places with marks that it seldom has. */
function escaped(char: string): string {
  if (char === '"') return "'";
  if (char === ',') return '!';
  return char === "'" || char === '!' ? percent(char) : encodeURIComponent(char);
}

function unswapped(mark: string): string {
  return mark === "'" ? '"' : ',';
}

/** One ASCII character that `encodeURIComponent` leaves alone. */
function percent(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
}
