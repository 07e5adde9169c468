/**
 * Sign-in that comes back to where it began: the flow of the core, and the path that the user wanted.
 *
 * @module
 */
import type { OAuth2Client, Platform } from 'rx-credentials';
import { createAuthorizationCodeFlow } from 'rx-credentials/flows';
import type { AuthorizationCodeFlow, AuthorizationCodeStartOptions } from 'rx-credentials/flows';

/** Options of one sign-in. */
export interface SignInStartOptions extends AuthorizationCodeStartOptions {
  /** Where to go afterwards: a path of the application, such as `/orders?page=2`. `completeSignIn` goes there. */
  readonly returnTo?: string;
}

/** Sign-in by authorization code. */
export interface SignInFlow extends AuthorizationCodeFlow {
  /** The address to send the user to. @throws {TypeError} `returnTo` is no path of the application */
  start(options?: SignInStartOptions): Promise<URL>;
  /** The path that was wanted when the sign-in of this `state` began, once; `null`: none, or it is not known here. */
  takeReturnTo(state: string): string | null;
}

/** One flow for each client: sign-ins that are kept in memory are found again. */
export interface SignInFlows {
  of(client: OAuth2Client): SignInFlow;
}

const KEY = 'rx-credentials-angular:return-to';
/** Sign-ins that were begun and not finished: more than this are not kept. */
const MAX_KEPT = 20;

/** No flow yet. */
export function createSignInFlows(): SignInFlows {
  const flows = new WeakMap<OAuth2Client, SignInFlow>();
  return {
    of: (client) => {
      const flow = flows.get(client) ?? createSignInFlow(client);
      flows.set(client, flow);
      return flow;
    },
  };
}

function createSignInFlow(client: OAuth2Client): SignInFlow {
  const flow = createAuthorizationCodeFlow(client);
  const paths = createReturnPaths(client.platform);
  return {
    ...flow,
    start: async ({ returnTo, ...options } = {}) => {
      const path = returnTo === undefined ? null : pathOf(returnTo);
      if (returnTo !== undefined && path === null) throw new TypeError('returnTo must be a path of this application, such as "/orders"');
      const url = await flow.start(options);
      const state = url.searchParams.get('state');
      if (path !== null && state !== null) paths.put(state, path);
      return url;
    },
    takeReturnTo: (state) => pathOf(paths.take(state)),
  };
}

/** In the session storage of the tab, beside the sign-in itself. Where there is none, users come back to the first page. */
function createReturnPaths({ page }: Pick<Platform, 'page'>): { put(state: string, path: string): void; take(state: string): unknown } {
  const read = (): Readonly<Record<string, unknown>> => {
    try {
      return { ...(JSON.parse(page?.sessionItems()?.getItem(KEY) ?? '{}') as object) };
    } catch {
      return {}; // somebody else's
    }
  };
  const write = (paths: Readonly<Record<string, unknown>>): void => {
    try {
      page?.sessionItems()?.setItem(KEY, JSON.stringify(Object.fromEntries(Object.entries(paths).slice(-MAX_KEPT))));
    } catch {
      // full
    }
  };
  return {
    put: (state, path) => write({ ...read(), [state]: path }),
    take: (state) => {
      const { [state]: path, ...others } = read();
      write(others);
      return path;
    },
  };
}

/** A path of this origin as a URL parser reads it; `null` for everything else, whatever its spelling (9700-1). */
export function pathOf(value: unknown): string | null {
  const base = 'https://application.invalid';
  if (typeof value !== 'string' || !/^\/\P{Cc}*$/u.test(value) || !URL.canParse(value, base)) return null;
  const { origin, pathname, search, hash } = new URL(value, base);
  return origin === base && !pathname.startsWith('//') ? pathname + search + hash : null;
}
