// Runs schematics in memory: Angular's own make an application, the packed ones change it. Its parent sends what to do, and gets files back.
// Not in Jest: the devkit is in part ESM.
import { createRequire } from 'node:module';

const [, , collection, workspace] = process.argv;
const require = createRequire(workspace);
const { SchematicTestRunner } = require('@angular-devkit/schematics/testing');
const angular = require.resolve('@schematics/angular/package.json').replace('package.json', 'collection.json');

process.on('message', async ({ application, files = {}, runs }) => {
  process.send(await play(application, files, runs));
});

async function play(application, files, runs) {
  const make = new SchematicTestRunner('@schematics/angular', angular);
  let tree = await make.runSchematic('ng-new', { name: 'fresh', version: '22.0.0', directory: '.', ...application });
  for (const [path, text] of Object.entries(files)) tree.exists(path) ? tree.overwrite(path, text) : tree.create(path, text);
  const stages = [contents(tree)];
  const logs = [];
  const tasks = [];
  for (const options of runs) {
    const runner = new SchematicTestRunner('rx-credentials-angular', collection);
    runner.logger.subscribe(({ level, message }) => logs.push(`${level}: ${message}`));
    try {
      tree = await runner.runSchematic('ng-add', options, tree);
    } catch (error) {
      return { stages, logs, tasks, error: error.message };
    }
    stages.push(contents(tree));
    tasks.push(runner.tasks.map(({ name }) => name));
  }
  return { stages, logs, tasks };
}

function contents(tree) {
  return Object.fromEntries(tree.files.filter((path) => !/\.(ico|svg)$/.test(path)).map((path) => [path, tree.readText(path)]));
}
