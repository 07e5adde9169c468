// The storage of docs/storage/writing-your-own.md is what the page says: complete.
import type { CredentialStorage } from '../../src/storage/storage';
import { describeStorage } from '../contract/storage-contract';
import { load } from '../support/example';

interface Shelf {
  readonly items: Map<string, string>;
  readonly turns: Map<string, Promise<unknown>>;
}
const exported = load('docs/storage/writing-your-own.md', 'export function shelfStorage') as {
  readonly shelfStorage: (shelf: Shelf, namespace: string) => CredentialStorage;
};

const shelf: Shelf = { items: new Map(), turns: new Map() };
describeStorage('the storage that the documentation writes', {
  create: (namespace) => exported.shelfStorage(shelf, namespace),
  plant: async (namespace, id, value) => {
    shelf.items.set(`${encodeURIComponent(namespace)}/${id}`, typeof value === 'string' ? value : JSON.stringify(value));
    return value;
  },
});
