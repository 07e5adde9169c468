// What programs infer, and give away in declarations of their own; and options that may be undefined, as programs have them.
import { createCredentialStore, type CredentialStore, type CredentialStorage, type ResourceChallenge, type Token } from 'rx-credentials';
import { createAuthorizationCodeFlow, silentAuthorization } from 'rx-credentials/flows';
import { createFetch } from 'rx-credentials/http';
import type { credentialsInterceptor } from 'rx-credentials/http/axios';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { filter } from 'rxjs';

declare const credentials: CredentialStore;
declare const token: Token;
declare const storage: CredentialStorage | undefined;
declare const env: { readonly ms?: number; readonly text?: string };

export const failures$ = credentials.events$.pipe(filter((event) => event.type === 'refresh_failed'));
export const challenges$ = credentials.events$.pipe(filter((event) => event.type === 'challenged'));
export const interactions$ = credentials.events$.pipe(filter((event) => event.type === 'interaction_required'));
export const ofFetch = (...given: Parameters<typeof createFetch>) => given;
export const ofAxios = (...given: Parameters<typeof credentialsInterceptor>) => given;

export const stronger = ({ scope, acrValues, maxAge }: ResourceChallenge) =>
  createAuthorizationCodeFlow(credentials.client()).start({
    scope,
    acrValues,
    maxAge,
    requireAcr: undefined,
    returnTo: env.text,
    additionalParameters: { login_hint: env.text },
  });
export const again = async () => {
  const [waiting] = await credentials.find({ sub: 'x' });
  return credentials.store(token, { replace: waiting, tags: undefined });
};
export const api = createFetch(credentials, {
  resources: [],
  waitMs: env.ms,
  retryAfterMaxMs: env.ms,
  stepUp: undefined,
  fetch: undefined,
});
export const store = createCredentialStore({
  clients: {
    issuer: 'https://id.example.com',
    clientId: 'spa',
    redirectUri: env.text,
    renew: silentAuthorization({ redirectUri: env.text, timeoutMs: env.ms }),
    idTokenSigningAlgs: undefined,
    trustedAudiences: undefined,
    clockToleranceS: env.ms,
  },
  storage,
  renewal: undefined,
  persist: undefined,
});
export const database = indexedDBStorage({ namespace: env.text, durability: undefined });
export const accessToken = async (signal?: AbortSignal) => (await credentials.getDefault())?.accessToken({ signal, minValidityMs: env.ms });
