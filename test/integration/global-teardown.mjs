export default () => globalThis.__integrationServers?.close();
