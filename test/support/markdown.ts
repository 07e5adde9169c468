import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The root of the checkout. */
export const ROOT = join(__dirname, '../..');

/** One TypeScript block of a page. */
export interface Example {
  readonly page: string;
  /** Line of the page on which the code begins. */
  readonly line: number;
  readonly code: string;
  /** True for blocks that a comment `<!-- run -->` announces: they need no server and no browser. */
  readonly runs: boolean;
}

/** Every TypeScript block of README.md, CONTRIBUTING.md, docs/, docs/angular/ and docs/storage/. */
export function examples(): readonly Example[] {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    ...['docs', 'docs/angular', 'docs/storage'].flatMap((folder) =>
      readdirSync(join(ROOT, folder))
        .filter((name) => name.endsWith('.md'))
        .map((name) => `${folder}/${name}`),
    ),
  ];
  return pages.flatMap(examplesOf);
}

function examplesOf(page: string): readonly Example[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/(<!-- run -->\s+)?^```ts\n([\s\S]*?)^```$/gm)].map((match) => ({
    page,
    line: text.slice(0, match.index + (match[1]?.length ?? 0)).split('\n').length + 1,
    code: match[2] ?? '',
    runs: match[1] !== undefined,
  }));
}
