// The judge of all refresh tests is judged here: each mode by a table of uses, then by properties that hold for any sequence of them.
import fc from 'fast-check';
import {
  createRefreshServer,
  REFRESH_MODES,
  type RefreshMode,
  type RefreshServer,
  type RefreshServerOptions,
} from '../support/refresh-server';
import { START_MS } from '../support/unit-platform';

const LEEWAY_MS = 10_000;

interface Bench {
  readonly server: RefreshServer;
  advance(ms: number): void;
  /** Values of the refresh tokens of the one grant, by index. */
  readonly tokens: string[];
  /** Presents the token with that index: outcome, and the index of the answer's refresh token if there is one. */
  use(index: number, parameters?: Readonly<Record<string, string>>): string;
}

async function bench(mode: RefreshMode, options: Partial<RefreshServerOptions> = {}): Promise<Bench> {
  let now = START_MS;
  const server = createRefreshServer({ mode, leewayMs: LEEWAY_MS, now: () => now, ...options });
  const tokens = [(await server.authorize('alice')).refresh_token ?? ''];
  return {
    server,
    tokens,
    advance: (ms) => void (now += ms),
    use: (index, parameters = {}) => {
      const { status, body, commit } = server.token(formOf(tokens[index] ?? '', parameters));
      if (!('access_token' in body)) return `${commit.outcome} ${status} ${body.error}`;
      if (body.refresh_token === undefined) return commit.outcome;
      const known = tokens.indexOf(body.refresh_token);
      return `${commit.outcome} ${known >= 0 ? known : tokens.push(body.refresh_token) - 1}`;
    },
  };
}

function formOf(refreshToken: string, parameters: Readonly<Record<string, string>> = {}): URLSearchParams {
  return new URLSearchParams({ grant_type: 'refresh_token', client_id: 'spa', refresh_token: refreshToken, ...parameters });
}

/** Runs `0 +10001 1`: present token 0, let 10 001 ms pass, present token 1. */
function run({ use, advance }: Bench, steps: string): readonly string[] {
  return steps.split(' ').flatMap((step) => (step.startsWith('+') ? (advance(Number(step)), []) : [use(Number(step))]));
}

const REFUSED = 'reuse-refused 400 invalid_grant';
const ENDED = 'reuse-revoked-family 400 invalid_grant';
const GONE = 'revoked 400 invalid_grant';

/** mode, steps, their results, then what is current and what would be honoured; `revoked`: the grant is over. */
type Row = readonly [mode: RefreshMode, steps: string, results: readonly string[], current: readonly number[], honoured: readonly number[]];
const ROWS: readonly Row[] = [
  ['keep', '0', ['kept'], [0], [0]],
  ['keep', '0 0 +10001 0', ['kept', 'kept', 'kept'], [0], [0]],

  ['open', '0', ['rotated 1'], [1], [0, 1]],
  ['open', '0 0', ['rotated 1', 'reused 2'], [1, 2], [0, 1, 2]],
  ['open', '0 +99999999 0', ['rotated 1', 'reused 2'], [1, 2], [0, 1, 2]],
  ['open', '0 1 0', ['rotated 1', 'rotated 2', 'reused 3'], [2, 3], [0, 1, 2, 3]],
  ['open', '0 0 0', ['rotated 1', 'reused 2', 'reused 3'], [1, 2, 3], [0, 1, 2, 3]],

  ['leeway-siblings', '0', ['rotated 1'], [1], [0, 1]],
  ['leeway-siblings', '0 0', ['rotated 1', 'reused-in-leeway 2'], [1, 2], [0, 1, 2]],
  ['leeway-siblings', '0 +10000 0', ['rotated 1', 'reused-in-leeway 2'], [1, 2], [0, 1, 2]],
  ['leeway-siblings', '0 +10001', ['rotated 1'], [1], [1]],
  ['leeway-siblings', '0 +10001 0', ['rotated 1', ENDED], [], []],
  ['leeway-siblings', '0 1 0', ['rotated 1', 'rotated 2', 'reused-in-leeway 3'], [2, 3], [0, 1, 2, 3]],
  ['leeway-siblings', '0 0 1 2', ['rotated 1', 'reused-in-leeway 2', 'rotated 3', 'rotated 4'], [3, 4], [0, 1, 2, 3, 4]],
  ['leeway-siblings', '0 0 0', ['rotated 1', 'reused-in-leeway 2', 'reused-in-leeway 3'], [1, 2, 3], [0, 1, 2, 3]],
  ['leeway-siblings', '0 +9000 0 +9000 0', ['rotated 1', 'reused-in-leeway 2', ENDED], [], []],
  ['leeway-siblings', '0 +10001 1 0 2', ['rotated 1', 'rotated 2', ENDED, GONE], [], []],

  ['leeway-latest', '0', ['rotated 1'], [1], [0, 1]],
  ['leeway-latest', '0 0', ['rotated 1', 'reused-in-leeway 2'], [2], [0, 2]],
  ['leeway-latest', '0 0 1', ['rotated 1', 'reused-in-leeway 2', ENDED], [], []],
  ['leeway-latest', '0 0 2', ['rotated 1', 'reused-in-leeway 2', 'rotated 3'], [3], [0, 2, 3]],
  ['leeway-latest', '0 +10000 0', ['rotated 1', 'reused-in-leeway 2'], [2], [0, 2]],
  ['leeway-latest', '0 +10001 0', ['rotated 1', ENDED], [], []],
  ['leeway-latest', '0 1 0', ['rotated 1', 'rotated 2', 'reused-in-leeway 3'], [3], [0, 3]],
  ['leeway-latest', '0 1 0 2', ['rotated 1', 'rotated 2', 'reused-in-leeway 3', ENDED], [], []],
  ['leeway-latest', '0 1 1', ['rotated 1', 'rotated 2', 'reused-in-leeway 3'], [3], [0, 1, 3]],
  ['leeway-latest', '0 0 0', ['rotated 1', 'reused-in-leeway 2', 'reused-in-leeway 3'], [3], [0, 3]],

  ['parent-ok', '0', ['rotated 1'], [1], [0, 1]],
  ['parent-ok', '0 0', ['rotated 1', 'parent-ok 1'], [1], [0, 1]],
  ['parent-ok', '0 +99999999 0', ['rotated 1', 'parent-ok 1'], [1], [0, 1]],
  ['parent-ok', '0 1', ['rotated 1', 'rotated 2'], [2], [1, 2]],
  ['parent-ok', '0 1 0', ['rotated 1', 'rotated 2', ENDED], [], []],
  ['parent-ok', '0 0 0', ['rotated 1', 'parent-ok 1', 'parent-ok 1'], [1], [0, 1]],
  ['parent-ok', '0 0 1 1 2', ['rotated 1', 'parent-ok 1', 'rotated 2', 'parent-ok 2', 'rotated 3'], [3], [2, 3]],

  ['strict-fail', '0', ['rotated 1'], [1], [1]],
  ['strict-fail', '0 0', ['rotated 1', REFUSED], [1], [1]],
  ['strict-fail', '0 +10001 0', ['rotated 1', REFUSED], [1], [1]],
  ['strict-fail', '0 1 0', ['rotated 1', 'rotated 2', REFUSED], [2], [2]],
  ['strict-fail', '0 0 0 1', ['rotated 1', REFUSED, REFUSED, 'rotated 2'], [2], [2]],

  ['strict-revoke', '0', ['rotated 1'], [1], [1]],
  ['strict-revoke', '0 1 2', ['rotated 1', 'rotated 2', 'rotated 3'], [3], [3]],
  ['strict-revoke', '0 0', ['rotated 1', ENDED], [], []],
  ['strict-revoke', '0 +10001 0', ['rotated 1', ENDED], [], []],
  ['strict-revoke', '0 1 0 2', ['rotated 1', 'rotated 2', ENDED, GONE], [], []],
  ['strict-revoke', '0 0 0 1', ['rotated 1', ENDED, GONE, GONE], [], []],
];

describe('the modes of §20', () => {
  it.each(ROWS)('%s: %s', async (mode, steps, results, current, honoured) => {
    const one = await bench(mode);
    expect(run(one, steps)).toEqual(results);
    expect(one.server.grants()).toEqual([
      expect.objectContaining({ current, honoured, state: current.length > 0 ? 'live' : 'revoked', issued: one.tokens.length }),
    ]);
  });

  it.each(['leeway-siblings', 'leeway-latest', 'parent-ok'] as const)('%s: a late use can leave the rest alive', async (mode) => {
    const one = await bench(mode, { lateReuse: 'refuse' });
    expect(run(one, '0 +10001 1 0 2')).toEqual(['rotated 1', 'rotated 2', REFUSED, 'rotated 3']);
  });

  it('a revoked family takes its access tokens along; another grant of the server lives on', async () => {
    const { server, tokens, use } = await bench('strict-revoke');
    const other = await server.authorize('bob');
    const before = await server.authorize('alice');
    const { body } = server.token(formOf(before.refresh_token ?? ''));
    server.token(formOf(before.refresh_token ?? ''));
    const access = 'access_token' in body ? body.access_token : '';
    expect([before.access_token, access, other.access_token].map(server.isLive)).toEqual([false, false, true]);
    expect(server.access(access)).toBeUndefined();
    expect([use(0), server.isLive(tokens[1] ?? ''), server.isLive(other.refresh_token ?? '')]).toEqual(['rotated 1', true, true]);
  });
});

describe('any sequence of uses', () => {
  const moves = fc.array(fc.oneof(fc.nat({ max: 5 }), fc.constantFrom(-1, -5_000, -10_000)), { minLength: 1, maxLength: 25 });

  it.each(REFRESH_MODES)('%s: what is live is what is honoured, and its invariants hold', async (mode) => {
    await fc.assert(
      fc.asyncProperty(moves, async (sequence) => {
        const one = await bench(mode);
        for (const move of sequence) {
          if (move < 0) one.advance(-move);
          else if (move < one.tokens.length) {
            const live = one.server.isLive(one.tokens[move] ?? '');
            expect(one.use(move).endsWith('invalid_grant')).toBe(!live);
          }
          expectInvariants(mode, one.server);
        }
      }),
      { numRuns: 60 },
    );
  });
});

function expectInvariants(mode: RefreshMode, server: RefreshServer): void {
  const [grant] = server.grants();
  if (!grant) throw new Error('no grant');
  const { current, honoured, issued, state } = grant;
  expect(current.every((index) => honoured.includes(index))).toBe(true);
  if (state === 'revoked') {
    expect({ mode, honoured }).toEqual({ mode: expect.not.stringMatching(/keep|open|strict-fail/) as string, honoured: [] });
    return;
  }
  if (mode === 'keep') expect(issued).toBe(1);
  else if (mode === 'open') expect(honoured).toHaveLength(issued);
  else if (mode === 'leeway-siblings') expect(current.length).toBeGreaterThan(0);
  else expect(current).toEqual([issued - 1]);
  if (mode.startsWith('strict')) expect(honoured).toEqual(current);
  if (mode === 'parent-ok') expect(honoured.length).toBeLessThanOrEqual(2);
}

describe('requests', () => {
  it('narrows the access token, never the refresh token (RFC 6749 §6, RFC 8707 §2)', async () => {
    const { server } = await bench('strict-revoke');
    const first = await server.authorize('bob', { scope: 'a b c', resources: ['https://one.example/', 'https://two.example/'] });
    const form = formOf(first.refresh_token ?? '', { scope: 'c a', resource: 'https://one.example/' });
    const { body } = server.token(form);
    if (!('access_token' in body)) throw new Error(body.error);
    expect(body.scope).toBe('c a');
    expect(server.access(body.access_token)).toEqual({ sub: 'bob', scope: 'c a', resource: ['https://one.example/'] });
    expect(server.token(formOf(body.refresh_token ?? '')).body).toMatchObject({ scope: 'a b c' });
  });

  it.each([
    ['invalid_scope', { scope: 'api:read admin' }],
    ['invalid_target', { resource: 'https://unknown.example/' }],
    ['invalid_client', { client_id: 'other' }],
    ['unsupported_grant_type', { grant_type: 'password' }],
    ['invalid_request', { grant_type: '' }],
  ])('%s spends nothing', async (error, parameters) => {
    const one = await bench('strict-revoke');
    expect(one.use(0, parameters)).toBe(`bad-request ${error === 'invalid_client' ? 401 : 400} ${error}`);
    expect(one.use(0)).toBe('rotated 1');
  });

  it('a replay with a bad scope is still a replay', async () => {
    const one = await bench('strict-revoke');
    expect([one.use(0), one.use(0, { scope: 'admin' }), one.use(1)]).toEqual(['rotated 1', ENDED, GONE]);
  });

  it('refuses repeated parameters and tokens of other servers', async () => {
    const [one, other] = [await bench('keep'), await bench('keep')];
    const twice = formOf(one.tokens[0] ?? '');
    twice.append('refresh_token', one.tokens[0] ?? '');
    expect(one.server.token(twice).body).toMatchObject({ error: 'invalid_request' });
    expect(one.server.token(formOf(other.tokens[0] ?? '')).commit).toMatchObject({
      outcome: 'unknown-token',
      error: 'invalid_grant',
      grant: null,
    });
  });

  it('access tokens end when told, not before', async () => {
    const { server, advance } = await bench('keep', { expiresInS: 60 });
    const { access_token, expires_in } = await server.authorize('alice');
    const second = await server.authorize('alice');
    expect([expires_in, server.expireAccessToken(second.access_token), server.isLive(second.access_token)]).toEqual([60, true, false]);
    advance(59_999);
    expect(server.isLive(access_token)).toBe(true);
    advance(1);
    expect([server.isLive(access_token), server.expireAccessToken('x')]).toEqual([false, false]);
  });
});

describe('revocation (RFC 7009)', () => {
  const revoking = (token: string, client_id = 'spa'): URLSearchParams => new URLSearchParams({ token, client_id });

  it('of a refresh token, spent or not, ends the grant; 200 also for an unknown token', async () => {
    const { server, tokens, use } = await bench('strict-fail');
    use(0);
    expect(server.revoke(revoking('nobody knows')).status).toBe(200);
    expect(server.isLive(tokens[1] ?? '')).toBe(true);
    expect(server.revoke(revoking(tokens[0] ?? '')).status).toBe(200);
    expect([use(1), server.grants()[0]?.state]).toEqual([GONE, 'revoked']);
  });

  it.each(REFRESH_MODES.filter((mode) => mode !== 'keep'))('%s, one by one: a child that nobody revokes lives on', async (mode) => {
    const { server, tokens, use } = await bench(mode, { revocation: 'token' });
    use(0);
    server.revoke(revoking(tokens[0] ?? ''));
    expect(tokens.map(server.isLive)).toEqual([false, true]);
    expect(use(0)).toBe(GONE);
    server.revoke(revoking(tokens[1] ?? ''));
    expect([server.grants()[0]?.honoured, use(1)]).toEqual([[], GONE]);
  });

  it('leeway-latest: a child that was revoked stays revoked when a newer one takes its place', async () => {
    const { server, tokens, use } = await bench('leeway-latest', { revocation: 'token' });
    use(0);
    server.revoke(revoking(tokens[1] ?? ''));
    expect([use(0), use(1), use(2)]).toEqual(['reused-in-leeway 2', GONE, 'rotated 3']);
  });

  it('of an access token ends that one; of another client nothing', async () => {
    const { server } = await bench('keep');
    const { access_token, refresh_token = '' } = await server.authorize('alice');
    expect(server.revoke(revoking(refresh_token, 'other')).status).toBe(401);
    expect(server.isLive(refresh_token)).toBe(true);
    server.revoke(revoking(access_token));
    expect([access_token, refresh_token].map(server.isLive)).toEqual([false, true]);
  });
});

describe('the books', () => {
  it('tell time, grant, token, outcome and reuse, and hold no token', async () => {
    const { server, use, advance, tokens } = await bench('leeway-siblings');
    use(0);
    advance(10);
    use(0);
    server.drop(formOf(tokens[2] ?? ''), 'drop-request');
    use(2, { scope: 'admin' });
    expect(server.log()).toEqual([
      { number: 1, at: START_MS, grant: 'g1', presented: 0, issued: 1, outcome: 'rotated', reuse: false },
      { number: 2, at: START_MS + 10, grant: 'g1', presented: 0, issued: 2, outcome: 'reused-in-leeway', reuse: true },
      { number: 3, at: START_MS + 10, grant: 'g1', presented: 2, issued: null, outcome: 'dropped', reuse: false, fault: 'drop-request' },
      {
        number: 4,
        at: START_MS + 10,
        grant: 'g1',
        presented: 2,
        issued: null,
        outcome: 'bad-request',
        reuse: false,
        error: 'invalid_scope',
      },
    ]);
    expect(server.counts()).toEqual({
      requests: 4,
      reuse: 1,
      outcomes: { rotated: 1, 'reused-in-leeway': 1, dropped: 1, 'bad-request': 1 },
      faults: { 'drop-request': 1 },
    });
    server.drop(formOf(tokens[0] ?? ''), 'hang');
    expect([server.log().at(-1)?.outcome, server.counts().reuse]).toEqual(['dropped', 1]); // spent, but it never came
    expect(server.lookUp(tokens[2] ?? '')).toEqual({ kind: 'refresh', grant: 'g1', index: 2, live: true });
    expect(tokens.some((token) => JSON.stringify([server.log(), server.grants()]).includes(token))).toBe(false);
    server.resetLog();
    expect(server.counts()).toEqual({ requests: 0, reuse: 0, outcomes: {}, faults: {} });
  });
});
