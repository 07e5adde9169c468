export default () => globalThis.__e2eServers?.close();
