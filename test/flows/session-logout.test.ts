import { createSessionLogoutFlow, type LogoutStates } from '../../src/flows/session-logout';
import { createOAuth2Client } from '../../src/oauth/client';
import { fakeServer, type FakeServerOptions } from '../support/fake-server';
import { refusal } from '../support/oauth';
import { fakePage, unitPlatform } from '../support/unit-platform';
import type { Page } from '../../src/platform/platform';

const RETURN = 'https://app.example.com/bye';

function setUp({ page, returns = true, ...serverOptions }: FakeServerOptions & { readonly page?: Page; readonly returns?: boolean } = {}) {
  const server = fakeServer(serverOptions);
  const platform = unitPlatform({ fetch: server.fetch, ...(page && { page }) });
  const client = createOAuth2Client({
    issuer: server.issuer,
    clientId: 'spa',
    platform,
    ...(returns && { postLogoutRedirectUri: RETURN }),
  });
  return { server, client, platform, flow: createSessionLogoutFlow(client) };
}

describe('start', () => {
  it('RPL-1 sends the ID token as a hint, where to return to, and a state of 256 bits', async () => {
    const { flow } = setUp();
    const url = await flow.start({ idToken: 'x.y.z', additionalParameters: { ui_locales: 'de' } });
    expect(url.origin + url.pathname).toBe('https://id.example.com/logout');
    const { state, ...rest } = Object.fromEntries(url.searchParams);
    expect(rest).toEqual({ id_token_hint: 'x.y.z', post_logout_redirect_uri: RETURN, ui_locales: 'de' });
    expect(state).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });

  it('RPL-1 sends the client id where there is no ID token', async () => {
    const { flow } = setUp();
    const url = await flow.start();
    expect(url.searchParams.get('client_id')).toBe('spa');
    expect(url.searchParams.has('id_token_hint')).toBe(false);
  });

  it('RPL-1 sends the client id in the place of a hint that would make the address too long', async () => {
    const { flow } = setUp();
    const url = await flow.start({ idToken: 'x'.repeat(4_097) });
    expect(url.searchParams.get('client_id')).toBe('spa');
    expect(url.searchParams.has('id_token_hint')).toBe(false);
    expect((await flow.start({ idToken: 'x'.repeat(4_096) })).searchParams.has('id_token_hint')).toBe(true);
  });

  it('says whose sessions it ends', () => {
    const { flow, server } = setUp();
    expect(flow).toMatchObject({ issuer: server.issuer, clientId: 'spa' });
  });

  it('RPL-1 without a place to return to there is no state', async () => {
    const { flow } = setUp({ returns: false });
    expect(Object.fromEntries((await flow.start({ idToken: 'x.y.z' })).searchParams)).toEqual({ id_token_hint: 'x.y.z' });
  });

  it('keeps the query of the endpoint', async () => {
    const { flow } = setUp({ metadata: { end_session_endpoint: 'https://id.example.com/logout?tenant=1' } });
    expect((await flow.start()).searchParams.get('tenant')).toBe('1');
  });

  it('RPL-1 each logout has a state of its own', async () => {
    const { flow } = setUp();
    const states = await Promise.all(Array.from({ length: 50 }, async () => (await flow.start()).searchParams.get('state')));
    expect(new Set(states).size).toBe(50);
  });

  it.each(['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state'])('additionalParameters must not set %s', async (name) => {
    await expect(setUp().flow.start({ additionalParameters: { [name]: 'x' } })).rejects.toThrow(TypeError);
  });

  it('an option that there is not is a TypeError that names it', async () => {
    const { flow, client } = setUp();
    await expect(flow.start({ id_token_hint: 'x' } as object)).rejects.toThrow(/not id_token_hint$/);
    expect(() => createSessionLogoutFlow(client, { state: 'x' } as object)).toThrow(/not state$/);
    await expect(flow.start(null as never)).rejects.toThrow(/^options of start must be an object$/);
    expect(() => createSessionLogoutFlow(client, null as never)).toThrow(/^options of createSessionLogoutFlow must be an object$/);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ end_session_endpoint: undefined }, 'endpoint_missing'],
    [{ end_session_endpoint: null }, 'endpoint_missing'],
    [{ end_session_endpoint: '' }, 'endpoint_missing'],
    [{ end_session_endpoint: 'http://id.example.com/logout' }, 'discovery_failed'],
    [{ end_session_endpoint: 'javascript:alert(1)' }, 'discovery_failed'],
  ])('DISC-3 %j sends the user nowhere: %s', async (metadata, code) => {
    expect(await refusal(setUp({ metadata }).flow.start())).toMatchObject({ code });
  });
});

describe('resume', () => {
  it('RPL-2 knows the return of a logout that was begun here, once', async () => {
    const { flow } = setUp();
    const state = (await flow.start()).searchParams.get('state');
    expect(await flow.resume(`${RETURN}?state=${state}`)).toBe(true);
    expect(await flow.resume(`${RETURN}?state=${state}`)).toBe(false);
  });

  it.each(['', '?state=', '?state=guessed', '?x=1', '#state=x'])('RPL-2 a return with %j changes nothing', async (query) => {
    const page = fakePage(`${RETURN}${query}`);
    const { flow } = setUp({ page });
    const state = (await flow.start()).searchParams.get('state');
    const waiting = page.items.length;
    expect(await flow.resume(page.url())).toBe(false);
    expect(page.url()).toBe(`${RETURN}${query}`);
    expect(page.items.length).toBe(waiting);
    expect(await flow.resume(`${RETURN}?state=${state}`)).toBe(true);
  });

  it('RPL-2 survives the way there and back in the session storage of the tab', async () => {
    const page = fakePage(RETURN);
    const { flow, client } = setUp({ page });
    const state = (await flow.start()).searchParams.get('state');
    expect(await createSessionLogoutFlow(client).resume(`${RETURN}?state=${state}`)).toBe(true);
    expect(page.items.length).toBe(0);
  });

  it('takes the state out of the page’s own address, and nothing else', async () => {
    const page = fakePage(RETURN);
    const { flow } = setUp({ page });
    const state = (await flow.start()).searchParams.get('state');
    page.replaceUrl(`${RETURN}?tab=1&state=${state}#x`);
    expect(await flow.resume(page.url())).toBe(true);
    expect(page.url()).toBe(`${RETURN}?tab=1#x`);
  });

  it('RPL-2 knows the return also where a browser refuses to change the address', async () => {
    const page = fakePage(RETURN);
    const { flow } = setUp({ page });
    page.replaceUrl(`${RETURN}?state=${(await flow.start()).searchParams.get('state')}`);
    page.replaceUrl = () => {
      throw new DOMException('The operation is insecure.', 'SecurityError');
    };
    expect(await flow.resume(page.url())).toBe(true);
    expect(await flow.resume(page.url())).toBe(false);
  });

  it('E38 works from memory where session storage is blocked', async () => {
    const { flow } = setUp({ page: fakePage(RETURN, { blocked: true }) });
    const state = (await flow.start()).searchParams.get('state');
    expect(await flow.resume(`${RETURN}?state=${state}`)).toBe(true);
  });

  it('E38 works from memory where session storage is full', async () => {
    const page = fakePage(RETURN);
    const items = Object.assign(Object.create(page.items) as Storage, {
      setItem: () => {
        throw new DOMException('full', 'QuotaExceededError');
      },
    });
    const { flow } = setUp({ page: { ...page, sessionItems: () => items } });
    const state = (await flow.start()).searchParams.get('state');
    expect(await flow.resume(`${RETURN}?state=${state}`)).toBe(true);
    expect(await flow.resume(`${RETURN}?state=${state}`)).toBe(false);
  });

  it.each<[string, (put: string[]) => LogoutStates]>([
    ['', (put) => ({ put: (state) => void put.push(state), take: (state) => put.includes(state) })],
    [', which may answer later', (put) => ({ put: async (state) => void put.push(state), take: async (state) => put.includes(state) })],
  ])('uses the states it is given%s', async (_, statesOf) => {
    const { client } = setUp();
    const put: string[] = [];
    const flow = createSessionLogoutFlow(client, { states: statesOf(put) });
    const state = (await flow.start()).searchParams.get('state');
    expect(put).toEqual([state]);
    expect(await flow.resume(`${RETURN}?state=guessed`)).toBe(false);
    expect(await flow.resume(`${RETURN}?state=${state}`)).toBe(true);
  });

  it.each<[string, number, Page | undefined]>([
    ['memory', 1_000, undefined],
    ['session storage', 20, fakePage(RETURN)],
  ])('RPL-2 of %s the last %i logouts are known, each for ten minutes', async (_, most, page) => {
    const { flow, platform } = setUp({ ...(page && { page }) });
    const begin = async () => `${RETURN}?state=${(await flow.start()).searchParams.get('state')}`;
    const returns: string[] = [];
    for (let i = 0; i <= most; i++) {
      returns.push(await begin());
      platform.advance(1);
    }
    expect(await flow.resume(returns[0] ?? '')).toBe(false);
    expect(await flow.resume(returns[1] ?? '')).toBe(true);
    platform.advance(10 * 60_000);
    expect(await flow.resume(returns[most] ?? '')).toBe(false);
    await begin();
    expect(page?.sessionItems()?.length ?? 1).toBe(1);
  });

  it('E51 states of the application that fail are storage_failed, without their words', async () => {
    const { client } = setUp();
    const fail = (): never => {
      throw new RangeError('canary');
    };
    const flow = createSessionLogoutFlow(client, { states: { put: fail, take: fail } });
    for (const one of [flow.start(), flow.resume(`${RETURN}?state=x`)]) {
      const error = await refusal(one);
      expect(error).toMatchObject({ name: 'StorageError', code: 'storage_failed', issuer: client.issuer });
      expect(error.message).toMatch(/RangeError/);
      expect(`${error.message}${error.stack}`).not.toContain('canary');
    }
  });
});
