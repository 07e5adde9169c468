// A person at the authorization server's pages, by plain HTTP: follows redirects, keeps cookies, fills in the forms.

const MAX_STEPS = 25;

/** One browser's worth of cookies. Two robots are two browsers. */
export interface Robot {
  /**
   * Opens an authorization or end-session URL and does what its pages ask.
   *
   * @param login the name typed into the login form; default `alice`
   * @returns the redirect URL that leads away from the authorization server; nobody calls it
   */
  run(url: string | URL, login?: string): Promise<URL>;
  /** The same, but cancels the login page. */
  cancel(url: string | URL): Promise<URL>;
}

export function createRobot(): Robot {
  const cookies = new Map<string, string>();
  return {
    run: (url, login = 'alice') => drive(cookies, new URL(url), (page) => submission(page, login)),
    cancel: (url) => drive(cookies, new URL(url), cancellation),
  };
}

interface Page {
  readonly url: URL;
  readonly status: number;
  readonly html: string;
}

interface Step {
  readonly url: URL;
  readonly form?: URLSearchParams;
}

async function drive(cookies: Map<string, string>, start: URL, next: (page: Page) => Step | undefined): Promise<URL> {
  let step: Step = { url: start };
  for (let count = 0; count < MAX_STEPS; count++) {
    const response = await send(cookies, step);
    const location = response.headers.get('location');
    if (location !== null) {
      await response.body?.cancel();
      const target = new URL(location, step.url);
      if (target.origin !== start.origin) return target;
      step = { url: target };
      continue;
    }
    const page: Page = { url: step.url, status: response.status, html: await response.text() };
    const following = response.ok ? next(page) : undefined;
    if (!following) throw new Error(`stuck at ${step.url.pathname} (${response.status}): ${text(page.html)}`);
    step = following;
  }
  throw new Error(`more than ${MAX_STEPS} steps from ${start.pathname}`);
}

async function send(cookies: Map<string, string>, { url, form }: Step): Promise<Response> {
  const response = await fetch(url, {
    method: form ? 'POST' : 'GET',
    redirect: 'manual',
    headers: { accept: 'text/html', cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    ...(form && { body: form }),
  });
  for (const cookie of response.headers.getSetCookie()) keep(cookies, cookie);
  return response;
}

/** The server clears a cookie by an empty value. Paths do not matter to a robot that does one thing at a time. */
function keep(cookies: Map<string, string>, setCookie: string): void {
  const [pair = ''] = setCookie.split(';');
  const at = pair.indexOf('=');
  const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
  if (value === '') cookies.delete(name);
  else cookies.set(name, value);
}

/** Fills in the page's form: login, confirmation of a logout, or one that a browser would submit by script. */
function submission(page: Page, login: string): Step | undefined {
  const action = /<form\b[^>]*\baction="([^"]*)"/.exec(page.html)?.[1];
  if (action === undefined) return undefined;
  const form = new URLSearchParams();
  for (const [input] of page.html.matchAll(/<input\b[^>]*\btype="hidden"[^>]*>/g)) {
    form.set(attribute(input, 'name'), attribute(input, 'value'));
  }
  if (/<input\b[^>]*\bname="login"/.test(page.html)) form.set('login', login);
  const button = /<button\b[^>]*\bname="[^>]*>/.exec(page.html)?.[0];
  if (button !== undefined) form.set(attribute(button, 'name'), attribute(button, 'value'));
  return { url: new URL(unescapeHtml(action), page.url), form };
}

function cancellation(page: Page): Step | undefined {
  const href = /<a\b[^>]*\bhref="([^"]*\/abort)"/.exec(page.html)?.[1];
  return href === undefined ? undefined : { url: new URL(unescapeHtml(href), page.url) };
}

function attribute(tag: string, name: string): string {
  return unescapeHtml(new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? '');
}

function unescapeHtml(html: string): string {
  return html
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&amp;/g, '&');
}

function text(html: string): string {
  const body = html.replace(/^[\s\S]*<body>/, '').replace(/<[^>]+>/g, ' ');
  return body.replace(/\s+/g, ' ').trim().slice(0, 300);
}
