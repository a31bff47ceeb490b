import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs the example as its README does. */
const example = (): Promise<{ status: unknown; output: string }> =>
  new Promise((resolve) => {
    const command = ['--import', 'tsx', 'examples/fleet/main.ts'];
    execFile(process.execPath, command, { cwd: root }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : error.code, output: stdout + stderr });
    });
  });

it('has the peers of a gateway that dies for good tell of its runs as lost, none never and none twice', async () => {
  const { status, output } = await example();
  expect(output).toMatch(/│ gateway-2 │ lost +│ gateway-[13] │ +\d+ │/);
  expect(output).toMatch(/\d+ runs that PostgreSQL knew of, \d+ told: 0 never, 0 twice\./);
  expect(status).toBe(0);
}, 120_000);
