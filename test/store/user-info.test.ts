import { OAuthResponseError } from '../../src/oauth/oauth-response-error.js';
import { ISSUER } from '../support/fake-client.js';
import { closeAll, createWorld, type World } from '../support/fixture.js';

afterEach(closeAll);

/** As oidc-provider refuses a token that is bound to a resource. */
const refused = (): OAuthResponseError =>
  new OAuthResponseError({ error: 'invalid_token' }, 'oauth_error', { issuer: ISSUER, status: 401 });
const INVALID_TOKEN = { code: 'oauth_error', error: 'invalid_token', status: 401 };

async function setUp(refreshable = true): Promise<World & { ask: () => Promise<unknown>; signInAgain: () => Promise<unknown> }> {
  const world = createWorld();
  const { store } = await world.openTab();
  const credential = await store.store(world.authority.signIn({ refreshable }));
  world.authority.setUserInfo(() => Promise.reject(refused()));
  return {
    ...world,
    ask: () => credential.userInfo().catch((error: unknown) => error),
    signInAgain: () => store.store(world.authority.signIn({ refreshable }), { replace: credential }),
  };
}

describe('D-038 user info of a server that refuses new tokens, too', () => {
  it('asks for no sign-in, which would change nothing: not after a renewal, not while it rests, not after a sign-in', async () => {
    const { ask, signInAgain, authority } = await setUp();
    for (let i = 0; i < 3; i++) expect(await ask()).toMatchObject({ ...INVALID_TOKEN, class: 'configuration' });
    await signInAgain();
    expect(await ask()).toMatchObject({ ...INVALID_TOKEN, class: 'configuration' });
    expect(authority.refreshes).toHaveLength(1);
  });

  it('asks for no sign-in with a token that nothing renews, if it is new; later it does', async () => {
    const { ask, signInAgain, browser } = await setUp(false);
    expect(await ask()).toMatchObject({ ...INVALID_TOKEN, class: 'configuration' });
    await browser.advance(60_001);
    expect(await ask()).toMatchObject({ ...INVALID_TOKEN, class: 'needs_user' });
    await signInAgain();
    expect(await ask()).toMatchObject({ ...INVALID_TOKEN, class: 'configuration' });
  });

  it('leaves a refusal by its own class where it asks for no user', async () => {
    const { ask, authority } = await setUp();
    authority.setUserInfo(() =>
      Promise.reject(new OAuthResponseError({ error: 'temporarily_unavailable' }, 'oauth_error', { issuer: ISSUER, status: 401 })),
    );
    expect(await ask()).toMatchObject({ error: 'temporarily_unavailable', class: 'transient' });
  });
});
