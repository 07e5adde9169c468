// What is remembered of renewals that failed: for each target of each credential, and not without end.
import type { CredentialState } from '../../src/credential/state.js';
import { CredentialError } from '../../src/errors.js';
import { createDoubts } from '../../src/store/in-doubt.js';
import { createRenewal, type Renewal } from '../../src/store/renewal.js';
import { unitPlatform } from '../support/unit-platform.js';

const refused = new CredentialError('oauth_error', 'The server refused.');
const to = (number: number): { readonly resource: string } => ({ resource: `https://api.example.com/${number}` });

/** The policy of a store where every id is one of a credential. */
function anyRenewal(): Renewal {
  const loop = { stateOf: () => ({ isDefault: false }) as CredentialState } as never;
  const platform = unitPlatform();
  const clientOf = (): undefined => undefined;
  const doubts = createDoubts({ platform, clientOf, hears: () => true });
  return createRenewal({ ledger: { record: () => undefined } as never, loop, platform, isAhead: false, used: new Set(), clientOf, doubts });
}

it('of one credential no more than a hundred targets that were refused are remembered, and its own failure stays', () => {
  const renewal = anyRenewal();
  renewal.failed('a', refused, undefined);
  for (let i = 0; i < 101; i++) renewal.failed('b', refused, to(i));
  renewal.failed('b', refused, to(1)); // the youngest again
  renewal.failed('b', refused, to(101));
  expect([0, 1, 2, 3, 100, 101].map((i) => renewal.refusal('b', false, to(i)) !== undefined)).toEqual([
    false,
    true,
    false,
    true,
    true,
    true,
  ]);
  expect(renewal.refusal('a', false, to(0))).toMatchObject({ code: 'oauth_error' });
});

it('what is forgotten of one credential is kept of others', () => {
  const renewal = anyRenewal();
  for (const id of ['a', 'ab']) for (const target of [undefined, to(1)]) renewal.failed(id, refused, target);
  renewal.forget('a');
  expect(['a', 'ab'].map((id) => renewal.refusal(id, false, to(1))?.code)).toEqual([undefined, 'oauth_error']);
  renewal.succeeded('ab', to(1));
  expect(renewal.refusal('ab', false, to(1))).toBeUndefined();
});
