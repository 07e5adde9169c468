import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newApplication, newLinkedApplication, ng, NPM_FLAGS, succeeded, visit } from './application';
import { emptyConsumer, linkedConsumer, type Consumer } from './consumer';
import { serveApi } from './servers';

jest.setTimeout(600_000);

let consumer: Consumer | undefined;
afterEach(() => consumer?.remove());

/** `ng add`, `ng build` and a browser, in an application whose packages are installed. */
async function provesItself(application: Consumer): Promise<void> {
  const api = await serveApi();
  try {
    const add = ['add', 'rx-credentials-angular', '--skip-confirmation', '--client-id=shop', `--api-url=${api.origin}/v1/`];
    expect(succeeded(await ng(application, ...add))).toContain('UPDATE src/app/app.config.ts');
    const config = readFileSync(application.path('src/app/app.config.ts'), 'utf8');
    expect(succeeded(await ng(application, ...add, '--client-id=other'))).toContain('provides credentials already'); // in vain
    expect(readFileSync(application.path('src/app/app.config.ts'), 'utf8')).toBe(config);
    application.write({ 'src/app/app.ts': readFileSync(join(__dirname, 'programs/angular-app.ts'), 'utf8') });
    expect(succeeded(await ng(application, 'build'))).not.toMatch(/warning/i);
    const { text, complaints } = await visit(application, api.origin, /: (?!waiting)/);
    expect({ text, complaints }).toEqual({ text: 'worker: ok ok', complaints: [] });
    expect(api.calls.toSorted((one, other) => one.path.localeCompare(other.path))).toEqual([
      { path: '/v1/orders', authorization: 'Bearer of-the-worker' },
      { path: '/v10/orders', authorization: null }, // begins like the API's, and is not
    ]);
  } finally {
    await api.close();
  }
}

test('Angular 22: an application of the CLI takes ng add, is built, and sends its token to the API alone', async () => {
  consumer = await linkedConsumer();
  await newLinkedApplication(consumer);
  await provesItself(consumer);
});

if (process.env['RXC_LONG']) {
  test.each(['20', '21', '22'])('Angular %s from the registry: npm finds no conflict, and the application does the same', async (major) => {
    consumer = emptyConsumer();
    await newApplication(consumer, major);
    // What conflicts with a package that the application names itself is an error; what Angular's own packages are at odds about is not
    succeeded(await consumer.npm('install', ...NPM_FLAGS));
    const { version } = JSON.parse(readFileSync(consumer.path('node_modules/@angular/core/package.json'), 'utf8')) as { version: string };
    expect(version.split('.')[0]).toBe(major);
    expect(existsSync(consumer.path('node_modules/rx-credentials/index.js'))).toBe(true);
    await provesItself(consumer);
    if (major !== '20') return;
    // The oldest Angular with the oldest TypeScript that it takes
    succeeded(await consumer.npm('install', 'typescript@~5.8', '--no-save', ...NPM_FLAGS));
    const tsc = 'node_modules/typescript/bin/tsc';
    expect(succeeded(await consumer.node([tsc, '--version']))).toContain('5.8.');
    expect(succeeded(await consumer.node([tsc, '-p', 'tsconfig.app.json', '--noEmit', '--skipLibCheck', 'false']))).toBe('');
  });
}
