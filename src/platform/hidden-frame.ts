/**
 * A frame that nobody sees. It runs no script, sends no form, opens no window and cannot navigate the page it is in. Loaded when first
 * needed.
 *
 * @module
 */

/** What `Page.loadFrame` does. */
export function loadHiddenFrame(document: Document, url: string, signal: AbortSignal): Promise<string | null> {
  const frame = document.createElement('iframe');
  const ended = new Promise<string | null>((resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    frame.addEventListener('load', () => {
      const address = addressOf(frame);
      if (address !== 'about:blank') resolve(address); // the empty document that some browsers begin with
    });
    frame.hidden = true;
    frame.style.display = 'none'; // whatever the page's style sheet makes of hidden frames
    frame.setAttribute('sandbox', 'allow-same-origin');
    frame.referrerPolicy = 'no-referrer';
    document.documentElement.append(frame);
    // Not by `src`: the page's performance entries would keep the address, and the ID token in it, for every script and error reporter. What
    // replaces the empty document is in no history either. The referrer is that of the page then, by its own policy
    frame.contentWindow!.location.replace(url);
  });
  return ended.finally(() => frame.remove());
}

/** Where the frame is; `null` at another origin, or where an error page of the browser is shown, which is of no origin. */
function addressOf({ contentWindow }: HTMLIFrameElement): string | null {
  try {
    return contentWindow?.location.href ?? null;
  } catch {
    return null;
  }
}
