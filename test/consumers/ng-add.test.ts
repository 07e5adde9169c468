import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { linkedConsumer, type Consumer } from './consumer';
import { openStage, syntaxErrors, type Files, type Stage } from './schematics';

const CONFIG = '/src/app/app.config.ts';
const OPTIONS = {
  issuer: 'https://id.shop.example',
  clientId: 'shop',
  scope: 'openid orders',
  apiUrl: 'https://api.shop.example/v1/',
  redirectUri: 'https://shop.example/callback',
};

let consumer: Consumer;
let stage: Stage;
beforeAll(async () => {
  consumer = await linkedConsumer();
  stage = openStage(consumer);
});
afterAll(() => {
  stage.close();
  consumer.remove();
});

/** A configuration whose providers are the given text. */
function appConfig(imports: string, providers: string): Files {
  return {
    [CONFIG]: `import type { ApplicationConfig } from '@angular/core';\n${imports}\n\nexport const appConfig: ApplicationConfig = {\n  providers: [${providers}],\n};\n`,
  };
}

/** The configuration after one run, which must be TypeScript. */
async function added(files: Files, options = OPTIONS): Promise<string> {
  const { stages, error } = await stage.play({ files, runs: [options, options] });
  expect(error).toBeUndefined();
  const text = stages[1]?.[CONFIG] ?? '';
  expect(syntaxErrors(text)).toEqual([]);
  expect(stages[2]).toEqual(stages[1]); // again: nothing changes
  return text;
}

describe.each([
  ['zoneless, with a router', { routing: true, zoneless: true }],
  ['with zone.js', { routing: true, zoneless: false }],
  ['without a router', { routing: false }],
  ['with server rendering', { routing: true, ssr: true }],
  ['minimal, of inline files', { minimal: true, inlineTemplate: true, inlineStyle: true }],
])('a fresh application of the CLI, %s', (_, application) => {
  test('gets a store, a client with the interceptor, and the packages; nothing else changes', async () => {
    const { stages, tasks, logs, error } = await stage.play({ application, runs: [OPTIONS] });
    const [before = {}, after = {}] = stages;
    expect(error).toBeUndefined();
    const text = after[CONFIG] ?? '';
    expect(syntaxErrors(text)).toEqual([]);
    expect(text).toContain(`    provideCredentials(
      {
        issuer: 'https://id.shop.example',
        clientId: 'shop',
        scope: 'openid orders',
        redirectUri: 'https://shop.example/callback',
      },
      withResources('https://api.shop.example/v1/'),
    ),
    provideHttpClient(withInterceptors([credentialsInterceptor]))`);
    expect(text).toContain("import { provideCredentials, withResources, credentialsInterceptor } from 'rx-credentials-angular';");
    expect(text).toContain("import { provideHttpClient, withInterceptors } from '@angular/common/http';");
    const changed = Object.keys(after).filter((path) => after[path] !== before[path]);
    expect(changed.sort()).toEqual(['/package.json', CONFIG]);
    const { dependencies } = JSON.parse(after['/package.json'] ?? '') as { dependencies: Files };
    expect(dependencies).toMatchObject({ 'rx-credentials': '^0.1.0', 'rx-credentials-angular': '^0.1.0' });
    expect(tasks).toEqual([['node-package']]);
    expect(logs.join()).toContain('look at the issuer');
  });

  test('a second run, also with other options, changes nothing and installs nothing', async () => {
    const { stages, tasks, logs } = await stage.play({ application, runs: [OPTIONS, { ...OPTIONS, clientId: 'other' }] });
    expect(stages).toHaveLength(3);
    expect(stages[2]).toEqual(stages[1]);
    expect(tasks[1]).toEqual([]);
    expect(logs.at(-1)).toContain('provides credentials already');
  });
});

test('without options, as with --skip-confirmation where nobody answers, the placeholders of the schema are written', async () => {
  const { stages } = await stage.play({ runs: [{}] });
  const text = stages[1]?.[CONFIG] ?? '';
  for (const word of [
    'https://id.example.com',
    'my-application',
    'openid profile offline_access',
    'https://api.example.com/',
    'http://localhost:4200/callback',
  ]) {
    expect(text).toContain(`'${word}'`);
  }
});

test('the example of docs/ng-add.md is what a fresh application gets', async () => {
  const page = readFileSync(join(__dirname, '../../docs/ng-add.md'), 'utf8');
  const [, example = ''] = /```typescript\n([^]*?)```/.exec(page) ?? [];
  const { stages } = await stage.play({ application: { routing: true }, runs: [{}] });
  expect(formatted(example)).toBe(formatted(stages[1]?.[CONFIG] ?? 'nothing'));
});

describe('an application that is rendered on a server, of an Angular that sends by XMLHttpRequest there, gets withFetch()', () => {
  const client = (features: string, names: string): Files =>
    appConfig(`import { ${names} } from '@angular/common/http';\nimport { logging } from './logging';`, `provideHttpClient(${features})`);
  const ofMajor = (files: Files, major: string): Files => ({
    ...files,
    '/package.json': `{ "dependencies": { "@angular/core": "${major}" } }`,
  });

  test.each([
    ['beside a client of its own', {}, 'provideHttpClient(withFetch(), withInterceptors([credentialsInterceptor]))'],
    [
      'in the one that is there',
      client('', 'provideHttpClient'),
      'provideHttpClient(withFetch(), withInterceptors([credentialsInterceptor]))',
    ],
    [
      'behind a list of interceptors',
      client('withInterceptors([logging])', 'provideHttpClient, withInterceptors'),
      'provideHttpClient(withInterceptors([logging, credentialsInterceptor]), withFetch())',
    ],
    [
      'once',
      client('byFetch()', 'provideHttpClient, withFetch as byFetch'),
      'provideHttpClient(byFetch(), withInterceptors([credentialsInterceptor]))',
    ],
  ])('%s', async (_, files, expected) => {
    for (const [major, text] of [
      ['^20.3.0', expected],
      ['~21.0.0', expected],
      ['next', expected],
      ['^22.0.0', expected.includes('byFetch') ? expected : expected.replace(/withFetch\(\), |, withFetch\(\)/, '')],
    ] as const) {
      const runs = [OPTIONS, OPTIONS];
      const { stages, logs, error } = await stage.play({ application: { ssr: true }, files: ofMajor(files, major), runs });
      expect(error).toBeUndefined();
      expect([major, stages[1]?.[CONFIG]]).toEqual([major, expect.stringContaining(text)]);
      expect(syntaxErrors(stages[1]?.[CONFIG] ?? '')).toEqual([]);
      expect(stages[1]?.[CONFIG]?.match(/\bwithFetch\b/g) ?? []).toHaveLength({ once: 1 }[_] ?? (text.includes('withFetch') ? 2 : 0));
      expect(stages[2]).toEqual(stages[1]);
      // Who has a client already may have uploads in browsers
      const isChanged = CONFIG in files && /\bwithFetch\(\)/.test(stages[1]?.[CONFIG] ?? '');
      expect(logs.filter((log) => /^warn: .*uploads report no progress/.test(log))).toHaveLength(isChanged ? 1 : 0);
    }
  });

  test('and no other does', async () => {
    const { stages } = await stage.play({ files: ofMajor({}, '^20.3.0'), runs: [OPTIONS] });
    expect(stages[1]?.[CONFIG]).toContain('provideHttpClient(withInterceptors([credentialsInterceptor]))');
  });
});

describe('a configuration that has provideHttpClient', () => {
  test.each([
    ['without features', `provideHttpClient()`, 'provideHttpClient', 'provideHttpClient(withInterceptors([credentialsInterceptor]))'],
    [
      'with a feature',
      `provideHttpClient(withFetch())`,
      'provideHttpClient, withFetch',
      'provideHttpClient(withFetch(), withInterceptors([credentialsInterceptor]))',
    ],
    [
      'with features on lines of their own',
      `\n    provideHttpClient(\n      withFetch(),\n    ),\n  `,
      'provideHttpClient, withFetch',
      'provideHttpClient(\n      withFetch(),\n      withInterceptors([credentialsInterceptor]),\n    )',
    ],
    [
      'with interceptors: ours is the last, the next to the network',
      `provideHttpClient(withInterceptors([logging]), withFetch())`,
      'provideHttpClient, withFetch, withInterceptors',
      'provideHttpClient(withInterceptors([logging, credentialsInterceptor]), withFetch())',
    ],
    [
      'with an empty list of interceptors',
      `provideHttpClient(withInterceptors([]))`,
      'provideHttpClient, withInterceptors',
      'provideHttpClient(withInterceptors([credentialsInterceptor]))',
    ],
    [
      'with interceptors that stand elsewhere',
      `provideHttpClient(withInterceptors(interceptors))`,
      'provideHttpClient, withInterceptors',
      'provideHttpClient(withInterceptors(interceptors), withInterceptors([credentialsInterceptor]))',
    ],
    [
      'with interceptors of classes behind its list: ours comes behind them, too',
      `provideHttpClient(withInterceptors([logging]), withInterceptorsFromDi())`,
      'provideHttpClient, withInterceptors, withInterceptorsFromDi',
      'provideHttpClient(withInterceptors([logging]), withInterceptorsFromDi(), withInterceptors([credentialsInterceptor]))',
    ],
    [
      'with interceptors of classes before its list',
      `provideHttpClient(withInterceptorsFromDi(), withInterceptors([logging]))`,
      'provideHttpClient, withInterceptors, withInterceptorsFromDi',
      'provideHttpClient(withInterceptorsFromDi(), withInterceptors([logging, credentialsInterceptor]))',
    ],
    [
      'in a list within the list',
      `...[[provideHttpClient()]]`,
      'provideHttpClient, withInterceptors',
      '...[[provideHttpClient(withInterceptors([credentialsInterceptor]))]]',
    ],
    [
      'beside that of a route, which is left as it is',
      `provideRouter([{ path: 'a', providers: [provideHttpClient(withInterceptors([logging]))] }]), provideHttpClient()`,
      'provideHttpClient, withInterceptors',
      'providers: [provideHttpClient(withInterceptors([logging]))] }]), provideHttpClient(withInterceptors([credentialsInterceptor]))',
    ],
    [
      'under other names',
      `http(intercepting([logging]))`,
      'provideHttpClient as http, withInterceptors as intercepting',
      'http(intercepting([logging, credentialsInterceptor]))',
    ],
  ])('%s keeps what it has', async (_, providers, names, expected) => {
    const text = await added(
      appConfig(`import { ${names} } from '@angular/common/http';\nimport { interceptors, logging } from './logging';`, providers),
    );
    expect(text).toContain(expected);
    expect(text).toContain('provideCredentials(');
    expect(text.match(/@angular\/common\/http/g)).toHaveLength(1);
    expect(text.match(/credentialsInterceptor\b/g)).toHaveLength(2); // its import, and its use
  });
});

test('both sides of a condition get the interceptor', async () => {
  const text = await added(
    appConfig("import { provideHttpClient } from '@angular/common/http';", 'isDev ? [provideHttpClient()] : provideHttpClient()'),
  );
  const client = 'provideHttpClient(withInterceptors([credentialsInterceptor]))';
  expect(text).toContain(`isDev ? [${client}] : ${client}`);
});

test('what comes with a condition gets the interceptor, too', async () => {
  const text = await added(appConfig("import { provideHttpClient } from '@angular/common/http';", 'isDev && [provideHttpClient()]'));
  expect(text).toContain('isDev && [provideHttpClient(withInterceptors([credentialsInterceptor]))]');
  expect(text.match(/provideHttpClient\(/g)).toHaveLength(1);
});

test('a configuration that merges itself cannot be followed', async () => {
  const files = {
    [CONFIG]:
      "import { mergeApplicationConfig } from '@angular/core';\nexport const appConfig = mergeApplicationConfig(appConfig, appConfig);\n",
  };
  const { error } = await stage.play({ files, runs: [OPTIONS] });
  expect(error).toContain('no object that can be followed');
});

test('what a route provides is not what the application provides', async () => {
  const route =
    "provideRouter([{ path: 'a', providers: [provideCredentials(own), provideHttpClient(withInterceptors([credentialsInterceptor]))] }])";
  const text = await added(
    appConfig(
      "import { provideHttpClient, withInterceptors } from '@angular/common/http';\nimport { credentialsInterceptor, provideCredentials } from 'rx-credentials-angular';",
      route,
    ),
  );
  expect(text).toContain(`${route}, provideCredentials(`);
  expect(text.match(/provideHttpClient\(/g)).toHaveLength(2);
});

describe('a client that is not seen is not replaced by a second one: a warning says what to do', () => {
  const http = (name: string): string => `import { ${name} } from './http';`;
  test.each<[string, Files]>([
    ['a list that is spread', appConfig(http('httpProviders'), '...httpProviders')],
    ['a list by its name', appConfig(http('httpProviders'), 'httpProviders')],
    ['a function of the application', appConfig(http('provideCore'), 'provideCore()')],
    ['a member of what stands elsewhere', appConfig(http('environment'), 'environment.providers')],
    ['what is there if something else is not', appConfig(http('httpProviders'), 'Own ?? httpProviders')],
    ['NgModules', appConfig("import { importProvidersFrom } from '@angular/core';", 'importProvidersFrom(SharedModule)')],
    ['a configuration that is merged into it', { '/src/main.ts': merged('{ providers: [provideHttpClient()] }') }],
    ['one that cannot be followed', { '/src/main.ts': merged('httpConfig()') }],
  ])('%s', async (_, files) => {
    const { stages, logs, error } = await stage.play({ files, runs: [OPTIONS, OPTIONS] });
    expect(error).toBeUndefined();
    const text = stages[1]?.[CONFIG] ?? '';
    expect(syntaxErrors(text)).toEqual([]);
    expect(text).toContain('provideCredentials(');
    expect(text).not.toMatch(/provideHttpClient|credentialsInterceptor/);
    expect(stages[2]).toEqual(stages[1]);
    expect(
      logs.filter((log) => /^warn: .*credentialsInterceptor was not added, since .* may provide HttpClient already/.test(log)),
    ).toHaveLength(2);
  });
});

describe('a configuration that was edited by hand', () => {
  test.each([
    [
      'in a module that is imported as a whole',
      'http.provideHttpClient()',
      'http.provideHttpClient(http.withInterceptors([credentialsInterceptor]))',
    ],
    [
      'in such a module, with interceptors',
      'http.provideHttpClient(http.withInterceptors([logging]))',
      'http.provideHttpClient(http.withInterceptors([logging, credentialsInterceptor]))',
    ],
  ])('with provideHttpClient %s gets no second one', async (_, providers, expected) => {
    const text = await added(appConfig("import * as http from '@angular/common/http';\nimport { logging } from './logging';", providers));
    expect(text).toContain(expected);
    expect(text.match(/provideHttpClient\(/g)).toHaveLength(1);
    expect(text.match(/@angular\/common\/http/g)).toHaveLength(1);
  });

  test('with what is ours in a module that is imported as a whole is left as it is', async () => {
    const text = await added(
      appConfig(
        "import * as http from '@angular/common/http';\nimport * as rx from 'rx-credentials-angular';",
        'rx.provideCredentials(config), http.provideHttpClient(http.withInterceptors([rx.credentialsInterceptor]))',
      ),
    );
    expect(text.match(/provideCredentials\(|provideHttpClient\(/g)).toHaveLength(2);
  });

  test.each(["'providers'", '"providers"', "['providers']"])('with %s in quotes gets no second list', async (name) => {
    const text = await added(appConfigOf(`${name}: [provideRouter([])]`));
    expect(text).toContain(`${name}: [provideRouter([]), provideCredentials(`);
    expect(text.match(/providers\b/g)).toHaveLength(1);
  });

  test('with no providers at all gets a list', async () => {
    const text = await added({
      [CONFIG]: `import type { ApplicationConfig } from '@angular/core';\nexport const appConfig: ApplicationConfig = {};\n`,
    });
    expect(text).toContain('providers: [\n    provideCredentials(');
  });

  test('with an empty list gets both', async () => {
    const text = await added(appConfig('', ''));
    expect(text).toMatch(
      /providers: \[\n {4}provideCredentials\([^]*\n {4}provideHttpClient\(withInterceptors\(\[credentialsInterceptor\]\)\),\n {2}\],/,
    );
  });

  test('with provideCredentials of its own keeps it, and gets the interceptor alone', async () => {
    const own = "provideCredentials({ issuer: 'https://mine.example', clientId: 'mine' })";
    const text = await added(appConfig("import { provideCredentials } from 'rx-credentials-angular';", own));
    expect(text).toContain(`${own}, provideHttpClient(withInterceptors([credentialsInterceptor]))`);
    expect(text.match(/provideCredentials\(/g)).toHaveLength(1);
  });

  test('quotes, back-slashes and line ends of an option cannot leave their string', async () => {
    const hostile = "o'neil\\', injected: '\n\"";
    const text = await added(appConfig('', ''), { ...OPTIONS, clientId: hostile });
    expect(text).toContain(`clientId: 'o\\'neil\\\\\\', injected: \\'\\n"',`);
  });

  test('CRLF, comments and double quotes are TypeScript all the same', async () => {
    const [text = ''] = Object.values(
      appConfig('import { provideRouter } from "@angular/router"; // routes', '\n    provideRouter([]), // last\n  '),
    );
    const edited = await added({ [CONFIG]: text.replaceAll('\n', '\r\n') });
    expect(edited).toContain('provideRouter([]), // last');
    expect(edited.replaceAll('\r\n', '')).not.toContain('\n'); // lines end as they did
  });

  test.each([
    ['in the main file', { '/src/main.ts': mainFile('{ providers: [] }') }, '/src/main.ts'],
    ['in a constant of the main file', { '/src/main.ts': `${mainFile('config')}\nconst config = { providers: [] };\n` }, '/src/main.ts'],
    ['merged from two', { '/src/main.ts': merged() }, CONFIG],
  ])('that stands %s is found', async (_, files, path) => {
    const { stages, error } = await stage.play({ files, runs: [OPTIONS, OPTIONS] });
    expect(error).toBeUndefined();
    expect(stages[1]?.[path]).toContain('provideCredentials(');
    expect(syntaxErrors(stages[1]?.[path] ?? '')).toEqual([]);
    expect(stages[2]).toEqual(stages[1]);
  });
});

describe('an application that cannot be edited is refused with a reason, and left as it was', () => {
  test.each([
    [
      'of NgModules',
      { application: { standalone: false } },
      /bootstraps an NgModule, which this command does not edit\. Add provideCredentials\(…\)/,
    ],
    [
      'whose providers are computed',
      { files: appConfigOf('providers: providersOf(environment)') },
      /providers in .*app\.config\.ts are no list/,
    ],
    [
      'whose configuration is computed',
      { files: { '/src/main.ts': mainFile('configOf(environment)') } },
      /second argument of bootstrapApplication/,
    ],
    [
      'whose configuration has a syntax error',
      { files: { [CONFIG]: 'export const appConfig = {\n  providers: [provideRouter([]),\n};\n' } },
      /app\.config\.ts has a syntax error in line 3\. Correct it first\. Nothing was changed/,
    ],
    [
      'whose main file has a syntax error',
      { files: { '/src/main.ts': `${mainFile('appConfig')}const = 1;\n` } },
      /main\.ts has a syntax error in line 4/,
    ],
    [
      'that has no configuration',
      { files: { '/src/main.ts': mainFile('appConfig').replace(', appConfig', '') } },
      /bootstrapApplication in .*main\.ts has no second argument\. Pass one, such as \{ providers: \[\] \}/,
    ],
    ['that bootstraps nothing', { files: { '/src/main.ts': 'export {};\n' } }, /no call of bootstrapApplication/],
    ['of another name', { options: { project: 'other' } }, /no project "other"/],
    ['with an issuer that is no URL', { options: { issuer: 'id.example.com' } }, /--issuer is no absolute/],
    ['with an API of another scheme', { options: { apiUrl: 'ftp://api.example.com' } }, /--api-url is no absolute/],
    ['with an empty client id', { options: { clientId: ' ' } }, /--client-id is empty/],
    ['with an option that does not exist', { options: { isuer: 'https://id.example.com' } }, /Unknown option "isuer"/],
  ])('%s', async (_, { application = {}, files = {}, options = {} }: Refused, reason) => {
    const { stages, error, tasks } = await stage.play({ application, files, runs: [{ ...OPTIONS, ...options }] });
    expect(error).toMatch(reason);
    expect(stages).toHaveLength(1);
    expect(tasks).toEqual([]);
  });
});

/** Without what a formatter is free to change. */
function formatted(text: string): string {
  return text
    .replace(/,?\s*([)\]}])/g, '$1')
    .replace(/\s+/g, ' ')
    .trim();
}

interface Refused {
  readonly application?: Readonly<Record<string, unknown>>;
  readonly files?: Files;
  readonly options?: Readonly<Record<string, unknown>>;
}

function appConfigOf(members: string): Files {
  return { [CONFIG]: `export const appConfig = { ${members} };\n` };
}

function mainFile(config: string): string {
  return `import { bootstrapApplication } from '@angular/platform-browser';\nimport { App } from './app/app';\nvoid bootstrapApplication(App, ${config});\n`;
}

function merged(other = '{ providers: [] }'): string {
  const imports = "import { mergeApplicationConfig } from '@angular/core';\nimport { appConfig } from './app/app.config';\n";
  return imports + mainFile(`mergeApplicationConfig(appConfig, ${other})`);
}
