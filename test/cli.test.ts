import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** Runs the program on the sources, with its standard output there. */
function run(stdout: number | 'pipe', ...args: string[]) {
  const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
  const command = ['--import', import.meta.resolve('tsx'), cli, ...args];
  const child = spawn(process.execPath, command, { stdio: ['ignore', stdout, 'pipe'] });
  // A reader that has seen enough.
  child.stdout?.destroy();
  return child;
}

async function endOf(child: ReturnType<typeof run>) {
  let stderr = '';
  child.stderr?.on('data', (text) => (stderr += text));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, stderr };
}

describe('the program', { timeout: 30_000 }, () => {
  it('ends as usual where nobody reads its output to the end', async () => {
    expect(await endOf(run('pipe', 'prometheus', 'dashboard'))).toEqual({ status: 0, stderr: '' });
  });

  it.runIf(existsSync('/dev/full'))(
    'ends with 2, and says why, where its output cannot be written',
    async () => {
      const { status, stderr } = await endOf(run(openSync('/dev/full', 'w'), 'prometheus', 'alerts'));
      expect(status).toBe(2);
      expect(stderr).toMatch(/^Cannot write the output: .*ENOSPC/);
    },
  );
});
