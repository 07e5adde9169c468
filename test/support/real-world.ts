// A store that talks to a real authorization server over real HTTP, and a person who signs in there.
import { createCredentialStore, defaultPlatform, type Credential, type CredentialStore, type CredentialStoreOptions, type OAuth2ClientOptions, type Platform, type Token } from '../../src/index.js'; // prettier-ignore
import { createAuthorizationCodeFlow, type AuthorizationCodeFlow } from '../../src/flows/index.js';
import { createControl, type Control, type ServerOptions } from './control.js';
import { createRobot, type Robot } from './provider-robot.js';

export interface RealWorld {
  readonly issuer: string;
  readonly api: string;
  readonly control: Control;
  readonly robot: Robot;
  readonly client: OAuth2ClientOptions;
  /** The clock is the test's to move. */
  readonly platform: Platform;
  advance(ms: number): void;
  /** A store; closed by `close`. */
  open(options?: Partial<CredentialStoreOptions>): CredentialStore;
  flow(store: CredentialStore): AuthorizationCodeFlow;
  /** The whole sign-in, by a new browser if none is given. */
  signIn(store: CredentialStore, login?: string, robot?: Robot): Promise<Token>;
  signedIn(login?: string): Promise<{ readonly store: CredentialStore; readonly credential: Credential }>;
  /** Status of a request to the API with this access token. */
  callApi(accessToken: string): Promise<number>;
  close(): Promise<void>;
}

/** Servers of its own, so that a test file may count their requests and spoil their answers. */
export async function startRealWorld(options: ServerOptions = {}): Promise<RealWorld> {
  const address = process.env['TEST_CONTROL'];
  if (address === undefined) throw new Error('TEST_CONTROL is set by the global setup of the integration tests');
  const servers = await createControl(address).startServers(options);
  const control = createControl(servers.control);
  const robot = createRobot();
  const stores: CredentialStore[] = [];
  let offset = 0;
  const platform: Platform = { ...defaultPlatform(), now: () => Date.now() + offset, monotonicNow: () => performance.now() + offset };
  const client: OAuth2ClientOptions = {
    issuer: servers.issuer,
    clientId: 'spa',
    scope: 'openid profile email api:read',
    redirectUri: 'http://127.0.0.1/cb',
    postLogoutRedirectUri: 'http://127.0.0.1/out',
  };
  const world: RealWorld = {
    issuer: servers.issuer,
    api: servers.api,
    control,
    robot,
    client,
    platform,
    advance: (ms) => void (offset += ms),
    open: (storeOptions = {}) => {
      const store = createCredentialStore({ clients: client, platform, ...storeOptions });
      stores.push(store);
      return store;
    },
    flow: (store) => createAuthorizationCodeFlow(store.client()),
    signIn: async (store, login = 'alice', browser = createRobot()) => {
      const flow = world.flow(store);
      return flow.resume(await browser.run(await flow.start(), login));
    },
    signedIn: async (login) => {
      const store = world.open();
      return { store, credential: await store.store(await world.signIn(store, login)) };
    },
    callApi: async (accessToken) => {
      const response = await fetch(`${servers.api}/v1/orders`, { headers: { authorization: `Bearer ${accessToken}` } });
      await response.body?.cancel();
      return response.status;
    },
    close: async () => void (await Promise.all(stores.map((store) => store.close()))),
  };
  return world;
}

/** What is seen of a token in a server's log. */
export function tail(token: string | undefined): string | undefined {
  return token?.slice(token.length - Math.min(6, Math.floor(token.length / 2)));
}
