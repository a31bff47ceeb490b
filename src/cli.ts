#!/usr/bin/env node
import { runPrometheusCommand } from './prometheus/monitoring/prometheus-command.js';
import { describeRecords } from './restart/describe-records.js';
import { type CommandResult, runJournalCommand } from './restart/folder/journal-command.js';
import { version } from './version.js';

const usage = `Usage: mapsweep journal <folder> [--json]
       mapsweep prometheus alerts [--prefix mapsweep_] [--sweep-every 60s]
       mapsweep prometheus dashboard [--prefix mapsweep_] [--sweep-every 60s]

  journal               shows what is in a journal: whose it is, how large, what is open, and where it is damaged
  prometheus alerts     writes alert rules for Prometheus
  prometheus dashboard  writes a dashboard for Grafana

  --version             the version of mapsweep
  --help                this text; after a command, what that one takes

Exit status: 0 all is well, 1 the journal is damaged or a part of it cannot be read, 2 called wrongly, or the output
cannot be written.
`;

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
  const [command, ...others] = args;
  switch (command) {
    case 'journal':
      return runJournalCommand(others, describeRecords);
    case 'prometheus':
      return runPrometheusCommand(others);
    case '--version':
    case '-v':
      return { status: 0, output: `${version}\n`, error: '' };
    case '--help':
    case '-h':
      return { status: 0, output: usage, error: '' };
    default: {
      const what = command === undefined ? 'No command.' : `No such command: ${command}`;
      return { status: 2, output: '', error: `${what}\n\n${usage}` };
    }
  }
}
