// The protocol as it is, in a world as most are.
import { beginRefresh, next, park } from '../../src/credential/refresh-protocol.js';
import type { Fault, Machine, Settings } from './world.js';

export const MACHINE: Machine = { begin: beginRefresh, next, park };

/** All that may befall two tabs, but that keys cannot be had: that matters only where answers are judged with keys that must be fetched. */
export const ANY: readonly Fault[] = ['crash', 'drop', 'lose', 'refuse', 'freeze', 'write'];

export const USUAL: Omit<Settings, 'mode'> = {
  machine: MACHINE,
  flaw: null,
  revocation: 'grant',
  tabs: 2,
  asks: 1,
  faults: 1,
  kinds: ANY,
  signOuts: 0,
  leewayEnds: false,
  fetchesKeys: false,
  shares: true,
  policy: 'retry',
};
