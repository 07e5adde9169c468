// Any programs of one storage that are not alike, in any order of commands: nobody is signed out, no token is sent twice, and all agree.
import fc from 'fast-check';
import type { Credential } from '../../src/index.js';
import { sealed, staticKeys } from '../../src/storage/sealed/index.js';
import { runs } from '../support/counts.js';
import { offline, refusal } from '../support/fake-client.js';
import { closeAll, createWorld, inTime, settle, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface ProgramOptions {
  readonly persist: 'all' | 'refresh-only';
  readonly ahead: boolean;
  /** How far its clock is off, in milliseconds. */
  readonly clockMs: number;
}

const programOptions: fc.Arbitrary<ProgramOptions> = fc.record({
  persist: fc.constantFrom('all', 'refresh-only'),
  ahead: fc.boolean(),
  clockMs: fc.constantFrom(0, 0, 0, -1.5 * MINUTE, 1.5 * MINUTE, -6 * MINUTE, 6 * MINUTE),
});

/** What a program does, with one of its credentials. */
type Command = (world: World, tab: Tab, one: Credential | null | undefined) => unknown;
const COMMANDS: Readonly<Record<string, Command>> = {
  signIn: ({ authority }, { store }) => store.store(authority.signIn({ sub: 'alice' })),
  signInOther: ({ authority }, { store }) => store.store(authority.signIn({ sub: 'bob' }), { tags: ['other'] }),
  signInAgain: ({ authority }, { store }, one) =>
    one && store.store(authority.signIn({ sub: one.claims?.sub ?? 'alice' }), { replace: one }),
  ask: (_, __, one) => one?.accessToken(),
  askElsewhere: (_, __, one) => one?.accessToken({ resource: 'https://api.example/' }),
  refresh: (_, __, one) => one?.refresh(),
  tag: (_, __, one) => one?.setTags(['tagged']),
  becomeDefault: (_, { store }, one) => store.setDefault(one ?? null),
  revoke: (_, __, one) => one?.revoke(),
  remove: (_, __, one) => one?.remove(),
  failOnTheWay: ({ authority }) => authority.next(offline(), 'garbage', refusal('temporarily_unavailable')),
  sleep: async ({ browser }, { platform }) => {
    platform.emit('frozen');
    await settle();
    browser.sleep(MINUTE);
    platform.emit('resumed');
  },
};
const step = fc.record({
  command: fc.constantFrom(...Object.keys(COMMANDS), 'ask', 'ask', 'signIn', 'revokeAccess', 'restart'),
  by: fc.nat(2),
  of: fc.nat(3),
  options: programOptions,
  thenMs: fc.constantFrom(0, 0, 0, 40, 3000, 20_000, HOUR),
});

describe('E45 D-018 D-064 programs that are not alike', () => {
  it('sign nobody out, send no token twice, and agree in the end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(programOptions, { minLength: 2, maxLength: 3 }),
        fc.array(step, { minLength: 5, maxLength: 25 }),
        fc.boolean(),
        fc.constantFrom(1, 1, 2, 0),
        async (programs, steps, isSealed, timesTold) => {
          const world = createWorld();
          world.browser.setDelivery(timesTold);
          const open = ({ clockMs, persist, ahead }: ProgramOptions): Promise<Tab> =>
            world.openTab({
              storage: isSealed ? sealed(world.disk.storage(), { keys: KEYS }) : world.disk.storage(),
              options: { persist, renewal: { ahead } },
              platform: { now: () => world.browser.now() + clockMs },
            });
          const tabs = await Promise.all(programs.map(open));
          const running: Promise<unknown>[] = [];
          /** By credential: so many tokens had been made when its access tokens were revoked, whoever held them. */
          const madeBefore = new Map<string, number>();
          const revokeAccess: Command = async ({ authority: { secrets } }, _, one) => {
            const made = secrets.length;
            const result = await one?.revoke('access');
            if (one && result?.accessToken.status === 'revoked') madeBefore.set(one.id, Math.max(made, madeBefore.get(one.id) ?? 0));
          };
          for (const { command, by, of, options, thenMs } of steps) {
            const i = by % tabs.length;
            const tab = tabs[i];
            if (command === 'restart') {
              await inTime(world.browser, tab.store.close(), HOUR);
              tabs[i] = await open(options);
            } else {
              const ids = tab.store.snapshot().ids;
              const one = ids.length > 0 ? await tab.store.with(ids[of % ids.length]) : undefined;
              const act = COMMANDS[command] ?? revokeAccess;
              running.push(expected((async () => act(world, tab, one))()));
            }
            await world.browser.advance(thenMs);
          }
          await inTime(world.browser, Promise.all(running), HOUR);
          world.authority.forgetPlans();
          await world.browser.advance(2 * MINUTE); // a sign-out that was cut short is taken up
          /** Programs to which nobody tells anything read again when they are looked at. */
          const look = async (): Promise<void> => {
            for (const tab of tabs) tab.platform.emit('visible');
            await world.browser.advance(100);
          };
          await look();
          const shown = (tab: Tab): unknown =>
            tab.store
              .snapshot()
              .credentials.map(({ id, generation, tags, isDefault, status }) => [id, generation, tags, isDefault, status.token]);
          for (const tab of tabs) {
            for (const one of await tab.store.find(() => true)) {
              const ask = (): Promise<string> => inTime(world.browser, one.accessToken(), HOUR);
              const accessToken = await ask();
              expect(world.authority.revocations.map(({ token }) => token)).not.toContain(accessToken);
              expect(world.authority.secrets.indexOf(accessToken)).toBeGreaterThanOrEqual(madeBefore.get(one.id) ?? 0);
              const requests = world.authority.refreshes.length;
              expect([await ask(), world.authority.refreshes.length]).toEqual([accessToken, requests]);
            }
          }
          await look();
          for (const tab of tabs) expect(shown(tab)).toEqual(shown(tabs[0]));
          for (const { status } of tabs.flatMap(({ store }) => store.snapshot().credentials)) expect(status.token).toBe('valid');
          expect(world.authority.reuses()).toBe(0);
          await closeAll();
        },
      ),
      { numRuns: runs(100, 3000) },
    );
  }, 600_000);
});

const KEYS = staticKeys([{ kid: 'k', key: new Uint8Array(32).fill(1) }]);

/** Commands may fail: of what was removed meanwhile, or on the way. Never by an error that nobody documents. */
async function expected(command: Promise<unknown>): Promise<void> {
  await command.catch((error: unknown) => expect(error).toHaveProperty('code'));
}
