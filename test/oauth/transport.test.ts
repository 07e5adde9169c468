import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { CredentialError, NetworkError, ProtocolError } from '../../src/errors';
import {
  assertSecureUrl,
  METADATA_LIMITS,
  responseOf,
  REVOCATION_LIMITS,
  send,
  TOKEN_LIMITS,
  type Limits,
} from '../../src/oauth/transport';
import { isLocalhost, isSecureUrl } from '../../src/oauth/secure-url';
import { defaultPlatform } from '../../src/platform/platform';
import { settled, START_MS, unitPlatform, type UnitPlatform } from '../support/unit-platform';

const ISSUER = 'https://id.example.com';
const URL_ = `${ISSUER}/token`;
const LIMITS: Limits = { timeoutMs: 30_000, maxBytes: 1_000 };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const answering = (response: () => Response): UnitPlatform => unitPlatform({ fetch: () => Promise.resolve(response()) });
const sent = (platform: UnitPlatform, limits = LIMITS, url = URL_) =>
  send(platform, url, { method: 'POST', body: 'refresh_token=canary' }, limits, ISSUER);
const refused = async (promise: Promise<unknown>): Promise<CredentialError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CredentialError);
  return error as CredentialError;
};

const servers = new Set<Server>();
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.add(server);
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
afterEach(async () => {
  const all = [...servers];
  servers.clear();
  await Promise.all(all.map((server) => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve)))));
});

/** As Deno 2.9 throws it. */
const deno = (what: string): Error =>
  new TypeError('fetch failed', { cause: new Error(`error sending request for url (${URL_}): ${what}`) });

describe('which URLs are safe', () => {
  it.each<[string, boolean, boolean]>([
    // url, without localhost, with localhost switched on
    ['https://id.example.com/token', true, true],
    ['https://id.example.com:8443', true, true],
    ['HTTPS://ID.EXAMPLE.COM/', true, true],
    ['https://localhost/token', true, true],
    ['https://[::1]/token', true, true],
    ['http://127.0.0.1:3000/token', true, true],
    ['http://127.255.255.254/', true, true],
    ['http://127.1/', true, true], // the URL parser makes it 127.0.0.1
    ['http://[::1]:3000/', true, true],
    ['http://localhost:3000/token', false, true],
    ['http://LOCALHOST/', false, true],
    ['http://localhost./', false, false],
    ['http://localhost.evil.test/', false, false],
    ['http://app.localhost/', false, false],
    ['http://id.example.com/token', false, false],
    ['http://127.0.0.1.evil.test/', false, false],
    ['http://127.evil.test/', false, false],
    ['http://128.0.0.1/', false, false],
    ['http://0.0.0.0/', false, false],
    ['http://10.0.0.1/', false, false],
    ['http://[::2]/', false, false],
    ['http://[::ffff:127.0.0.1]/', false, false],
    ['https://user:secret@id.example.com/', false, false],
    ['https://user@id.example.com/', false, false],
    ['http://127.0.0.1@evil.test/', false, false],
    ['ws://127.0.0.1/', false, false],
    ['wss://id.example.com/', false, false],
    ['file:///etc/passwd', false, false],
    ['data:application/json,{}', false, false],
    ['blob:https://id.example.com/x', false, false],
    ['javascript:alert(1)', false, false],
    ['//id.example.com/token', false, false],
    ['/token', false, false],
    ['id.example.com', false, false],
    ['', false, false],
  ])('HT-1 %s: %p, with localhost on: %p', (url, safe, safeWithLocalhost) => {
    expect(isSecureUrl(url, false)).toBe(safe);
    expect(isSecureUrl(url, true)).toBe(safeWithLocalhost);
  });

  it('HT-1 localhost is on only for an issuer at http://localhost itself', () => {
    expect(['http://localhost:3000', 'https://localhost', 'http://localhost.evil.test', 'x'].map(isLocalhost)).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(() => assertSecureUrl('http://localhost:3000/token', 'http://localhost:3000')).not.toThrow();
    expect(() => assertSecureUrl('http://localhost:3000/token', 'https://localhost')).toThrow(ProtocolError);
    expect(() => assertSecureUrl('http://localhost:3000/token', ISSUER)).toThrow(ProtocolError);
  });

  it('HT-1 an unsafe URL is refused before anything is sent', async () => {
    const fetch = jest.fn();
    const error = await refused(sent(unitPlatform({ fetch: fetch as typeof globalThis.fetch }), LIMITS, 'http://id.example.com/token'));
    expect(error).toMatchObject({ code: 'unsupported', issuer: ISSUER });
    expect(fetch).not.toHaveBeenCalled();
  });
});

describe('redirects', () => {
  it.each([300, 301, 302, 303, 304, 307, 308])('HT-2 status %d is unexpected_redirect, and the connection is given up', async (status) => {
    let signal: AbortSignal | null | undefined;
    const fetch: typeof globalThis.fetch = (_, init) => {
      signal = init?.signal;
      return Promise.resolve(new Response(null, { status, headers: { location: 'https://evil.test/' } }));
    };
    expect(await refused(sent(unitPlatform({ fetch })))).toMatchObject({ name: 'ProtocolError', code: 'unexpected_redirect', status });
    expect(signal?.aborted).toBe(true);
  });

  it('HT-2 an opaque redirect, as browsers show it, is unexpected_redirect', async () => {
    const opaque = Object.defineProperties(new Response(null), { type: { value: 'opaqueredirect' }, status: { value: 0 } });
    expect(await refused(sent(answering(() => opaque)))).toMatchObject({ code: 'unexpected_redirect' });
  });

  it.each([
    [301, 'same'],
    [302, 'same'],
    [303, 'same'],
    [307, 'same'],
    [308, 'same'],
    [301, 'other'],
    [302, 'other'],
    [303, 'other'],
    [307, 'other'],
    [308, 'other'],
  ])('HT-2 a real %d to the %s origin is not followed: the target sees no request', async (status, where) => {
    const seen: string[] = [];
    const other = await serve((request, response) => (seen.push(`other ${request.url}`), response.end('{}')));
    const origin: string = await serve((request, response) => {
      seen.push(`first ${request.url}`);
      response.writeHead(request.url === '/token' ? status : 200, { location: where === 'same' ? '/target' : `${other}/target` }).end('{}');
    });
    const platform = unitPlatform({ fetch: (...args) => fetch(...args) });
    expect(await refused(sent(platform, LIMITS, `${origin}/token`))).toMatchObject({ code: 'unexpected_redirect', status });
    expect(seen).toEqual(['first /token']);
  });
});

describe('what goes out', () => {
  it('HT-4 without cookies, cache and referrer, whatever the caller says', async () => {
    const inits: (RequestInit | undefined)[] = [];
    const fetch: typeof globalThis.fetch = (_, init) => (inits.push(init), Promise.resolve(new Response('{}')));
    const init: RequestInit = {
      method: 'POST',
      headers: { accept: 'application/json' },
      body: 'a=b',
      credentials: 'include',
      redirect: 'follow',
      cache: 'force-cache',
    };
    await send(unitPlatform({ fetch }), URL_, init, LIMITS, ISSUER);
    expect(inits).toEqual([
      {
        method: 'POST',
        headers: { accept: 'application/json' },
        body: 'a=b',
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
        redirect: 'manual',
        signal: expect.any(AbortSignal) as AbortSignal,
        [Symbol.for('rx-credentials:of-client')]: true, // E19: test/http/global-fetch.test.ts
      },
    ]);
  });

  it('TM-1 the answer carries the instant before the send and the one after the last byte', async () => {
    const platform: UnitPlatform = unitPlatform({
      fetch: () => {
        platform.advance(700);
        return Promise.resolve(new Response('text', { status: 201, headers: { 'x-a': 'b' } }));
      },
    });
    const exchange = await sent(platform);
    expect(exchange).toMatchObject({ sentAt: START_MS, receivedAt: START_MS + 700, status: 201, text: 'text' });
    expect(exchange.headers.get('x-a')).toBe('b');
  });
});

describe('the byte cap', () => {
  it('HT-5 the last byte allowed is read, one more is refused', async () => {
    expect((await sent(answering(() => new Response('x'.repeat(1_000))))).text).toHaveLength(1_000);
    expect(await refused(sent(answering(() => new Response('x'.repeat(1_001)))))).toMatchObject({
      name: 'ProtocolError',
      code: 'response_too_large',
      class: 'unknown_outcome',
      status: 200,
    });
  });

  it('HT-5 counts bytes, not characters', async () => {
    expect((await sent(answering(() => new Response('€'.repeat(333))))).text).toBe('€'.repeat(333));
    expect(await refused(sent(answering(() => new Response('€'.repeat(334)))))).toMatchObject({ code: 'response_too_large' });
  });

  it('HT-5 an endless body is cancelled at the cap, whatever Content-Length says', async () => {
    let pulled = 0;
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled += 100;
        controller.enqueue(new Uint8Array(100).fill(120));
      },
      cancel: () => {
        cancelled = true;
      },
    });
    const error = await refused(sent(answering(() => new Response(body, { headers: { 'content-length': '2' } }))));
    expect(error.code).toBe('response_too_large');
    expect(cancelled).toBe(true);
    expect(pulled).toBeLessThanOrEqual(1_300);
  });

  it('HT-5 a gzip bomb of a real server stops at the cap', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const origin = await serve((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'application/json' }).end(bomb),
    );
    const platform = unitPlatform({ fetch: (...args) => fetch(...args) });
    const before = process.memoryUsage().rss;
    expect(await refused(sent(platform, METADATA_LIMITS, `${origin}/jwks`))).toMatchObject({ code: 'response_too_large' });
    expect(process.memoryUsage().rss - before).toBeLessThan(48 * 1024 * 1024);
  });

  it.each([400, 403, 429, 500])(
    '§0 HT-5 the body of a status %d has 64 KiB at most; beyond that only the status is told',
    async (status) => {
      const limits = { ...LIMITS, maxBytes: 512 * 1024 };
      const long = 'x'.repeat(64 * 1024);
      const at = (text: string) =>
        sent(
          answering(() => new Response(text, { status, headers: { 'retry-after': '9' } })),
          limits,
        );
      expect(await at(long)).toMatchObject({ status, text: long });
      const more = await at(`${long}x`);
      expect(more).toMatchObject({ status, text: '' });
      expect(more.headers.get('retry-after')).toBe('9');
    },
  );

  it('HT-5 a token answer may be half a MiB, metadata a quarter', () => {
    expect([TOKEN_LIMITS.maxBytes, METADATA_LIMITS.maxBytes]).toEqual([512 * 1024, 256 * 1024]);
    expect(TOKEN_LIMITS.timeoutMs).toBeGreaterThanOrEqual(15_000);
  });
});

/** A body whose end is not said before `end()`. */
const unended = (length: number, ...chunks: readonly string[]) => {
  let end = (): void => undefined;
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(bytes(chunk));
      end = () => controller.close();
    },
    cancel: () => void (cancelled = true),
  });
  const response = new Response(body, { headers: { 'content-length': String(length) } });
  return { answer: answering(() => response), end: () => end(), wasCancelled: () => cancelled };
};

describe('text', () => {
  const streamed = (...chunks: Uint8Array[]) =>
    answering(
      () =>
        new Response(
          new ReadableStream<Uint8Array>({
            start: (controller) => {
              chunks.forEach((chunk) => controller.enqueue(chunk));
              controller.close();
            },
          }),
        ),
    );

  it('HT-6 a character cut in two by chunks is put together', async () => {
    const euro = bytes('a€b');
    expect((await sent(streamed(euro.slice(0, 2), euro.slice(2, 3), euro.slice(3)))).text).toBe('a€b');
  });

  it.each<[string, Uint8Array]>([
    ['UTF-16 with its mark', new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0])],
    ['Latin-1', new Uint8Array([0x22, 0xe4, 0x22])],
    ['a character cut off at the end', bytes('€').slice(0, 2)],
    ['an overlong form', new Uint8Array([0xc0, 0xaf])],
  ])('HT-6 %s is response_invalid', async (_, body) => {
    expect(await refused(sent(streamed(body)))).toMatchObject({ code: 'response_invalid', class: 'unknown_outcome' });
  });

  const LENIENT: Limits = { ...LIMITS, isLenient: true };
  it.each<[string, Uint8Array, string]>([
    ['a byte that is no UTF-8', new Uint8Array([...bytes('{"a":"'), 0xe4, ...bytes('"}')]), '{"a":"\ufffd"}'],
    ['text after it', bytes('{"a":{"b":"}\\"}"}}<!-- {"c":1} -->'), '{"a":{"b":"}\\"}"}}'],
    ['blanks around it', bytes('\n {"a":1}\n'), '\n {"a":1}'],
  ])('E56 beside the object of a token response %s is overlooked', async (_, body, text) => {
    expect((await sent(streamed(body), LENIENT)).text).toBe(text);
  });
  it.each([
    ['UTF-16', new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0])],
    ['cut off', bytes('{"a":"b')],
    ['a list', bytes('[{"a":1}]')],
    ['behind other text', bytes('{"a"} {"b":1}')],
  ])('HT-6 what is %s becomes no object', async (_, body) => {
    const { text } = await sent(streamed(body), LENIENT);
    expect(() => void JSON.parse(text)).toThrow(SyntaxError);
  });

  it('HT-6 a byte order mark is dropped, as RFC 8259 §8.1 allows', async () => {
    expect((await sent(streamed(new Uint8Array([0xef, 0xbb, 0xbf]), bytes('{}')))).text).toBe('{}');
  });

  it('an object as long as was declared is whole, though its end is not said yet', async () => {
    const { answer, end, wasCancelled } = unended(9, '{"a"', ':"b"}');
    expect((await sent(answer)).text).toBe('{"a":"b"}');
    end();
    await settled();
    expect(wasCancelled()).toBe(false);
  });

  it.each([
    ['is cut in the middle, as that of a compressed answer can be', 5, ['{"a":', '"b"}']],
    ['is no object', 3, ['"a"', ' ']],
    ['is longer than what was declared', 4, ['{"a":', '"b"}']],
  ])('HT-5 HT-6 a text that %s is read to its end', async (_what, length, chunks) => {
    const { answer, end } = unended(length, ...chunks);
    let text: string | undefined;
    void sent(answer).then((exchange) => (text = exchange.text));
    await settled();
    expect(text).toBeUndefined();
    end();
    await settled();
    expect(text).toBe(chunks.join(''));
  });

  /** A body that fails after what it had. */
  const broken = (status: number, ...chunks: readonly string[]) => {
    const all = chunks.map(bytes);
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      const chunk = all.shift();
      if (chunk) controller.enqueue(chunk);
      else controller.error(new TypeError('terminated'));
    };
    return answering(() => new Response(new ReadableStream({ pull }), { status, headers: { 'content-length': '1000' } }));
  };

  it.each([
    ['', ['{"a":', '{}}']],
    [' and more', ['{"a":{}}', '<!-- ']],
  ])('RF-4 an object that came whole%s counts, though the connection breaks then', async (_, chunks) => {
    expect((await sent(broken(200, ...chunks))).text).toBe(chunks.join(''));
  });

  it('RF-4 half an object does not', async () => {
    expect(await refused(sent(broken(200, '{"a":{}')))).toMatchObject({ code: 'network_error' });
  });

  it.each([
    ['before its body', 429, [], ''],
    ['in its JSON', 503, ['{"error":"x'], ''],
    ['in its page', 503, ['<html>'], ''],
    ['after its JSON', 400, ['{"error":', '"invalid_grant"}'], '{"error":"invalid_grant"}'],
    ['after its JSON and more', 400, ['{"error":"invalid_grant"}', '<!--'], '{"error":"invalid_grant"}'],
  ])('E6 E7 the status of an error counts, though the connection breaks %s', async (_, status, chunks, text) => {
    const answer = await sent(broken(status, ...chunks));
    expect(answer).toMatchObject({ status, text });
    expect(answer.headers.get('content-length')).toBe('1000');
  });

  it.each([
    [200, '{"a":"€"}'],
    [400, '{"error":"x"}'],
    [200, ''],
  ])('E7 of an answer with status %d that has no stream of its body, as in React Native, the text is taken: %s', async (status, text) => {
    const answer = Object.defineProperties(new Response(text, { status }), { body: { value: undefined } });
    expect(
      (
        await sent(
          answering(() => answer),
          { ...LIMITS, maxBytes: 13 },
        )
      ).text,
    ).toBe(text);
  });

  it('HT-5 a text without a stream has its limit in bytes, too; of an error the status counts', async () => {
    const answer = (status: number) => Object.defineProperties(new Response('€'.repeat(4), { status }), { body: { value: undefined } });
    const limits = { ...LIMITS, maxBytes: 11 };
    expect(
      await refused(
        sent(
          answering(() => answer(200)),
          limits,
        ),
      ),
    ).toMatchObject({ code: 'response_too_large', status: 200 });
    expect(
      await sent(
        answering(() => answer(429)),
        limits,
      ),
    ).toMatchObject({ status: 429, text: '' });
  });

  it('E10 a text without a stream that never comes is given up', async () => {
    const text = () => new Promise<string>(() => undefined);
    const answer = Object.defineProperties(new Response(null), { body: { value: undefined }, text: { value: text } });
    const platform = answering(() => answer);
    const error = refused(sent(platform));
    await settled();
    platform.advance(30_000);
    expect(await error).toMatchObject({ code: 'timeout' });
  });

  describe('whose body is a stream of Node, as that of node-fetch and cross-fetch', () => {
    const answerWith = (body: Readable, status = 200): UnitPlatform =>
      answering(() => Object.defineProperties(new Response(null, { status }), { body: { value: body } }));
    /** Ends only if it is destroyed. */
    const open = (...chunks: readonly string[]): PassThrough => {
      const body = new PassThrough();
      for (const chunk of chunks) body.write(chunk);
      return body;
    };

    it.each([200, 400])('E7 of an answer with status %d the text is read', async (status) => {
      const body = Readable.from([Buffer.from('{"a":"\u20ac').subarray(0, 8), Buffer.from('\u20ac').subarray(2), Buffer.from('"}')]);
      expect((await sent(answerWith(body, status))).text).toBe('{"a":"\u20ac"}');
    });

    it.each([200, 400])('E7 that gives text, of an answer with status %d (setEncoding)', async (status) => {
      const body = Readable.from([Buffer.from('{"a":"\u20ac').subarray(0, 8), Buffer.from('\u20ac').subarray(2), Buffer.from('"}')], {
        objectMode: false,
      }).setEncoding('utf8');
      expect((await sent(answerWith(body, status))).text).toBe('{"a":"\u20ac"}');
    });

    it('HT-5 of text the bytes are counted', async () => {
      const body = open('\u20ac'.repeat(334)).setEncoding('utf8');
      expect(await refused(sent(answerWith(body)))).toMatchObject({ code: 'response_too_large' });
      expect(body.destroyed).toBe(true);
    });

    it.each<[string, unknown]>([
      ['bytes that are no UTF-8', Buffer.from([0xff])],
      ['what is neither bytes nor text', { a: 1 }],
    ])('HT-6 it is destroyed where it gives %s', async (_, chunk) => {
      const body = new PassThrough({ objectMode: true });
      body.write(chunk);
      expect(await refused(sent(answerWith(body)))).toMatchObject({ code: 'response_invalid' });
      expect(body.destroyed).toBe(true);
    });

    it('HT-5 it has its cap, and is destroyed at it', async () => {
      const body = open('x'.repeat(900), 'x'.repeat(101));
      expect(await refused(sent(answerWith(body)))).toMatchObject({ code: 'response_too_large', status: 200 });
      expect(body.destroyed).toBe(true);
    });

    it('E10 it is given up at the deadline, and an object that came whole counts (RF-4)', async () => {
      const bodies = [open('{"a":'), open('{"a":1}')] as const;
      const platforms = bodies.map((body) => answerWith(body));
      const asked = platforms.map((platform) => sent(platform, { ...LIMITS, isLenient: true }).catch((error: unknown) => error));
      await settled();
      for (const platform of platforms) platform.advance(30_000);
      expect(await asked[0]).toMatchObject({ code: 'timeout' });
      expect(await asked[1]).toMatchObject({ text: '{"a":1}' });
      expect(bodies.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    });

    it('RF-4 it breaks off', async () => {
      const breaking = (...chunks: readonly string[]): Readable =>
        Readable.from(
          (function* () {
            yield* chunks.map((chunk) => Buffer.from(chunk));
            throw new Error('canary');
          })(),
        );
      expect(await refused(sent(answerWith(breaking('{"a":'))))).toMatchObject({ code: 'network_error', class: 'unknown_outcome' });
      expect((await sent(answerWith(breaking('{"a":1}')))).text).toBe('{"a":1}');
    });

    it('7009-3 it is given up unread where the status says it all', async () => {
      const body = open('{"a":1}');
      expect(await sent(answerWith(body), REVOCATION_LIMITS)).toMatchObject({ status: 200, text: '' });
      expect(body.destroyed).toBe(true);
    });

    it('E10 one that comes after the deadline is destroyed', async () => {
      let answer = (_: Response): void => undefined;
      const platform = unitPlatform({ fetch: () => new Promise((resolve) => (answer = resolve)) });
      const error = refused(sent(platform));
      await settled();
      platform.advance(30_000);
      await error;
      const body = open('{"a":1}');
      answer(Object.defineProperties(new Response(null), { body: { value: body } }));
      await settled();
      expect(body.destroyed).toBe(true);
    });
  });

  it('RF-4 HT-5 an object that came whole counts, whatever follows up to the cap', async () => {
    expect((await sent(broken(200, '{"a":1}', ' '.repeat(1_000)))).text).toBe('{"a":1}');
  });

  it('HT-5 what goes on after a whole object is cancelled', async () => {
    const { answer, wasCancelled } = unended(9, '{"a":"b"}', 'x'.repeat(100));
    expect((await sent(answer)).text).toBe('{"a":"b"}');
    await settled();
    expect(wasCancelled()).toBe(true);
  });

  it('an answer without a body is empty text', async () => {
    expect((await sent(answering(() => new Response(null, { status: 204 })))).text).toBe('');
  });

  it.each([200, 204, 205, 400, 500])('responseOf rebuilds an answer of status %d', async (status) => {
    const response = responseOf({ status, headers: new Headers({ 'content-type': 'application/json' }), text: '' });
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([status, 'application/json', '']);
  });
});

describe('deadlines', () => {
  const untilAborted = (signal: AbortSignal | null | undefined, reject: (error: unknown) => void): void =>
    signal?.addEventListener('abort', () => reject(new DOMException('This operation was aborted', 'AbortError')));
  /** As a real fetch does it: the body fails when the signal is aborted. */
  const stalling = (init: RequestInit | undefined, ...chunks: string[]) =>
    new Response(
      new ReadableStream<Uint8Array>({
        start: (controller) => {
          chunks.forEach((chunk) => controller.enqueue(bytes(chunk)));
          untilAborted(init?.signal, (error) => controller.error(error));
        },
      }),
    );

  it('E10 the deadline covers the headers', async () => {
    const platform = unitPlatform({ fetch: (_, init) => new Promise((__, reject) => untilAborted(init?.signal, reject)) });
    const error = refused(sent(platform));
    await settled();
    expect(platform.timers()).toHaveLength(1);
    platform.advance(30_000);
    expect(await error).toMatchObject({ name: 'NetworkError', code: 'timeout', class: 'unknown_outcome', issuer: ISSUER });
    expect(platform.timers()).toEqual([]);
  });

  it('E10 the deadline covers the body: a stall after half of it is a timeout', async () => {
    const platform = unitPlatform({ fetch: (_, init) => Promise.resolve(stalling(init, '{"access_token":"canary')) });
    let done = false;
    const error = refused(sent(platform).finally(() => (done = true)));
    await settled();
    platform.advance(29_999);
    await settled();
    expect(done).toBe(false);
    platform.advance(1);
    expect(await error).toMatchObject({ name: 'NetworkError', code: 'timeout' });
    expect(JSON.stringify(await error)).not.toContain('canary');
  });

  it('E10 RF-4 an object that came whole counts at the deadline, though its body was never ended', async () => {
    const platform = unitPlatform({ fetch: (_, init) => Promise.resolve(stalling(init, '{"a":', '1}')) });
    const answer = sent(platform);
    await settled();
    platform.advance(30_000);
    expect((await answer).text).toBe('{"a":1}');
    expect(platform.timers()).toEqual([]);
  });

  it.each([
    ['whole, stalls', '{"error":"invalid_grant"}', '{"error":"invalid_grant"}'],
    ['begun, stalls', '{"error":"inv', ''],
  ])('E7 E10 the body of an error that is %s: it is waited for three seconds, and its status counts', async (_, chunk, text) => {
    const platform = unitPlatform({ fetch: (__, init) => Promise.resolve(stalling(init, chunk)) });
    const { fetch } = platform;
    const status = 400;
    const answer = sent({
      ...platform,
      fetch: async (...args) => new Response((await fetch(...args)).body, { status }),
    });
    let done = false;
    void answer.finally(() => (done = true));
    await settled();
    platform.advance(2_999);
    await settled();
    expect(done).toBe(false);
    platform.advance(1);
    expect(await answer).toMatchObject({ status, text });
    expect(platform.timers()).toEqual([]);
  });

  it.each([2, 300])('E10 RF-7 a program that stood still for %d s reads what came meanwhile', async (seconds) => {
    let arrive = (_: Response): void => undefined;
    const platform = unitPlatform({ fetch: () => new Promise((resolve) => (arrive = resolve)) });
    const answer = sent(platform);
    await settled();
    platform.advance(29_000);
    platform.sleep(seconds * 1_000);
    platform.advance(0); // timers come before sockets
    await settled();
    arrive(new Response('{"a":1}'));
    expect((await answer).text).toBe('{"a":1}');
    expect(platform.timers()).toEqual([]);
  });

  it('E10 a program that stands still again and again comes to an end', async () => {
    const platform = unitPlatform({ fetch: () => new Promise(() => undefined) });
    const error = refused(sent(platform));
    for (let i = 0; i < 6; i++) {
      await settled();
      platform.sleep(60_000);
      platform.advance(0);
    }
    expect(await error).toMatchObject({ code: 'timeout' });
  });

  it('E10 RF-7 a real program that is busy until after its deadline has not lost the answer', async () => {
    const origin = await serve((_, response) => void response.end('{"a":1}'));
    const busy = (): void => {
      for (const end = Date.now() + 1_000; Date.now() < end;);
    };
    const platform: UnitPlatform = {
      ...unitPlatform(),
      setTimer: defaultPlatform().setTimer,
      fetch: (...args) => (setImmediate(busy), fetch(...args)),
    };
    expect((await sent(platform, { ...LIMITS, timeoutMs: 800 }, `${origin}/token`)).text).toBe('{"a":1}');
  });

  it('E10 RF-10 a fetch that does not heed its signal is waited for no longer; what it brings later is dropped', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const late: ((answer: Response | Promise<never>) => void)[] = [];
    const platform = unitPlatform({ fetch: () => new Promise((resolve) => late.push(resolve)) });
    const errors = [refused(sent(platform)), refused(sent(platform))];
    await settled();
    platform.advance(30_000);
    for (const error of await Promise.all(errors))
      expect(error).toMatchObject({ name: 'NetworkError', code: 'timeout', class: 'unknown_outcome', issuer: ISSUER });
    expect(platform.timers()).toEqual([]);
    const { answer, wasCancelled } = unended(0, '{"a":1}');
    late[0]?.(await answer.fetch(URL_));
    late[1]?.(Promise.reject(new TypeError('canary')));
    await settled();
    expect(wasCancelled()).toBe(true);
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it.each([
    ['half an object', '{"a":', 'timeout'],
    ['a whole object (RF-4)', '{"a":1}', '{"a":1}'],
  ])('E10 a body that is a stream of its own, heeds no signal and stalls after %s, is given up', async (_, chunk, told) => {
    const { answer, wasCancelled } = unended(0, chunk);
    const came = sent(answer).then(
      ({ text }) => text,
      ({ code }: CredentialError) => code,
    );
    await settled();
    answer.advance(30_000);
    expect(await came).toBe(told);
    await settled();
    expect(wasCancelled()).toBe(true);
  });

  it('E10 a body that drips does not put the deadline off', async () => {
    let drip = (): void => undefined;
    const platform = unitPlatform({
      fetch: (_, init) =>
        Promise.resolve(
          new Response(
            new ReadableStream<Uint8Array>({
              start: (controller) => {
                drip = () => controller.enqueue(bytes('x'));
                untilAborted(init?.signal, (error) => controller.error(error));
              },
            }),
          ),
        ),
    });
    const error = refused(sent(platform));
    await settled();
    for (let i = 0; i < 29; i++) {
      drip();
      platform.advance(1_000);
    }
    await settled();
    platform.advance(1_000);
    expect((await error).code).toBe('timeout');
  });

  it('leaves no timer behind, after success and after failure', async () => {
    const fine = answering(() => new Response('{}'));
    await sent(fine);
    expect(fine.timers()).toEqual([]);
    const broken = unitPlatform({ fetch: () => Promise.reject(new TypeError('fetch failed')) });
    await refused(sent(broken));
    expect(broken.timers()).toEqual([]);
  });

  it.each<[string, unknown, string]>([
    ['a cause with a code', { cause: Object.assign(new Error('canary'), { code: 'ECONNREFUSED' }) }, ' (ECONNREFUSED)'],
    ['a cause with a code of OpenSSL', { cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } }, ' (DEPTH_ZERO_SELF_SIGNED_CERT)'],
    ['a code that is text', { cause: { code: 'canary: refused' } }, ''],
    ['a code that is a number', { cause: { code: 7 } }, ''],
    ['a code that is too long', { cause: { code: 'C'.repeat(61) } }, ''],
    ['a cause of null', { cause: null }, ''],
    ['no cause', {}, ''],
  ])('E51 no answer and %s: where from, and the code alone', async (_, more, code) => {
    const fetch = () => Promise.reject(Object.assign(new TypeError('canary'), more));
    const error = await refused(sent(unitPlatform({ fetch }), LIMITS, `${URL_}?secret=canary`));
    expect(error.message).toBe(
      `No readable answer from https://id.example.com/token: offline, refused, aborted, or not allowed by CORS${code}.`,
    );
    expect(error.cause).toBeUndefined();
  });

  it.each([
    ['ENOTFOUND', undefined, 'transient'],
    ['EAI_AGAIN', undefined, 'transient'],
    ['ECONNREFUSED', undefined, 'transient'],
    ['UND_ERR_CONNECT_TIMEOUT', undefined, 'transient'],
    ['CERT_HAS_EXPIRED', undefined, 'transient'],
    ['ENETUNREACH', 'connect', 'transient'],
    ['EHOSTUNREACH', 'read', 'unknown_outcome'],
    ['ECONNRESET', 'read', 'unknown_outcome'],
    ['ETIMEDOUT', undefined, 'unknown_outcome'],
    ['UND_ERR_SOCKET', undefined, 'unknown_outcome'],
  ])('RF-8 of a request that failed with %s (%s) the class is right', async (code, syscall, errorClass) => {
    const fetch = () => Promise.reject(Object.assign(new TypeError('fetch failed'), { cause: { code, syscall } }));
    expect(await refused(sent(unitPlatform({ fetch })))).toMatchObject({ code: 'network_error', class: errorClass });
  });

  it.each([
    ['Bun: refused', Object.assign(new TypeError('Unable to connect.'), { code: 'ECONNREFUSED' }), 'transient'],
    ['Bun: a name that is none', Object.assign(new TypeError('x'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' }), 'transient'],
    ['Bun: a connection that broke', Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'unknown_outcome'],
    // It sends a second time by itself: the first may have arrived
    ['Deno: no connection', deno('client error (Connect): tcp connect error: Connection refused (os error 111)'), 'unknown_outcome'],
    ['Deno: a connection that broke', deno('client error (SendRequest): connection closed before message completed'), 'unknown_outcome'],
  ])('RF-8 of a request that failed in another runtime the class is right: %s', async (_, thrown, errorClass) => {
    const fetch = () => Promise.reject(thrown);
    expect(await refused(sent(unitPlatform({ fetch })))).toMatchObject({ code: 'network_error', class: errorClass });
  });

  it('E51 Node says that nobody listens', async () => {
    const origin = await serve(() => undefined);
    await Promise.all([...servers].map((server) => new Promise((resolve) => server.close(resolve))));
    const platform = unitPlatform({ fetch: (...args) => fetch(...args) });
    const { message } = await refused(sent(platform, LIMITS, `${origin}/token`));
    expect(message).toBe(`No readable answer from ${origin}/token: offline, refused, aborted, or not allowed by CORS (ECONNREFUSED).`);
  });

  it.each<[string, RequestListener]>([
    ['never ends', (_, response) => void response.writeHead(200).write('x')],
    ['is no UTF-8', (_, response) => void response.end(Buffer.from([0xff, 0x80]))],
    ['is too long', (_, response) => void response.end('x'.repeat(1024 * 1024))],
    [
      'breaks off',
      (_, response) => void (response.writeHead(200, { 'content-length': '9' }).write('x'), setTimeout(() => response.destroy(), 5)),
    ],
  ])('7009-3 where the status says it all, a body that %s is given up', async (_, listener) => {
    const origin = await serve(listener);
    const platform = unitPlatform({ fetch: (...args) => fetch(...args) });
    expect(await sent(platform, REVOCATION_LIMITS, `${origin}/revoke`)).toMatchObject({ status: 200, text: '' });
    expect(platform.timers()).toEqual([]);
  });

  it('7009-4 of a refusal the body is read', async () => {
    const answer = answering(() => new Response('{"error":"unsupported_token_type"}', { status: 400 }));
    expect((await sent(answer, REVOCATION_LIMITS)).text).toContain('unsupported');
  });

  it.each<[string, () => Promise<Response>]>([
    ['fetch rejects', () => Promise.reject(new TypeError('fetch failed canary'))],
    [
      'the body breaks off',
      () => Promise.resolve(new Response(new ReadableStream({ start: (controller) => controller.error(new Error('canary')) }))),
    ],
  ])('%s: network_error of unknown outcome, without the words of the other error', async (_, fetch) => {
    const error = await refused(sent(unitPlatform({ fetch })));
    expect(error).toBeInstanceOf(NetworkError);
    expect(error).toMatchObject({ code: 'network_error', class: 'unknown_outcome' });
    expect(error.cause).toBeUndefined();
    expect(`${error.message}${error.stack}`).not.toContain('canary');
  });
});
