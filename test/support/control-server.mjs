// Test servers live in the process of Jest's global setup; tests run in its workers. This is the door between them: POST /<method> with a JSON array of
// arguments answers { result } or { error }. The typed client is control.ts.
import { createServer } from 'node:http';
import { startApi } from '../../projects/demo/server/api.mjs';
import { startAuthorizationServer } from '../../projects/demo/server/authorization-server.mjs';
import { close, listen, readText, sendJson } from '../../projects/demo/server/http.mjs';

/**
 * An authorization server and an API on free loopback ports, with their control.
 *
 * @returns `{ issuer, api, control, close }`, three addresses
 */
export async function startTestServers({ useGrantedResource, ...options } = {}) {
  const features = useGrantedResource === undefined ? {} : { resourceIndicators: resourceIndicators(useGrantedResource) };
  const authorizationServer = await startAuthorizationServer({ ...options, features });
  const { issuer, introspectionClient } = authorizationServer;
  const api = await startApi({ issuer, introspectionClient, allowedOrigins: options.allowedOrigins });
  const control = await startControl({ authorizationServer, api });
  const closeAll = async () => void (await Promise.all([authorizationServer.close(), api.close(), control.close()]));
  return { issuer, api: api.origin, control: control.url, close: closeAll };
}

/** Access tokens for a resource are JWTs (RFC 9068); those that no resource is named for are for user info, unless `useGrantedResource`. */
function resourceIndicators(useGrantedResource) {
  const info = { scope: 'api:read', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
  return {
    enabled: true,
    useGrantedResource: () => useGrantedResource,
    getResourceServerInfo: (_ctx, audience) => ({ ...info, audience }),
  };
}

/** The control of servers that run already. `more`: further methods, by name. */
export async function startControl({ authorizationServer, api }, more = {}) {
  const children = [];
  const methods = {
    requests: () => authorizationServer.requests(),
    apiLog: () => api.log(),
    resetLogs() {
      authorizationServer.resetLog();
      api.resetLog();
    },
    active: (token) => authorizationServer.active(token),
    failNext: (endpoint, fault) => authorizationServer.failNext(endpoint, fault),
    expireAccessToken: (token) => authorizationServer.expireAccessToken(token),
    setAccessTokenTtlSeconds: (seconds) => authorizationServer.setAccessTokenTtlSeconds(seconds),
    async startServers(options) {
      const { close: closeChild, ...addresses } = await startTestServers(options ?? {});
      children.push(closeChild);
      return addresses;
    },
    ...more,
  };
  const server = createServer((request, response) => void call(request, response, methods));
  const url = `http://127.0.0.1:${await listen(server, { port: 0, host: '127.0.0.1' })}`;
  return { url, close: async () => void (await Promise.all([close(server), ...children.map((closeChild) => closeChild())])) };
}

async function call(request, response, methods) {
  try {
    const name = request.url.slice(1);
    if (request.method !== 'POST' || !Object.hasOwn(methods, name)) return sendJson(response, 404, { error: `no method ${name}` });
    const result = await methods[name](...JSON.parse(await readText(request)));
    return sendJson(response, 200, { result: result ?? null });
  } catch (error) {
    return sendJson(response, 500, { error: error.message });
  }
}
