import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { ROOT } from '../support/markdown';

const PAGES = ['', 'docs', 'docs/angular', 'docs/storage'].flatMap((folder) =>
  readdirSync(join(ROOT, folder)).flatMap((name) => (name.endsWith('.md') ? [join(folder, name)] : [])),
);

/** The anchors of a page, as GitHub makes them of its headings. */
function anchorsOf(page: string): readonly string[] {
  const text = readFileSync(join(ROOT, page), 'utf8').replace(/^```[^]*?^```$/gm, '');
  return Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Links of a page within the checkout that lead nowhere. */
function deadLinksOf(page: string): readonly string[] {
  const text = readFileSync(join(ROOT, page), 'utf8').replace(/^```[^]*?^```$/gm, '');
  const links = Array.from(text.matchAll(/\]\(([^)\s]+)\)/g), ([, link = '']) => link).filter((link) => !/^[a-z]+:/.test(link));
  return links.filter((link) => {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
    return !existsSync(join(ROOT, target)) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
  });
}

it.each(PAGES.map((page) => [page]))('every link leads somewhere: %s', (page) => {
  expect(deadLinksOf(page)).toEqual([]);
});
