// What a test may see and do at the servers that the global setup started. Logs and faults are one per server: a test file that counts requests or injects
// faults asks for servers of its own with startServers().

export type FaultyEndpoint = 'token' | 'revocation' | 'introspection' | 'userinfo' | 'jwks' | 'discovery';

/** How a request goes wrong. By default the server answers 500 with an empty body and does nothing. */
export interface Fault {
  readonly status?: number;
  /** An object is sent as JSON, a string as it is. */
  readonly body?: string | object;
  /** Default `application/json`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly delayMs?: number;
  /** How many requests in a row; default 1. */
  readonly times?: number;
  /** Closes the connection instead of answering. */
  readonly hangUp?: boolean;
  /** The server does its work, and its answer is lost. */
  readonly processed?: boolean;
  /** The true answer, after `delayMs`. */
  readonly delayOnly?: boolean;
}

/** A request to the token or the revocation endpoint; of tokens the last six characters. */
export interface TokenRequest {
  readonly endpoint: 'token' | 'revocation';
  readonly clientId: string | null;
  /** As the client saw it; 0 where the connection was closed. */
  readonly status: number;
  readonly error?: string;
  /** The answer was not the server's own. */
  readonly fault?: true;
  /** Token endpoint only. */
  readonly grantType?: string | null;
  readonly refreshTokenTail?: string;
  /** Revocation endpoint only. */
  readonly tokenTypeHint?: string | null;
  readonly tokenTail?: string | null;
}

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly tokenTail: string | null;
}

export interface ServerOptions {
  readonly redirectUris?: readonly string[];
  readonly postLogoutRedirectUris?: readonly string[];
  readonly allowedOrigins?: readonly string[];
  readonly clients?: readonly Readonly<Record<string, unknown>>[];
  readonly accessTokenTtlSeconds?: number;
  /** The sign-ins of a browser session share one grant; left out: each has its own. */
  readonly isGrantShared?: boolean;
  /**
   * Access tokens can be had for any resource that the sign-in named (RFC 8707). True: a token request that names none is for what was granted;
   * false: for user info. Left out: the server knows of no resources.
   */
  readonly useGrantedResource?: boolean;
}

/** Addresses: the issuer, the API's origin, the control of both. */
export interface TestServers {
  readonly issuer: string;
  readonly api: string;
  readonly control: string;
}

/** A demo: the application's origin, and its servers. */
export interface TestDemo extends TestServers {
  readonly app: string;
}

export interface Control {
  requests(): Promise<readonly TokenRequest[]>;
  apiLog(): Promise<readonly ApiRequest[]>;
  /** Forgets both logs and the faults that did not happen yet. */
  resetLogs(): Promise<void>;
  /** Whether the server knows this access or refresh token as live. */
  active(token: string): Promise<boolean>;
  failNext(endpoint: FaultyEndpoint, fault?: Fault): Promise<void>;
  /** The server forgets an access token; its refresh token stays. False: it was not known. */
  expireAccessToken(token: string): Promise<boolean>;
  /** For access tokens issued from now on. */
  setAccessTokenTtlSeconds(seconds: number): Promise<void>;
  /** Another authorization server and API, closed by the global teardown. */
  startServers(options?: ServerOptions): Promise<TestServers>;
  /** Another demo, closed by the global teardown; the e2e control only. */
  startDemo(): Promise<TestDemo>;
}

/** @param address of a control, from TEST_CONTROL, TEST_CONTROL_E2E or startServers() */
export function createControl(address: string): Control {
  const call = async <T>(method: keyof Control, ...args: readonly unknown[]): Promise<T> => {
    const response = await fetch(`${address}/${method}`, { method: 'POST', body: JSON.stringify(args) });
    const answer = (await response.json()) as { readonly result: T; readonly error?: string };
    if (!response.ok) throw new Error(`control ${method}: ${answer.error ?? response.status}`);
    return answer.result;
  };
  return {
    requests: () => call('requests'),
    apiLog: () => call('apiLog'),
    resetLogs: () => call('resetLogs'),
    active: (token) => call('active', token),
    failNext: (endpoint, fault = {}) => call('failNext', endpoint, fault),
    expireAccessToken: (token) => call('expireAccessToken', token),
    setAccessTokenTtlSeconds: (seconds) => call('setAccessTokenTtlSeconds', seconds),
    startServers: (options = {}) => call('startServers', options),
    startDemo: () => call('startDemo'),
  };
}
