import { loadHiddenFrame } from '../../src/platform/hidden-frame';
import { defaultPlatform } from '../../src/platform/platform';
import { settled } from '../support/unit-platform';

const URL_OF_SERVER = 'https://id.example.com/auth?prompt=none';
const END = 'https://app.example.com/callback?code=1&state=2';

/** Where a frame is whose address nobody may read. */
const FOREIGN = 'foreign:';

/** As much of a document as a hidden frame touches: it knows which frames are in the page, and what they were when they were put there. */
function fakeDocument() {
  const inPage = new Set<FakeFrame>();
  const put: Readonly<Record<string, unknown>>[] = [];
  class FakeFrame extends EventTarget {
    readonly attributes: Record<string, string> = {};
    readonly style = { display: '' };
    hidden = false;
    src = '';
    referrerPolicy = '';
    address: string = 'about:blank';
    /** Where it was sent, once it was in the page. */
    readonly sentTo: string[] = [];
    readonly contentWindow = { location: locationOf(this, () => inPage.has(this)) };
    setAttribute(name: string, value: string): void {
      this.attributes[name] = value;
    }
    remove(): void {
      inPage.delete(this);
    }
    /** The frame has come to the end of its redirects. */
    end(address: string): void {
      this.address = address;
      this.dispatchEvent(new Event('load'));
    }
  }
  let tell = (_: FakeFrame): void => undefined;
  const appended = new Promise<FakeFrame>((resolve) => (tell = resolve));
  const append = (frame: FakeFrame): void => {
    inPage.add(frame);
    tell(frame);
    const { src, hidden, referrerPolicy, style, attributes } = frame;
    put.push({ src, hidden, referrerPolicy, display: style.display, ...attributes });
  };
  const document = { createElement: () => new FakeFrame(), documentElement: { append } };
  return { document: document as unknown as Document, frames: () => [...inPage], put, appended };
}

/** Reading the address of a foreign page throws, as in a browser. */
function locationOf(frame: { readonly address: string; readonly sentTo: string[] }, isInPage: () => boolean) {
  return {
    replace: (url: string) => void (isInPage() && frame.sentTo.push(url)),
    get href() {
      if (frame.address === FOREIGN) throw new DOMException('Blocked a frame from accessing a cross-origin frame.', 'SecurityError');
      return frame.address;
    },
  };
}

function open() {
  const fake = fakeDocument();
  const abort = new AbortController();
  const ended = loadHiddenFrame(fake.document, URL_OF_SERVER, abort.signal);
  const [frame] = fake.frames();
  if (!frame) throw new Error('no frame');
  return { ...fake, abort, ended, frame };
}

describe('a hidden frame', () => {
  it('9700-3 runs no script and can neither leave its place nor tell where it was opened; nobody sees it', () => {
    const { put, frame, ended } = open();
    expect(put).toEqual([{ src: '', hidden: true, display: 'none', referrerPolicy: 'no-referrer', sandbox: 'allow-same-origin' }]);
    expect(frame.sentTo).toEqual([URL_OF_SERVER]);
    frame.end(END);
    return ended;
  });

  it('9700-3 never has the address as its src, which the page would find in its performance entries, ID token and all', async () => {
    const { frame, ended } = open();
    frame.end('about:blank');
    frame.end(END);
    await ended;
    expect([frame.src, frame.sentTo]).toEqual(['', [URL_OF_SERVER]]);
  });

  it('tells where it ended, and is gone', async () => {
    const { frames, frame, ended } = open();
    frame.end(END);
    expect(await ended).toBe(END);
    expect(frames()).toEqual([]);
  });

  it('E46 tells nothing of a page of another origin, and is gone', async () => {
    const { frames, frame, ended } = open();
    frame.end(FOREIGN);
    expect(await ended).toBeNull();
    expect(frames()).toEqual([]);
  });

  it('does not take the empty document that it begins with for an end', async () => {
    const { frames, frame, ended } = open();
    frame.end('about:blank');
    await settled();
    expect(frames()).toEqual([frame]);
    frame.end(END);
    expect(await ended).toBe(END);
  });

  it('is gone when it is given up, and what it does later changes nothing', async () => {
    const { frames, frame, abort, ended } = open();
    const reason = new Error('too late');
    abort.abort(reason);
    await expect(ended).rejects.toBe(reason);
    expect(frames()).toEqual([]);
    frame.end(END);
    await expect(ended).rejects.toBe(reason);
  });

  it('is not made for what was given up before', async () => {
    const { document, put } = fakeDocument();
    const reason = new Error('too late');
    await expect(loadHiddenFrame(document, URL_OF_SERVER, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(put).toEqual([]);
  });

  it('fails where the page does not take it', async () => {
    const { document } = fakeDocument();
    const problem = new Error('no');
    document.documentElement.append = () => {
      throw problem;
    };
    await expect(loadHiddenFrame(document, URL_OF_SERVER, new AbortController().signal)).rejects.toBe(problem);
  });

  it('is what the platform of a page loads', async () => {
    const { document, appended } = fakeDocument();
    const before = Object.getOwnPropertyDescriptor(globalThis, 'document');
    Object.defineProperty(globalThis, 'document', { value: document, configurable: true });
    try {
      const { loadFrame } = defaultPlatform().page!;
      jest.doMock('../../src/platform/hidden-frame', () => {
        throw new Error('Failed to fetch dynamically imported module');
      });
      await expect(loadFrame?.(URL_OF_SERVER, new AbortController().signal)).rejects.toMatchObject({ code: 'program_not_loaded' });
      jest.dontMock('../../src/platform/hidden-frame');
      const ended = loadFrame?.(URL_OF_SERVER, new AbortController().signal);
      (await appended).end(END);
      expect(await ended).toBe(END);
    } finally {
      if (before) Object.defineProperty(globalThis, 'document', before);
      else Reflect.deleteProperty(globalThis, 'document');
    }
  });
});
