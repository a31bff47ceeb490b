import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { install, installNode, nodeOf, pack, root, run } from '../installations.ts';

/** Not below the root, where a client would be found that is not installed here. */
const projects = mkdtempSync(join(realpathSync(tmpdir()), 'mapsweep-clients-'));

const older = { 'prom-client': '~15.1.3' };
const newer = { '@prometheus-io/client': '~0.16.1' };

/** What is installed beside the package, by folder. */
const installations: Record<string, Record<string, string>> = {
  older,
  newer,
  both: { ...older, ...newer },
  none: {},
};
/** The versions of Node that the newer client says it runs on, as packages. */
const nodes = ['22', '24'];

beforeAll(async () => {
  const tarball = await pack(projects);
  for (const [folder, clients] of Object.entries(installations))
    await install(join(projects, folder), { ...clients, mapsweep: `file:${tarball}` }, { type: 'module' });
  for (const version of nodes) await installNode(version);
});

afterAll(() => rmSync(projects, { recursive: true, force: true }));

describe.each(nodes)('on Node %s', (version) => {
  it('all tests of the metrics pass with @prometheus-io/client as they do with prom-client', async () => {
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const args = ['run', '--config', 'test/vitest.config.ts', 'test/prometheus/', '--reporter=default'];
    const { exitStatus, output } = await run(root, nodeOf(version), [vitest, ...args], {
      MAPSWEEP_METRICS_CLIENT: join(projects, 'newer/node_modules/@prometheus-io/client'),
    });
    expect(exitStatus, output).toBe(0);
    expect(output).toMatch(/Test Files\s+4 passed/);
  });
});

/** Registers a registry, with the options that are written there, and says what came of it. */
const program = (options: string, imports = '') => `
  import { createRegistry } from 'mapsweep';
  import { metricsHandler, registerMetrics } from 'mapsweep/prometheus';
  ${imports}
  const registry = createRegistry({ maps: { runs: {} } });
  try {
    registerMetrics(registry${options});
    console.log('registered');
  } catch (error) {
    console.log(error.code);
  }
`;

const outputOf = async (folder: string, source: string): Promise<string> => {
  writeFileSync(join(projects, folder, 'program.mjs'), source);
  return (await run(join(projects, folder), nodeOf('24'), ['program.mjs'])).output.trim();
};

describe('the package, installed beside', () => {
  it.each([
    ['older', 'prom-client'],
    ['newer', '@prometheus-io/client'],
  ])('the %s client, finds it: %s', async (folder, name) => {
    const print = `console.log((await register.metrics()).includes('mapsweep_entries{map="runs"'));`;
    const source = `${program('', `import { register } from '${name}';`)} ${print}`;
    expect(await outputOf(folder, source)).toBe('registered\ntrue');
  });

  it('both, says what to do, and takes either the module or a register', async () => {
    expect(await outputOf('both', program(''))).toBe('ERR_AMBIGUOUS_PEER');
    for (const name of ['prom-client', '@prometheus-io/client']) {
      const imports = `import * as client from '${name}';`;
      expect(await outputOf('both', program(', { client }', imports))).toBe('registered');
      expect(await outputOf('both', program(', { register: client.register }', imports))).toBe('registered');
    }
    const handler = 'try { metricsHandler() } catch (error) { console.log(error.code) }';
    expect(await outputOf('both', program('', '') + handler)).toBe('ERR_AMBIGUOUS_PEER\nERR_AMBIGUOUS_PEER');
  });

  it('none, still makes rules and a dashboard, by its command', async () => {
    const bin = join('node_modules', '.bin', 'mapsweep');
    const made = (what: string) => run(join(projects, 'none'), bin, ['prometheus', what, '--prefix', 'x_']);
    expect(await made('alerts')).toEqual({
      exitStatus: 0,
      output: expect.stringContaining('expr: "x_leak_suspected'),
    });
    expect(JSON.parse((await made('dashboard')).output)).toMatchObject({ title: 'mapsweep (x_)' });
  });

  it('none, says what to install', async () => {
    expect(await outputOf('none', program(''))).toBe('ERR_MISSING_PEER');
  });
});

describe('its types, which take no part of either client,', () => {
  const types: Record<string, string> = {
    older: `import * as client from 'prom-client';`,
    newer: `import * as client from '@prometheus-io/client';`,
    none: `import type { MetricsClient } from 'mapsweep/prometheus'; declare const client: MetricsClient;`,
  };

  it.each(Object.keys(types))('hold beside: %s', async (folder) => {
    const source = `
      import { createServer } from 'node:http';
      import { createRegistry } from 'mapsweep';
      import { metricsHandler, registerMetrics } from 'mapsweep/prometheus';
      ${types[folder]}
      const registry = createRegistry({ maps: { runs: {} } });
      const undo: () => void = registerMetrics(registry, { client, register: client.register });
      createServer(metricsHandler(client.register));
      undo();
      // @ts-expect-error: a register is no module of a client
      registerMetrics(registry, { client: client.register });
    `;
    writeFileSync(join(projects, folder, 'program.mts'), source);
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const flags = ['--ignoreConfig', '--strict', '--module', 'nodenext', '--target', 'es2023', '--noEmit'];
    const typeRoots = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    const { exitStatus, output } = await run(join(projects, folder), process.execPath, [
      tsc,
      ...flags,
      ...typeRoots,
      'program.mts',
    ]);
    expect([exitStatus, output]).toEqual([0, '']);
  });
});
