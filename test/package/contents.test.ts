import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { Project } from './project.ts';

/** What an installation may weigh, in bytes and files, with all it depends on; a little above what it does. */
const most = { bytes: 7_400_000, files: 1_440, dependencies: 3 };

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(folder, path)).isFile())
    .map((path) => path.replaceAll('\\', '/'));

const bytesOf = (folder: string): number =>
  filesBelow(folder).reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);

describe('what is installed', () => {
  let modules: string;
  let installed: string;
  let files: string[];
  let manifest: { exports: Record<string, unknown>; bin: Record<string, string>; scripts: object };
  beforeAll(async () => {
    const { folder } = await Project.of('contents');
    modules = join(folder, 'node_modules');
    installed = join(modules, 'mapsweep');
    files = filesBelow(installed);
    manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  });

  it('has programs, types, texts, and nothing else', () => {
    const others = files.filter(
      (path) => !/^dist\/[\w/-]+(\.js|\.d\.ts)$/.test(path) && !/^src\/guide\/[\w-]+\.md$/.test(path),
    );
    expect(others.sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist/cjs/package.json',
      'package.json',
    ]);
  });

  it('has every file that its package.json names, and types beside every program', () => {
    const namedIn = (value: unknown): string[] =>
      typeof value === 'string' ? [value] : Object.values(value as object).flatMap(namedIn);
    const named = [...namedIn(manifest.exports), ...namedIn(manifest.bin)].map((path) => path.slice(2));
    for (const path of named) expect(files).toContain(path);
    for (const path of files.filter((file) => file.endsWith('.js')))
      expect(files).toContain(path.replace(/\.js$/, '.d.ts'));
  });

  it('has every page of the guide to which its README leads', () => {
    const readme = readFileSync(join(installed, 'README.md'), 'utf8');
    const pages = [...readme.matchAll(/\]\((src\/[^)#]+)/g)].map(([, path]) => path as string);
    for (const page of pages.filter((path) => path.startsWith('src/guide/'))) expect(files).toContain(page);
  });

  it('runs no script when it is installed, and neither does what it depends on', () => {
    const packages = readdirSync(modules).filter((name) => !name.startsWith('.'));
    for (const name of packages) {
      const { scripts = {} } = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8'));
      for (const script of ['preinstall', 'install', 'postinstall'])
        expect(scripts, name).not.toHaveProperty(script);
      expect(readdirSync(join(modules, name)), name).not.toContain('binding.gyp');
    }
  });

  it('removes nothing where somebody has it packed or prepared as the repository is', async () => {
    const project = await Project.of('contents');
    for (const script of ['prepack', 'postprepare']) {
      const { exitStatus } = await project.run('npm', ['--prefix', installed, 'run', script]);
      expect(exitStatus).toBe(0);
    }
    expect(filesBelow(installed)).toEqual(files);
  });

  it('stays within its budget', () => {
    const packages = readdirSync(modules).filter((name) => !name.startsWith('.'));
    const weighed = Object.fromEntries(
      packages.map((name) => [
        name,
        { bytes: bytesOf(join(modules, name)), files: filesBelow(join(modules, name)).length },
      ]),
    );
    console.table(weighed);
    const sum = (figure: 'bytes' | 'files') =>
      Object.values(weighed).reduce((total, each) => total + each[figure], 0);
    expect(sum('bytes')).toBeLessThanOrEqual(most.bytes);
    expect(sum('files')).toBeLessThanOrEqual(most.files);
    expect(packages.length - 1).toBe(most.dependencies);
  });
});

describe('the tarball', () => {
  const tarball = () => new Uint8Array(readFileSync(inject('tarball')));

  it('is right in the eyes of publint', async () => {
    const { messages, pkg } = await publint({ pack: { tarball: tarball().buffer }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  it('has the types that it says, for import and for require(), in the eyes of are-the-types-wrong', async () => {
    const checked = await checkPackage(createPackageFromTarballData(tarball()));
    if (!checked.types) throw new Error('no types');
    // Not claimed: what knows no `exports` finds nothing, and the matchers are for modules, as their vitest is.
    const claimed = checked.problems.filter((problem) => {
      if (!('resolutionKind' in problem)) return true;
      const { kind, resolutionKind, entrypoint } = problem;
      return resolutionKind !== 'node10' && !(kind === 'CJSResolvesToESM' && entrypoint === './vitest');
    });
    expect(claimed).toEqual([]);
  });
});
