// The same text for worlds from which the same can happen: tabs have no order, and revisions matter only where something is kept.
import { FAULTS, type Stored, type Tab, type World } from './world.js';
import type { Server } from './server.js';

/** A key for each world; parts that worlds share are written once. */
export function createKeys(): (world: World) => string {
  const ofServer = remembered(keyOfServer);
  const ofRecord = remembered(keyOfRecord);
  const ofTab = remembered(keyOfTab);
  const ofCounts = remembered((faults: World['faults']) => FAULTS.map((kind) => faults[kind]).join(''));
  return ({ record, server, tabs, orphans, revocations, faults, ...rest }) => {
    const { expired, hurt, overtaken, signOutsLeft, faultsLeft, sender, spent, sends, received, broken } = rest;
    const counts = `${bit(expired)}${bit(hurt)}${bit(overtaken)}${signOutsLeft}${faultsLeft}${ofCounts(faults)}.${sends}.${sender}${broken ?? ''}`;
    const going = `${orphans.map(({ token, wasParked }) => `${token}${bit(wasParked)}`).join('')}/${revocations.join('')}`;
    const ofTabs = tabs.map((tab) => `${ofTab(tab)}${tab.kept ? bit(tab.kept.over === record.revision) : ''}`).sort();
    return `${counts}|${going}|${spent.join('')}|${received.join('')}|${ofServer(server)}|${ofRecord(record)}|${ofTabs.join('|')}`;
  };
}

function remembered<T extends object>(keyOf: (part: T) => string): (part: T) => string {
  const keys = new WeakMap<T, string>();
  return (part) => {
    const known = keys.get(part);
    if (known !== undefined) return known;
    const key = keyOf(part);
    keys.set(part, key);
    return key;
  };
}

function bit(flag: boolean): string {
  return flag ? '1' : '0';
}

function keyOfServer({ tokens, revoked, clock }: Server): string {
  return `${bit(revoked)}${clock}${tokens.map(({ parent, spentAt, child, end }) => `${parent},${spentAt},${child},${end}`).join(';')}`;
}

function keyOfRecord({ state, generation, token, intent, staged, reason }: Stored): string {
  return `${state},${generation},${token},${intent ? `${intent.holder},${intent.generation}` : ''},${staged},${reason}`;
}

function keyOfTab({ kept, refresh, result, request, unwritten, known, ...tab }: Tab): string {
  const { asks, seen, hasLock, parked, unread, grant, generation, foundIntent, answer, wasWaiting, needsKeys, settled, sent } = tab;
  const idle = `${asks},${asks > 0 ? known : ''},${seen},${bit(hasLock)},${kept ? `${keyOfRecord(kept.record)},${kept.since}` : ''}`;
  const memory = unwritten ? `${unwritten.sent},${unwritten.answer}` : '';
  if (!refresh) return `${idle};${memory}`;
  const flags = [parked, wasWaiting, needsKeys, settled, unread].map(bit).join('');
  const found = result !== null && typeof result === 'object' ? Object.values(result).join() : result;
  const reading = `${grant},${generation},${foundIntent},${answer},${sent},${request ? `${request.token},${request.answer}` : ''}`;
  return `${idle};${memory};${flags};${Object.values(refresh).join()};${found};${reading}`;
}
