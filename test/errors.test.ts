import { inspect } from 'node:util';
import {
  asCredentialError,
  CredentialError,
  isCredentialError,
  NetworkError,
  ProtocolError,
  StorageError,
  type CredentialErrorCode,
} from '../src/errors';
import { cleanText, OAuthResponseError } from '../src/oauth/oauth-response-error';

/** Every code. A code that is missing here, or was renamed, does not compile. */
const EVERY_CODE: Record<CredentialErrorCode, true> = {
  aborted: true,
  authorization_failed: true,
  callback_invalid: true,
  callback_state_unknown: true,
  client_ambiguous: true,
  client_unknown: true,
  credential_exists: true,
  credential_removed: true,
  crypto_unavailable: true,
  discovery_failed: true,
  endpoint_missing: true,
  http_error: true,
  id_token_invalid: true,
  issuer_mismatch: true,
  key_lost: true,
  lock_unavailable: true,
  needs_interaction: true,
  needs_sign_in: true,
  network_error: true,
  no_refresh_token: true,
  oauth_error: true,
  program_not_loaded: true,
  renewal_failed: true,
  response_invalid: true,
  response_too_large: true,
  scope_not_granted: true,
  seal_broken: true,
  server_error: true,
  server_unavailable: true,
  storage_conflict: true,
  storage_failed: true,
  store_closed: true,
  timeout: true,
  token_substitution: true,
  unexpected_redirect: true,
  unsupported: true,
};
const codes = Object.keys(EVERY_CODE) as CredentialErrorCode[];

describe('codes', () => {
  it('OBS-2 each code has its class, and neither changes unseen', () => {
    const classes = Object.fromEntries(codes.map((code) => [code, new CredentialError(code, 'x').class]));
    expect(classes).toMatchInlineSnapshot(`
     {
       "aborted": "transient",
       "authorization_failed": "needs_user",
       "callback_invalid": "security",
       "callback_state_unknown": "needs_user",
       "client_ambiguous": "configuration",
       "client_unknown": "configuration",
       "credential_exists": "configuration",
       "credential_removed": "needs_user",
       "crypto_unavailable": "configuration",
       "discovery_failed": "configuration",
       "endpoint_missing": "configuration",
       "http_error": "configuration",
       "id_token_invalid": "security",
       "issuer_mismatch": "security",
       "key_lost": "needs_user",
       "lock_unavailable": "configuration",
       "needs_interaction": "needs_user",
       "needs_sign_in": "needs_user",
       "network_error": "unknown_outcome",
       "no_refresh_token": "needs_user",
       "oauth_error": "configuration",
       "program_not_loaded": "transient",
       "renewal_failed": "transient",
       "response_invalid": "unknown_outcome",
       "response_too_large": "unknown_outcome",
       "scope_not_granted": "needs_user",
       "seal_broken": "security",
       "server_error": "unknown_outcome",
       "server_unavailable": "transient",
       "storage_conflict": "transient",
       "storage_failed": "configuration",
       "store_closed": "configuration",
       "timeout": "unknown_outcome",
       "token_substitution": "security",
       "unexpected_redirect": "configuration",
       "unsupported": "configuration",
     }
    `);
  });

  it('OBS-2 an error says code, class, issuer, status, how long to wait and nothing else in JSON', () => {
    const cause = new StorageError('storage_failed', 'inner');
    const error = new CredentialError('needs_sign_in', 'outer', { issuer: 'https://a.example', status: 400, cause, retryAfterMs: 5 });
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      name: 'CredentialError',
      code: 'needs_sign_in',
      class: 'needs_user',
      message: 'outer',
      issuer: 'https://a.example',
      status: 400,
      retryAfterMs: 5,
    });
    expect([error.cause, error.retryAfterMs]).toEqual([cause, 5]);
    expect(Object.keys(JSON.parse(JSON.stringify(new CredentialError('aborted', 'x'))) as object)).toEqual([
      'name',
      'code',
      'class',
      'message',
    ]);
  });

  it('OBS-2 a class can be given where the code alone does not tell', () => {
    expect(new ProtocolError('response_invalid', 'x', { class: 'transient' }).class).toBe('transient');
  });

  it.each([
    ['CredentialError', new CredentialError('timeout', 'x')],
    ['NetworkError', new NetworkError('timeout', 'x')],
    ['ProtocolError', new ProtocolError('timeout', 'x')],
    ['StorageError', new StorageError('timeout', 'x')],
    ['OAuthResponseError', new OAuthResponseError({ error: 'invalid_grant' }, 'oauth_error')],
  ])('%s keeps its name, which minifiers take from classes', (name, error) => {
    expect(error).toBeInstanceOf(CredentialError);
    expect(error).toBeInstanceOf(Error);
    expect([error.name, String(error).split(':')[0], error.toJSON()['name']]).toEqual([name, name, name]);
    expect(inspect(error)).toContain(name);
  });

  it('has no cause where none was given', () => {
    expect('cause' in new CredentialError('timeout', 'x')).toBe(false);
  });
});

describe('isCredentialError and asCredentialError', () => {
  it('knows its own, also from another copy of the package', () => {
    const foreign = Object.assign(new Error('x'), { code: 'timeout', class: 'transient' });
    expect([new CredentialError('timeout', 'x'), new NetworkError('timeout', 'x'), foreign].map(isCredentialError)).toEqual([
      true,
      true,
      true,
    ]);
  });

  it.each([
    ['nothing', undefined],
    ['an object', { code: 'timeout', class: 'transient' }],
    ['another error', new TypeError('x')],
    ['a system error', Object.assign(new Error('x'), { code: 'ECONNRESET' })],
    ['an error with an unknown code', Object.assign(new Error('x'), { code: 'E', class: 'x' })],
    ['an error whose code is a member of every object', Object.assign(new Error('x'), { code: 'constructor', class: 'x' })],
    ['an error whose code is a member of every object', Object.assign(new Error('x'), { code: 'toString', class: 'x' })],
    ['an error whose code cannot be made a text', Object.assign(new Error('x'), { code: Object.create(null) as unknown, class: 'x' })],
    ['a DOMException', new DOMException('x', 'AbortError')],
  ])('%s is none of ours', (_, value) => {
    expect(isCredentialError(value)).toBe(false);
  });

  it('E51 what others threw is dropped, not chained', () => {
    const theirs = Object.assign(new Error('canary'), { form: 'refresh_token=canary' });
    const error = asCredentialError(theirs, 'storage_failed', 'The storage failed.');
    expect(error).toMatchObject({ code: 'storage_failed', message: 'The storage failed.' });
    expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('canary');
    const ours = new NetworkError('timeout', 'x');
    expect(asCredentialError(ours, 'storage_failed', 'x')).toBe(ours);
  });
});

describe('text of a server', () => {
  it.each<[string, string, string]>([
    ['line breaks and tabs', 'a\r\n\tb', 'a   b'],
    ['escape sequences of a terminal', '\u001b[2Jx', ' [2Jx'],
    ['NUL and DEL', 'a\0b\x7f', 'a b '],
    ['C1 controls', 'a\u0085b\u009bc', 'a b c'],
    ['line and paragraph separators', 'a\u2028b\u2029c', 'a b c'],
    ['marks that turn the direction of text', 'a\u202eb\u2066c\u200fd', 'a b c d'],
    ['letters of any script stay', 'Zugriff für Ωμέγα 😀 verweigert', 'Zugriff für Ωμέγα 😀 verweigert'],
  ])('6749-13 %s', (_, text, clean) => {
    expect(cleanText(text)).toBe(clean);
  });

  it('6749-13 is capped at 1,024 characters, or at what is asked for', () => {
    expect(cleanText('x'.repeat(5_000))).toHaveLength(1_024);
    expect(cleanText('x'.repeat(5_000), 100)).toHaveLength(100);
  });

  it('6749-13 OAuthResponseError cleans the code and the description, and its message shows no description', () => {
    const error = new OAuthResponseError({ error: `x\n${'y z'.repeat(99)}`, errorDescription: 'the\nuser' }, 'oauth_error', {
      status: 400,
    });
    expect(error.error).toHaveLength(100);
    expect(error.errorDescription).toBe('the user');
    expect(error.message).not.toContain('the user');
    expect(error.toJSON()).toMatchObject({ error: error.error, errorDescription: 'the user', status: 400 });
    expect(new OAuthResponseError({ error: 'x' }, 'oauth_error').toJSON()).not.toHaveProperty('errorDescription');
  });

  it.each([
    ['Token abcDEF0123456789_-xyz is unknown', 'Token [redacted] is unknown'],
    ['bad eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln here', 'bad [redacted] here'],
    ['eyJhbGciOiJSUzI1NiJ9.eyJ', '[redacted]'],
    ['trace 0b9f1a5e-73c4-4a8e-9a51-5c9f0b3c1d2e', 'trace [redacted]'],
    ['unsupported_grant_type or insufficient_user_authentication', 'unsupported_grant_type or insufficient_user_authentication'],
    ['The refresh token has expired (AADSTS700082).', 'The refresh token has expired (AADSTS700082).'],
  ])('OBS-3 %j is shown as %j: a server may echo what it was sent', (text, shown) => {
    expect(new OAuthResponseError({ error: 'invalid_grant', errorDescription: text }, 'oauth_error').errorDescription).toBe(shown);
  });
});
