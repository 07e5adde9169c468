// The state of one authorization server, in memory. oidc-provider brings an adapter of this kind, but its entries share one store of 1,000 places for
// the whole process, and revoking an access token takes the refresh token along. Servers differ there (RFC 7009 §2.1 leaves it open); this one keeps it,
// so that `revoke('access')` can be followed by a refresh.
import { Provider } from 'oidc-provider';

/** @returns an adapter factory with its own state, for the `adapter` option of one Provider */
export function createMemoryAdapter() {
  const entries = new Map(); // `${model}:${id}` → { payload, expiresAt }
  return (model) => createModelAdapter(model, entries);
}

function createModelAdapter(model, entries) {
  const key = (id) => `${model}:${id}`;
  const read = (id) => live(entries, key(id));
  const findBy = (member, value) => models(entries, model).find((payload) => payload[member] === value);
  return {
    async upsert(id, payload, expiresInSeconds) {
      const expiresAt = expiresInSeconds ? Date.now() + expiresInSeconds * 1000 : Infinity;
      entries.set(key(id), { payload: structuredClone(payload), expiresAt });
    },
    async find(id) {
      return read(id);
    },
    async findByUid(uid) {
      return findBy('uid', uid);
    },
    async findByUserCode(userCode) {
      return findBy('userCode', userCode);
    },
    async consume(id) {
      const payload = read(id);
      if (payload) payload.consumed = Math.floor(Date.now() / 1000);
    },
    async destroy(id) {
      entries.delete(key(id));
    },
    async revokeByGrantId(grantId) {
      if (model === 'RefreshToken' && revokesAccessTokenOnly()) return;
      for (const [name, { payload }] of entries) {
        if (name.startsWith(`${model}:`) && payload.grantId === grantId) entries.delete(name);
      }
    },
  };
}

function revokesAccessTokenOnly() {
  const oidc = Provider.ctx?.oidc;
  return oidc?.route === 'revocation' && oidc.entities.AccessToken !== undefined;
}

function live(entries, name) {
  const entry = entries.get(name);
  if (entry && entry.expiresAt <= Date.now()) {
    entries.delete(name);
    return undefined;
  }
  return entry?.payload;
}

function models(entries, model) {
  return [...entries.keys()]
    .filter((name) => name.startsWith(`${model}:`))
    .map((name) => live(entries, name))
    .filter(Boolean);
}
