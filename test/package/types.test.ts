import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { root } from '../installations.ts';
import { Project } from './project.ts';

const everything = (importOf: (names: string, entry: string) => string) => `
  ${importOf('createRegistry, TrackedMap', 'mapsweep')}
  ${importOf('registerMetrics', 'mapsweep/prometheus')}
  ${importOf('statusPage', 'mapsweep/page')}
  ${importOf('createManualClock', 'mapsweep/testing')}
  ${importOf('discover', 'mapsweep/discover')}
  ${importOf('toBullQueue', 'mapsweep/bullmq')}
  ${importOf('toOutbox', 'mapsweep/postgres')}
  const clock = createManualClock();
  const registry = createRegistry({ maps: { runs: { ttl: '5m', since: (run: { at: number }) => run.at } }, clock });
  const undo: () => void = registerMetrics(registry);
  const at: number | undefined = registry.maps.runs.get('one')?.at;
  const map: Map<string, number> = new TrackedMap<string, number>([], { ttl: '5m' });
  // @ts-expect-error: no such duration
  createRegistry({ maps: { runs: { ttl: 'soon' } } });
  void [undo, at, map, statusPage(registry), discover, toBullQueue, toOutbox];
`;
const asModule = everything((names, entry) => `import { ${names} } from '${entry}';`);
const asRequire = everything((names, entry) => {
  const whole = entry.replaceAll(/\W/g, '_');
  return `import { ${names} } from '${entry}'; import ${whole} = require('${entry}'); void ${whole};`;
});

describe('its types, checked down to its own, with none of its peers,', () => {
  let alone: Project;
  beforeAll(async () => {
    alone = await Project.of('types');
  });

  it.each([
    ['program.mts', 'node16', 'es2023', asModule],
    ['program.cts', 'node16', 'es2023', asRequire],
    ['program.mts', 'nodenext', 'es2023', asModule],
    ['program.mts', 'nodenext', 'es2021', asModule],
    ['program.cts', 'nodenext', 'es2023', asRequire],
    ['program.ts', 'preserve', 'es2023', asModule],
  ])('hold in a %s under %s, for %s', async (file, module, target, source) => {
    alone.write(file, source);
    const flags = ['--ignoreConfig', '--strict', '--skipLibCheck', 'false', '--target', target, '--noEmit'];
    const typeRoots = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    const { exitStatus, output } = await alone.run(process.execPath, [
      join(root, 'node_modules/typescript/bin/tsc'),
      ...flags,
      ...typeRoots,
      '--module',
      module,
      file,
    ]);
    expect([exitStatus, output]).toEqual([0, '']);
  });
});
