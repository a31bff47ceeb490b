import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { install, type Outcome, pack, root, run as runIn, cache as sharedCache } from '../installations.ts';

const examples = join(root, 'examples/leak-test');
const projects = join(root, 'test/runners/projects');
/** What is installed stays here from run to run. */
const cache = join(sharedCache, 'runners');

/** What is installed beside the package, by folder. */
const installations: Record<string, Record<string, string>> = {
  'vitest-3': { vitest: '~3.2.7' },
  'vitest-4': { vitest: '~4.1.12' },
  others: { jest: '~30.5.2', mocha: '~12.0.3' },
};

const run = (folder: string, command: string, ...args: string[]): Promise<Outcome> =>
  runIn(join(cache, folder), command, args);

/** How long one of their tests may take on a machine that has other things to do, ms. */
const patience = '30000';

const bin = (name: string): string => join('node_modules', '.bin', name);

/** Has the package in a folder, which may have an older one. */
async function installIn(folder: string): Promise<void> {
  // npm takes a tarball of the same name and version for installed already.
  for (const stale of ['mapsweep', '.package-lock.json'])
    rmSync(join(cache, folder, 'node_modules', stale), { recursive: true, force: true });
  await install(join(cache, folder), { ...installations[folder], mapsweep: 'file:../mapsweep.tgz' });
}

/** Copies a project to where the package is installed: a module is looked for from where the file lies. */
function put(folder: string, ...sources: string[]): string {
  const project = join(folder, 'project');
  rmSync(join(cache, project), { recursive: true, force: true });
  for (const source of sources) cpSync(source, join(cache, project), { recursive: true });
  return project;
}

beforeAll(async () => {
  // A name that does not change.
  renameSync(await pack(cache), join(cache, 'mapsweep.tgz'));
  await Promise.all(Object.keys(installations).map(installIn));
});

// Vitest 3 does not tell a matcher which of the tests that run at once it is used in: there neither of them fails.
describe.each([
  ['vitest-3', 7, 7],
  // Two that stand in one line are shown as one.
  ['vitest-4', 9, 8],
])('under %s', (folder, failed, told) => {
  const vitest = (project: string): Promise<Outcome> =>
    run(
      project,
      process.execPath,
      join('..', 'node_modules/vitest/vitest.mjs'),
      'run',
      '--testTimeout',
      patience,
    );

  it('the kit works with projects, globals, threads, and without isolation', async () => {
    const { exitStatus, output } = await vitest(put(folder, join(projects, 'vitest')));
    // Three projects of two files with nine tests, and twice one test.
    expect(output).toMatch(/Test Files {2}8 passed \(8\)\n\s+Tests {2}29 passed \(29\)/);
    expect(exitStatus, output).toBe(0);
  });

  it('the example passes', async () => {
    const { exitStatus, output } = await vitest(put(folder, examples));
    expect(output).toMatch(/Tests {2}4 passed \(4\)/);
    expect(exitStatus, output).toBe(0);
  });

  it('each forgotten await fails its test, and says so in place', async () => {
    const { exitStatus, output } = await vitest(put(folder, join(projects, 'vitest-must-fail')));
    expect(output).toMatch(new RegExp(`Tests  ${failed} failed .*\\(9\\)`));
    expect(output.match(/^MapsweepError: to\w+ was not awaited: it still ran when its test/gm)).toHaveLength(
      told,
    );
    expect(output).toMatch(/❯ forgotten\.test\.mjs:15:\d+/);
    expect(output).not.toContain('Unhandled');
    expect(exitStatus).toBe(1);
  });
});

describe('under Jest, in its default CommonJS mode', () => {
  const jest = (project: string, file: string, ...options: string[]): Promise<Outcome> =>
    run(
      project,
      process.execPath,
      join('..', bin('jest')),
      '--rootDir',
      '.',
      '--testTimeout',
      patience,
      '--testMatch',
      `**/${file}`,
      ...options,
    );

  it.each([
    ['the kit works', 'kit.jest.cjs', 3],
    ['the example passes', 'leak.jest.cjs', 4],
  ])('%s', async (_claim, file, tests) => {
    const { exitStatus, output } = await jest(put('others', join(projects, 'jest'), examples), file);
    expect(output).toMatch(new RegExp(`Tests: +${tests} passed, ${tests} total`));
    expect(exitStatus, output).toBe(0);
  });

  it('the kit works with timers that are fake before it is loaded', async () => {
    const config = JSON.stringify({ fakeTimers: { enableGlobally: true } });
    const project = put('others', join(projects, 'jest'));
    const { exitStatus, output } = await jest(project, 'enabled.jest.cjs', '--config', config);
    expect(output).toMatch(/Tests: +5 passed, 5 total/);
    expect(exitStatus, output).toBe(0);
  });

  it('a forgotten await fails its test, at the next check or at close()', async () => {
    const { exitStatus, output } = await jest(put('others', join(projects, 'jest')), 'forgotten.jest.cjs');
    expect(output).toMatch(/Tests: +2 failed, 2 total/);
    expect(output).toContain('returnToBaseline was not awaited');
    expect(output).toContain('drainWithin still runs on the same registry');
    expect(exitStatus).toBe(1);
  });
});

describe('under mocha', () => {
  const mocha = (file: string): Promise<Outcome> =>
    run(
      put('others', join(projects, 'mocha'), examples),
      process.execPath,
      join('..', bin('mocha')),
      '--timeout',
      patience,
      file,
    );

  it('the example passes', async () => {
    const { exitStatus, output } = await mocha('leak.mocha.mjs');
    expect(output).toContain('4 passing');
    expect(exitStatus, output).toBe(0);
  });

  it('a forgotten await fails at close()', async () => {
    const { exitStatus, output } = await mocha('forgotten.mocha.mjs');
    expect(output).toMatch(/1 failing[\s\S]*returnToBaseline was not awaited/);
    expect(exitStatus).not.toBe(0);
  });
});

describe('under node:test', () => {
  const nodeTest = (file: string): Promise<Outcome> =>
    run(
      put('others', join(projects, 'node-test'), examples),
      process.execPath,
      '--test',
      '--test-reporter',
      'tap',
      file,
    );

  it('the example passes', async () => {
    const { exitStatus, output } = await nodeTest('leak.node-test.mjs');
    expect(output).toMatch(/# pass 4\n# fail 0/);
    expect(exitStatus, output).toBe(0);
  });

  it('a forgotten await fails at close()', async () => {
    const { exitStatus, output } = await nodeTest('forgotten.node-test.mjs');
    expect(output).toMatch(/not ok 1 [\s\S]*returnToBaseline was not awaited/);
    expect(exitStatus).not.toBe(0);
  });
});

describe('require() without a test runner', () => {
  it('gives the same modules as import, so that there is one copy', async () => {
    const script = `
      const required = require('mapsweep');
      import('mapsweep').then((imported) => console.log(required.createRegistry === imported.createRegistry));
    `;
    const { output } = await run('others', process.execPath, '--eval', script);
    expect(output.trim()).toBe('true');
  });
});
