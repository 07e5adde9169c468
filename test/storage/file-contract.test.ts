import { fileStorage } from '../../src/storage/file';
import { describeStorage } from '../contract/storage-contract';
import { fileOf, newFolder, plantFile } from '../support/file-folder';

const folder = newFolder();

describeStorage('fileStorage', {
  create: (namespace) => fileStorage({ folder, namespace }),
  plant: async (namespace, id, value) => {
    await plantFile(fileOf(folder, id, namespace), JSON.stringify(value));
    return value;
  },
});
