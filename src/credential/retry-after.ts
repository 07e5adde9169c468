/**
 * `Retry-After` (RFC 9110 §10.2.3).
 *
 * @module
 */

const TIME = '(?<time>\\d{2}:\\d{2}:\\d{2})';
/** RFC 9110 §5.6.7: the form of today, and the two that a recipient must still understand (RFC 850, asctime). */
const HTTP_DATES: readonly RegExp[] = [
  `[A-Z][a-z]{2}, (?<day>\\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\\d{4}) ${TIME} GMT`,
  `[A-Z][a-z]{5,8}, (?<day>\\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\\d{2}) ${TIME} GMT`,
  `[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})`,
].map((form) => new RegExp(`^${form}$`));

/** A longer wait is no other one: it is cut to what a caller waits at most. */
const MAX_S = 1e9;

/**
 * How long a server asks to wait, in milliseconds; negative where the date has passed; `undefined` if it does not say so in a form that
 * the RFC allows.
 *
 * @param value seconds, or an HTTP date
 * @param now epoch milliseconds, when the answer came
 */
export function retryAfterMs(value: string | null, now: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text), MAX_S) * 1000;
  const ms = timeOf(text, now) - now;
  return Number.isFinite(ms) ? ms : undefined;
}

/** The instant of an HTTP date, in epoch milliseconds; `NaN` if it is none. */
function timeOf(text: string, now: number): number {
  const parts = HTTP_DATES.map((form) => form.exec(text)?.groups).find(Boolean);
  if (!parts) return NaN;
  const { day = '', month = '', year = '', time = '' } = parts;
  return Date.parse(`${day.trim().padStart(2, '0')} ${month} ${year.length === 2 ? fullYear(year, now) : year} ${time} GMT`);
}

/** RFC 9110 §5.6.7: of two digits the year that is at most 50 years away. */
function fullYear(year: string, now: number): number {
  const thisYear = Math.floor(1970 + now / 31_556_952_000);
  const sameCentury = thisYear - (thisYear % 100) + Number(year);
  if (sameCentury > thisYear + 50) return sameCentury - 100;
  return sameCentury < thisYear - 50 ? sameCentury + 100 : sameCentury;
}
