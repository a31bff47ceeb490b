/*
 * A gateway from the registry, and the plugin as an operator installs it: both in a cache that git ignores.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Everything that this test leaves behind. */
export const CACHE = path.join(ROOT, '.cache/openclaw-gateway');

/** A release of the gateway, and the major version of Node that it wants. */
export interface Release {
  readonly version: string;
  readonly node: number;
}

/** An installed gateway. */
export interface Installation extends Release {
  /** The Node binary. */
  readonly nodeBinary: string;
  /** The script of its command. */
  readonly script: string;
}

const NPM_INSTALL = [
  'install',
  '--ignore-scripts',
  '--legacy-peer-deps',
  '--no-audit',
  '--no-fund',
  '--loglevel=error',
];
// Of the bundled plugins' dependencies, the one that itself depends on a repository instead of a package.
const NOT_A_PACKAGE = new Set(['@whiskeysockets/baileys']);

/** Installs a gateway into the cache, once. Takes some minutes and up to 1.3 GB. */
export async function installGateway(release: Release): Promise<Installation> {
  const folder = path.join(CACHE, `openclaw-${release.version}`);
  const nodePackage = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const installation = {
    ...release,
    nodeBinary: path.join(folder, 'node_modules', nodePackage, 'bin/node'),
    script: path.join(folder, 'node_modules/openclaw/openclaw.mjs'),
  };
  const done = path.join(folder, 'installed');
  if (await exists(done)) return installation;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const dependencies: Record<string, string> = {
    openclaw: release.version,
    [nodePackage]: String(release.node),
  };
  await npmInstall(folder, dependencies);
  // Without install scripts the gateway does not bring what its bundled plugins need.
  const missing = await bundledDependencies(path.join(folder, 'node_modules'));
  await installWhatThereIs(folder, dependencies, missing);
  await writeFile(done, '');
  return installation;
}

/** Leaves out what the registry has no longer: only the bundled plugin that needs it does not load. */
async function installWhatThereIs(
  folder: string,
  dependencies: Readonly<Record<string, string>>,
  missing: Record<string, string>,
): Promise<void> {
  while (Object.keys(missing).length > 0) {
    try {
      return await npmInstall(folder, { ...dependencies, ...missing });
    } catch (error) {
      const [, gone = ''] = /No matching version found for (\S+)@/.exec(String(error)) ?? [];
      if (missing[gone] === undefined) throw error;
      delete missing[gone];
    }
  }
}

async function npmInstall(folder: string, dependencies: Readonly<Record<string, string>>): Promise<void> {
  // A dependency of a dependency that is not in the registry any more, under the name of what it was made of.
  const overrides = { cssomnom: 'npm:cssom@0.5.0' };
  await writeFile(
    path.join(folder, 'package.json'),
    JSON.stringify({ private: true, dependencies, overrides }, undefined, 2),
  );
  await npm(folder, NPM_INSTALL);
}

async function bundledDependencies(nodeModules: string): Promise<Record<string, string>> {
  const extensions = path.join(nodeModules, 'openclaw/dist/extensions');
  const missing: Record<string, string> = {};
  for (const name of await readdir(extensions)) {
    const manifest = await readFile(path.join(extensions, name, 'package.json'), 'utf8').catch(() => '{}');
    const { dependencies = {} } = JSON.parse(manifest) as { dependencies?: Record<string, string> };
    for (const [dependency, range] of Object.entries(dependencies)) {
      const isThere =
        NOT_A_PACKAGE.has(dependency) ||
        range.startsWith('workspace:') ||
        (await exists(path.join(nodeModules, dependency, 'package.json')));
      if (!isThere) missing[dependency] ??= range;
    }
  }
  return missing;
}

/**
 * Copies the example, packs mapsweep as it would be published, and installs both the way an operator would: `npm install`
 * in the plugin's folder, with the tarball for the package.
 *
 * @returns the folder for `plugins.load.paths`
 */
export async function installPlugin(): Promise<string> {
  const work = path.join(CACHE, 'packing');
  const folder = path.join(CACHE, 'plugins/mapsweep');
  await rm(work, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  await npm(ROOT, ['run', 'build', '--silent']);
  await npm(ROOT, ['pack', '--ignore-scripts', '--silent', `--pack-destination=${work}`]);
  const tarballs = (await readdir(work)).filter((file) => file.endsWith('.tgz'));
  if (tarballs.length !== 1) throw new Error(`npm pack left ${tarballs.length} tarballs, expected 1`);
  // A name of its own: npm caches tarballs of one name and version.
  const tarball = path.join(CACHE, `mapsweep-${Date.now()}.tgz`);
  for (const old of await readdir(CACHE)) {
    if (/^mapsweep-\d+\.tgz$/.test(old)) await rm(path.join(CACHE, old));
  }
  await rename(path.join(work, tarballs[0] as string), tarball);
  await cp(path.join(ROOT, 'examples/openclaw-plugin'), folder, {
    recursive: true,
    filter: (source) => !source.includes('node_modules'),
  });
  await npm(folder, [...NPM_INSTALL, '--omit=dev', '--no-package-lock', tarball]);
  return folder;
}

/** The folder of the plugin that looks into the gateway for the test. */
export const PROBE_PLUGIN = fileURLToPath(new URL('./probe-plugin', import.meta.url));

async function npm(folder: string, parameters: readonly string[]): Promise<void> {
  const isWindows = process.platform === 'win32';
  await run('npm', [...parameters], { cwd: folder, shell: isWindows, maxBuffer: 64 * 1024 * 1024 });
}

const exists = (file: string): Promise<boolean> =>
  readFile(file).then(
    () => true,
    () => false,
  );
