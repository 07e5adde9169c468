// Sign-in as a person sees it: one page with one field. Consent is not asked for, because the clients are the demo's own.
import { readText } from './http.mjs';
import { loginBody, sendPage } from './pages.mjs';

const INTERACTION = /^\/interaction\/([\w-]+)(\/abort)?$/;

/** Koa middleware for /interaction/:uid (GET shows, POST submits) and /interaction/:uid/abort. */
export function interactions(provider, accounts) {
  return async (ctx, next) => {
    const match = INTERACTION.exec(ctx.path);
    if (!match) return next();
    if (match[2]) return finish(ctx, provider, { error: 'access_denied', error_description: 'The user cancelled the sign-in' });
    const interaction = await findInteraction(ctx, provider, match[1]);
    if (!interaction) return undefined;
    if (interaction.prompt.name === 'consent') return consent(ctx, provider, interaction);
    return ctx.method === 'POST' ? submitLogin(ctx, provider, { accounts, interaction }) : showLogin(ctx, provider, { interaction });
  };
}

/**
 * A new grant for each sign-in, with everything that was asked for. One grant shared by two sign-ins of one person would be convenient, and wrong here:
 * revoking one of their tokens would revoke the other's.
 */
export async function grantEverything(ctx) {
  const { oidc } = ctx;
  if (oidc.result?.consent?.grantId) return oidc.provider.Grant.find(oidc.result.consent.grantId);
  const grant = new oidc.provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId });
  grant.addOIDCScope([...oidc.requestParamOIDCScopes].join(' '));
  grant.addOIDCClaims([...oidc.requestParamClaims]);
  for (const resource of Object.keys(oidc.resourceServers ?? {})) grant.addResourceScope(resource, [...oidc.requestParamScopes].join(' '));
  await grant.save();
  return grant;
}

/** The same once for each client in a browser session, as is usual: any token that is revoked ends it, whichever sign-in it came of. */
export async function grantOnce(ctx) {
  const grantId = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
  return (grantId && (await ctx.oidc.provider.Grant.find(grantId))) || grantEverything(ctx);
}

async function findInteraction(ctx, provider, uid) {
  const interaction = await provider.interactionDetails(ctx.req, ctx.res).catch(() => undefined);
  if (interaction?.uid === uid) return interaction;
  const body = '<p>This sign-in has expired or was already finished. Go back to the application and start again.</p>';
  sendPage(ctx, { title: 'Nothing to sign in to', body, status: 400 });
  return undefined;
}

async function showLogin(ctx, provider, { interaction, login, problem }) {
  const { uid, params } = interaction;
  const client = await provider.Client.find(params.client_id);
  sendPage(ctx, {
    title: 'Sign in',
    status: problem ? 400 : 200,
    body: loginBody({
      submitUrl: `/interaction/${uid}`,
      abortUrl: `/interaction/${uid}/abort`,
      clientName: client?.clientName ?? params.client_id,
      login: login ?? params.login_hint ?? '',
      problem,
    }),
  });
}

async function submitLogin(ctx, provider, { accounts, interaction }) {
  const login = new URLSearchParams(await readText(ctx.req)).get('login') ?? '';
  const accountId = accounts.signIn(login);
  if (accountId === null) return showLogin(ctx, provider, { interaction, login: '', problem: 'Type a name; any name will do.' });
  return finish(ctx, provider, { login: { accountId } });
}

/** Only `prompt=consent` leads here; everything else was granted on the way in. */
async function consent(ctx, provider, { params, session, prompt }) {
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? 'openid');
  if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {}))
    grant.addResourceScope(resource, scopes.join(' '));
  return finish(ctx, provider, { consent: { grantId: await grant.save() } });
}

async function finish(ctx, provider, result) {
  const returnTo = await provider.interactionResult(ctx.req, ctx.res, result);
  ctx.redirect(returnTo);
  ctx.status = 303; // a GET follows, whatever came before
}
