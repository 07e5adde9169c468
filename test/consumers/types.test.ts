import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { emptyConsumer, linkedConsumer, type Consumer } from './consumer';

/** A compiler: ours, or another one from the registry. */
interface Compiler {
  readonly version: string;
  readonly tsc: string;
}

const SETTINGS = {
  target: 'ES2022',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  skipLibCheck: false,
  noEmit: true,
};
const BROWSER = { ...SETTINGS, module: 'ES2022', moduleResolution: 'bundler', lib: ['ES2023', 'DOM', 'DOM.Iterable'], types: [] };
const NODE = { ...SETTINGS, module: 'nodenext', moduleResolution: 'nodenext', lib: ['ES2023'], types: ['node'] };

/** The issuer is no text: the compiler must say so, or it says nothing of the rest either. */
const WRONG = `import { createCredentialStore } from 'rx-credentials';\ncreateCredentialStore({ clients: { issuer: 1, clientId: 'a' } });\n`;

const kept: Consumer[] = [];
let program: Consumer;
beforeAll(async () => {
  program = await linkedConsumer();
  kept.push(program);
});
afterAll(() => kept.forEach((consumer) => consumer.remove()));

async function compiler(version: string): Promise<Compiler> {
  const own = JSON.parse(readFileSync(join(__dirname, '../../node_modules/typescript/package.json'), 'utf8')) as { version: string };
  if (own.version.startsWith(version)) return { version: own.version, tsc: 'node_modules/typescript/bin/tsc' };
  const consumer = emptyConsumer();
  kept.push(consumer);
  consumer.write({ 'package.json': '{ "private": true }' });
  const { status, output } = await consumer.npm(
    'install',
    `typescript@~${version}.0`,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
  );
  if (status !== 0) throw new Error(`npm install typescript@~${version}.0: ${output}`);
  const manifest = JSON.parse(readFileSync(consumer.path('node_modules/typescript/package.json'), 'utf8')) as { version: string };
  return { version: manifest.version, tsc: consumer.path('node_modules/typescript/bin/tsc') };
}

/** It is for `rxjs/ajax`, whose own types are those of the DOM. */
const ENTRY_WITH_DOM = './http/rxjs';

/** A program that imports every entry of a package that is installed. */
function everyEntry(name: string, except?: string): string {
  const manifest = JSON.parse(readFileSync(program.path('node_modules', name, 'package.json'), 'utf8')) as {
    exports: Record<string, unknown>;
  };
  const entries = Object.keys(manifest.exports).filter((entry) => entry !== './package.json' && entry !== except);
  const imports = entries.map((entry, i) => `import * as entry${i} from '${join(name, entry)}';`);
  return `${imports.join('\n')}\nexport const all: readonly object[] = [${entries.map((_, i) => `entry${i}`).join(', ')}];\n`;
}

async function check({ tsc }: Compiler, compilerOptions: object, files: Readonly<Record<string, string>>): Promise<string> {
  const config = { compilerOptions, files: Object.keys(files) };
  program.write({ 'package.json': '{ "private": true, "type": "module" }', 'tsconfig.json': JSON.stringify(config), ...files });
  const { output } = await program.node([tsc, '-p', 'tsconfig.json']);
  return output;
}

describe.each(['5.8', '6.0'])('TypeScript %s, with skipLibCheck off', (version) => {
  let found: Compiler;
  beforeAll(async () => {
    found = await compiler(version);
    expect(found.version.startsWith(`${version}.`)).toBe(true);
  });

  test('every entry of the core and the program of RxJS are right for a browser, through a bundler; a mistake is found', async () => {
    const rxjs = readFileSync(join(__dirname, 'programs/rxjs.ts'), 'utf8');
    const errors = await check(found, BROWSER, { 'every.ts': everyEntry('rx-credentials'), 'rxjs.ts': rxjs, 'wrong.ts': WRONG });
    expect(errors).toMatch(/^wrong\.ts\(2,36\): error TS2322: Type 'number' is not assignable to type 'string'\.\n$/);
  });

  test('what a program infers it can give away in its declarations; options may be undefined', async () => {
    const types = readFileSync(join(__dirname, 'programs/types.ts'), 'utf8');
    expect(await check(found, { ...BROWSER, declaration: true }, { 'types.ts': types })).toBe('');
  });

  test('every entry of the core but http/rxjs is right for Node, as modules of its own, without types of the DOM', async () => {
    expect(await check(found, NODE, { 'every.ts': everyEntry('rx-credentials', ENTRY_WITH_DOM) })).toBe('');
  });
});

test('TypeScript 6.0: every entry of the adapter is right for Angular 22, with skipLibCheck off', async () => {
  expect(await check(await compiler('6.0'), BROWSER, { 'every.ts': everyEntry('rx-credentials-angular') })).toBe('');
});
