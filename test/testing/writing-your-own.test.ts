// The storage of docs/storage/writing-your-own.md is what the page says: complete.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import type { CredentialStorage } from '../../src/storage/storage';
import { describeStorage } from '../contract/storage-contract';

const page = readFileSync(join(__dirname, '../../docs/storage/writing-your-own.md'), 'utf8');
const [, code = ''] = /^```ts\n([\s\S]*?)^```$/m.exec(page) ?? [];

interface Shelf {
  readonly items: Map<string, string>;
  readonly turns: Map<string, Promise<unknown>>;
}
const exported: { shelfStorage?: (shelf: Shelf, namespace: string) => CredentialStorage } = {};
const { outputText } = ts.transpileModule(code, { compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 } });
// eslint-disable-next-line @typescript-eslint/no-implied-eval
(new Function('exports', outputText) as (exports: object) => void)(exported);

const shelf: Shelf = { items: new Map(), turns: new Map() };
describeStorage('the storage that the documentation writes', {
  create: (namespace) => exported.shelfStorage!(shelf, namespace),
  plant: async (namespace, id, value) => {
    shelf.items.set(`${encodeURIComponent(namespace)}/${id}`, JSON.stringify(value));
    return value;
  },
});
