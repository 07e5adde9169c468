/**
 * Which URLs requests may go to: https, or http to this machine (HT-1). Apart from the transport, so that checking options loads nothing.
 *
 * @module
 */

/** True for https, and for http to this machine. */
export function isSecureUrl(url: string, allowLocalhost: boolean): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, username, password } = new URL(url);
  if (username !== '' || password !== '') return false; // fetch refuses these, too
  if (protocol === 'https:') return true;
  if (protocol !== 'http:') return false;
  return isLoopback(hostname) || (allowLocalhost && hostname === 'localhost');
}

/** True for addresses that no network is needed for. */
export function isOnThisMachine(url: string): boolean {
  const hostname = URL.canParse(url) ? new URL(url).hostname : '';
  return isLoopback(hostname) || hostname === 'localhost';
}

function isLoopback(hostname: string): boolean {
  return /^127(\.\d{1,3}){3}$/.test(hostname) || hostname === '[::1]';
}

/** True for http to the name `localhost`, whose address is the resolver's affair. */
export function isLocalhost(url: string): boolean {
  return URL.canParse(url) && new URL(url).protocol === 'http:' && new URL(url).hostname === 'localhost';
}
