import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Figures } from '../examples/demo/figures.ts';
import { MAP_NAMES } from '../examples/demo/gateway.ts';

const fromRoot = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

interface Outcome {
  exitStatus: number | string | null | undefined;
  stdout: string;
  stderr: string;
}

interface Document {
  seed: number;
  tickets: number;
  plain: Figures;
  mapsweep: Figures;
  held: boolean;
  broken: string[];
}

/** Runs the demo as `npm run demo` does, as a real process. */
const demo = (...args: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const command = ['--expose-gc', '--import', 'tsx', 'examples/demo/main.ts', ...args];
    execFile(process.execPath, command, { cwd: fromRoot('.') }, (error, stdout, stderr) => {
      resolve({ exitStatus: error === null ? 0 : error.code, stdout, stderr });
    });
  });

const figuresOf = ({ stdout, stderr }: Outcome): Document => {
  if (!stdout.startsWith('{')) throw new Error(`the demo printed no figures: ${stderr || stdout}`);
  return JSON.parse(stdout) as Document;
};

const entriesOver = (figures: Figures) => MAP_NAMES.map((name) => figures.entries[name].over);

describe.concurrent('npm run demo', () => {
  beforeAll(() => {
    // The demo imports the package by its name, so it needs the build.
    if (!existsSync(fromRoot('dist/index.js')))
      throw new Error('dist/ is missing: run `npm run build` first');
  });

  it('leaks in all 4 plain Maps, in none of mapsweep, and exits with 0', async () => {
    const outcome = await demo('--tickets', '40', '--json');
    const { plain, mapsweep, ...document } = figuresOf(outcome);

    expect(document).toMatchObject({ seed: 52, tickets: 40, held: true, broken: [] });
    expect(entriesOver(plain)).toSatisfy((over: number[]) => over.every((count) => count > 0));
    expect(plain.notified.none).toBeGreaterThan(0);
    expect(plain.notified.moreThanOnce).toBeGreaterThan(0);

    expect(entriesOver(mapsweep)).toEqual([0, 0, 0, 0]);
    for (const name of MAP_NAMES) expect(mapsweep.entries[name].left).toBe(mapsweep.entries[name].working);
    // 40 tickets x 2 sessions, and 10 helpers.
    expect(mapsweep.notified).toEqual({ none: 0, once: 90, moreThanOnce: 0 });
    expect(mapsweep.killed).toBe(0);
    expect(outcome).toMatchObject({ exitStatus: 0, stderr: '' });
  }, 60_000);

  it('says what did not hold and exits with 1 when the registry never sweeps', async () => {
    const outcome = await demo('--tickets', '40', '--sabotage', 'no-sweep');

    expect(outcome.stdout).toContain('On mapsweep the sweep did not hold:');
    expect(outcome.stdout).toMatch(/subagentRuns still holds \d+ entries of runs that are over\./);
    expect(outcome.stdout).not.toContain('exactly once');
    expect(outcome.exitStatus).toBe(1);
  }, 60_000);

  it('names a wrong option and exits with 2', async () => {
    const outcome = await demo('--tickets', 'many');

    expect(outcome.stderr).toContain('--tickets got "many"; it takes a whole number from 10 to 20000');
    expect(outcome).toMatchObject({ exitStatus: 2, stdout: '' });
  }, 60_000);
});
