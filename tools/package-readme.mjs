/**
 * A page of the documentation as the README of a package. Links to what is in the repository only become text, pictures of it go.
 *
 *     node tools/package-readme.mjs docs/angular.md dist/angular/README.md
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

/** @param {string} text Markdown */
export function packageReadme(text) {
  const local = String.raw`\((?!https?:|#)[^)]+\)`;
  return text
    .replace(new RegExp(String.raw`^!\[[^\]]*\]${local}\n\n`, 'gm'), '')
    .replace(new RegExp(String.raw`\[([^\]]+)\]${local}`, 'g'), '$1');
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [page, readme] = argv.slice(2);
  writeFileSync(readme, packageReadme(readFileSync(page, 'utf8')));
}
