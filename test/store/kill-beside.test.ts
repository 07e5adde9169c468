// Two programs with stores over one folder of the file storage; one of them is killed again and again.
import { isDeepStrictEqual } from 'node:util';
import { runs } from '../support/counts';
import type { Child } from '../support/file-children';
import { leftovers, newFolder } from '../support/file-folder';
import { ownPart, type Command, type View } from './kill-model';
import { createJudge, startProgram, type Program } from './kill-programs';

const KILLS = runs(4, 100);
const SHARED = ['shared-0', 'shared-1'];
/** Shared credentials that each of the two programs refreshes at least, before one of them is killed. */
const REFRESHES = 2;

/** A refresh request that a program sent, and whether the program was killed before it could say what came of it. */
interface Sent {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly cut: boolean;
}

/** The last line with this member, once there are as many of them. */
function lineOf({ lines, until }: Program, member: string, count = 1): Promise<View> {
  return until(() => {
    const found = lines.filter((line) => member in line);
    return found.length >= count ? (found.at(-1)?.[member] as View) : undefined;
  });
}

function untilItSees({ lines, until }: Program, view: View): Promise<true> {
  return until(() => isDeepStrictEqual(lines.findLast((line) => 'sees' in line)?.['sees'], view) || undefined);
}

function sentBy({ lines }: Child): readonly Sent[] {
  const ends = lines.map(({ end }) => end as Command | undefined);
  return lines.flatMap(({ sent }) => {
    if (!sent) return [];
    const { id, from, to } = sent as Sent;
    return [{ id, from, to, cut: !ends.some((end) => end?.do === 'refresh' && end.mark === to) }];
  });
}

function sharedBy(program: Child): number {
  return sentBy(program).filter(({ id }) => SHARED.includes(id)).length;
}

/** Both work at once until each has refreshed what they share, and the one that is to be killed has said so many lines more. */
async function workTogether(survivor: Program, victim: Program, more: number): Promise<void> {
  const before = sharedBy(survivor);
  for (const program of [survivor, victim]) program.order({ go: true });
  await survivor.until(() => sharedBy(survivor) >= before + REFRESHES || undefined);
  await victim.until(() => sharedBy(victim) >= REFRESHES || undefined);
  const enough = victim.lines.length + more;
  await victim.until(() => victim.lines.length >= enough || undefined);
}

/** The marks of a credential from the first to the last, by what was presented for what. */
function historyOf(last: string, sent: readonly Sent[]): readonly string[] {
  const marks = [last];
  for (let before = sent.find(({ to }) => to === last); before; before = sent.find(({ to }) => to === marks[0])) marks.unshift(before.from);
  return marks;
}

describe.each([
  ['fileStorage', false],
  ['sealed(fileStorage)', true],
])('two programs with stores over one %s, of which one is killed again and again', (_, seals) => {
  it(
    'RF-1 RF-6 lose nothing, see what the other committed, and present each refresh token once',
    async () => {
      const folder = newFolder();
      const survivor = await startProgram({ folder, sealed: seals, task: 'beside', name: 's', prefix: 's-', seed: 1 });
      for (const id of SHARED) survivor.order({ do: { do: 'store', id, sub: id, mark: `first-${id}`, tags: [] } });
      const judge = createJudge('v-');
      const victims: Program[] = [];
      for (let number = 0; number <= KILLS; number++) {
        survivor.order({ rest: true });
        const rest = await lineOf(survivor, 'rest', number + 1);
        const isLast = number === KILLS;
        const victim = await startProgram({
          folder,
          sealed: seals,
          task: isLast ? 'look' : 'beside',
          name: `v${number}`,
          prefix: 'v-',
          seed: number,
        });
        victims.push(victim);
        const found = await lineOf(victim, 'settled');
        expect(ownPart(found, 's-')).toEqual(ownPart(rest, 's-'));
        await untilItSees(survivor, found);
        if (isLast) expect(await victim.ended).toBe(0);
        else {
          await workTogether(survivor, victim, (number * 11) % 40);
          victim.process.kill('SIGKILL');
          expect(await victim.ended).toBe('SIGKILL');
        }
        judge.hear(victim.lines);
      }
      survivor.process.stdin?.end();
      expect(await survivor.ended).toBe(0);
      createJudge('s-').hear(survivor.lines);
      expect(await leftovers(folder)).toEqual([]);
      comparePresented(survivor, victims);
    },
    KILLS * 30_000,
  );
});

/** No refresh token is presented twice, unless the first to do so was killed before its answer was stored; no answer stored is lost. */
function comparePresented(survivor: Child, victims: readonly Child[]): void {
  const sent = [survivor, ...victims].flatMap(sentBy);
  const whole = sent.filter(({ cut }) => !cut).map(({ from }) => from);
  expect(whole).toEqual([...new Set(whole)]);
  const { credentials } = victims.at(-1)?.lines.find((line) => 'settled' in line)?.['settled'] as View;
  for (const id of SHARED) {
    const history = historyOf(credentials[id]?.mark ?? '', sent);
    expect(history[0]).toBe(`first-${id}`);
    const acknowledged = [survivor, ...victims].flatMap(({ lines }) =>
      lines.filter(({ end }) => end).map((line) => (line['view'] as View).credentials[id]?.mark),
    );
    expect(history).toEqual(expect.arrayContaining([...new Set(acknowledged)].filter((mark) => mark !== undefined)));
  }
  expect(sharedBy(survivor)).toBeGreaterThanOrEqual(REFRESHES * KILLS);
}
