import { spawnSync } from 'node:child_process';

/** What a command line tool said. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `prometheus` or `promtool` to its end. Both are in the Debian package `prometheus`. */
export function run(tool: 'prometheus' | 'promtool', args: readonly string[], input = ''): Outcome {
  const { error, status, stdout, stderr } = spawnSync(tool, args, { input, encoding: 'utf8' });
  if (error === undefined) return { status, stdout, stderr };
  throw new Error(
    `${tool} could not be run. Install the package that has it: apt-get update && apt-get install -y prometheus`,
    { cause: error },
  );
}
