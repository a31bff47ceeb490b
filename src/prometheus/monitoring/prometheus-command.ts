import { parseArgs } from 'node:util';
import { durationMs } from '../../policy/duration.js';
import type { CommandResult } from '../../restart/folder/journal-command.js';
import { readPrefix } from '../prefix.js';
import { alertsFile } from './alert-rules.js';
import { dashboardFile } from './dashboard.js';

const usage = `Usage: mapsweep prometheus alerts [--prefix mapsweep_] [--sweep-every 60s]
       mapsweep prometheus dashboard [--prefix mapsweep_] [--sweep-every 60s]

Writes alert rules for Prometheus, or a dashboard for Grafana, to the standard output. Both are for any number of
registries, services and instances.

  --prefix       the prefix that registerMetrics was given
  --sweep-every  the longest sweepEvery of the registries: how soon a sweeper counts as stalled
  --help         this text

Exit status: 0 all is well, 2 called wrongly, or the output cannot be written.
`;

const misused = (what: string): CommandResult => ({ status: 2, output: '', error: `${what}\n\n${usage}` });

/** Does what the command line says. `args` is what follows `mapsweep prometheus`. */
export function runPrometheusCommand(args: readonly string[]): CommandResult {
  try {
    const { values, positionals } = parse(args);
    if (values.help) return { status: 0, output: usage, error: '' };
    const [what, ...others] = positionals;
    if (others.length > 0) return misused('Too much is named.');
    const prefix = readPrefix(values.prefix ?? 'mapsweep_', '--prefix');
    const sweepEveryMs = durationMs(values['sweep-every'] ?? '60s', '--sweep-every', { min: 1 });
    const options = { prefix, sweepEveryMs };
    if (what === 'alerts') return { status: 0, output: alertsFile(options), error: '' };
    if (what === 'dashboard') return { status: 0, output: dashboardFile(options), error: '' };
    return misused(what === undefined ? 'Name alerts or dashboard.' : `No such thing: ${what}`);
  } catch (error) {
    return misused((error as Error).message);
  }
}

const parse = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      prefix: { type: 'string' },
      'sweep-every': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
