import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';

/** A real server or process is awaited, however busy the machine is. */
export const eventually = <T>(check: () => T | Promise<T>) =>
  vi.waitFor(check, { interval: 2, timeout: 10_000 });

/** Makes an `it` whose tests get a world of their own, which is ended after them. */
export const itIn = <World extends { end(): unknown }>(make: () => Promise<World>) =>
  it.extend<{ world: World }>({
    // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
    world: async ({}, use) => {
      const world = await make();
      await use(world);
      await world.end();
    },
  });

/** How Node runs a file of the examples, on the sources of the package, and not on its last build. */
export const ofExample = (file: string, ...args: string[]) =>
  [
    process.execPath,
    ['--import', 'tsx', `examples/${file}`, ...args],
    {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, NODE_OPTIONS: '', TSX_TSCONFIG_PATH: 'test/tsconfig.json' },
    },
  ] as const;

/** Runs the program of an example that says where it listens. What is left of it at the end of the test is killed. */
export async function startExample(file: string, ...args: string[]) {
  const child = spawn(...ofExample(file, ...args));
  onTestFinished(() => void child.kill('SIGKILL'));
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  await vi.waitFor(() => expect([child.exitCode, errors, lines.length]).toEqual([null, '', 1]), {
    interval: 2,
    timeout: 20_000,
  });
  return { child, exited, lines, url: lines[0]!.split(' at ')[1]! };
}
