import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = (path: string): string => join(root, 'node_modules', path);
const tsc = bin('typescript/bin/tsc');

/** A project that has this package installed as npm installs it: built, and reached by its name. */
let project: string;

const run = (...args: string[]): Promise<{ exitStatus: unknown; output: string }> =>
  new Promise((resolve) => {
    // Without the environment of the vitest that runs this test, which the one inside would take for its own.
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1' };
    execFile(process.execPath, args, { cwd: project, env }, (error, stdout, stderr) => {
      resolve({ exitStatus: error === null ? 0 : error.code, output: stdout + stderr });
    });
  });

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'mapsweep-leak-test-'));
  const installed = join(project, 'node_modules/mapsweep');
  mkdirSync(installed, { recursive: true });
  for (const dependency of ['lru-cache', 'mitt', 'ms', 'vitest', '@types']) {
    symlinkSync(bin(dependency), join(project, 'node_modules', dependency));
  }
  copyFileSync(join(root, 'package.json'), join(installed, 'package.json'));
  for (const example of ['leak.test.ts', 'leak.node-test.mjs']) {
    copyFileSync(join(root, 'examples/leak-test', example), join(project, example));
  }
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
  await run(tsc, '-p', join(root, 'tsconfig.json'), '--outDir', join(installed, 'dist'));
}, 120_000);

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

describe('examples/leak-test', () => {
  it('passes its four tests under vitest', { timeout: 60_000 }, async () => {
    const { exitStatus, output } = await run(bin('vitest/vitest.mjs'), 'run');
    expect(output).toMatch(/Tests {2}4 passed \(4\)/);
    expect(exitStatus).toBe(0);
  });

  it('passes its four tests under node:test', { timeout: 60_000 }, async () => {
    const { exitStatus, output } = await run('--test', '--test-reporter', 'tap', 'leak.node-test.mjs');
    expect(output).toMatch(/# pass 4\n# fail 0/);
    expect(exitStatus).toBe(0);
  });
});

describe("the types of import 'mapsweep/vitest'", () => {
  const check = (name: string, source: string) => {
    writeFileSync(join(project, name), source);
    const options = '--noEmit --strict --skipLibCheck --module nodenext --target es2023 --types node'.split(
      ' ',
    );
    return run(tsc, ...options, name);
  };

  it('know the matchers, on expect and under .not, and what they take', { timeout: 60_000 }, async () => {
    const { exitStatus, output } = await check(
      'typed.ts',
      `import { createRegistry } from 'mapsweep';
       import 'mapsweep/vitest';
       import { expect } from 'vitest';
       const registry = createRegistry<{ runs: Map<string, object> }>({ maps: { runs: { ttl: '5m' } } });
       expect(registry).toBeDrained();
       expect(registry.maps.runs).not.toBeDrained();
       const drained: Promise<void> = expect(registry).toDrainWithin('5m');
       await expect(() => {}).toReturnToBaseline({ registry, times: 200, warmup: 10, drain: false });
       expect(registry).toHaveEndedExactlyOnce('run-1');
       expect(registry).toHaveEndedEveryRunOnce();
       await expect(new WeakRef({})).not.toBecomeCollectable();
       // @ts-expect-error no duration
       await expect(registry).toDrainWithin('5 parsecs');
       // @ts-expect-error no registry
       await expect(() => {}).toReturnToBaseline({ times: 200 });
       // @ts-expect-error no key
       expect(registry).toHaveEndedExactlyOnce();
       export { drained };`,
    );
    expect(output).toBe('');
    expect(exitStatus).toBe(0);
  });

  it('are not there without the import', { timeout: 60_000 }, async () => {
    const { exitStatus, output } = await check(
      'untyped.ts',
      "import { expect } from 'vitest';\nexpect(new Map()).toBeDrained();\n",
    );
    expect(output).toContain("Property 'toBeDrained' does not exist");
    expect(exitStatus).not.toBe(0);
  });
});

describe("import 'mapsweep/testing'", () => {
  it('works where vitest is not installed', { timeout: 60_000 }, async () => {
    rmSync(join(project, 'node_modules/vitest'));
    const { exitStatus, output } = await run('--test', '--test-reporter', 'tap', 'leak.node-test.mjs');
    expect(output).toMatch(/# pass 4\n# fail 0/);
    expect(exitStatus).toBe(0);
  });
});
