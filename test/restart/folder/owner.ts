/**
 * A process, or worker thread, that wants to own a folder. Says `open` or the code of the error, with its message; an
 * owner then stays until it is killed. Arguments: folder; `heir` to start a child first that outlives it.
 */
import { spawn } from 'node:child_process';
import { parentPort, workerData } from 'node:worker_threads';
import { FolderJournal } from '../../../src/restart/folder/folder-journal.js';

const [folder = '', mode]: string[] = (workerData as string[] | null) ?? process.argv.slice(2);
const say = (message: Record<string, unknown>): void => {
  if (parentPort !== null) parentPort.postMessage(message);
  else process.stdout.write(`${JSON.stringify(message)}\n`);
};

const warnings: string[] = [];
try {
  const journal = FolderJournal.open(folder, { warn: (_message, code) => warnings.push(code) });
  await journal.append(['["owner"]']);
  const heir = mode === 'heir' ? spawn('sleep', ['60'], { detached: true, stdio: 'ignore' }).pid : undefined;
  say({ outcome: 'open', pid: process.pid, heir, warnings });
  setInterval(() => {}, 60_000);
} catch (error) {
  const { code, message } = error as { code?: string; message?: string };
  say({ outcome: code ?? 'unknown', message, warnings });
}
