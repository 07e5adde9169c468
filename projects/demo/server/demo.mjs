// The whole demo: the application, its authorization server and its API, each on an origin of its own.
import { startApi } from './api.mjs';
import { startAppServer } from './app-server.mjs';
import { startAuthorizationServer } from './authorization-server.mjs';

/**
 * Starts the three servers and tells the application where the others are.
 *
 * @param options.root folder of the built application
 * @param options.renderPage `renderPage` of projects/demo/ssr/server.ts, built: pages are rendered here; left out: in the browser
 * @param options.ports `{ app, authorizationServer, api }`; a missing one or 0: the system chooses
 * @param options.authorizationServer further options of startAuthorizationServer
 * @returns `{ app, authorizationServer, api, config, close }`; `app.origin` is the address to open
 */
export async function startDemo({ root, renderPage, ports = {}, authorizationServer: options = {} }) {
  const started = [];
  const start = async (server) => {
    started.push(await server);
    return started.at(-1);
  };
  const close = async () => void (await Promise.all(started.map((server) => server.close())));
  try {
    let config; // the two others must know the application's origin before they can tell it theirs
    const app = await start(startAppServer({ port: ports.app, root, renderPage, config: () => config }));
    const allowedOrigins = [app.origin];
    const authorizationServer = await start(
      startAuthorizationServer({
        ...options,
        port: ports.authorizationServer,
        redirectUris: [`${app.origin}/callback`],
        postLogoutRedirectUris: [`${app.origin}/`],
        allowedOrigins,
      }),
    );
    const { issuer, introspectionClient } = authorizationServer;
    const api = await start(startApi({ port: ports.api, issuer, introspectionClient, allowedOrigins }));
    config = { issuer, clientId: 'spa', apiUrl: `${api.origin}/v1/`, apiOrigin: api.origin };
    return { app, authorizationServer, api, config, close };
  } catch (error) {
    await close();
    throw error;
  }
}
