/**
 * The sign-in flows of a store.
 *
 * @module
 */
import type { RedirectCommand } from '@angular/router';
import type { OAuth2Client } from 'rx-credentials';
import { createAuthorizationCodeFlow } from 'rx-credentials/flows';
import type { AuthorizationCodeFlow, TransactionStorage } from 'rx-credentials/flows';
import { of } from 'rxjs';
import type { SignInFailed } from './features';

/** Where the state of a navigation has the failure that it tells of. */
export const FAILURE = 'rx-credentials:failure';

/** One flow for each client: sign-ins that are kept in memory are found again. */
export interface SignInFlows {
  of(client: OAuth2Client): AuthorizationCodeFlow;
  /** What the answer that came leads to; `null`: it is over. */
  answering?: Promise<RedirectCommand> | null;
  /** Tells of a sign-in that failed. */
  failed(why: Omit<SignInFailed, 'type'>): void;
}

/** No flow yet. @param transactions where sign-ins wait; left out: the default of flows */
export function createSignInFlows(transactions: TransactionStorage | undefined, log: (event: SignInFailed) => void): SignInFlows {
  const flows = new WeakMap<OAuth2Client, AuthorizationCodeFlow>();
  return {
    of: (client) => {
      const flow = flows.get(client) ?? createAuthorizationCodeFlow(client, { transactions });
      flows.set(client, flow);
      return flow;
    },
    failed: (why) => of<SignInFailed>({ type: 'sign_in_failed', ...why }).subscribe(log), // what it throws is reported, and goes no further
  };
}
