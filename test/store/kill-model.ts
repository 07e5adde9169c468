// What a store must hold after a command, after a kill in the middle of one, and what may be asked of it next. Shared by the programs that
// are killed (kill-child.ts) and the tests that judge them. Pure.
import { createToken } from '../../src/credential/create-token';
import type { Token } from '../../src/credential/token';
import { CLIENT_ID, ISSUER } from '../support/fake-client';

/** One credential as a program sees it. */
export interface Seen {
  /** What all parts of its token are named after; `null` where it has none that may be used; `torn` with the parts if they disagree. */
  readonly mark: string | null;
  readonly tags: readonly string[];
  readonly sub: string | undefined;
  readonly state: string;
}

/** A whole store as a program sees it. */
export interface View {
  readonly defaultId: string | null;
  readonly credentials: Readonly<Record<string, Seen>>;
}

/** Something to do to a store. `mark` names the token that it brings. */
export type Command =
  | { readonly do: 'store'; readonly id: string; readonly sub: string; readonly mark: string; readonly tags: readonly string[] }
  | { readonly do: 'refresh'; readonly id: string; readonly mark: string; readonly staged: boolean }
  | { readonly do: 'setTags'; readonly id: string; readonly tags: readonly string[] }
  | { readonly do: 'setDefault'; readonly id: string | null }
  | { readonly do: 'remove' | 'lose'; readonly id: string }
  | { readonly do: 'revoke'; readonly id: string; readonly target: 'all' | 'refresh' }
  | { readonly do: 'clear' };

export const EMPTY: View = { defaultId: null, credentials: {} };
const FILLER = 'x'.repeat(400);

/** A token whose parts all show the mark: a mixture of two would show two. */
export function markedToken(id: string, sub: string, mark: string): Token {
  const issuedAt = Date.now();
  return createToken({
    id,
    accessToken: `access-${mark}-${FILLER}`,
    refreshToken: `refresh-${mark}`,
    idToken: `id-${mark}-${FILLER}`,
    tokenType: 'Bearer',
    scope: `${mark} openid`,
    issuedAt,
    expiresAt: issuedAt + 3_600_000,
    claims: { iss: ISSUER, sub, aud: CLIENT_ID, exp: 1, iat: 1 },
    context: { issuer: ISSUER, clientId: CLIENT_ID, scope: 'openid' },
  });
}

/** The one mark of a token, or that there are several. */
export function markOf(token: Token): string {
  const { accessToken, refreshToken = '', idToken = '', scope } = token;
  const marks = [/^access-(.*)-x{400}$/, /^refresh-(.*)$/, /^id-(.*)-x{400}$/, /^(?:openid )?(.*?)(?: openid)?$/].map(
    (pattern, part) => pattern.exec([accessToken, refreshToken, idToken, scope][part])?.[1],
  );
  return marks.every((mark) => mark === marks[0]) ? String(marks[0]) : `torn ${marks.join()}`;
}

/** Answers that may be durable though nobody said so: marks by id. */
export type Staged = ReadonlyMap<string, string>;

/** What a store may hold once the command was acknowledged. One thing, but for an answer that an earlier program may have staged. */
export function outcomes(view: View, command: Command, staged: Staged): readonly View[] {
  switch (command.do) {
    case 'store':
      return [stored(view, command)];
    case 'refresh':
      return [command.mark, staged.get(command.id)].filter((mark) => mark !== undefined).map((mark) => changed(view, command.id, { mark }));
    case 'lose': {
      const waits = staged.get(command.id);
      const lost = changed(view, command.id, { mark: null, state: 'needs_sign_in' });
      return waits === undefined ? [lost] : [lost, changed(view, command.id, { mark: waits })];
    }
    case 'setTags':
      return [changed(view, command.id, { tags: command.tags })];
    case 'setDefault':
      return [{ ...view, defaultId: command.id }];
    case 'remove':
    case 'revoke':
      return [without(view, [command.id])];
    case 'clear':
      return [EMPTY];
  }
}

/** What the next program may find if the one before was killed while it did the command: the old or the new, nothing between. */
export function findings(view: View, command: Command | undefined, staged: Staged): readonly View[] {
  const after = command ? outcomes(view, command, staged) : [];
  // A revocation is two writes: the mark that ends the use of the token, and the removal, which the next program takes up.
  const marked = command?.do === 'revoke' ? [changed(view, command.id, { mark: null, state: 'revoking' })] : [];
  return [view, ...after, ...marked].flatMap((one) => [one, settled(one)]);
}

/** The view once begun revocations are over. */
export function settled(view: View): View {
  const over = Object.entries(view.credentials).filter(([, { state }]) => state === 'revoking');
  return without(
    view,
    over.map(([id]) => id),
  );
}

/** What concerns the credentials of one program. Who is the default is everybody's, and left out. */
export function ownPart(view: View, prefix: string): View {
  const own = Object.entries(view.credentials).filter(([id]) => id.startsWith(prefix));
  return prefix === '' ? view : { defaultId: null, credentials: Object.fromEntries(own) };
}

function stored(view: View, { id, sub, mark, tags }: Command & { do: 'store' }): View {
  const ended = Object.entries(view.credentials)
    .filter(([, one]) => one.state === 'needs_sign_in' && one.sub === sub)
    .toSorted(([a], [b]) => Number(b === view.defaultId) - Number(a === view.defaultId));
  const waits = ended.find(([, one]) => tags.every((tag) => one.tags.includes(tag))) ?? ended.find(([, one]) => one.tags.length === 0);
  const [taken, before] = waits ?? [id]; // its user is back
  const seen: Seen = { mark, tags: before && before.tags.length > 0 ? before.tags : tags, sub, state: 'valid' };
  const standard = view.defaultId === null ? undefined : view.credentials[view.defaultId];
  const isFirst = Object.keys(view.credentials).length === 0;
  const isNeeded = standard ? standard.state !== 'valid' : isFirst; // D-013
  return { defaultId: isNeeded ? taken : view.defaultId, credentials: { ...view.credentials, [taken]: seen } };
}

function changed(view: View, id: string, change: Partial<Seen>): View {
  const before = view.credentials[id] ?? { mark: null, tags: [], sub: '', state: '' };
  return { ...view, credentials: { ...view.credentials, [id]: { ...before, ...change } } };
}

function without(view: View, ids: readonly string[]): View {
  return {
    defaultId: view.defaultId !== null && ids.includes(view.defaultId) ? null : view.defaultId,
    credentials: Object.fromEntries(Object.entries(view.credentials).filter(([id]) => !ids.includes(id))),
  };
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Whoever goes through many commands. */
export interface Chooser {
  readonly random: () => number;
  /** The beginning of the ids that are this program's to change; `''`: all are. Others are only refreshed, if they begin with `shared`. */
  readonly prefix: string;
  /** A name that nothing else has. */
  readonly fresh: () => string;
  /** Ids that were removed here, and can come back. */
  readonly removed: readonly string[];
}

/** Any command that makes sense in this store. */
export function anyCommand(view: View, { random, prefix, fresh, removed }: Chooser): Command {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const own = Object.entries(ownPart(view, prefix).credentials);
  const valid = own.filter(([, { state }]) => state === 'valid').map(([id]) => id);
  const lost = own.filter(([, { state }]) => state === 'needs_sign_in');
  const fewer = removed.filter((id) => !(id in view.credentials));
  const tags = [fresh(), 'tag'];
  /** The user, mostly for what her credential is for. */
  const backAs = ({ sub = '', tags: own }: Seen): Partial<Command & { do: 'store' }> => ({ sub, ...(random() < 0.7 && { tags: own }) });
  if (valid.length < 2) {
    const isBack = lost.length > 0 && random() < 0.7;
    const id = !isBack && fewer.length > 0 && random() < 0.4 ? pick(fewer) : `${prefix}${fresh()}`;
    return { do: 'store', id, sub: fresh(), mark: fresh(), tags, ...(isBack && backAs(pick(lost)[1])) };
  }
  const id = pick(valid);
  const roll = random() * (prefix === '' ? 1 : 0.97);
  if (own.length > 6) return { do: 'remove', id };
  if (roll < 0.2)
    return { do: 'store', id: `${prefix}${fresh()}`, sub: fresh(), mark: fresh(), tags, ...(lost.length > 0 && backAs(pick(lost)[1])) };
  if (roll < 0.5) {
    const shared = Object.keys(view.credentials).filter((one) => one.startsWith('shared'));
    return { do: 'refresh', id: shared.length > 0 && random() < 0.7 ? pick(shared) : id, mark: fresh(), staged: random() < 0.4 };
  }
  if (roll < 0.62) return { do: 'setTags', id, tags };
  if (roll < 0.74) return { do: 'setDefault', id: random() < 0.25 ? null : id };
  if (roll < 0.82) return { do: 'remove', id };
  if (roll < 0.91) return { do: 'revoke', id, target: random() < 0.5 ? 'all' : 'refresh' };
  return roll < 0.97 ? { do: 'lose', id } : { do: 'clear' };
}

/** Every command once, each with its kinds, on a store that holds anything. */
export function everyCommand(name: string): readonly Command[] {
  const [a, b, c] = ['a', 'b', 'c'].map((letter) => `${name}-${letter}`);
  const store = (id: string, mark: string, sub = id, tags = [mark]): Command => ({ do: 'store', id, sub, mark: `${name}-${mark}`, tags });
  return [
    { do: 'clear' },
    store(a, '1'),
    store(b, '2'),
    { do: 'setTags', id: a, tags: ['other'] },
    { do: 'refresh', id: a, mark: `${name}-3`, staged: false },
    { do: 'refresh', id: b, mark: `${name}-4`, staged: true },
    { do: 'setDefault', id: b },
    { do: 'setDefault', id: null },
    { do: 'lose', id: a },
    store(`${name}-d`, '5', a, ['other']),
    { do: 'remove', id: b },
    store(b, '6'),
    store(c, '7'),
    { do: 'setDefault', id: c },
    { do: 'revoke', id: c, target: 'all' },
  ];
}
