// Runs inside a real browser: an application whose server gives no refresh token. Node drives it from outside.
import { createCredentialStore, defaultPlatform, isCredentialError, type Credential, type CredentialStore } from '../../../src/index';
import { createAuthorizationCodeFlow, silentAuthorization } from '../../../src/flows/index';
import { indexedDBStorage } from '../../../src/storage/indexeddb/index';

/** What a test says of an application. */
export interface AppOptions {
  readonly issuer: string;
  readonly timeoutMs?: number;
  /** Path of the address at which frames end. */
  readonly silentPath?: string;
  /** Milliseconds by which the clock of the page is fast. */
  readonly aheadMs?: number;
}

/** How a renewal went; `code`: it was refused. */
export interface Outcome {
  readonly accessToken: string | null;
  readonly code: string | null;
}

let store: CredentialStore | undefined;
let seenFrames = 0;
const events: string[] = [];
new MutationObserver((changes) => {
  for (const node of changes.flatMap(({ addedNodes }) => [...addedNodes])) if (node instanceof HTMLIFrameElement) seenFrames++;
}).observe(document, { childList: true, subtree: true });
sessionStorage.setItem('boots', String(Number(sessionStorage.getItem('boots') ?? 0) + 1)); // a frame of this origin would count here, too

const current = (): CredentialStore => {
  if (!store) throw new Error('start the application first');
  return store;
};
const credential = async (): Promise<Credential> => {
  const found = await current().getDefault();
  if (!found) throw new Error('nobody is signed in');
  return found;
};
const outcomeOf = async (asked: Promise<string>): Promise<Outcome> => {
  try {
    return { accessToken: await asked, code: null };
  } catch (error) {
    if (!isCredentialError(error)) throw error;
    return { accessToken: null, code: error.code };
  }
};

const driver = {
  async start({ issuer, timeoutMs = 10_000, silentPath = '/callback', aheadMs = 0 }: AppOptions): Promise<void> {
    const ours = defaultPlatform();
    const platform = { ...ours, now: () => ours.now() + aheadMs, monotonicNow: () => ours.monotonicNow() + aheadMs };
    const renew = silentAuthorization({ redirectUri: location.origin + silentPath, timeoutMs });
    const redirectUri = `${location.origin}/callback`;
    store = createCredentialStore({ clients: { issuer, clientId: 'silent', redirectUri, renew }, storage: indexedDBStorage(), platform });
    store.events$.subscribe(({ type }) => events.push(type));
    await store.ready;
  },
  signInUrl: async () => (await createAuthorizationCodeFlow(current().client()).start()).href,
  async callback(): Promise<void> {
    await current().store(await createAuthorizationCodeFlow(current().client()).resume(location.href));
  },
  refresh: async (): Promise<Outcome> => outcomeOf((await credential()).refresh().then(({ accessToken }) => accessToken)),
  accessToken: async (): Promise<Outcome> => outcomeOf((await credential()).accessToken()),
  status: async () => (await credential()).status.token,
  events: () => events.splice(0),
  /** What a renewal could leave behind. */
  traces: () => ({
    frames: document.querySelectorAll('iframe').length,
    seenFrames,
    boots: sessionStorage.getItem('boots'),
    kept: Object.keys(sessionStorage).filter((key) => key !== 'boots'),
    address: location.href,
    historyLength: history.length,
  }),
};

declare global {
  var silentApp: SilentApp;
}
export type SilentApp = typeof driver;
globalThis.silentApp = driver;
