/**
 * Tokens for plain RxJS programs: `ajax` and `fromFetch`.
 *
 * @module
 */
import { catchError, from, Observable, switchMap, tap, throwError, type ObservableInput } from 'rxjs';
import { ajax, type AjaxConfig, type AjaxError, type AjaxResponse } from 'rxjs/ajax';
import { assertKnown } from './arguments.js';
import { createAttachmentPolicy, type Attachment, type AttachmentOptions } from './attachment.js';
import { copyOfBody, isReplayable } from './bodies.js';
import type { StoreOfCredentials } from './choice.js';
import { createFetch, type FetchOptions } from './fetch.js';
import { anchored } from './resources.js';

/** What `createAjax` makes: an address or a configuration, as `ajax` takes them. Each subscription is a request. */
export type Ajax = <T>(urlOrConfig: string | AjaxConfig) => Observable<AjaxResponse<T>>;

/**
 * An `ajax` of RxJS that attaches tokens to requests on the list, and passes all others on as they are: also those with an
 * `Authorization` header or a user of their own. Unsubscribing ends the waiting and the request, never a refresh.
 *
 * @throws {TypeError} a wrong option
 */
export function createAjax(store: StoreOfCredentials, options: AttachmentOptions): Ajax {
  const policy = createAttachmentPolicy(store, options);
  assertKnown(options, 'AttachmentOptions');
  return <T>(urlOrConfig: string | AjaxConfig) =>
    whileWanted((signal) => {
      // A copy: what is looked up in the list is what is sent
      const config: AjaxConfig = typeof urlOrConfig === 'string' ? { url: urlOrConfig } : { ...urlOrConfig };
      const request = { url: config.url, method: config.method ?? 'GET' };
      if (!policy.covers(request)) return ajax<T>(config);
      config.url = request.url = anchored(config.url, options.baseUrl?.());
      if (hasOwn(config)) return ajax<T>(config);
      const mayRetry = isReplayable(config.body);
      const { progressSubscriber, tell } = lasting(config.progressSubscriber);
      const send = { ...taken(config), ...(progressSubscriber && { progressSubscriber }) };
      return from(policy.attach(request, { mayRetry, signal })).pipe(
        switchMap((attachment) => (attachment ? sendWith<T>(send, attachment) : ajax<T>(send))),
        tap({ error: tell }),
      );
    });
}

/** What is the caller's to change while a token is waited for, as it is now: `ajax` alone would have sent it. */
function taken(config: AjaxConfig): AjaxConfig {
  const { headers, queryParams } = config;
  const body: unknown = config.body;
  return {
    ...config,
    ...(body !== undefined && { body: copyOfBody(body) }),
    ...(headers && { headers: { ...headers } }),
    ...(queryParams !== undefined && { queryParams: copyOfBody(queryParams) }),
  };
}

/** A subscriber to the progress that outlives a refusal which another token mends: it hears of an error when the caller does. */
function lasting(theirs: AjaxConfig['progressSubscriber']): Pick<AjaxConfig, 'progressSubscriber'> & { readonly tell: () => void } {
  if (!theirs) return { tell: () => undefined };
  let tell = (): void => undefined;
  return {
    progressSubscriber: {
      next: (event) => theirs.next?.(event),
      error: (error: unknown) => void (tell = () => theirs.error?.(error)),
      complete: () => theirs.complete?.(),
    },
    tell: () => tell(),
  };
}

/** Options of a request of `createFromFetch`. */
export interface FromFetchInit<T> extends RequestInit {
  /** What becomes of the answer; as long as that runs, unsubscribing ends the request. */
  readonly selector?: (response: Response) => ObservableInput<T>;
}

/** What `createFromFetch` makes: the arguments of `fetch`, as `fromFetch` takes them. Each subscription is a request. */
export interface FromFetch {
  <T>(input: string | URL | Request, init: FromFetchInit<T> & Required<Pick<FromFetchInit<T>, 'selector'>>): Observable<T>;
  (input: string | URL | Request, init?: RequestInit): Observable<Response>;
}

/**
 * A `fromFetch` of RxJS that attaches tokens as `createFetch` does. Unsubscribing ends the waiting and the request, never a refresh.
 *
 * @throws {TypeError} a wrong option
 */
export function createFromFetch(store: StoreOfCredentials, options: FetchOptions): FromFetch {
  const send = createFetch(store, options);
  return <T>(input: string | URL | Request, { selector, ...init }: FromFetchInit<T> = {}) =>
    whileWanted<T | Response>((signal, end) => {
      const theirs = init.signal === undefined && typeof input === 'object' && 'signal' in input ? input.signal : init.signal;
      const response = from(send(input, { ...init, signal: theirs ? AbortSignal.any([signal, theirs]) : signal }));
      // Who leaves with the answer, as `first()` does, may still read it
      return selector ? response.pipe(switchMap(selector)) : response.pipe(tap(end));
    });
}

/** A stream with a signal that is aborted when its subscriber leaves before the end, or before the stream itself said that it is. */
function whileWanted<T>(run: (signal: AbortSignal, end: () => void) => Observable<T>): Observable<T> {
  return new Observable((subscriber) => {
    const leaving = new AbortController();
    let isOver = false; // an answer may still be read when the stream has completed
    const end = (): void => void (isOver = true);
    run(leaving.signal, end)
      .pipe(tap({ error: end, complete: end }))
      .subscribe(subscriber);
    return () => void (isOver || leaving.abort());
  });
}

function sendWith<T>(config: AjaxConfig, attachment: Attachment): Observable<AjaxResponse<T>> {
  return ajax<T>({ ...config, createXHR: () => authorized(config.createXHR?.() ?? new XMLHttpRequest(), attachment) }).pipe(
    tap((answer) => attachment.isNew && answer.type === 'download_load' && void retryOf(attachment, answer)),
    catchError((error: unknown) => {
      if (!isAjaxError(error)) return throwError(() => error);
      return from(retryOf(attachment, error)).pipe(switchMap((again) => (again ? sendWith<T>(config, again) : throwError(() => error))));
    }),
  );
}

function retryOf(
  attachment: Attachment,
  { status, xhr, request }: Pick<AjaxError, 'status' | 'xhr' | 'request'>,
): Promise<Attachment | null> {
  const header = (name: string): string | null => xhr.getResponseHeader(name);
  return attachment.retryOf({ status, header, url: xhr.responseURL, askedUrl: request.url });
}

/** Sets the header late: RxJS shows the configuration in answers and errors, and the token is not for them (HT-9). */
function authorized(xhr: XMLHttpRequest, { authorization }: Attachment): XMLHttpRequest {
  const send = xhr.send.bind(xhr);
  xhr.send = (body) => {
    xhr.setRequestHeader('Authorization', authorization);
    send(body);
  };
  return xhr;
}

function hasOwn({ headers = {}, user }: AjaxConfig): boolean {
  return user !== undefined || Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
}

/** An answer with a status; a time that ran out has none. */
function isAjaxError(error: unknown): error is AjaxError {
  return error instanceof Error && error.name === 'AjaxError' && 'xhr' in error;
}
