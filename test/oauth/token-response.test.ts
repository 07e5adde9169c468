import { inspect } from 'node:util';
import { retryAfterMs } from '../../src/credential/retry-after';
import { CredentialError, ProtocolError } from '../../src/errors';
import { OAuthResponseError } from '../../src/oauth/oauth-response-error';
import {
  assertJsonType,
  errorOf,
  isSuccess,
  parseExpiresIn,
  parseTokenResponse,
  refreshTokenIn,
  withoutCommas,
} from '../../src/oauth/token-response';

const ISSUER = 'https://id.example.com';
/** The instant of the examples of RFC 9110 §5.6.7. */
const AT = Date.UTC(1994, 10, 6, 8, 49, 37);
const ok = { access_token: 'a', token_type: 'Bearer' };
const parse = (body: unknown) => parseTokenResponse(typeof body === 'string' ? body : JSON.stringify(body), { issuer: ISSUER });
const failure = (run: () => unknown): CredentialError => {
  try {
    run();
  } catch (error) {
    if (error instanceof CredentialError) return error;
    throw error;
  }
  throw new Error('it did not throw');
};

describe('a token response', () => {
  it.each([
    ['bearer', 'Bearer'],
    ['BEARER', 'Bearer'],
    ['Bearer', 'Bearer'],
    ['dpop', 'DPoP'],
    ['DPoP', 'DPoP'],
  ])('6749-6 compares the token type %s without case', (type, tokenType) => {
    expect(parse({ ...ok, token_type: type }).tokenType).toBe(tokenType);
  });

  it.each(['mac', 'N_A', '', ' bearer', 'constructor', 'bearer, dpop'])('6749-6 does not use a token of type %j', (type) => {
    expect(failure(() => parse({ ...ok, token_type: type }))).toMatchObject({ code: 'unsupported', class: 'configuration' });
  });

  it.each<[string, unknown]>([
    ['no access_token', { token_type: 'Bearer' }],
    ['an empty access_token', { ...ok, access_token: '' }],
    ['an access_token of null', { ...ok, access_token: null }],
    ['an access_token that is a number', { ...ok, access_token: 5 }],
    ['an access_token with a line break (6750-1)', { ...ok, access_token: 'a\r\nb' }],
    ['an access_token with a blank (6750-1)', { ...ok, access_token: 'a b' }],
    ['an access_token beyond ASCII (6750-1)', { ...ok, access_token: 'ä' }],
    ['an access_token above 128 KiB', { ...ok, access_token: 'a'.repeat(128 * 1024 + 1) }],
    ['no token_type', { access_token: 'a' }],
    ['a token_type that is a list', { ...ok, token_type: ['Bearer'] }],
    ['a refresh_token that is a number', { ...ok, refresh_token: 5 }],
    ['a refresh_token with a line break', { ...ok, refresh_token: 'a\nb' }],
    ['an id_token that is an object', { ...ok, id_token: {} }],
    ['a scope that is a list of numbers', { ...ok, scope: ['openid', 5] }],
    ['a scope that is an object', { ...ok, scope: { openid: true } }],
    ['a list', [ok]],
    ['null', null],
    ['a number', 5],
    ['text', '"a"'],
    ['no JSON', 'access_token=a&token_type=bearer'],
    ['an HTML page', '<!doctype html><title>Sign in</title>'],
    ['truncated JSON', JSON.stringify(ok).slice(0, -1)],
    ['nothing', ''],
    ['access_token by way of __proto__ (HT-7)', `{"__proto__":${JSON.stringify(ok)}}`],
  ])('6749-6 HT-6 %s is a protocol error of unknown outcome', (_, body) => {
    const error = failure(() => parse(body));
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error).toMatchObject({ code: 'response_invalid', class: 'unknown_outcome', status: 200, issuer: ISSUER });
  });

  it.each([
    ['application/json', true],
    ['application/json; charset=utf-8', true],
    ['application/json;charset=UTF-8', true],
    ['Application/JSON', true],
    ['application/json ; x=y', true],
    ['text/html', false],
    ['text/plain', false],
    ['text/html; x=application/json', false],
    ['application/jsonp', false],
    ['application/json-seq', false],
    ['application/jwt', false],
    ['application/json, application/json', true],
    ['application/json;charset=utf-8, text/html', true],
    ['text/html, application/json', false],
    ['', false],
  ])('HT-6 Content-Type %j is accepted: %p', (contentType, accepted) => {
    const check = () => assertJsonType(contentType, ISSUER);
    if (accepted) expect(check).not.toThrow();
    else expect(failure(check)).toMatchObject({ code: 'response_invalid', class: 'unknown_outcome' });
  });

  it.each<[unknown, number | undefined]>([
    [3600, 3600],
    ['3600', 3600],
    [0, 0],
    ['0', 0],
    [1.5, 1.5],
    [10 * 365 * 24 * 3600 + 1, 10 * 365 * 24 * 3600],
    ['99999999999', 10 * 365 * 24 * 3600],
    [-1, undefined],
    ['-1', undefined],
    ['', undefined],
    ['3600abc', undefined],
    ['3600.5', undefined],
    [' 3600', undefined],
    ['1e3', undefined],
    ['0x10', undefined],
    ['9'.repeat(20), 10 * 365 * 24 * 3600],
    ['9'.repeat(400), 10 * 365 * 24 * 3600],
    [NaN, undefined],
    [Infinity, undefined],
    [null, undefined],
    [true, undefined],
    [[3600], undefined],
    [{}, undefined],
    [undefined, undefined],
  ])('6749-7 expires_in %j is %p seconds', (value, seconds) => {
    expect(parseExpiresIn(value)).toBe(seconds);
  });

  it('6749-7 1e309 in the JSON, which parses as Infinity, counts as absent', () => {
    expect(parse('{"access_token":"a","token_type":"bearer","expires_in":1e309}').expiresInS).toBeUndefined();
  });

  it.each([null, '', false])('6749-12 a refresh_token and an id_token of %j count as absent: some servers write that', (nothing) => {
    const { refreshToken, idToken } = parse({ ...ok, refresh_token: nothing, id_token: nothing });
    expect([refreshToken, idToken]).toEqual([undefined, undefined]);
  });

  it('6749-8 scope is what was granted, or absent; unknown members are ignored', () => {
    expect(parse({ ...ok, scope: 'profile  openid profile' }).scope).toBe('profile openid');
    for (const scope of ['', ' ', '   ']) expect(parse({ ...ok, scope }).scope).toBeUndefined(); // RFC 6749 §3.3 has no empty one
    const answer = parse({ ...ok, example: { nested: [1] }, expires_in: 60, id_token: 'x.y.z', refresh_token: 'r' });
    expect(answer).toEqual({
      accessToken: 'a',
      tokenType: 'Bearer',
      expiresInS: 60,
      refreshToken: 'r',
      idToken: 'x.y.z',
      scope: undefined,
      extra: {},
    });
  });

  it('HT-7 6749-8 of the further members those are kept that were named, and an omission keeps what was known', () => {
    const body = '{"access_token":"a","token_type":"Bearer","patient":"1","list":[],"no":null,"empty":"","__proto__":{"x":1}}';
    const names = ['patient', 'list', 'no', 'empty', 'x', '__proto__', 'toString'];
    const extraOf = (kept?: Readonly<Record<string, unknown>>) =>
      parseTokenResponse(body, { issuer: ISSUER, extraParameters: names }, kept && { tokenType: 'Bearer', extra: kept }).extra;
    expect(extraOf()).toEqual({ patient: '1', list: [] });
    expect(extraOf({ patient: '0', no: 1, empty: 2, other: 3 })).toEqual({ patient: '1', list: [], no: 1, empty: 2, other: 3 });
  });

  it('6749-8 a list of scopes, as Twitch has it, is what it would be as text', () => {
    expect(parse({ ...ok, scope: ['openid', 'read', 'openid'] }).scope).toBe('openid read');
    for (const scope of [[], ['']]) expect(parse({ ...ok, scope }).scope).toBeUndefined();
  });

  it('6749-6 design §4.3: of a refresh the type that is omitted stays, one that is given counts', () => {
    const renewed = (body: unknown) => parseTokenResponse(JSON.stringify(body), { issuer: ISSUER }, { tokenType: 'DPoP' });
    for (const token_type of [undefined, null, '']) expect(renewed({ ...ok, token_type }).tokenType).toBe('DPoP');
    expect(renewed(ok).tokenType).toBe('Bearer');
    expect(failure(() => renewed({ ...ok, token_type: 'mac' })).code).toBe('unsupported');
    expect(failure(() => renewed({ ...ok, token_type: ['DPoP'] })).code).toBe('response_invalid');
  });

  it.each([
    ['email,openid,profile', 'openid profile email', 'email openid profile'],
    ['repo,gist', 'repo', 'repo gist'],
    ['repo, gist', 'repo gist', 'repo gist'],
    ['a,b', 'a b a,b', 'a,b'],
    ['a,b a', 'a', 'a b'],
    ['x,y', 'a', 'x,y'],
    ['x,y', '', 'x,y'],
    [',', 'a', ','],
    ['a b', 'a b', 'a b'],
  ])('6749-8 of scope %j, where %j was asked for, is granted: %j', (scope, asked, granted) => {
    expect(withoutCommas(scope, asked)).toBe(granted);
  });

  it('6749-13 a scope with control characters loses those words', () => {
    expect(parse({ ...ok, scope: 'openid \u001b[31mred profile' }).scope).toBe('openid profile');
  });

  it('E27 tokens are opaque: no character that may be in one is changed; a refresh token may hold blanks (RFC 6749 §A.17)', () => {
    const visible = String.fromCharCode(...Array.from({ length: 0x7e - 0x20 }, (_, i) => 0x21 + i));
    const answer = parse({ ...ok, access_token: visible, refresh_token: ` ${visible} `, id_token: 'ab%2Bcd%zz' });
    expect([answer.accessToken, answer.refreshToken, answer.idToken]).toEqual([visible, ` ${visible} `, 'ab%2Bcd%zz']);
  });

  it('E56 refreshTokenIn finds what was rotated, whatever else is wrong', () => {
    expect(refreshTokenIn('{"refresh_token":"r","token_type":5}')).toBe('r');
    for (const text of ['', '{}', 'null', '["refresh_token"]', '{"refresh_token":5}', '{"refresh_token":"a\\nb"}', '{"refresh_token":"']) {
      expect(refreshTokenIn(text)).toBeUndefined();
    }
  });
});

it.each<[unknown, boolean]>([
  [ok, true],
  [{ error: 'invalid_grant' }, false],
  [{ error: 'invalid_grant', access_token: null, refresh_token: null, token_type: null }, false],
  [{ error: 'invalid_grant', access_token: '', refresh_token: '' }, false],
  [{ error: 'invalid_grant', access_token: 5 }, false],
  [{ error: 'none', ...ok }, true],
  [{ error: null, ...ok }, true],
  [{ error: 'odd', refresh_token: 'r' }, true],
])('E56 status 200 with %j is a success: %p', (body, isOne) => {
  expect(isSuccess({ status: 200, text: JSON.stringify(body) })).toBe(isOne);
});

describe('6749-9 an answer other than 200, by status and its own JSON', () => {
  const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
    errorOf({ status, text: typeof body === 'string' ? body : JSON.stringify(body), headers: new Headers(headers) }, ISSUER);

  it.each<[number, unknown, string, string, string | undefined]>([
    [400, { error: 'invalid_grant' }, 'oauth_error', 'needs_user', 'invalid_grant'],
    [401, { error: 'invalid_grant' }, 'oauth_error', 'needs_user', 'invalid_grant'],
    [400, { error: 'invalid_client' }, 'oauth_error', 'configuration', 'invalid_client'],
    [401, { error: 'invalid_client' }, 'oauth_error', 'configuration', 'invalid_client'],
    [400, { error: 'unauthorized_client' }, 'oauth_error', 'configuration', 'unauthorized_client'],
    [400, { error: 'unsupported_grant_type' }, 'oauth_error', 'configuration', 'unsupported_grant_type'],
    [400, { error: 'invalid_scope' }, 'oauth_error', 'configuration', 'invalid_scope'],
    [400, { error: 'invalid_target' }, 'oauth_error', 'configuration', 'invalid_target'],
    [400, { error: 'invalid_request' }, 'oauth_error', 'configuration', 'invalid_request'],
    [400, { error: 'something_new' }, 'oauth_error', 'configuration', 'something_new'],
    [400, { error: 'interaction_required' }, 'oauth_error', 'needs_user', 'interaction_required'],
    [400, { error: 'login_required' }, 'oauth_error', 'needs_user', 'login_required'],
    [400, { error: 'consent_required' }, 'oauth_error', 'needs_user', 'consent_required'],
    [400, { error: 'temporarily_unavailable' }, 'oauth_error', 'transient', 'temporarily_unavailable'],
    [400, { error: 'server_error' }, 'oauth_error', 'transient', 'server_error'],
    [400, { error: 'use_dpop_nonce' }, 'oauth_error', 'transient', 'use_dpop_nonce'],
    // a gateway may fail after the server has rotated; its JSON is not the server's word
    [500, { error: 'invalid_grant' }, 'server_error', 'unknown_outcome', undefined],
    [502, '<html>bad gateway</html>', 'server_error', 'unknown_outcome', undefined],
    [504, '', 'server_error', 'unknown_outcome', undefined],
    [503, { error: 'invalid_grant' }, 'server_unavailable', 'transient', undefined],
    [408, '', 'server_unavailable', 'transient', undefined],
    [425, '', 'server_unavailable', 'transient', undefined],
    // RFC 6585 §6: of the network; Cloudflare: the server was not reached
    [511, '<html>sign in to the network</html>', 'server_unavailable', 'transient', undefined],
    ...[521, 523, 525, 526].map((status): [number, unknown, string, string, undefined] => [
      status,
      '<html>',
      'server_unavailable',
      'transient',
      undefined,
    ]),
    ...[520, 522, 524, 530].map((status): [number, unknown, string, string, undefined] => [
      status,
      '<html>',
      'server_error',
      'unknown_outcome',
      undefined,
    ]),
    [429, { error: 'invalid_grant' }, 'server_unavailable', 'transient', undefined],
    // E6, E7: no OAuth error, no rejection
    [400, '<html>error="invalid_grant"</html>', 'http_error', 'transient', undefined],
    [403, 'invalid_grant', 'http_error', 'transient', undefined],
    [403, '<html>Request blocked</html>', 'http_error', 'transient', undefined],
    [404, '', 'http_error', 'transient', undefined],
    [400, { error: ['invalid_grant'] }, 'http_error', 'configuration', undefined],
    [400, { error: { code: 'invalid_grant' } }, 'http_error', 'configuration', undefined],
    [400, ['invalid_grant'], 'http_error', 'transient', undefined],
    [400, '{"__proto__":{"error":"invalid_grant"}}', 'http_error', 'configuration', undefined],
    // D-047: gateways and frameworks before the server
    [403, { message: 'Forbidden' }, 'http_error', 'transient', undefined],
    [404, { message: 'x' }, 'http_error', 'transient', undefined],
    [404, { error: 404 }, 'http_error', 'transient', undefined],
    [404, { error: 'Not Found', path: '/token' }, 'oauth_error', 'transient', 'Not Found'],
    [403, { error: 'Forbidden' }, 'oauth_error', 'transient', 'Forbidden'],
    [403, { error: 'unauthorized_client' }, 'oauth_error', 'configuration', 'unauthorized_client'],
    [404, { error: 'E-4711' }, 'oauth_error', 'configuration', 'E-4711'],
    [400, { message: 'x' }, 'http_error', 'configuration', undefined],
    [405, { error: 'Method Not Allowed' }, 'oauth_error', 'configuration', 'Method Not Allowed'],
    // 2xx but not 200: the server may have rotated
    [201, { access_token: 'a', token_type: 'bearer' }, 'response_invalid', 'unknown_outcome', undefined],
    [204, '', 'response_invalid', 'unknown_outcome', undefined],
  ])('%d with %j is %s (%s)', (status, body, code, errorClass, error) => {
    const found = answer(status, body);
    expect(found).toMatchObject({ code, class: errorClass, status, issuer: ISSUER });
    expect(found instanceof OAuthResponseError ? found.error : undefined).toBe(error);
  });

  it('§4.5 an empty refusal with a challenge has given its reason: it is no passing one (RFC 6750 §3)', () => {
    expect(answer(401, '', { 'www-authenticate': 'Bearer error="invalid_token"' })).toMatchObject({
      code: 'http_error',
      class: 'configuration',
    });
    expect(answer(403, { message: 'x' }, { 'www-authenticate': 'Bearer' })).toMatchObject({ code: 'http_error', class: 'configuration' });
  });

  it('6749-9 the texts of an answer decide nothing', () => {
    expect(answer(400, { error: 'invalid_request', error_description: 'invalid_grant: the refresh token was revoked' })).toMatchObject({
      class: 'configuration',
      error: 'invalid_request',
    });
  });

  it('6749-9 E23 a WWW-Authenticate or DPoP-Nonce header does not hide the error of the body', () => {
    const headers = { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': 'n' };
    expect(answer(401, { error: 'invalid_grant' }, headers)).toMatchObject({ error: 'invalid_grant', class: 'needs_user' });
  });

  it.each([
    ['120', 120_000],
    ['0', 1_000],
    ['1', 1_000],
    ['301', 300_000],
    ['999999999', 300_000],
    ['9999999999', 300_000],
    ['9'.repeat(400), 300_000],
    [' 5 ', 5_000],
    ['-5', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['', undefined],
  ])('Retry-After %j is a wait of %p ms', (value, retryAfterMs) => {
    expect(answer(503, '', { 'retry-after': value }).retryAfterMs).toBe(retryAfterMs);
  });

  it.each<[string, string, number | undefined]>([
    ['the form of today', 'Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['that of RFC 850', 'Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['that of asctime', 'Sun Nov  6 08:49:37 1994', 0],
    ['asctime with two digits', 'Wed Nov 16 08:49:37 1994', 10 * 86_400_000],
    ['a year of two digits in the next century', 'Wednesday, 06-Nov-30 08:49:37 GMT', Date.UTC(2030, 10, 6, 8, 49, 37) - AT],
    ['a year that would be more than 50 years ahead', 'Monday, 06-Nov-45 08:49:37 GMT', Date.UTC(1945, 10, 6, 8, 49, 37) - AT],
    ['another zone', 'Sun, 06 Nov 1994 08:49:37 CET', undefined],
    ['no month', 'Sun, 06 Nev 1994 08:49:37 GMT', undefined],
    ['what only this runtime understands', '1994-11-06T08:49:37Z', undefined],
    ['something behind it', 'Sunday, 06-Nov-94 08:49:37 GMT+1', undefined],
  ])('Retry-After RFC 9110 §5.6.7 a date: %s', (_, value, ms) => {
    expect(retryAfterMs(value, AT)).toBe(ms);
  });

  it('6749-13 the server’s text is kept apart, cleaned and capped', () => {
    const description = `line one\r\n\u001b[31mred\u202e${'x y '.repeat(500)}`;
    const error = answer(400, {
      error: 'invalid\u0007_grant',
      error_description: description,
      error_uri: 'javascript:alert(1)',
    }) as OAuthResponseError;
    expect(error.errorDescription).toHaveLength(1024);
    expect(error.errorDescription).toMatch(/^line one {3}\[31mred x y/);
    expect(`${error.error}${error.errorDescription}${error.message}`).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
    expect(error.message).not.toContain('line one');
    expect(JSON.stringify(error)).not.toContain('javascript:');
  });

  const told = (secret: string, description: string, members: Record<string, unknown> = {}) => {
    const text = JSON.stringify({ error: 'invalid_request', error_description: description, ...members });
    return errorOf({ status: 400, text, headers: new Headers(), secrets: [secret] }, ISSUER) as OAuthResponseError;
  };

  it.each([
    ['words', 'canary-refresh-token-of-alice'],
    ['a short one', 'rt-7'],
    ['blanks', ' canary of alice '],
    ['signs', 'canary/+%=&?~'],
    ['what a pattern means otherwise', 'canary$&.*(x)[1'],
  ])('HT-9 OBS-3 a secret of %s that is echoed is not told', (_, secret) => {
    const spellings = [
      secret,
      encodeURIComponent(secret),
      encodeURIComponent(secret).toLowerCase(),
      new URLSearchParams({ x: secret }).toString(),
    ];
    const error = told(secret, `Bad token ${spellings.join(' or ')}.`, { suberror: secret });
    expect(error).toMatchObject({ error: 'invalid_request', suberror: '[redacted]' });
    expect(error.errorDescription).toMatch(/^Bad token \[redacted\] or \[redacted\] or \[redacted\] or (x=)?\[redacted\]\.$/);
    expect(told(secret, '', { error: secret })).toMatchObject({ error: '[redacted]' });
    const shown = [error.message, JSON.stringify(error), inspect(error)].join();
    for (const one of spellings) expect(shown).not.toContain(one);
  });

  it('HT-9 a secret that is cut off by the cap is not told by half', () => {
    const secret = 'canary words of alice';
    expect(told(secret, `${'x y '.repeat(254)}${secret}`).errorDescription).not.toContain('canary');
  });

  it('HT-9 a secret that is part of the code of an error changes no code', () => {
    expect(told('grant', 'x', { error: 'invalid_grant', suberror: 'consent_required' })).toMatchObject({
      error: 'invalid_grant',
      suberror: 'consent_required',
      class: 'needs_user',
    });
  });

  it.each([
    ['base64', 'q83vEjRWeJCrze8SNFZ4kKvN/+8=='],
    ['base64 in parts', 'Ab3/Cd4+Ef5/Gh6+Ij7/Kl8+Mn9'],
    ['a JWT', 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln'],
    ['hexadecimal', 'a1b2c3d4e5f60718293a4b5c'],
    ['tildes and dots', '1~abcDEF.ghi1JKL~mno2PQR.stu'],
    ['letters of no word', 'abcdefghijklmnopqrstuvwxyzabcdefgh'],
  ])('OBS-3 a run of %s is not told, whoever it was given to', (_, run) => {
    expect(told('other', `Token ${run} is unknown`).errorDescription).toBe('Token [redacted] is unknown');
  });

  it.each([
    'unsupported_grant_type',
    'See https://docs.example.com/errors/invalid-grant-of-a-client for more.',
    'AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication.',
    'The grant type urn:ietf:params:oauth:grant-type:token-exchange is unknown. Redirect URI https://app.example.com/sign-in/callback/',
  ])('OBS-3 words and addresses stay: %s', (text) => {
    expect(told('other', text).errorDescription).toBe(text);
  });

  it.each([5, null, {}, ['x']])('6749-13 an error_description of %j is none', (description) => {
    expect(
      (answer(400, { error: 'invalid_grant', error_description: description }) as OAuthResponseError).errorDescription,
    ).toBeUndefined();
  });
});
