// A resource server that repeats what it was sent: what it asks for is told without it.
import type { ResourceChallenge } from '../../src/credential/actions.js';
import { createAttachmentPolicy, type AttachmentOptions } from '../../src/http/attachment.js';
import type { Credential } from '../../src/store/credential.js';
import { closeAll, codeOf, createWorld, type Tab, type World } from '../support/fixture.js';

afterEach(closeAll);

const API = 'https://api.example.com/';
const GET = { url: API, method: 'GET' };
const ASKED: ResourceChallenge = { error: 'insufficient_scope', resource: API };

interface SignedIn extends World, Tab {
  readonly credential: Credential;
  readonly accessToken: string;
}

async function signedIn(): Promise<SignedIn> {
  const world = createWorld();
  const tab = await world.openTab();
  const token = world.authority.signIn({ scope: 'openid orders' });
  return { ...world, ...tab, credential: await tab.store.store(token), accessToken: token.accessToken };
}

function challenged({ events }: Tab): readonly unknown[] {
  return events.filter(({ type }) => type === 'challenged');
}

/** What is told of a challenge with these parameters: by an event, and to `stepUp`. */
async function told(
  tab: SignedIn,
  parameters: string,
): Promise<{ readonly event: unknown; readonly asked: ResourceChallenge | undefined }> {
  let asked: ResourceChallenge | undefined;
  const stepUp: AttachmentOptions['stepUp'] = (one) => ((asked = one), false);
  const policy = createAttachmentPolicy(tab.store, { resources: [API], platform: tab.platform, stepUp });
  const header = `Bearer error="insufficient_scope", ${parameters}`;
  const attachment = await policy.attach(GET);
  expect(await attachment?.retryOf({ status: 403, header: () => header })).toBeNull();
  return { event: challenged(tab).at(-1), asked };
}

describe('OBS-1 OBS-3 HT-9 a resource server that repeats the token', () => {
  it.each<[string, (token: string) => string]>([
    ['as it is', (token) => token],
    ['between other signs', (token) => `x:${token}/y`],
    ['percent-encoded', (token) => encodeURIComponent(token)],
  ])('%s: neither an event nor stepUp has the word', async (_, echo) => {
    const tab = await signedIn();
    const word = echo(tab.accessToken);
    const { event, asked } = await told(tab, `scope="orders:write ${word}", acr_values="${word} gold"`);
    expect(asked).toEqual({ ...ASKED, scope: 'orders:write', acrValues: 'gold' });
    expect(event).toMatchObject({ type: 'challenged', scope: 'orders:write', acrValues: 'gold' });
    expect(JSON.stringify([tab.events, asked])).not.toContain('CANARY');
  });

  it('nothing but the token: then nothing is asked for', async () => {
    const tab = await signedIn();
    expect((await told(tab, `scope="${tab.accessToken}"`)).asked).toEqual(ASKED);
  });

  it.each([
    'api://0f8fad5b-d9cb-469f-a165-70867728950e/access_as_user',
    'https://graph.microsoft.com/DeviceManagementManagedDevices.PrivilegedOperations.All',
    'Directory.ReadWrite.All',
    'https://www.googleapis.com/auth/cloud-platform.read-only',
    'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport',
    'http://schemas.openid.net/pape/policies/2007/06/multi-factor',
    'urn:zitadel:iam:org:project:id:zitadel:aud',
    'k8s-cluster-admin-readonly-v2beta',
    'iso20022messages_write_all',
    'oauth2client_management_write',
    '3f2504e04f8911d39a0c0305e82c3301/.default',
    'https://auth.example/accounts2transactions/read',
    'PIS:5f2b8c1e9d3a4f6b8c7d6e5f',
    'payment:pi_3NkQ2vLkdIwHu7ix0aBcDeFg',
  ])('what servers in the field ask for is: %s', async (word) => {
    const { asked, event } = await told(await signedIn(), `scope="${word}", acr_values="${word}"`);
    expect(asked).toMatchObject({ scope: word, acrValues: word });
    expect(event).toMatchObject({ scope: word, acrValues: word });
  });
});

describe('reportChallenge, which any adapter can call', () => {
  it('OBS-1 OBS-3 tells no token of the credential, whatever it is given', async () => {
    const tab = await signedIn();
    const { credential } = tab;
    const child = await credential.accessToken({ scope: 'orders' });
    const { accessToken, refreshToken, idToken } = credential.token ?? {};
    const words = [accessToken, refreshToken, idToken, child, 'orders:write'].join(' ');
    const given = { error: accessToken, resource: `${API}${child}`, scope: words, acrValues: words, maxAge: refreshToken, more: idToken };
    await credential.reportChallenge(given as unknown as ResourceChallenge);
    expect(challenged(tab)).toEqual([
      {
        type: 'challenged',
        id: credential.id,
        generation: credential.state.generation,
        at: expect.any(Number) as number,
        origin: 'here',
        error: 'insufficient_user_authentication',
        resource: '[redacted]',
        scope: 'orders:write',
        acrValues: 'orders:write',
      },
    ]);
  });

  it('resolves when there was the event', async () => {
    const tab = await signedIn();
    await tab.credential.reportChallenge({ ...ASKED, maxAge: 5 });
    expect(challenged(tab)).toEqual([expect.objectContaining({ ...ASKED, maxAge: 5 })]);
  });

  it('E12 of who has signed out nobody is told, nor once the store was closed', async () => {
    const tab = await signedIn();
    const ended = await tab.store.store(tab.authority.signIn());
    tab.authority.forget(ended.token?.refreshToken);
    expect(await codeOf(ended.refresh())).toBe('needs_sign_in');
    expect(await codeOf(ended.reportChallenge(ASKED))).toBe('needs_sign_in');
    await tab.credential.signOut();
    expect(await codeOf(tab.credential.reportChallenge(ASKED))).toBe('credential_removed');
    await tab.store.close();
    expect(await codeOf(tab.credential.reportChallenge(ASKED))).toBe('store_closed');
    expect(challenged(tab)).toEqual([]);
  });
});
