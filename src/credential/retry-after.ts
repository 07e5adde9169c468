/**
 * `Retry-After` (RFC 9110 §10.2.3).
 *
 * @module
 */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * How long a server asks to wait, in milliseconds; negative where the date has passed; `undefined` if it does not say so in a form that
 * the RFC allows.
 *
 * @param value seconds, or an HTTP date
 * @param now epoch milliseconds, when the answer came
 */
export function retryAfterMs(value: string | null, now: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const ms = HTTP_DATE.test(text) ? Date.parse(text) - now : NaN;
  return Number.isFinite(ms) ? ms : undefined;
}
