// The three engines behind one interface, `Engine` and `Tab` of torture-scenarios.ts: Chromium and Firefox by puppeteer, WebKitGTK by plain WebDriver.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { program } from '../../tools/program.mjs';
import CHROMIUM_FLAGS from '../support/chromium-flags.json' with { type: 'json' };

const LONGEST_CALL_MS = 120_000;

/** `launch` starts a browser with a new profile; `launchProfile` one with the profile of a folder and these pages. */
export const engines = {
  chromium: { launch: () => launchChromium(), launchProfile: launchChromiumProfile },
  firefox: { launch: () => launchFirefox(), launchProfile: launchFirefoxProfile },
  webkit: { launch: launchWebKit },
};

// ---- Chromium. By puppeteer: playwright keeps all tabs visible, and a visible tab is never frozen.

async function launchChromium(options = {}) {
  const browser = await puppeteer.launch({
    executablePath: program('chromium'),
    args: CHROMIUM_FLAGS,
    protocolTimeout: LONGEST_CALL_MS,
    ...options,
  });
  return {
    version: await browser.version(),
    isParallel: true,
    cachesPages: true,
    newTab: async () => chromiumTab(browser, await browser.newPage()),
    close: () => browser.close(),
    kill: () => killed(browser),
  };
}

async function killed(browser) {
  const program = browser.process();
  const gone = once(program, 'exit');
  program.kill('SIGKILL');
  await gone;
}

async function launchChromiumProfile(folder, urls) {
  return withPages(await launchChromium({ userDataDir: folder }), urls);
}

async function withPages(engine, urls) {
  const tabs = await Promise.all(urls.map(engine.newTab));
  await Promise.all(tabs.map((tab, i) => tab.goto(urls[i])));
  return { ...engine, tabs };
}

function chromiumTab(browser, page) {
  const send = async (...message) => (await page.createCDPSession()).send(...message);
  return {
    goto: (url) => page.goto(url),
    evaluate: (run, ...args) => page.evaluate(run, ...args),
    close: () => page.close(),
    crash: async () => {
      const crashed = new Promise((resolve) => page.once('error', resolve));
      send('Page.crash').catch(() => undefined); // it has nobody left to answer
      await crashed;
      await page.close();
    },
    freeze: async () => {
      const front = (await browser.pages()).find((other) => other !== page);
      await front.bringToFront();
      await send('Page.setWebLifecycleState', { state: 'frozen' });
      return () => send('Page.setWebLifecycleState', { state: 'active' });
    },
    leave: leaving(page),
  };
}

function leaving(page) {
  return async (url) => {
    await page.goto(url);
    return async () => void (await page.goBack());
  };
}

// ---- Firefox

async function launchFirefox(options) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: program('firefox'),
    headless: true,
    extraPrefsFirefox: {
      'dom.min_background_timeout_value': 4, // or timers of all tabs but one fire at full seconds
      'dom.min_background_timeout_value_without_budget_throttling': 4,
      'dom.timeout.enable_budget_timer_throttling': false,
    },
    protocolTimeout: LONGEST_CALL_MS,
    ...options,
  });
  const context = options ? browser.defaultBrowserContext() : await browser.createBrowserContext();
  return {
    version: await browser.version(),
    isParallel: true,
    cachesPages: false,
    newTab: async () => {
      const page = await context.newPage();
      return {
        goto: (url) => page.goto(url),
        evaluate: (run, ...args) => page.evaluate(run, ...args),
        close: () => page.close(),
        leave: leaving(page),
      };
    },
    close: () => browser.close(),
    kill: () => killed(browser),
  };
}

async function launchFirefoxProfile(folder, urls) {
  await appendFile(join(folder, 'user.js'), ''); // puppeteer keeps a copy of it while it has one of its own, and fails if there is none
  return withPages(await launchFirefox({ userDataDir: folder }), urls);
}

// ---- WebKitGTK, on a display of its own

async function launchWebKit() {
  const [Xvfb, WebKitWebDriver, MiniBrowser] = ['xvfb', 'webkitdriver', 'minibrowser'].map(program);
  const xvfb = spawn(Xvfb, ['-displayfd', '1', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [display] = await once(xvfb.stdout, 'data', { signal: AbortSignal.timeout(10_000) });
  const port = await freePort();
  const driver = spawn(WebKitWebDriver, [`--port=${port}`, '--host=127.0.0.1'], {
    env: { ...process.env, DISPLAY: `:${display}`.trim(), WEBKIT_DISABLE_COMPOSITING_MODE: '1', NO_AT_BRIDGE: '1' },
    stdio: 'ignore',
  });
  const end = () => {
    driver.kill();
    xvfb.kill();
  };
  try {
    await listening(port);
    const rpc = (...call) => webDriver(port, ...call);
    const session = await rpc('POST', '/session', {
      capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': { binary: MiniBrowser, args: ['--automation'] } } },
    });
    const path = `/session/${session.sessionId}`;
    await rpc('POST', `${path}/timeouts`, { script: LONGEST_CALL_MS });
    const { browserName, browserVersion } = session.capabilities;
    return {
      version: `${browserName} ${browserVersion}`,
      isParallel: false,
      cachesPages: true,
      newTab: async () => {
        const [first] = await rpc('GET', `${path}/window/handles`);
        await rpc('POST', `${path}/window`, { handle: first }); // the one it talked to last may be closed
        const { handle } = await rpc('POST', `${path}/window/new`, { type: 'tab' });
        return webKitTab((method, command, body) => rpc(method, `${path}${command}`, body), handle);
      },
      close: async () => {
        await rpc('DELETE', path).catch(() => undefined);
        end();
      },
    };
  } catch (error) {
    end();
    throw error;
  }
}

/** WebDriver talks to one window at a time, in one call at a time. */
function webKitTab(rpc, handle) {
  const focus = () => rpc('POST', '/window', { handle });
  return {
    goto: async (url) => {
      await focus();
      await rpc('POST', '/url', { url });
    },
    evaluate: async (run, ...args) => {
      await focus();
      const script = `const [args, done] = arguments; Promise.resolve((${run})(...args)).then((value) => done({ value }), (e) => done({ error: String(e) }));`;
      const { value, error } = await rpc('POST', '/execute/async', { script, args: [args] });
      if (error) throw new Error(error);
      return value;
    },
    close: async () => {
      await focus();
      await rpc('DELETE', '/window');
    },
    leave: async (url) => {
      await focus();
      await rpc('POST', '/url', { url });
      return async () => {
        await focus();
        await rpc('POST', '/back', {});
      };
    },
  };
}

async function webDriver(port, method, path, body) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(LONGEST_CALL_MS + 30_000),
  });
  const { value } = await response.json();
  if (value?.error) throw new Error(`${value.error}: ${value.message}`);
  return value;
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listening(port) {
  for (let i = 0; i < 100; i++) {
    const socket = net.connect(port, '127.0.0.1');
    const isUp = await new Promise((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)));
    socket.destroy();
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('WebKitWebDriver does not listen');
}
