/**
 * One child process: does one job, which is its only argument, and prints what it measured as one line of JSON.
 */
import { measureBatch } from './batch.js';
import { comparedPackage, kindOf } from './contenders.js';
import { measureEndings } from './endings.js';
import { measureGateway } from './gateway.js';
import type { Job } from './job.js';
import { type JournalEffort, measureJournal } from './journal.js';
import { measureLife } from './life.js';
import { measureMemory } from './memory.js';
import { type Effort, type Figures, measureOperations } from './operations.js';
import { measureScrape } from './scrape.js';
import { measureSweeps } from './sweeps.js';

const job = JSON.parse(process.argv[2] as string) as Job;
const effort: Effort & JournalEffort = job.isShort
  ? { warmUpMs: 20, entries: 1, enoughMs: 0, watchMs: 1_000 }
  : { warmUpMs: 300, entries: 1_000_000, enoughMs: 1_500, watchMs: 8_000 };

process.stdout.write(`${JSON.stringify(await measure(job))}\n`);
// Whatever timers a contender still has.
process.exit(0);

function measure({ scenario, contender, size }: Job): Promise<Figures> {
  const kind = kindOf(contender);
  const packageName = contender.endsWith('-compared') ? comparedPackage : 'mapsweep';
  switch (scenario) {
    case 'life':
      return measureLife(kind, size, effort);
    case 'operations':
      return measureOperations(kind, size, effort);
    case 'sweeps':
      return measureSweeps(kind, size, effort);
    case 'memory':
      return measureMemory(kind, size);
    case 'batch':
      return measureBatch(kind, effort);
    case 'gateway':
      return measureGateway(contender, size, effort);
    case 'endings':
      return measureEndings(packageName, size);
    case 'journal':
      return measureJournal(packageName, size, contender === 'journaled', effort);
    case 'scrape':
      return measureScrape(packageName, size);
  }
}
