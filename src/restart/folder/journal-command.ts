import { parseArgs } from 'node:util';
import { type DescribeRecords, inspectFolder } from './inspect.js';
import { inspectionText } from './inspection-text.js';

/** What a command says, and its exit status: 0 if all is well, 1 if the journal is damaged or unreadable, 2 otherwise. */
export interface CommandResult {
  readonly status: 0 | 1 | 2;
  readonly output: string;
  readonly error: string;
}

const usage = `Usage: mapsweep journal <folder> [--json]

Shows what is in a journal: whose it is, how large, what is open, and where it is damaged. It takes no lock and changes
nothing, so it may be called while a process uses the journal.

  --json   for machines
  --help   this text

Exit status: 0 all is well, 1 the journal is damaged or a part of it cannot be read, 2 called wrongly (there is no such
folder, say), or the output cannot be written.
`;

const misused = (what: string): CommandResult => ({ status: 2, output: '', error: `${what}\n\n${usage}` });

/** Does what the command line says. `args` is what follows `mapsweep journal`. */
export function runJournalCommand(args: readonly string[], describe?: DescribeRecords): CommandResult {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return misused((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return { status: 0, output: usage, error: '' };
  const [folder, ...others] = positionals;
  if (folder === undefined || others.length > 0) return misused('One folder has to be named.');
  try {
    const inspection = inspectFolder(folder, describe);
    const isFine = inspection.damage === undefined && inspection.unreadable === undefined;
    const output = values.json ? `${JSON.stringify(inspection, undefined, 2)}\n` : inspectionText(inspection);
    return { status: isFine ? 0 : 1, output, error: '' };
  } catch (error) {
    return { status: 2, output: '', error: `Cannot read '${folder}': ${(error as Error).message}\n` };
  }
}

const parse = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
