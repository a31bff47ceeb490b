import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { cache, install, nodeOf, root, run, runWell } from '../installations.ts';

describe('npm 12, which runs no script of what it installs, on Node 24', () => {
  it('installs the package and a peer with a native part, and both work', async () => {
    const npm12 = join(cache, 'npm-12');
    const program = join(npm12, 'node_modules/npm/bin/npm-cli.js');
    if (!existsSync(program)) await install(npm12, { npm: '^12.0.0' });
    const tarball = inject('tarball');
    const folder = join(dirname(tarball), 'npm-12');
    mkdirSync(folder);
    await runWell(folder, nodeOf('24'), [program, 'init', '--yes']);
    const said = await runWell(folder, nodeOf('24'), [program, 'install', tarball, 'bullmq@^6.7.0']);
    expect(said).toContain('added ');
    // It would warn of a `prepare` of ours too: see CONTRIBUTING.
    expect(said).not.toMatch(/install-scripts +mapsweep@/);
    const source = `
      const { createRegistry } = require('mapsweep');
      const { toBullQueue } = require('mapsweep/bullmq');
      require('bullmq');
      const registry = createRegistry({ maps: { runs: { ttl: '5m' } } });
      registry.sweep().then(({ skipped }) => console.log(typeof toBullQueue, skipped));
    `;
    expect((await runWell(folder, nodeOf('24'), ['--eval', source])).trim()).toBe('function undefined');
  });
});

describe('npm ci of this repository', () => {
  it('has nothing to warn of', async () => {
    const folder = join(dirname(inject('tarball')), 'clean-install');
    mkdirSync(folder);
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      copyFileSync(join(root, file), join(folder, file));
    // The build is its only script of its own, and has no sources here.
    const { exitStatus, output } = await run(folder, 'npm', ['ci', '--ignore-scripts', '--prefer-offline']);
    expect(output).not.toMatch(/warn|deprecated/i);
    expect(exitStatus, output).toBe(0);
  });
});
