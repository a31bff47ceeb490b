#!/usr/bin/env node
import { describeRecords } from './restart/describe-records.js';
import { runCommand } from './restart/folder/journal-command.js';

const { status, output, error } = runCommand(process.argv.slice(2), describeRecords);
// Whoever reads it may have seen enough, as `head` has.
process.stdout.on('error', () => {});
process.stdout.write(output);
process.stderr.write(error);
// Not `process.exit`: a pipe may not have taken all of it yet.
process.exitCode = status;
