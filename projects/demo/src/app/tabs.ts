/** What eight pages of the demo say to each other. The store has a channel of its own; this one is the demo's, to press eight buttons at once. */
import { DestroyRef, inject } from '@angular/core';

/** How many there are. */
export const TAB_COUNT = 8;

export type TabMessage =
  | { readonly type: 'ready'; readonly tab: number }
  | { readonly type: 'refresh' }
  | {
      readonly type: 'refreshed';
      readonly tab: number;
      readonly requests: number;
      readonly tail: string | null;
      readonly problem: string | null;
    };

/** A channel to the other pages, until the component goes. */
export function injectTabChannel(hear: (message: TabMessage) => void): (message: TabMessage) => void {
  const channel = new BroadcastChannel('demo:tabs');
  channel.onmessage = ({ data }: MessageEvent<TabMessage>) => hear(data);
  inject(DestroyRef).onDestroy(() => channel.close());
  return (message) => channel.postMessage(message);
}
