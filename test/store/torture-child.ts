// A program with stores that seven others use at the same time. It gets a token when it is told to, and says each step of a refresh, if it comes to one.
//   node torture-child.mjs '{ "hurry": … }'
// Its lines are written at once, so that a kill loses none that was said. At some steps it can be told to stop: then it goes on, or is killed.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { filter, firstValueFrom, race, Subject } from 'rxjs';
import { createCredentialStore, createToken, type Credential, type CredentialStore } from '../../src/index';
import type { CredentialRecord } from '../../src/credential/record';
import { CredentialError } from '../../src/errors';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import { fileStorage } from '../../src/storage/file/index';
import { sealed, staticKeys } from '../../src/storage/sealed/index';
import type { CredentialStorage } from '../../src/storage/storage';

/** What a program is told at its start. */
export interface TortureOptions {
  /** What a refresh waits for on purpose (settling, pauses between sends) is so many times shorter. */
  readonly hurry: number;
}

/** A storage that the programs share. */
export interface Place {
  readonly kind: 'plain' | 'sealed';
  readonly folder: string;
  readonly issuer: string;
}

/** Steps that are said: before the intent is written, before sending, when an answer arrives, before and after the next token is written. */
export type Step = 'intends' | 'sends' | 'heard' | 'commits' | 'wrote';

/** One line of its input. */
export type Order =
  | ({ readonly ask: number; readonly id: string; readonly stops: readonly Step[] } & Clock & Place)
  | ({ readonly signIn: string; readonly forget: string | null; readonly tokens: Tokens } & Clock & Place)
  | { readonly goOn: true };

/** How far the clocks of all programs are ahead, in milliseconds. */
interface Clock {
  readonly aheadMs: number;
}

/** RFC 6749 §5.1. */
interface Tokens {
  readonly access_token: string;
  readonly refresh_token?: string;
  readonly expires_in: number;
  readonly scope: string;
}

/** Tries of one question, before something must be wrong. */
const MAX_TRIES = 30;

const { hurry } = JSON.parse(process.argv[2]) as TortureOptions;
const { hrtime } = process;
const say = (line: Readonly<Record<string, unknown>>): void =>
  void writeSync(1, `${JSON.stringify({ ...line, ns: String(hrtime.bigint()) })}\n`);

let aheadMs = 0;
let round = 0;
let stops: readonly Step[] = [];
const goOns = new Subject<void>();

async function reach(at: Step): Promise<void> {
  const waits = stops.includes(at);
  const goOn = firstValueFrom(goOns, { defaultValue: undefined });
  say({ round, at, waits });
  if (waits) await goOn;
}

const real = defaultPlatform();
const platform: Platform = {
  ...real,
  now: () => Date.now() + aheadMs,
  setTimer: (callback, delayMs, isAwaited) => real.setTimer(callback, isAwaited ? delayMs / hurry : delayMs, isAwaited),
  fetch: async (url, init) => {
    if (!(url as string).endsWith('/token')) return fetch(url, init);
    await reach('sends');
    const response = await fetch(url, init);
    await reach('heard');
    return response;
  },
};

/** Says what is written of a credential. */
function telling(storage: CredentialStorage): CredentialStorage {
  let intended = Infinity;
  const write: CredentialStorage['write'] = async (record, condition) => {
    const { intent, generation, state } = record as unknown as CredentialRecord; // or the store's own: that has none of these
    if (intent) {
      await reach('intends');
      intended = intent.generation;
    }
    const isCommit = !intent && state === 'active' && generation > intended;
    if (isCommit) await reach('commits');
    const written = await storage.write(record, condition);
    if (isCommit && written) {
      intended = Infinity;
      await reach('wrote');
    }
    return written;
  };
  return { ...storage, write };
}

const keys = staticKeys([{ kid: 'one', key: new Uint8Array(32).fill(7) }]);
const stores = new Map<string, CredentialStore>();

function storeAt({ kind, folder, issuer }: Place): CredentialStore {
  const known = stores.get(folder);
  if (known) return known;
  const plain = fileStorage({ folder, platform });
  const storage = telling(kind === 'sealed' ? sealed(plain, { keys, platform }) : plain);
  const store = createCredentialStore({ clients: { issuer, clientId: 'spa', platform }, storage, platform });
  store.events$.subscribe((event) => {
    if (/quarantined|not_durable/.test(event.type)) say({ trouble: event });
  });
  stores.set(folder, store);
  return store;
}

/** Asks until there is a token, or none will ever come. Between tries it waits as long as it was told, or until another has got the token. */
async function ask(store: CredentialStore, id: string): Promise<void> {
  const asked = round;
  say({ round: asked, asks: id });
  const credential = await store.with(id);
  if (!credential) return say({ round: asked, over: 'absent' });
  for (let tries = 1; ; tries++) {
    try {
      return say({ round: asked, got: await credential.accessToken(), tries });
    } catch (error) {
      const { code, retryAfterMs = 0 } = error as Partial<CredentialError>;
      const isOver = code === 'needs_sign_in' || tries === MAX_TRIES || !(error instanceof CredentialError);
      if (isOver) return say({ round: asked, over: code ?? String(error), reason: credential.state.reason });
      say({ round: asked, failed: code });
      await passed(credential, retryAfterMs);
    }
  }
}

async function passed(credential: Credential, ms: number): Promise<void> {
  const over = new Subject<void>();
  const timer = setTimeout(() => over.next(), ms);
  await firstValueFrom(race(over, credential.state$.pipe(filter(({ status }) => status.token === 'valid'))), { defaultValue: undefined });
  clearTimeout(timer);
}

async function signIn(store: CredentialStore, { signIn: id, forget, tokens, issuer }: Extract<Order, { signIn: string }>): Promise<void> {
  if (forget !== null) await (await store.with(forget))?.remove();
  const [issuedAt, { scope }] = [platform.now(), tokens];
  await store.store(
    createToken({
      id,
      accessToken: tokens.access_token,
      ...(tokens.refresh_token !== undefined && { refreshToken: tokens.refresh_token }),
      tokenType: 'Bearer',
      scope,
      issuedAt,
      expiresAt: issuedAt + tokens.expires_in * 1_000,
      claims: null,
      context: { issuer, clientId: 'spa', scope },
    }),
  );
  say({ signedIn: id });
}

async function main(): Promise<void> {
  say({ ready: true });
  const asked: Promise<void>[] = [];
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line) as Order;
    if ('goOn' in order) {
      goOns.next();
      continue;
    }
    aheadMs = order.aheadMs;
    if ('signIn' in order) await signIn(storeAt(order), order);
    else {
      round = order.ask;
      stops = order.stops;
      asked.push(ask(storeAt(order), order.id));
    }
  }
  await Promise.all(asked);
  for (const store of stores.values()) await store.close();
  say({ closed: true });
  process.exit();
}
void main(); // what it throws ends the program
