// A program with a whole store over the file storage: it does commands and says what was acknowledged, until it is killed.
//   node kill-child.mjs '{ "task": "script" | "random" | "beside", … }'
// Its lines are written at once, so that a kill loses none that was said. Refreshes are answered here.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { firstValueFrom } from 'rxjs';
import { createCredentialStore } from '../../src/index';
import type { OAuth2Client } from '../../src/oauth/client';
import { refreshTokenIn } from '../../src/oauth/token-response';
import { defaultPlatform, type Platform } from '../../src/platform/platform';
import { createFileStorage } from '../../src/storage/file/file-storage';
import { sealed, staticKeys } from '../../src/storage/sealed/index';
import { createFakeAuthority, refusal } from '../support/fake-client';
import { hooked } from '../support/file-faults';
import { anyCommand, everyCommand, markedToken, markOf, randomFrom, type Command, type Seen, type View } from './kill-model';

/** What a program is told. */
export interface ChildOptions {
  readonly folder: string;
  readonly sealed: boolean;
  /**
   * `script`: every command once. `random`: `first`, then any until it is killed; `beside`: any as long as its input says so;
   * `look`: none.
   */
  readonly task: 'script' | 'random' | 'beside' | 'look';
  /** No other program on the folder has this name. */
  readonly name: string;
  readonly prefix?: string;
  readonly seed?: number;
  /** What is done first if it can be done. */
  readonly first?: Command;
  /** Dies before this system call: the how-manieth during the how-manieth command; 0 is the start. Where it has fewer, after the last. */
  readonly dies?: { readonly during: number; readonly before: number };
}

const { folder, sealed: seals, task, name, prefix = '', seed = 0, first, dies } = JSON.parse(process.argv[2]) as ChildOptions;
const asleep = new Int32Array(new SharedArrayBuffer(4));
/** Writes some of the bytes, or none while whoever reads them is busy and the pipe is full. */
function written(bytes: Uint8Array): number {
  try {
    return writeSync(1, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    Atomics.wait(asleep, 0, 0, 1);
    return 0;
  }
}
/** Says a line, at once and whole. */
const say = (line: unknown): void => {
  for (let rest = Buffer.from(`${JSON.stringify(line)}\n`); rest.length > 0;) rest = rest.subarray(written(rest));
};
setInterval(() => undefined, 2 ** 30); // it ends when it is told to

/** System calls by command, as far as they were made. */
const calls: string[][] = [[]];
const die = (): void => void process.kill(process.pid, 'SIGKILL');
const files = hooked((call, path) => {
  const part = path.endsWith('.json') ? 'record' : path.includes('/locks/') ? 'lock' : path.startsWith('/proc') ? 'process' : 'folder';
  const made = calls.at(-1) ?? [];
  if (calls.length - 1 === dies?.during && made.length === dies.before) {
    say({ dying: `${call} ${part}` });
    die();
  }
  made.push(`${call} ${part}`);
});

let waits = 0;
const platform: Platform = {
  ...defaultPlatform(),
  setTimer: (callback, delayMs) => {
    if (delayMs > 0 && delayMs <= 2) waits++; // how waiting for a lock begins
    return defaultPlatform().setTimer(callback, delayMs);
  },
};

/** The refresh that is being asked for; `null`: whatever is asked for is refused. */
let answering: (Command & { do: 'refresh' }) | null = null;
const client: OAuth2Client = {
  ...createFakeAuthority(() => platform.now()).client(platform),
  sendRefresh: ({ id, refreshToken = '' }) => {
    if (!answering) return Promise.reject(refusal('invalid_grant'));
    say({ sent: { id, from: refreshToken.slice('refresh-'.length), to: answering.mark } });
    const text = JSON.stringify({ access_token: 'a', refresh_token: `refresh-${answering.mark}`, token_type: 'Bearer' });
    return Promise.resolve({ text, sentAt: platform.now(), receivedAt: platform.now() });
  },
  needsKeys: () => answering?.staged === true,
  processRefresh: ({ id, claims }, { text }) =>
    Promise.resolve(markedToken(id, claims?.sub ?? '', (refreshTokenIn(text) ?? '').slice('refresh-'.length))),
};

const plain = createFileStorage({ folder, namespace: 'rx-credentials', platform }, { files });
const keys = staticKeys([{ kid: 'one', key: new Uint8Array(32).fill(7) }]);
const credentials = createCredentialStore({ clients: client, storage: seals ? sealed(plain, { keys, platform }) : plain, platform });
credentials.events$.subscribe((event) => {
  if (/quarantined|not_durable|interaction/.test(event.type)) say({ trouble: event });
});

async function view(): Promise<View> {
  const { defaultId, credentials: states } = credentials.snapshot();
  const seen = states.map(async ({ id, tags, claims, status }): Promise<readonly [string, Seen]> => {
    const token = await firstValueFrom(credentials.token$(id));
    const state = status.activity === 'revoking' ? 'revoking' : status.token;
    return [id, { mark: token && markOf(token), tags, sub: claims?.sub, state }];
  });
  return { defaultId, credentials: Object.fromEntries(await Promise.all(seen)) };
}

const removed: string[] = [];
async function obey(command: Command): Promise<unknown> {
  answering = command.do === 'refresh' ? command : null;
  if ('id' in command && command.do === 'remove') removed.push(command.id);
  switch (command.do) {
    case 'store':
      return credentials.store(markedToken(command.id, command.sub, command.mark), { tags: command.tags });
    case 'setDefault':
      return credentials.setDefault(command.id);
    case 'clear':
      return credentials.clear();
  }
  const credential = await credentials.with(command.id);
  switch (command.do) {
    case 'refresh':
      return credential?.refresh();
    case 'lose':
      return credential?.refresh().catch((error: { code?: string }) => {
        if (error.code !== 'needs_sign_in') throw error;
      });
    case 'setTags':
      return credential?.setTags(command.tags);
    case 'remove':
      return credential?.remove();
    case 'revoke':
      return credential?.revoke(command.target);
  }
}

async function act(command: Command): Promise<void> {
  calls.push([]);
  say({ begin: command });
  await obey(command);
  say({ end: command, view: await view(), waits });
  if (calls.length - 1 === dies?.during) die(); // likewise
}

/** Until what an earlier program began to revoke is gone. */
async function settle(): Promise<void> {
  await credentials.ready;
  say({ found: await view() });
  while (credentials.snapshot().credentials.some(({ status }) => status.activity === 'revoking')) await new Promise(setImmediate);
  say({ settled: await view(), durable: credentials.snapshot().durable, waits });
  if (dies?.during === 0) die(); // it had fewer steps this time
}

let count = 0;
const chooser = { random: randomFrom(seed), prefix, fresh: () => `${name}-${count++}`, removed };
const next = async (): Promise<Command> => anyCommand(await view(), chooser);
async function canDo(command: Command): Promise<boolean> {
  const { credentials: all } = await view();
  if (command.do === 'store')
    return !(command.id in all) && Object.values(all).every(({ sub, state }) => sub !== command.sub || state !== 'valid');
  return command.do === 'clear' || command.id === null || all[command.id]?.state === 'valid';
}

/** Says what it sees whenever that changes, and works between `go` and `rest`. */
async function liveBeside(): Promise<void> {
  let looking: Promise<void> | undefined;
  let isNews = false;
  const look = async (): Promise<void> => {
    while (isNews) {
      isNews = false;
      say({ sees: await view() });
    }
    looking = undefined;
  };
  credentials.state$.subscribe(() => {
    isNews = true;
    looking ??= look();
  });
  let working: Promise<void> | undefined;
  let goesOn = false;
  const work = async (): Promise<void> => {
    while (goesOn) await act(await next());
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line) as { go?: true; rest?: true; do?: Command };
    if (order.do) await act(order.do);
    goesOn = order.go === true;
    if (goesOn) working = work();
    else await working;
    if (order.rest) say({ rest: await view() });
  }
}

async function main(): Promise<void> {
  await settle();
  if (task === 'beside') await liveBeside();
  if (task === 'script') for (const command of everyCommand(name)) await act(command);
  if (task === 'random') {
    if (first && (await canDo(first))) await act(first);
    for (;;) await act(await next());
  }
  calls.push([]);
  await credentials.close();
  say({ closed: true, calls: calls.map((made) => made.length) });
  process.exit();
}
void main(); // what it throws ends the program
