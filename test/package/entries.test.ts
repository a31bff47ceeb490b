import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { nodeOf, nodes, root } from '../installations.ts';
import { Project } from './project.ts';

const { exports, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, unknown>;
  engines: { node: string };
};
/** What one imports. The matchers take a running vitest, which cannot be required itself. */
const entries = Object.keys(exports)
  .filter((entry) => entry !== './package.json' && entry !== './vitest')
  .map((entry) => entry.replace('.', 'mapsweep'));

/** A registry that sweeps, and tells an ending over two lives from a journal in a folder. */
const life = `
  import { mkdtempSync, rmSync } from 'node:fs';
  import { createRegistry, openJournal, TrackedMap } from 'mapsweep';
  import { createManualClock } from 'mapsweep/testing';

  const clock = createManualClock();
  const map = new TrackedMap([['a', 1]], { ttl: '5m', clock });
  await clock.advance(360_000);
  await map.sweep();
  console.log('left in the map:', map.size);

  const folder = mkdtempSync('journal-');
  const heard = [];
  const open = async (deliver) =>
    createRegistry({
      maps: { runs: { maxIdle: '1h' } },
      ended: { map: 'runs', deliver },
      persistTo: await openJournal(folder),
    });
  const first = await open(async () => {
    throw new Error('away');
  });
  first.on('delivery-failed', () => {});
  first.maps.runs.set('run', {});
  first.end('run');
  await first.flushed();
  first.detach();
  const second = await open(async ({ key, reason }) => void heard.push(key + ' ' + reason));
  await second.close();
  console.log('heard:', heard.join());
  rmSync(folder, { recursive: true });
`;

describe('with none of its peers', () => {
  let alone: Project;
  beforeAll(async () => {
    alone = await Project.of('alone');
  });

  it('takes a Node that has require() of modules and crc32, and no other', () => {
    // 20.19 and 22.12 brought the one, and 21 never had the other.
    expect(engines.node).toBe('^20.19.0 || >=22.12.0');
  });

  describe.each(nodes)('on Node %s', (version) => {
    it('is one copy by import and by require()', async () => {
      const source = `
        import { createRequire } from 'node:module';
        const require = createRequire(import.meta.url);
        for (const entry of ${JSON.stringify(entries)}) {
          const [imported, required] = [await import(entry), require(entry)];
          const names = Object.keys(imported).filter((name) => imported[name] === required[name]);
          if (names.length === 0 || names.length !== Object.keys(required).length) throw new Error(entry);
          console.log(entry);
        }
      `;
      expect(await alone.outputOf(source, nodeOf(version))).toBe(entries.join('\n'));
    });

    it('sweeps, and tells what an earlier life owed', async () => {
      const output = await alone.outputOf(life, nodeOf(version));
      expect(output).toBe('left in the map: 0\nheard: run completed');
    });

    it('can be required where a loader knows no modules', async () => {
      const files = entries.map((entry) => entry.replace('mapsweep', '').slice(1) || 'index');
      const source = `
        for (const file of ${JSON.stringify(files)})
          console.log(Object.keys(require(process.cwd() + '/node_modules/mapsweep/dist/cjs/' + file)).length > 0);
      `;
      const { output } = await alone.node(version, ['--no-experimental-require-module', '--eval', source]);
      expect(output.trim().split('\n')).toEqual(files.map(() => 'true'));
    });
  });
});

// Nothing listens where the two of them look for their servers: a driver that is found says so.
describe('with no peer but its own', () => {
  const registry = `
    import { createRegistry } from 'mapsweep';
    const registry = createRegistry({ maps: { runs: {} }, ended: { map: 'runs' } });
  `;

  it.each([
    [
      'mapsweep/prometheus',
      { 'prom-client': '^15.1.3' },
      `${registry}
      import { registerMetrics } from 'mapsweep/prometheus';
      import { register } from 'prom-client';
      registerMetrics(registry);
      console.log((await register.metrics()).includes('mapsweep_entries{map="runs"'));`,
    ],
    [
      'mapsweep/bullmq',
      { bullmq: '^6.7.0' },
      `import { toBullQueue } from 'mapsweep/bullmq';
      import { Queue } from 'bullmq';
      const queue = new Queue('endings', { connection: { host: '127.0.0.1', port: 1, enableOfflineQueue: false } });
      queue.on('error', () => {});
      console.log(typeof toBullQueue(queue) === 'function');
      process.exit();`,
    ],
    [
      'mapsweep/postgres',
      { pg: '^8.23.1' },
      `import { postgresJournal } from 'mapsweep/postgres';
      import pg from 'pg';
      const pool = new pg.Pool({ host: '127.0.0.1', port: 1 });
      const { message } = await postgresJournal(pool, { instance: 'one' }).catch((error) => error);
      console.log(message.includes('ECONNREFUSED') || message);`,
    ],
  ])('%s works', async (entry, peer, source) => {
    const project = await Project.of(entry.replace('mapsweep/', 'peer-of-'), peer);
    expect(await project.outputOf(source)).toBe('true');
  });

  it('mapsweep/vitest works', async () => {
    const project = await Project.of('peer-of-vitest', { vitest: '~4.1.12' });
    project.write(
      'leak.test.mjs',
      `import 'mapsweep/vitest';
      import { createRegistry } from 'mapsweep';
      import { expect, it } from 'vitest';
      it('drains', () => expect(createRegistry({ maps: { runs: { ttl: '5m' } } })).toBeDrained());`,
    );
    const { exitStatus, output } = await project.run(process.execPath, [
      'node_modules/vitest/vitest.mjs',
      'run',
    ]);
    expect(output).toMatch(/Tests {2}1 passed \(1\)/);
    expect(exitStatus).toBe(0);
  });
});
