/**
 * Tokens for axios.
 *
 * @module
 */
import axios, {
  Axios,
  AxiosHeaders,
  CanceledError,
  getAdapter,
  isAxiosError,
  type AxiosAdapter,
  type AxiosResponse,
  type InternalAxiosRequestConfig,
} from 'axios';
import { defaultPlatform } from '../platform/platform.js';
import { assertKnown } from './arguments.js';
import { createAttachmentPolicy, type Attachment, type AttachmentOptions, type ResourceAnswer } from './attachment.js';
import { isReplayable, letGo } from './bodies.js';
import type { StoreOfCredentials } from './choice.js';
import { isCredentialHeader, MAX_HOPS } from './redirects.js';
import { anchored, createResourceMatcher, type ResourceRequest } from './resources.js';

/** A request interceptor. */
export type CredentialsInterceptor = (config: InternalAxiosRequestConfig) => InternalAxiosRequestConfig;

type Config = InternalAxiosRequestConfig;

/** True for a request that does not belong to the resource a token was attached for. */
type LeavesResource = (url: string, method: string) => boolean;

/** How one try ended. */
interface Tried {
  /** What the caller gets of it. @throws what the adapter failed with */
  readonly result: () => AxiosResponse;
  /** The answer, if there was one: also of a status that counts as an error. */
  readonly response: AxiosResponse | undefined;
  /** Where the answer came from, and whether a redirect led there, if that is known. */
  readonly from: Pick<ResourceAnswer, 'url' | 'redirected'>;
  /** True if a redirect led where the token did not go, and be it on the way. */
  readonly isBare: boolean;
}

/**
 * For `instance.interceptors.request.use(credentialsInterceptor(store, options))`. Attaches tokens to requests on the list when they are
 * sent, after all other interceptors; requests with `auth` or an `Authorization` header of their own pass as they are. Neither answers
 * nor errors show the token in their `config`. Where axios follows redirects itself, as in Node, it follows five at most, and one that leaves
 * its resource carries no token; elsewhere the runtime drops it where the origin changes.
 *
 * @throws {TypeError} a wrong option
 */
export function credentialsInterceptor(store: StoreOfCredentials, options: AttachmentOptions): CredentialsInterceptor {
  const policy = createAttachmentPolicy(store, options);
  assertKnown(options, 'AttachmentOptions');
  const match = createResourceMatcher(options.resources, options.baseUrl);
  /** The adapters that are made here: a request that is sent again by its `config` is not wrapped twice. */
  const ours = new WeakSet<AxiosAdapter>();
  const plain = new Axios({}); // `axios.getUri` would add what is set in `axios.defaults`, which is no part of the request

  const finalUrls = (finalUrlsOfAll ??= createFinalUrls());

  const sendWith = async (given: Config['adapter'], config: Config): Promise<AxiosResponse> => {
    let bare = changed(config, { adapter: given });
    const chosen = getAdapter(given ?? axios.defaults.adapter, changed(bare, { env: finalUrls.watched(bare.env) }));
    const send = typeof given === 'function' ? chosen : forAnyCopy(chosen);
    const request = { url: plain.getUri(bare), method: bare.method ?? 'GET' };
    const resource = match(request);
    if (resource) {
      const text = plain.getUri(changed(bare, { params: undefined }));
      const url = anchored(text, options.baseUrl?.());
      // Adapters before axios 1.8.3 take no notice of `allowAbsoluteUrls`, which `getUri` has followed
      const isElsewhere = url !== text || (bare.allowAbsoluteUrls ?? true) !== true;
      if (isElsewhere) bare = changed(bare, { url, baseURL: undefined, allowAbsoluteUrls: true });
    }
    if (!resource || bare.auth || bare.headers.has('Authorization')) return send(bare);
    const leaves: LeavesResource = (url, method) => match({ url, method }) !== resource;
    return whileWanted(bare, (signal) => exchange(send, bare, { request, signal, leaves }));
  };
  const exchange = async (send: AxiosAdapter, bare: Config, { request, signal, leaves }: Exchange): Promise<AxiosResponse> => {
    const own = { mayRetry: isReplayable(bare.data), signal };
    let attachment: Attachment | null = await orCanceled(signal, bare, policy.attach(request, own));
    if (!attachment) return send(bare);
    for (;;) {
      const { response, from, isBare, result } = await tried(send, bare, attachment, { leaves, finalUrls });
      const retry: Promise<Attachment | null> =
        response && !isBare ? attachment.retryOf({ ...answerOf(response), ...from }) : Promise.resolve(null);
      const end = (error: Error): never => {
        discard(response);
        throw error;
      };
      attachment = await orCanceled(signal, bare, retry).catch(end);
      if (!attachment) return result();
      discard(response);
    }
  };
  return (config) => {
    const given = config.adapter;
    if (typeof given === 'function' && ours.has(given)) return config;
    const adapter: AxiosAdapter = (final) => sendWith(given, final);
    ours.add(adapter);
    return changed(config, { adapter });
  };
}

/** The same request with other members; what it inherits, or does not, stays as it is. */
function changed(config: Config, members: { readonly [K in keyof Config]?: Config[K] | undefined }): Config {
  return Object.assign(Object.create(Object.getPrototypeOf(config) as object | null) as Config, config, members);
}

/** Sends once. Neither the answer nor the error keeps the token in its `config`. */
async function tried(send: AxiosAdapter, bare: Config, { authorization }: Attachment, { leaves, finalUrls }: Watch): Promise<Tried> {
  let isBare = false;
  let ledTo: string | undefined;
  const { beforeRedirect, maxRedirects } = bare;
  const config = changed(bare, {
    maxRedirects: Math.min(maxRedirects ?? MAX_HOPS, MAX_HOPS), // where axios follows them itself
    headers: bare.headers.concat().set('Authorization', authorization), // of their own class
    beforeRedirect: (options, ...rest) => {
      const headers = options['headers'] as Record<string, unknown>;
      ledTo = String(options['href']);
      if (leaves(ledTo, String(options['method']))) for (const name of Object.keys(headers)) if (isForServer(name)) delete headers[name];
      isBare ||= !Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
      beforeRedirect?.(options, ...rest);
    },
  });
  /** A browser tells where a redirect has led: XMLHttpRequest by `responseURL`, `fetch` by its answer. */
  const fromOf = (response: AxiosResponse | undefined): Tried['from'] => {
    const request = (response?.request ?? {}) as { readonly responseURL?: unknown };
    if (ledTo !== undefined) return { url: ledTo, redirected: true };
    return typeof request.responseURL === 'string' ? { url: request.responseURL } : (finalUrls.of(request) ?? {});
  };
  try {
    const response = await send(config);
    response.config = bare;
    return { response, result: () => response, from: fromOf(response), isBare };
  } catch (error) {
    if (!isAxiosError(error)) throw error;
    error.config = bare;
    const { response } = error;
    if (response) response.config = bare;
    const fail = (): never => {
      throw error;
    };
    return { response, result: fail, from: fromOf(response), isBare };
  }
}

/**
 * An adapter of the copy of axios that is imported here, for requests of whichever: a CommonJS program has another, and before axios 1.9
 * neither reads headers of the other's class.
 */
function forAnyCopy(send: AxiosAdapter): AxiosAdapter {
  return async (config) => {
    if (config.headers instanceof AxiosHeaders) return send(config);
    const asTheirs = (response: AxiosResponse): AxiosResponse => Object.assign(response, { config, headers: readable(response.headers) });
    try {
      return asTheirs(await send(changed(config, { headers: new AxiosHeaders(readable(config.headers)) })));
    } catch (error) {
      if (!isAxiosError(error)) throw error;
      error.config = config;
      if (error.response) asTheirs(error.response);
      throw error;
    }
  };
}

/** Headers as data, if they have the class of some copy of axios. */
function readable<T extends object>(headers: T | undefined): T | undefined {
  return headers && 'toJSON' in headers ? { ...headers } : headers;
}

/** What is for a proxy axios has just set anew for the next request. */
function isForServer(name: string): boolean {
  return isCredentialHeader(name) && name.toLowerCase() !== 'proxy-authorization';
}

/** What is needed to see where a redirect leads. */
interface Watch {
  readonly leaves: LeavesResource;
  readonly finalUrls: FinalUrls;
}

/** One request, with its tries. */
interface Exchange extends Pick<Watch, 'leaves'> {
  readonly request: ResourceRequest;
  readonly signal: AbortSignal | undefined;
}

/** Where requests over `fetch` ended up: axios has the `Request` only, which says where it began. */
interface FinalUrls {
  /** The `env` of a request with a `fetch` that is watched; axios before 1.12 takes no notice of it. */
  watched(env: Config['env']): Config['env'];
  of(request: object): Tried['from'] | undefined;
}

/** Of all interceptors: axios keeps what it makes for each `fetch`, for ever. */
let finalUrlsOfAll: FinalUrls | undefined;

function createFinalUrls(): FinalUrls {
  const urls = new WeakMap<object, Tried['from']>();
  const watchers = new WeakMap<typeof fetch, typeof fetch>();
  const { fetch: usual } = defaultPlatform();
  const watcherOf = (send: typeof fetch): typeof fetch => {
    const known = watchers.get(send);
    if (known) return known;
    const watcher: typeof fetch = async (input, init) => {
      const response = await send(input, init);
      const { url, redirected } = response;
      if (typeof input === 'object') urls.set(input, { url, redirected });
      return response;
    };
    watchers.set(send, watcher);
    return watcher;
  };
  return {
    watched: (env) => {
      const { fetch: send = usual } = (env ?? {}) as { readonly fetch?: typeof fetch };
      return { ...env, fetch: watcherOf(send) };
    },
    of: (request) => urls.get(request),
  };
}

function answerOf({ status, headers }: AxiosResponse): ResourceAnswer {
  const all = AxiosHeaders.from(readable(headers) as Record<string, string>);
  return {
    status,
    header: (name) => {
      const value = all.get(name);
      return value === undefined || value === null ? null : [value].flat().join(', ');
    },
  };
}

/** With the signal of a request: of one that is left by either of two, that of the one that is left first. Afterwards nobody listens any more. */
async function whileWanted<T>({ signal, cancelToken }: Config, run: (signal: AbortSignal | undefined) => Promise<T>): Promise<T> {
  const theirs = signal as AbortSignal | undefined;
  const token = cancelToken?.toAbortSignal?.() as (AbortSignal & { readonly unsubscribe?: () => void }) | undefined;
  try {
    return await run(theirs && token && 'any' in AbortSignal ? AbortSignal.any([theirs, token]) : (theirs ?? token));
  } finally {
    token?.unsubscribe?.();
  }
}

/** What the caller ended is axios's own error. */
async function orCanceled<T>(signal: AbortSignal | undefined, config: Config, waited: Promise<T>): Promise<T> {
  try {
    return await waited;
  } catch (error) {
    throw signal?.aborted ? new CanceledError(undefined, config) : error;
  }
}

/** Nobody reads it: its connection is free again. */
function discard(response: AxiosResponse | undefined): void {
  letGo(response?.data);
}
