// The authorization server's own pages: plain HTML, no script, nothing loaded from anywhere.

const STYLE = `
  :root { color-scheme: light dark; --accent: #2456c9; --on-accent: #fff; --line: #8a8f98; }
  @media (prefers-color-scheme: dark) { :root { --accent: #9dbbff; --on-accent: #10182b; } }
  * { box-sizing: border-box; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1rem/1.5 system-ui, sans-serif; }
  main { width: min(26rem, 100vw); padding: 1.5rem; }
  h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .75rem; }
  label { display: block; font-weight: 600; margin: 1.25rem 0 .25rem; }
  input[type=text] { width: 100%; padding: .6rem .7rem; font: inherit; border: 1px solid var(--line); border-radius: .4rem; }
  button { width: 100%; margin: 1rem 0; padding: .65rem; font: inherit; font-weight: 600; cursor: pointer;
    color: var(--on-accent); background: var(--accent); border: 0; border-radius: .4rem; }
  a { color: var(--accent); }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  .note { border-left: 4px solid var(--accent); padding-left: .75rem; }
  .error { border-left: 4px solid #c62828; padding-left: .75rem; font-weight: 600; }
`;

// No form-action: browsers apply it to the redirects that follow a form, and those lead to the client.
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

/** Answers a Koa context with one page. */
export function sendPage(ctx, { title, body, status = 200 }) {
  ctx.status = status;
  ctx.type = 'html';
  ctx.set('Cache-Control', 'no-store');
  ctx.set('Content-Security-Policy', POLICY);
  ctx.set('Referrer-Policy', 'no-referrer');
  ctx.body = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body><main><h1>${escapeHtml(title)}</h1>
${body}
</main></body>
</html>`;
}

/** The login form; `problem` is what was wrong with the last attempt. */
export function loginBody({ submitUrl, abortUrl, clientName, login = '', problem }) {
  return `<p>to continue to <strong>${escapeHtml(clientName)}</strong></p>
<p class="note">This is a demo server: any name signs in, and there is no password.</p>
${problem ? `<p class="error" id="problem" role="alert">${escapeHtml(problem)}</p>` : ''}
<form method="post" action="${escapeHtml(submitUrl)}">
<input type="hidden" name="prompt" value="login">
<label for="login">Your name</label>
<input type="text" id="login" name="login" value="${escapeHtml(login)}" maxlength="80" required autofocus
  autocomplete="username" autocapitalize="none" spellcheck="false"${problem ? ' aria-invalid="true" aria-describedby="problem"' : ''}>
<button type="submit">Sign in</button>
</form>
<p><a href="${escapeHtml(abortUrl)}">Cancel</a></p>`;
}

/** `form` comes from oidc-provider; it holds the anti-forgery field. */
export function logoutBody(form) {
  return `<p>This ends your session at the demo server.</p>
${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes" autofocus>Sign out</button>`;
}

export function errorBody({ error, error_description: description }) {
  return `<p class="error" role="alert">${escapeHtml(error)}</p>
${description ? `<p>${escapeHtml(description)}</p>` : ''}
<p>Go back to the application and start again.</p>`;
}

export function escapeHtml(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (character) => entities[character]);
}
