/**
 * `Retry-After` (RFC 9110 §10.2.3).
 *
 * @module
 */

/** RFC 9110 §5.6.7: the form of today and that of RFC 850, which a recipient must still understand. */
const HTTP_DATE = /^[A-Z][a-z]+, ([ \d]\d)[ -]([A-Z][a-z]{2})[ -](\d\d(?:\d\d)?) ([\d:]{8}) GMT$/;
/** That of asctime. */
const ASCTIME = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) ([\d:]{8}) (\d{4})$/;

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
  const [, day = '', month, year = '', time] = HTTP_DATE.exec(text.replace(ASCTIME, 'Day, $2 $1 $4 $3 GMT')) ?? [];
  const thisYear = 1970 + now / 31_556_952_000;
  // Of two digits the year that is at most 50 years away
  const century = year.length === 2 ? 100 * Math.round((thisYear - Number(year)) / 100) : 0;
  return Date.parse(`${day.trim()} ${month} ${century + Number(year)} ${time} GMT`);
}
