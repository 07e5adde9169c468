// Eight programs of torture-child.ts on the same folders. Those that are killed are replaced at once.
import { spawn } from 'node:child_process';
import { buildForNode } from '../support/file-build';
import { follow, type Child, type Line } from '../support/file-children';
import type { Order, Step, TortureOptions } from './torture-child';

/** What a program is asked to do in a round. */
export type Question = Extract<Order, { ask: number }>;

/** A program, and what it has said in this round. */
export interface Member extends Child {
  readonly name: string;
  readonly said: Line[];
  order(what: Order): void;
}

/** A program that was killed in this round. */
export interface Victim {
  readonly name: string;
  /** It had sent a refresh request, or was about to. */
  readonly hasSent: boolean;
  /** What came of it was durable. */
  readonly hasWritten: boolean;
}

/** The programs. */
export interface Fleet {
  /** Those that live, in a fixed order; a replacement takes the place of who was killed. */
  readonly members: readonly Member[];
  /** Asks all at once. Programs that are started until the next question are asked the same, but need not stop anywhere. */
  ask(question: Question, onLine: (member: Member, line: Line) => void): void;
  /** Kills a program, starts another in its place, and resolves when the first is gone. */
  kill(member: Member): Promise<void>;
  /** All that were killed since the last question. */
  victims(): readonly Victim[];
  /** What the question finds, asked again after whatever happens. Rejects if a program ends that nobody killed. */
  until<T>(question: () => T | undefined): Promise<T>;
  /** Lets all end, and resolves with how they did. */
  end(): Promise<readonly (number | NodeJS.Signals | null)[]>;
}

/** Starts so many programs. */
export async function startFleet(size: number, options: TortureOptions): Promise<Fleet> {
  const program = await buildForNode('test/store/torture-child.ts');
  const dying = new Set<Member>();
  const waiting = new Set<() => void>();
  const members: Member[] = [];
  let victims: Victim[] = [];
  let started = 0;
  let failure: Error | undefined;
  let question: Question | undefined;
  let hear: (member: Member, line: Line) => void = () => undefined;
  const wake = (): void => waiting.forEach((look) => look());

  const start = (): Member => {
    const child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => undefined); // it is dead already
    const member: Member = {
      ...follow(child, (line) => {
        if (line['round'] === question?.ask) member.said.push(line);
        if (line['trouble']) failure ??= new Error(`${member.name}: ${JSON.stringify(line)}`);
        if (line['round'] === question?.ask && !dying.has(member)) hear(member, line);
        wake();
      }),
      name: `p${started++}`,
      said: [],
      order: (what) => void child.stdin.write(`${JSON.stringify(what)}\n`),
    };
    void member.ended.then((how) => {
      if (!dying.has(member)) failure ??= new Error(`${member.name} ended by itself (${how}): ${JSON.stringify(member.lines.slice(-3))}`);
      wake();
    });
    return member;
  };
  for (let i = 0; i < size; i++) members.push(start());

  return {
    members,
    ask: (next, onLine) => {
      [question, hear, victims] = [next, onLine, []];
      for (const member of members) {
        member.said.length = 0;
        member.order(next);
      }
    },
    kill: async (member) => {
      dying.add(member);
      member.process.kill('SIGKILL');
      const replacement = start();
      members.splice(members.indexOf(member), 1, replacement);
      if (question) replacement.order({ ...question, stops: [] });
      await member.ended;
      victims = [...victims, { name: member.name, hasSent: hasSaid(member, 'sends'), hasWritten: hasSaid(member, 'wrote') }];
      wake();
    },
    victims: () => victims,
    until: (find) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = failure ? undefined : find();
          if (found === undefined && !failure) return;
          waiting.delete(look);
          if (failure) reject(failure);
          else resolve(found as NonNullable<typeof found>);
        };
        waiting.add(look);
        look();
      }),
    end: async () => {
      for (const member of members) {
        dying.add(member);
        member.process.stdin?.end();
      }
      return Promise.all(members.map((member) => member.ended));
    },
  };
}

function hasSaid({ said }: Member, step: Step): boolean {
  return said.some(({ at }) => at === step);
}
