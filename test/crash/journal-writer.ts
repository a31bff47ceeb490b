/**
 * One life of a journal's owner that is going to be killed: appends numbers in their order, in batches, with checkpoints in
 * between, and says on its standard output how far it has been acknowledged. Arguments: folder; number of the life.
 */
import { writeSync } from 'node:fs';
import { FolderJournal } from '../../src/restart/folder/folder-journal.js';
import { createManualClock } from '../../src/testing/manual-clock.js';
import { replay } from './journal-replay.js';

const [folder = '', life = '0'] = process.argv.slice(2);
const { random } = createManualClock({ seed: Number(life) });
const journal = FolderJournal.open(folder, {
  segmentBytes: 1000 + 100_000 * random(),
  sync: Number(life) % 5 === 0 ? 'disk' : 'kernel',
});
let { known } = replay(journal.takePast());
journal.begin(() => [JSON.stringify(['life', life])]);

const acknowledge = (): void => void writeSync(1, `${known}\n`);

async function append(): Promise<void> {
  const count = 1 + Math.floor(random() ** 8 * 5000);
  const padding = 'x'.repeat(random() ** 4 * 2000);
  const records = Array.from({ length: count }, (_, index) =>
    JSON.stringify(['number', known + 1 + index, padding]),
  );
  await journal.append(records);
  known += count;
  acknowledge();
}

for (;;) {
  for (let batches = random() * 30; batches > 0; batches -= 1) await append();
  if (random() < 0.5) {
    await journal.beginCheckpoint();
    // What is live comes in pieces, beside whatever else is appended.
    const upTo = known;
    for (let batches = random() * 3; batches > 0; batches -= 1) await append();
    await journal.append([JSON.stringify(['up to', upTo])]);
    await append();
    await journal.endCheckpoint();
  }
  // A call that comes from elsewhere while an append is under way.
  if (random() < 0.3) {
    const appended = append();
    journal.appendNow([JSON.stringify(['last words'])]);
    await appended;
  }
}
