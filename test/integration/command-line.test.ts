// The recipe for command line tools, as it stands in docs/how-to.md, at a real server.
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCredentialStore, createOAuth2Client, type Credential, type CredentialStore } from '../../src/index.js';
import { load } from '../support/example.js';
import { createRobot } from '../support/provider-robot.js';
import { startRealWorld, type RealWorld } from '../support/real-world.js';

interface Recipe {
  readonly credentials: CredentialStore;
  readonly signIn: (show: (address: URL) => void) => Promise<Credential>;
}

let world: RealWorld;
let home: string;
beforeAll(async () => void (world = await startRealWorld()));
beforeEach(async () => void (home = await mkdtemp(join(tmpdir(), 'command-line-'))));
afterEach(async () => rm(home, { recursive: true }));

/** The program, for the server and client of the tests, in a home of its own. */
function start(): Recipe {
  const ours = (options: object) => ({ ...options, issuer: world.issuer, clientId: 'spa', scope: 'openid offline_access api:read' });
  const given = {
    'node:os': { homedir: () => home },
    'rx-credentials': {
      createOAuth2Client: (options: object) => createOAuth2Client(ours(options)),
      createCredentialStore: ({ clients, ...rest }: { readonly clients: object }) =>
        createCredentialStore({ ...rest, clients: ours(clients) }),
    },
  };
  const env = { MY_APP_KEY: Buffer.alloc(32, 7).toString('base64') };
  return load('docs/how-to.md', 'createServer', given, { process: { env } }) as Recipe;
}

const statusAt = (url: string | URL, host: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    get(url, { headers: { host } }, (response) => (response.resume(), resolve(response.statusCode))).on('error', reject);
  });

/** A user who goes where the program says, and what the page at the end answers. */
async function browse(address: URL, login: string): Promise<string> {
  const end = await createRobot().run(address, login);
  const foreign = new URL(end);
  foreign.searchParams.set('state', 'foreign');
  expect([(await fetch(foreign)).status, (await fetch(new URL('/favicon.ico', end))).status]).toEqual([404, 404]);
  expect(await statusAt(end, 'other.example.com')).toBe(404); // a name that leads to this machine
  return (await fetch(end)).text();
}

it('RFC 8252 §7.3 signs in by a loopback address of any port, keeps the tokens sealed, and the next program has them', async () => {
  const first = start();
  const pages: Promise<string>[] = [];
  const show = (address: URL): void => void pages.push(browse(address, 'alice'));
  const credential = await first.signIn(show);
  expect(await Promise.all(pages)).toEqual([expect.stringContaining('Close this page')]);
  expect(credential.state).toMatchObject({ isDefault: true, isRenewable: true });
  expect(await world.callApi(await credential.accessToken())).toBe(200);
  expect(await first.signIn(show)).toBe(credential); // who signs in twice has one credential
  const refreshToken = credential.token?.refreshToken ?? '';
  await first.credentials.close();

  const folder = join(home, '.local/state/my-app/n-rx-credentials');
  const records = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const stored = (await Promise.all(records.map((name) => readFile(join(folder, name), 'utf8')))).join('');
  expect([refreshToken.length > 20, stored.includes(refreshToken)]).toEqual([true, false]);

  const { credentials } = start();
  const again = await credentials.getDefault();
  expect(await world.callApi((await again?.accessToken()) ?? '')).toBe(200);
  await again?.signOut();
  expect(await credentials.allIDs()).toEqual([]);
  await credentials.close();
});

it('RFC 8252 §7.3 a connection on which a browser sends nothing does not keep the program alive', async () => {
  const unref = jest.spyOn(Socket.prototype, 'unref');
  const { credentials, signIn } = start();
  const spare = new Socket();
  await signIn((address) => {
    const { port } = new URL(address.searchParams.get('redirect_uri') ?? '');
    spare.connect(Number(port), '127.0.0.1', () => void browse(address, 'alice'));
  });
  const letGo = unref.mock.contexts.map((socket) => (socket as Socket).remotePort);
  const seen = [spare.readyState, letGo.includes(spare.localPort)];
  spare.destroy(); // before anything can fail: it would keep this program alive
  unref.mockRestore();
  await credentials.close();
  expect(seen).toEqual(['open', true]);
});

it('CLI-1 who never comes back is waited for no longer than ten minutes, and the port is free again', async () => {
  const late = new AbortController();
  const timeout = jest.spyOn(AbortSignal, 'timeout').mockReturnValue(late.signal);
  const { credentials, signIn } = start();
  let redirectUri = '';
  const signingIn = signIn((address) => {
    redirectUri = address.searchParams.get('redirect_uri') ?? '';
    late.abort();
  });
  await expect(signingIn).rejects.toThrow('within ten minutes');
  expect(timeout).toHaveBeenCalledWith(600_000);
  timeout.mockRestore();
  await expect(fetch(redirectUri)).rejects.toThrow();
  await credentials.close();
});
