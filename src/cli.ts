#!/usr/bin/env node
import { runPrometheusCommand } from './prometheus/monitoring/prometheus-command.js';
import { version } from './prometheus/version.js';
import { describeRecords } from './restart/describe-records.js';
import { type CommandResult, runCommand } from './restart/folder/journal-command.js';

const { status, output, error } = run(process.argv.slice(2));
// Not `process.exit`: a pipe may not have taken all of it yet.
process.exitCode = status;
process.stdout.on('error', (failure: NodeJS.ErrnoException) => {
  // Whoever reads it may have seen enough, as `head` has.
  if (failure.code === 'EPIPE') return;
  process.exitCode = 2;
  process.stderr.write(`Cannot write the output: ${failure.message}\n`);
});
process.stdout.write(output);
process.stderr.write(error);

function run(args: readonly string[]): CommandResult {
  const [first, ...others] = args;
  if (first === '--version' || first === '-v') return { status: 0, output: `${version}\n`, error: '' };
  return first === 'prometheus' ? runPrometheusCommand(others) : runCommand(args, describeRecords);
}
