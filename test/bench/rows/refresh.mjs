/** A thousand callers find one token expired: one request, and what it costs beyond the request itself. And what a refresh writes. */
import { createServer as createHttpServer } from 'node:http';
import { countingStorage, createServer, ISSUER, rawRefresh, storeOf, tokenOf } from '../fixtures.mjs';
import { createRefreshServer } from '../../support/refresh-server/node.mjs';

const CALLERS = 1_000;

export default async function refresh(bench) {
  await inProcess(bench);
  await overLoopback(bench);
  await writes(bench);
}

async function inProcess(bench) {
  const server = createServer();
  const fetch = (url) => Promise.resolve(Response.json(server.handle(new URL(url).pathname)));
  await measure(bench, { server, fetch, issuer: ISSUER, where: 'in-process server' });
}

async function overLoopback(bench) {
  let server;
  const http = createHttpServer((request, response) => {
    request.resume();
    response.setHeader('content-type', 'application/json').end(JSON.stringify(server.handle(request.url)));
  });
  await new Promise((listening) => http.listen(0, '127.0.0.1', listening));
  const issuer = `http://127.0.0.1:${http.address().port}`;
  server = createServer(issuer);
  try {
    await measure(bench, { server, fetch: (...args) => fetch(...args), issuer, where: 'server on 127.0.0.1' });
  } finally {
    http.closeAllConnections();
    http.close();
  }
}

async function measure({ core, rounds, ratio, count }, { server, fetch, issuer, where }) {
  const platform = { ...core.defaultPlatform(), fetch };
  const clients = { issuer, clientId: 'bench', platform };
  const store = await storeOf(core, [], { clients });
  const credential = await store.store(tokenOf(core, 0, { issuer, issuedAt: Date.now() - 7_200_000 }));
  await credential.accessToken(); // discovery and the protocol code
  let requests = 0;
  let waves = 0;
  await ratio({
    name: `${CALLERS.toLocaleString('en')} callers of an expired token, ${where}`,
    floor: 'one raw refresh request',
    times: 1,
    againstTimes: 10,
    subject: async () => {
      const before = server.tokenRequests;
      const tokens = await Promise.all(Array.from({ length: CALLERS }, () => credential.accessToken()));
      if (new Set(tokens).size !== 1) throw new Error('the callers were given different tokens');
      requests += server.tokenRequests - before;
      waves++;
    },
    against: async (times) => {
      for (let i = 0; i < times; i++) await rawRefresh(fetch, issuer);
    },
  });
  if (waves < rounds) throw new Error('not every round was run');
  count({ name: `token requests for them, ${where}`, value: requests / waves, reach: 1, reachOf: 'first target' });
  await store.close();
}

/** Records that a refresh writes. An ID token that is judged with keys that must be fetched first costs one write more. */
async function writes({ core, count }) {
  const server = createRefreshServer({ mode: 'strict-revoke', idTokens: true });
  const { issuer, clientId } = server;
  const platform = { ...core.defaultPlatform(), fetch: server.asFetch() };
  const { counted, storage } = countingStorage(core.memoryStorage());
  const store = await storeOf(core, [], { storage, clients: { issuer, clientId, platform } });
  const tokens = await server.authorize('user-0');
  const fields = tokenOf(core, 0, { issuer, clientId });
  const credential = await store.store(
    core.createToken({
      ...{ id: fields.id, tokenType: 'Bearer', issuedAt: fields.issuedAt, expiresAt: fields.expiresAt, context: fields.context },
      ...{ accessToken: tokens.access_token, refreshToken: tokens.refresh_token, scope: tokens.scope, claims: fields.claims },
    }),
  );
  const refresh = async () => {
    counted.reset();
    await credential.refresh();
    return counted.writes;
  };
  const withKeys = await refresh(); // the first one
  const reachOf = 'issue 4';
  count({ name: 'records written by a refresh', value: await refresh(), unit: 'records', reach: 2, reachOf });
  count({ name: 'the same where keys must be fetched to judge the answer', value: withKeys, unit: 'records', reach: 3, reachOf });
  if (server.counts().requests !== 2) throw new Error('not every refresh was a request');
  await store.close();
}
