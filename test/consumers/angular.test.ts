import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { ROOT } from '../support/markdown';
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
  test('E44 with zone.js in a browser: a token that expires and is renewed unasked does not enter the zone, and leaves it stable', async () => {
    consumer = await linkedConsumer();
    await newLinkedApplication(consumer);
    const config = `import { provideZoneChangeDetection } from '@angular/core';
import { provideCredentials, withStorage } from 'rx-credentials-angular';
import { indexedDBStorage } from 'rx-credentials/storage/indexeddb';
import { sealed } from 'rx-credentials/storage/sealed';
import { context, tokenOf } from './app';
export const appConfig = {
  providers: [
    provideZoneChangeDetection(),
    provideCredentials({ ...context, renew: () => Promise.resolve(tokenOf('renewed', 3600)) }, withStorage(() => sealed(indexedDBStorage()))),
  ],
};
`;
    consumer.write({
      'src/app/app.ts': readFileSync(join(__dirname, 'programs/zone-app.ts'), 'utf8'),
      'src/app/app.config.ts': config,
      'src/main.ts': `import 'zone.js';\n${readFileSync(consumer.path('src/main.ts'), 'utf8')}`,
    });
    succeeded(await ng(consumer, 'build', '--configuration=development'));
    const { said } = await visit(consumer, '', /zone/, /^\{/);
    expect(JSON.parse(said)).toEqual({
      entries: 0,
      isStable: true,
      hasPendingMacrotasks: false,
      inside: false,
      generation: 2,
      events: ['expiring here', 'expired here', 'refresh_started here', 'token_replaced here'],
    });
  });

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

  test('the page on tests, typed off for the test runner of the CLI: ng test passes with the packed packages', async () => {
    const page = readFileSync(join(ROOT, 'docs/angular/tests.md'), 'utf8');
    const specs = Array.from(page.matchAll(/^<!-- test -->\n\n```ts\n([^]*?)^```$/gm), ([, code = '']) =>
      code.replace('@jest/globals', 'vitest'),
    );
    consumer = emptyConsumer();
    await newApplication(consumer, '22', '--no-minimal');
    succeeded(await consumer.npm('install', ...NPM_FLAGS));
    consumer.write(Object.fromEntries(specs.map((code, i) => [`src/app/example-${i}.spec.ts`, code])));
    const printed = stripVTControlCharacters(succeeded(await ng(consumer, 'test', '--watch=false')));
    expect(printed).toContain(`Tests  ${specs.length + 2} passed (${specs.length + 2})`); // two are the application's own
    expect(specs.length).toBeGreaterThan(2);
  });
}
