import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { expect, test } from 'vitest';

import { library } from './simulation/library.js';
import { mutants, patched } from './simulation/mutation.js';
import { Simulation } from './simulation/simulation.js';

const main = fileURLToPath(new URL('./simulation/main.ts', import.meta.url));

test('100 simulated services keep every promise under faults, restarts and jumping clocks', async () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const { findings, tail } = await new Simulation(library, seed).run();
    expect({ seed, findings }, tail.join('\n')).toEqual({ seed, findings: [] });
  }
}, 60_000);

test('the same seed gives the same trace, another one another', async () => {
  const hashOf = async (seed: number) => (await new Simulation(library, seed).run()).hash;
  const first = await hashOf(1);
  expect(await hashOf(1)).toBe(first);
  expect(await hashOf(2)).not.toBe(first);
});

test('every planted bug fits where it is planted, and compiles there', async () => {
  const source = fileURLToPath(new URL('../src', import.meta.url));
  for (const mutant of mutants) {
    const compiled = transform(await patched(source, mutant), { loader: 'ts' });
    await expect(compiled, mutant.name).resolves.toBeDefined();
  }
}, 60_000);

test('3 planted bugs are caught within 200 seeds each', async () => {
  // In a process of its own: the mutated copies are loaded from outside of the repository.
  const names = ['tombstone is written after', 'compared with >', 'timed out is tried again'];
  const run = promisify(execFile)(process.execPath, ['--import', 'tsx', main, '--mutants', ...names]);
  await expect(run).resolves.toMatchObject({ stdout: expect.stringContaining('3 of 3 caught') });
}, 60_000);

test('a run that finds no end is ended, and told of by name', async () => {
  const watchdog = new URL('./simulation/watchdog.ts', import.meta.url);
  const endless = `
    import { Watchdog } from '${watchdog}';
    const watchdog = new Watchdog(300);
    watchdog.begins('seed 41');
    watchdog.begins('seed 42');
    for (;;) await undefined;`;
  const run = promisify(execFile)(process.execPath, [
    '--import',
    'tsx',
    '--input-type=module',
    '-e',
    endless,
  ]);
  await expect(run).rejects.toMatchObject({
    signal: 'SIGKILL',
    stderr: expect.stringContaining('no end after 0.3 s: seed 42'),
  });
}, 60_000);
