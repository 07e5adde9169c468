/**
 * Applications made by Angular's CLI, given our packages by `ng add`, built, and looked at in Chromium.
 *
 * @module
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { tarballs, type Consumer, type Outcome } from './consumer';
import { openStage } from './schematics';
import { serveFiles } from './servers';
import CHROMIUM_FLAGS from '../support/chromium-flags.json';

/** For what is installed from the registry. */
export const NPM_FLAGS = ['--no-audit', '--no-fund', '--prefer-offline'];
const TOOLS = ['@angular/cli', '@angular/build', '@schematics/angular'];
const FRAMEWORK = ['common', 'compiler', 'compiler-cli', 'core', 'forms', 'platform-browser', 'router'].map((name) => `@angular/${name}`);
const NG = 'node_modules/@angular/cli/bin/ng.js';

/** What a person in front of the browser saw. */
export interface Visit {
  /** The text of the page in the end. */
  readonly text: string;
  /** What the browser complained of. */
  readonly complaints: readonly string[];
  /** What the page said on its console, if it was waited for. */
  readonly said: string;
}

export function ng(consumer: Consumer, ...args: readonly string[]): Promise<Outcome> {
  return consumer.node([NG, ...args]);
}

/**
 * An application that the CLI of a version makes in the folder. The CLI is installed beside it, the application's packages are not.
 *
 * @param major of Angular; of it the newest versions that the registry has of all packages: some registries have gaps
 */
export async function newApplication(consumer: Consumer, major: string, ...options: readonly string[]): Promise<void> {
  const isServed = options.includes('--ssr');
  const tools = await newestOfAll(consumer, major, [...TOOLS, ...(isServed ? ['@angular/ssr'] : [])]);
  const framework = await newestOfAll(consumer, major, [...FRAMEWORK, ...(isServed ? ['@angular/platform-server'] : [])]);
  consumer.write({ 'package.json': '{ "private": true }' });
  succeeded(await consumer.npm('install', `@angular/cli@${tools}`, '--no-save', ...NPM_FLAGS));
  rmSync(consumer.path('package.json')); // the application has its own
  const flags = [
    '--directory=.',
    '--skip-install',
    '--skip-git',
    '--defaults',
    '--force',
    '--package-manager=npm',
    ...(options.includes('--no-minimal') ? [] : ['--minimal']),
    ...options.filter((option) => option !== '--no-minimal'),
  ];
  succeeded(await ng(consumer, 'new', 'fresh', ...flags));
  dependOnTarballs(consumer);
  const manifest = readFileSync(consumer.path('package.json'), 'utf8');
  const pinned = manifest.replace(/"(@angular\/(?:(build|cli|ssr)|[a-z-]+))": "[^"]+"/g, (_, name: string, tool?: string) => {
    return `"${name}": "${tool ? tools : framework}"`;
  });
  consumer.write({ 'package.json': pinned });
}

async function newestOfAll(consumer: Consumer, major: string, names: readonly string[]): Promise<string> {
  let common: readonly string[] | undefined;
  for (const name of names) {
    const printed = succeeded(await consumer.npm('view', `${name}@${major}`, 'version', '--json'));
    const versions = Array.from(printed.matchAll(/"(\d+\.\d+\.\d+)"/g), ([, version = '']) => version);
    common = common?.filter((version) => versions.includes(version)) ?? versions;
  }
  const newest = common?.at(-1);
  if (newest === undefined) throw new Error(`The registry has no version ${major} of all of ${names.join(', ')}`);
  return newest;
}

/** The same, made in memory by the schematics of the CLI: a CLI that is a link takes the repository it lies in for the workspace. */
export async function newLinkedApplication(consumer: Consumer): Promise<void> {
  const stage = openStage(consumer);
  const { stages } = await stage.play({ application: { minimal: true, packageManager: 'npm' }, runs: [] });
  stage.close();
  consumer.write(stages[0] ?? {});
  dependOnTarballs(consumer);
}

function dependOnTarballs(consumer: Consumer): void {
  const manifest = JSON.parse(readFileSync(consumer.path('package.json'), 'utf8')) as { dependencies: Record<string, string> };
  const { core, angular } = tarballs();
  const dependencies = { ...manifest.dependencies, 'rx-credentials': `file:${core}`, 'rx-credentials-angular': `file:${angular}` };
  consumer.write({ 'package.json': JSON.stringify({ ...manifest, dependencies }, null, 2) });
}

/** @throws {Error} the command failed: what it printed */
export function succeeded({ status, output }: Outcome): string {
  if (status !== 0) throw new Error(`status ${status}: ${output}`);
  return output;
}

/** Opens what was built, with the address of its API, and waits until its paragraph, and if asked for its console, says what matches. */
export async function visit(consumer: Consumer, api: string, until: RegExp, saying?: RegExp): Promise<Visit> {
  const root = ['dist/fresh/browser', 'dist/fresh'].map((name) => consumer.path(name)).find((path) => existsSync(join(path, 'index.html')));
  const app = await serveFiles(root ?? '');
  const browser = await chromium.launch({ executablePath: process.env['CHROME_BIN'] ?? '', args: CHROMIUM_FLAGS });
  try {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => void (['error', 'warning'].includes(message.type()) && complaints.push(message.text())));
    page.on('pageerror', (error) => complaints.push(String(error)));
    const spoken = saying && page.waitForEvent('console', (message) => saying.test(message.text()));
    await page.goto(`${app.origin}/?api=${encodeURIComponent(api)}`);
    const paragraph = page.locator('app-root p');
    await paragraph.filter({ hasText: until }).waitFor();
    return { text: (await paragraph.textContent()) ?? '', complaints, said: (await spoken)?.text() ?? '' };
  } finally {
    await browser.close();
    await app.close();
  }
}
