// Tokens and records as tests need them.
import { createToken } from '../../src/credential/create-token';
import type { IdTokenClaims, Token, TokenFields } from '../../src/credential/token';
import { RECORD_VERSION, recordFieldsOf, type CredentialRecord } from '../../src/credential/record';
import type { CredentialFacts } from '../../src/credential/actions';
import { START_MS } from './unit-platform';

export const CLAIMS: IdTokenClaims = {
  iss: 'https://id.example.com',
  sub: 'alice',
  aud: 'spa',
  exp: START_MS / 1000 + 600,
  iat: START_MS / 1000,
};

/** Strings that must never be seen outside a token. */
export const CANARY = { accessToken: 'canary-access-4711', refreshToken: 'canary-refresh-4711', idToken: 'canary-id-4711' } as const;

export function tokenFields(changes: Partial<TokenFields> = {}): TokenFields {
  return {
    id: 'one',
    ...CANARY,
    tokenType: 'Bearer',
    scope: 'openid profile',
    issuedAt: START_MS,
    expiresAt: START_MS + 600_000,
    claims: CLAIMS,
    context: { issuer: CLAIMS.iss, clientId: 'spa', scope: 'openid profile' },
    ...changes,
  };
}

export function aToken(changes: Partial<TokenFields> = {}): Token {
  return createToken(tokenFields(changes));
}

export function aRecord(changes: Partial<CredentialRecord> = {}): CredentialRecord {
  return {
    v: RECORD_VERSION,
    id: 'one',
    revision: 1,
    generation: 1,
    epoch: 0,
    storedAt: START_MS,
    changedAt: START_MS,
    defaultClaim: 1,
    state: 'active',
    reason: null,
    tags: ['a'],
    ...recordFieldsOf(aToken()),
    ...changes,
  };
}

export function facts(changes: Partial<CredentialFacts> = {}): CredentialFacts {
  return {
    id: 'one',
    generation: 1,
    storedAt: START_MS,
    reason: null,
    context: { issuer: CLAIMS.iss, clientId: 'spa' },
    tags: [],
    claims: CLAIMS,
    tokenType: 'Bearer',
    scope: 'openid',
    issuedAt: START_MS,
    expiresAt: START_MS + 600_000,
    isRenewable: true,
    recordState: 'active',
    ...changes,
  };
}
