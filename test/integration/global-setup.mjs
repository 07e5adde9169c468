// Runs outside Jest's module system, so that ESM-only servers load as they are. Workers inherit the environment.
import { startTestServers } from '../support/control-server.mjs';

export default async function () {
  const servers = await startTestServers();
  process.env.TEST_ISSUER = servers.issuer;
  process.env.TEST_API = servers.api;
  process.env.TEST_CONTROL = servers.control;
  globalThis.__integrationServers = servers;
}
