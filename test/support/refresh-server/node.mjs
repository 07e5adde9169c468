// The same server for programs that run in plain Node, apart from Jest: Node strips the types itself (22.18 and later), and the hook finds './core' as
// TypeScript does. `node test/support/refresh-server/node.mjs '{"mode":"strict-revoke"}'` runs it until its standard input ends and prints its addresses.
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = new URL('.', import.meta.url).href;
registerHooks({
  resolve: (specifier, context, next) => {
    const ours = specifier.startsWith('./') && context.parentURL?.startsWith(here) && !/\.[a-z]+$/.test(specifier);
    return next(ours ? `${specifier}.ts` : specifier, context);
  },
});

/** @type {typeof import('./index')} */
const { createRefreshServer, createRefreshControl, seededRandom, REFRESH_MODES } = await import('./index.ts');
export { createRefreshServer, createRefreshControl, seededRandom, REFRESH_MODES };

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { keepAlive, ...options } = JSON.parse(process.argv[2] ?? '{"mode":"strict-revoke"}');
  const { close, ...addresses } = await createRefreshServer(options).listen({ keepAlive });
  console.log(JSON.stringify(addresses));
  process.stdin.resume().on('end', () => void close());
}
