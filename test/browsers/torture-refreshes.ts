// Refreshes that eight tabs want at the same time, in which nothing breaks but the clock or the browser as a whole.
import assert from 'node:assert/strict';
import { askAndWait, hold } from './torture-holders';
import {
  addressOf,
  assertNinth,
  assertSignedIn,
  type Case,
  countsOf,
  expired,
  given,
  inAll,
  loaded,
  median,
  MODES,
  nameOf,
  type Profile,
  type Room,
  signIn,
  signInAndExpire,
  subjectOf,
  subjects,
  TABS,
  until,
} from './torture-lab';

export async function together(room: Room, staggerMs: number): Promise<string> {
  const [spreads, times]: [number[], number[]] = [[], []];
  for (let round = 0; round < room.rounds; round++) {
    const mode = MODES[Math.max(0, (round % 5) - 2)] ?? 'strict-revoke'; // three of five
    const isDue = round % 4 === 3; // it still lives, but not for long
    const tabs = room.tabs.map((_, i) => given(room.tabs[(i + round) % TABS])); // another one stores each time
    const cases = await signIn(room, tabs, [{ mode, place: round % 2 === 0 ? 'plain' : 'sealed' }], isDue ? 20_000 : 250);
    const [one] = cases;
    if (!one) continue;
    for (const [i, tab] of tabs.entries()) await tab.evaluate((all, ms) => torture.beginOnGo(all, ms), subjects(cases), i * staggerMs);
    if (!isDue) await expired(room, cases);
    await tabs[0]?.evaluate(() => torture.go());
    await until('all tabs have asked', async () =>
      (await inAll(room, tabs, (all) => torture.hasBegun(all), subjects(cases))).every(Boolean),
    );
    const answers = (await inAll(room, tabs, (all) => torture.answers(all), subjects(cases))).flat();
    assertSignedIn(one, answers);
    await inAll(room, tabs, (subject) => torture.renewed(subject, 1), subjectOf(one));
    assert.deepEqual(countsOf(one), { requests: 1, reuse: 0 }, nameOf(one));
    const tokens = await inAll(room, tabs, (subject) => torture.refreshToken(subject), subjectOf(one));
    assert.equal(new Set(tokens).size, 1, 'all tabs hold the same refresh token');
    assert.ok(one.server.core.isLive(tokens[0] ?? ''), `${nameOf(one)}: the session is lost`);
    await assertNinth(room, cases);
    const asked = answers.map(({ askedAt }) => askedAt);
    spreads.push(Math.max(...asked) - Math.min(...asked));
    times.push(Math.max(...answers.map(({ answeredAt }) => answeredAt)) - Math.min(...asked));
  }
  return `${room.rounds} rounds, 1 request each, 0 reuse, 0 lost; asked within ${median(spreads)} ms, all valid after ${median(times)} ms`;
}

/** Nobody asks: all tabs find at the same time that the default's token is due. */
export async function ahead(room: Room): Promise<string> {
  const rounds = Math.ceil(room.rounds / 2);
  for (let round = 0; round < rounds; round++) {
    const cases = await signIn(room, room.tabs, [{ mode: MODES[round % 3] ?? 'strict-fail', place: 'ahead' }], 30_000);
    const [one] = cases;
    const [tab] = room.tabs;
    if (!one || !tab) continue;
    await tab.evaluate((subject) => torture.setDefault(subject), subjectOf(one));
    await inAll(room, room.tabs, (subject) => torture.renewed(subject, 1), subjectOf(one));
    await assertNinth(room, cases);
    assert.deepEqual(countsOf(one), { requests: 2, reuse: 0 }, `${nameOf(one)}: one by the tabs, one by the ninth`);
    await tab.evaluate((all) => torture.signOut(all, 'remove'), subjects(cases)); // or it is renewed again one day
  }
  return `${rounds} rounds, 1 request each, 0 reuse, 0 lost`;
}

const HOUR_MS = 3_600_000;

export async function leaps(room: Room): Promise<string> {
  const leapsMs = [HOUR_MS, -HOUR_MS];
  const cases: Case[] = [];
  for (let round = 0; round < room.rounds; round++) {
    const leapMs = leapsMs[round % 2] ?? 0;
    const isMidway = round % 4 >= 2; // in the middle of a refresh, or between two
    const holder = given(room.tabs[round % TABS]);
    const kind = { mode: MODES[round % 3] ?? 'strict-fail', place: round % 5 === 4 ? 'sealed' : 'plain' } as const;
    const [one] = isMidway ? await signInAndExpire(room, room.tabs, [kind]) : await signIn(room, room.tabs, [kind], 300_000);
    if (!one) continue;
    cases.push(one);
    const held = isMidway ? await hold(holder, one, 'arrived') : undefined;
    const others = held ? room.tabs.filter((tab) => tab !== holder) : room.tabs;
    if (held) await askAndWait(room, others, subjects([one]));
    room.clock.aheadMs += leapMs; // the server's, too: the device has slept, or its clock was corrected
    await inAll(room, room.tabs, (ms) => torture.setAhead(ms), room.clock.aheadMs);
    held?.releaseServer();
    if (!held) await inAll(room, room.tabs, (all) => torture.begin(all), subjects([one]));
    const answers = (await inAll(room, room.tabs, (all) => torture.answers(all), subjects([one]))).flat();
    assertSignedIn(one, answers, `leap of ${leapMs} ms${isMidway ? ' in the middle of a refresh' : ''}`);
    const requests = leapMs > 0 ? (isMidway ? 2 : 1) : isMidway ? 1 : 0; // an answer may be as old as its request: then it has expired, too
    assert.deepEqual(countsOf(one), { requests, reuse: 0 }, `${nameOf(one)}, leap of ${leapMs} ms`);
    await assertNinth(room, [one]);
  }
  room.clock.aheadMs = 0;
  await inAll(room, room.tabs, () => torture.setAhead(0));
  return `${cases.length} leaps of an hour, forward and back, between refreshes and in the middle of one: no request too many, 0 reuse, 0 lost`;
}

export async function restarted(room: Room, newProfile: () => Promise<Profile>): Promise<string> {
  const kinds = MODES.flatMap((mode) => (['plain', 'sealed'] as const).map((place) => ({ mode, place })));
  const restarts = Math.ceil(room.rounds / 10);
  const profile = await newProfile();
  const ends = ['killed', 'closed'] as const;
  try {
    let { tabs, ...engine } = await profile.start([addressOf(room)], 'closed');
    for (let round = 0; round < restarts; round++) {
      await Promise.all(tabs.map(loaded));
      const cases = await signIn({ ...room, engine }, tabs, kinds, 250);
      await expired(room, cases);
      const addresses = Array.from({ length: TABS }, () => addressOf(room, subjects(cases)));
      ({ tabs, ...engine } = await profile.start(addresses, ends[round % 2] ?? 'killed'));
      const restored = { ...room, engine, spare: {} };
      await Promise.all(tabs.map(loaded));
      const answers = await inAll(restored, tabs, (all) => torture.answers(all), subjects(cases));
      for (const [i, one] of cases.entries()) {
        assertSignedIn(one, answers.map((all) => given(all[i])), 'after a restart'); // prettier-ignore
        assert.deepEqual(countsOf(one), { requests: 1, reuse: 0 }, nameOf(one));
      }
      await assertNinth(restored, cases);
    }
  } finally {
    await profile.close();
  }
  return `${restarts} restarts, ${restarts * kinds.length} cases, 1 request each, 0 reuse, 0 lost`;
}
