// What eight tabs of one origin are put through, in any engine: torture.mjs brings the engine.
import { holderAway, holderBackEarly, holderLost, signedOut } from './torture-holders';
import { given, inAll, type LabOptions, MODES, open, type Room, startServer, TABS } from './torture-lab';
import { ahead, leaps, restarted, together } from './torture-refreshes';

/** One kind of torture; resolves with what was counted, in words. */
export interface Scenario {
  readonly name: string;
  readonly run: () => Promise<string>;
}

/** Eight tabs, three servers, one page. */
export interface Lab {
  readonly scenarios: readonly Scenario[];
  /** Errors that nobody caught in the tabs since it was asked last. */
  troubles(): Promise<readonly string[]>;
  /** Closes the tabs and the servers. */
  close(): Promise<void>;
}

/** Opens eight tabs. */
export async function openLab({ engine, url, rounds, createRefreshServer, newProfile }: LabOptions): Promise<Lab> {
  const clock = { aheadMs: 0 };
  const listeners = await Promise.all(MODES.map((mode) => startServer(createRefreshServer, mode, () => Date.now() + clock.aheadMs)));
  const servers = listeners.map(({ server }) => server);
  const room: Room = { engine, rounds, clock, servers, namespace: 'torture', url, tabs: [], spare: {} };
  for (let i = 0; i < TABS; i++) room.tabs.push(await open(room));
  const can = given(room.tabs[0]);
  return {
    scenarios: [
      { name: 'one instant', run: () => together(room, 0) },
      { name: 'staggered by 15 ms', run: () => together(room, 15) },
      { name: 'renewed ahead, unasked', run: () => ahead(room) },
      ...(newProfile ? [{ name: 'restarted', run: () => restarted(room, newProfile) }] : []),
      ...(can.crash ? [{ name: 'holder killed', run: () => holderLost(room, 'killed') }] : []),
      { name: 'holder closed', run: () => holderLost(room, 'closed') },
      { name: 'signed out by remove', run: () => signedOut(room, 'remove') },
      { name: 'signed out by revoke', run: () => signedOut(room, 'revoke') },
      { name: 'clocks leap', run: () => leaps(room) },
      ...(can.freeze ? [{ name: 'holder frozen', run: () => holderAway(room, 'frozen') }] : []),
      ...(can.freeze ? [{ name: 'holder frozen for a moment', run: () => holderBackEarly(room, 'frozen') }] : []),
      ...(can.leave ? [{ name: 'holder navigated away', run: () => holderAway(room, 'navigated') }] : []),
      ...(can.leave && engine.cachesPages
        ? [{ name: 'holder navigated away for a moment', run: () => holderBackEarly(room, 'navigated') }]
        : []),
    ],
    troubles: async () => (await inAll(room, room.tabs, () => torture.troubles())).flat(),
    close: async () => {
      for (const tab of [...room.tabs, room.spare.tab]) await tab?.close().catch(() => undefined); // it may be gone
      await Promise.all(listeners.map(({ close }) => close()));
    },
  };
}
