// A play for real stores: several tabs with one credential, a server in one of its modes, and a list of what users, pages, disks and networks do.
// What must hold at its end is counted at the server (standards.md §20).
import {
  createCredentialStore,
  createOAuth2Client,
  type OAuth2Client,
  createToken,
  isCredentialError,
  type Credential,
  type CredentialStore,
} from '../../src/index.js';
import { createRefreshServer, seededRandom, type RefreshMode, type RefreshServer } from '../support/refresh-server/index.js';
import { createStage, type Page, type Stage, type StageFlaw, type Wire } from './stage.js';

export type Deed = 'refresh' | 'renew' | 'tag' | 'revoke' | 'crash' | 'freeze' | 'wake' | 'fill the disk' | 'free the disk';

/** Something that is done in a tab. */
export interface Act {
  /** How many things happen between the act before and this one. */
  readonly after: number;
  /** `holder`: whichever has the lock of the refresh; if none has, nothing is done. */
  readonly tab: number | 'holder';
  readonly does: Deed;
}

export interface Script {
  /** Draws the order of all that happens, and which requests and answers are lost. */
  readonly seed: number;
  readonly mode: RefreshMode;
  readonly tabs: number;
  readonly persist: 'all' | 'refresh-only';
  /** The access token lives on, renewal is ahead, and a rotated refresh token is taken again for a minute only. */
  readonly lives: boolean;
  /** The metadata of the server is at hand from the beginning. */
  readonly prepared: boolean;
  /** How many requests or answers are lost or refused at most. */
  readonly losses: number;
  readonly acts: readonly Act[];
}

/** What came of a play: all that was not as it must be. */
export interface Verdict {
  readonly broken: readonly string[];
  /** How many token requests there were. */
  readonly requests: number;
  readonly signedOut: boolean;
}

const ID = 'credential';
const CLIENT = 'spa';

interface Tab {
  readonly page: Page;
  readonly client: OAuth2Client;
  readonly store: CredentialStore;
}

/** A token request, for the observer. */
interface Sent {
  readonly page: Page;
  /** The page froze meanwhile: somebody else has the lock. */
  isParked: boolean;
}

interface Observed {
  readonly broken: string[];
  readonly underWay: Set<Sent>;
  /** Refresh tokens that came to a page, and the page. */
  readonly received: Map<string, Page>;
  /** How many requests and answers were lost or refused. */
  losses: number;
}

/** Plays to the end. @param flaw the browser is a broken one */
export async function play(script: Script, flaw?: StageFlaw): Promise<Verdict> {
  const random = seededRandom(script.seed);
  const stage = createStage(random, flaw);
  const server = createRefreshServer({
    mode: script.mode,
    leewayMs: script.lives ? 60_000 : 86_400_000,
    now: () => stage.now(),
    revocation: script.seed % 2 === 0 ? 'grant' : 'token',
  });
  const observed: Observed = { broken: [], underWay: new Set(), received: new Map(), losses: 0 };
  const wire = createWire(stage, server, observed, script, random);
  const open = (): Tab => {
    const page = stage.openPage(wire);
    // Who is not told of the leeway leaves what another program has sent until the token is due (D-055)
    const leeway = script.lives && { reuseLeewayMs: 60_000 };
    const client = createOAuth2Client({ issuer: server.issuer, clientId: CLIENT, platform: page.platform, ...leeway });
    return {
      page,
      client,
      store: createCredentialStore({
        clients: client,
        storage: page.storage,
        platform: page.platform,
        persist: script.persist,
        renewal: { ahead: script.lives },
      }),
    };
  };
  const tabs = Array.from({ length: script.tabs }, open);
  await signIn(tabs[0], server, script);
  if (script.prepared) tabs.forEach(({ client }) => void client.metadata()); // else the first refresh of each asks for it
  await stage.exhaust(0);

  stage.shuffle();
  const commands: Command[] = [];
  for (const act of script.acts) {
    for (let left = act.after; left > 0 && (await stage.step()); left--);
    perform(act, tabs, stage, open, commands, observed);
  }
  while (await stage.step());
  for (const { page } of tabs) {
    page.setFull(false);
    page.wake();
  }
  if (script.lives) tabs.push(open()); // the page is loaded again, should all of them be dead
  await stage.exhaust(120_000);
  await judge({ script, stage, server, observed, commands, open });
  await meanwhile(stage, Promise.all(tabs.filter(({ page }) => !page.isDead()).map(({ store }) => store.close())));
  return { broken: observed.broken, requests: server.counts().requests, signedOut: isGone(stage) };
}

async function signIn(tab: Tab | undefined, server: RefreshServer, { lives }: Script): Promise<void> {
  const { access_token: accessToken, refresh_token: refreshToken, scope } = await server.authorize('alice', { scope: 'api:read' });
  const issuedAt = Date.UTC(2026, 0, 1) - 600_000;
  const claims = { iss: server.issuer, sub: 'alice', aud: CLIENT, exp: 1, iat: 1 };
  const context = { issuer: server.issuer, clientId: CLIENT, scope };
  const lifetime = { issuedAt, expiresAt: issuedAt + (lives ? 7_200_000 : 1) }; // else it has expired
  const token = createToken({
    id: ID,
    accessToken,
    tokenType: 'Bearer',
    scope,
    ...lifetime,
    claims,
    context,
    ...(refreshToken && { refreshToken }),
  });
  await tab?.store.store(token);
}

type Fate = 'arrives' | 'is lost' | 'is refused' | 'loses its answer';

/** The network: requests and answers come late, or not at all. */
function createWire(stage: Stage, server: RefreshServer, observed: Observed, { losses }: Script, random: () => number): Wire {
  const serve = server.asFetch();
  const draw = (): Fate => {
    if (observed.losses >= losses || random() < 0.6) return 'arrives';
    observed.losses++;
    return (['is lost', 'is refused', 'loses its answer'] as const)[Math.floor(random() * 3)] ?? 'arrives';
  };
  return async (url, { signal: _, ...message }, page) => {
    if (message.method !== 'POST') return serve(url, message);
    const isToken = url.endsWith('/token');
    const sent: Sent = { page, isParked: false };
    if (isToken) observed.underWay.add(sent);
    if ([...observed.underWay].filter((one) => !one.isParked && !one.page.isDead()).length > 1)
      observed.broken.push('RF-1 two requests of holders are under way');
    const fate = isToken ? draw() : 'arrives';
    const answer = await stage.later(async () => {
      const isCutOff = page.isDead() && random() < 0.5;
      if (fate === 'is lost' || isCutOff) return null;
      return fate === 'is refused' ? new Response('{}', { status: 503 }) : serve(url, message);
    });
    const text = (await answer?.text()) ?? '';
    return stage.later(() => {
      const isLost = answer === null || fate === 'loses its answer';
      stage.reach(page, () => {
        observed.underWay.delete(sent);
        const token = /"refresh_token":"([^"]+)"/.exec(isLost ? '' : text)?.[1];
        if (token !== undefined) observed.received.set(token, page);
      });
      if (isLost) throw new TypeError('fetch failed');
      return new Response(text === '' ? null : text, { status: answer.status, headers: answer.headers });
    });
  };
}

interface Command {
  readonly page: Page;
  readonly does: Deed;
  /** `undefined`: it goes on. */
  outcome?: string;
}

function perform(act: Act, tabs: Tab[], stage: Stage, open: () => Tab, commands: Command[], observed: Observed): void {
  const { does } = act;
  const holder = stage.holderOf('app:refresh:' + ID);
  const place = act.tab === 'holder' ? tabs.findIndex(({ page }) => page === holder) : act.tab % tabs.length;
  if (tabs[place]?.page.isDead()) tabs[place] = open(); // started again
  const tab = tabs[place];
  if (!tab) return;
  const { page, store } = tab;
  switch (does) {
    case 'crash':
      return page.crash();
    case 'freeze':
      if (page.isFrozen()) return;
      for (const sent of observed.underWay) if (sent.page === page) sent.isParked = true;
      return page.freeze();
    case 'wake':
      return page.wake();
    case 'fill the disk':
    case 'free the disk':
      return page.setFull(does === 'fill the disk');
    default:
  }
  if (page.isFrozen()) return; // no user is there
  const command: Command = { page, does };
  commands.push(command);
  void codeOf(ordered(store, does)).then((code) => (command.outcome = code ?? 'done'));
}

async function ordered(store: CredentialStore, does: Deed): Promise<unknown> {
  const credential = await store.with(ID);
  if (does === 'refresh') return credential?.refresh();
  if (does === 'renew') return credential?.accessToken({ refused: credential.token?.accessToken ?? '' });
  return does === 'tag' ? credential?.setTags(['tagged']) : credential?.revoke();
}

interface Judged {
  readonly script: Script;
  readonly stage: Stage;
  readonly server: RefreshServer;
  readonly observed: Observed;
  readonly commands: readonly Command[];
  readonly open: () => Tab;
}

const MAY_FAIL_WITH = ['done', 'credential_removed', 'needs_sign_in', 'network_error', 'server_unavailable', 'storage_failed'];

async function judge({ script, stage, server, observed, commands, open }: Judged): Promise<void> {
  const { broken } = observed;
  const has = (does: Deed): boolean => script.acts.some((act) => act.does === does);
  for (const { page, does, outcome = 'nothing' } of commands) {
    const isFine = MAY_FAIL_WITH.includes(outcome) || (page.isDead() && outcome === 'nothing');
    if (!isFine) broken.push(`${does} came to ${outcome}`);
  }
  const faults = observed.losses + script.acts.filter(({ does }) => ['crash', 'freeze', 'fill the disk'].includes(does)).length;
  const { requests, reuse } = server.counts();
  const asked = commands.filter(({ does }) => does === 'refresh' || does === 'renew').length;
  if (requests > asked + faults) broken.push(`RF-7 ${requests} requests for ${asked} refreshes and ${faults} faults`);
  if (faults === 0 && reuse > 0 && script.mode !== 'keep') broken.push('RF-2 a token was used twice');
  observed.losses = Infinity; // from here on the network works
  const { store } = open(); // which takes up what others have begun
  const credential = await meanwhile(stage, store.with(ID));
  if (credential && !isGone(stage)) {
    if (!isBeyondAnyClient(script, faults)) await afterAll(credential, script, faults, stage, broken);
  } else if (!has('revoke')) broken.push('RF-9 the credential is gone');
  else if (!has('freeze') && !has('fill the disk')) {
    await stage.exhaust(10_000);
    afterSignOut(server, observed);
  }
  await meanwhile(stage, store.close());
}

/** The session goes on; or it is lost as the server has it, and the user is told so. */
async function afterAll(credential: Credential, { mode }: Script, faults: number, stage: Stage, broken: string[]): Promise<void> {
  const code = await meanwhile(stage, codeOf(credential.refresh()));
  if (code === null) return;
  const { reason } = credential.state;
  if (!mode.startsWith('strict') || faults === 0) broken.push(`RF-8 the session is lost: ${code}, ${reason}`);
  else if (code !== 'needs_sign_in' || reason !== 'rotation_lost') broken.push(`RF-8 the loss is reported as ${code}, ${reason}`);
}

/** Waits while everything goes on. */
async function meanwhile<T>(stage: Stage, waited: Promise<T>): Promise<T> {
  let isOver = false;
  const over = waited.finally(() => (isOver = true));
  over.catch(() => undefined);
  for (let turns = 0; !isOver && turns < 1_000; turns++) await stage.exhaust(1_000);
  if (!isOver) throw new Error('what is waited for never comes');
  return over;
}

/** Why a promise was rejected; `null`: it was not. */
async function codeOf(promise: Promise<unknown> | undefined): Promise<string | null> {
  try {
    await promise;
    return null;
  } catch (error) {
    return isCredentialError(error) ? error.code : String(error);
  }
}

/** RF-13: whoever got a token that was not the one that was stored has revoked it. */
function afterSignOut(server: RefreshServer, { received, broken }: Observed): void {
  const current = new Set(server.grants().flatMap(({ id, current: indices }) => indices.map((index) => `${id} ${index}`)));
  for (const [token, page] of received) {
    const { grant, index, live } = server.lookUp(token) ?? { grant: '', live: false };
    if (live && !page.isDead() && current.has(`${grant} ${index}`)) broken.push('RF-13 a refresh token lives on after the sign-out');
  }
}

/** Several faults at once, of which no client can know (see `invariants.ts`). */
function isBeyondAnyClient({ mode, acts }: Script, faults: number): boolean {
  const has = (does: Deed): boolean => acts.some((act) => act.does === does);
  if (has('fill the disk') && faults > 1) return true;
  return mode === 'leeway-latest' && has('freeze') && faults > 1;
}

function isGone({ disk }: Stage): boolean {
  const state = disk.records.has(ID) ? disk.record(ID)['state'] : 'removed';
  return state === 'removed' || state === 'revoking';
}
