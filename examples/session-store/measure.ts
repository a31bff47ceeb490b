/**
 * A day of 2,000 cron runs on either store at the same time, after a day that filled it: what it holds the event loop for, what
 * it writes, and what is left. Takes one to three minutes, nearly all of it the old store's.
 *
 *     npx tsx examples/session-store/measure.ts [runs a day]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import type { Figures } from './side.ts';

const runs = process.argv[2] ?? '2000';

async function measure(store: 'json' | 'tracked'): Promise<Figures> {
  const side = fork(fileURLToPath(new URL('side.ts', import.meta.url)), [store, runs]);
  const died = once(side, 'exit').then(([code]) => {
    throw new Error(`${store} ended with ${code}, and said nothing`);
  });
  const [figures] = await Promise.race([once(side, 'message'), died]);
  return figures as Figures;
}

const [json, tracked] = await Promise.all([measure('json'), measure('tracked')]);

const rows: Array<[string, (figures: Figures) => string]> = [
  ['saves held the loop, s a day', ({ heldMs }) => (heldMs / 1_000).toFixed(2)],
  ['longest turn of the loop, ms', ({ longestMs }) => longestMs.toFixed(1)],
  ['written, MB a day', ({ written }) => (written / 1e6).toFixed(0)],
  ['entries left', ({ entries }) => String(entries)],
  ['transcripts left', ({ transcripts }) => String(transcripts)],
  ['people whose session was gone', ({ lost }) => String(lost)],
  ['opened again, ms', ({ reopenedMs }) => reopenedMs.toFixed(0)],
  ['longest turn meanwhile, ms', ({ reopeningMs }) => reopeningMs.toFixed(1)],
];
const table = new Table({
  head: [`${runs} runs a day`, 'sessions.json', 'TrackedMap'],
  style: { head: [], border: [] },
});
for (const [name, cell] of rows) table.push([name, cell(json), cell(tracked)]);
console.log(table.toString());
