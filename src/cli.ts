#!/usr/bin/env node
import { runPrometheusCommand } from './prometheus/monitoring/prometheus-command.js';
import { describeRecords } from './restart/describe-records.js';
import { runCommand } from './restart/folder/journal-command.js';

const args = process.argv.slice(2);
const { status, output, error } =
  args[0] === 'prometheus' ? runPrometheusCommand(args.slice(1)) : runCommand(args, describeRecords);
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
