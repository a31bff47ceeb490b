import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../simulation/random.js';
import { faults, shuffled } from './faults.js';
import { Fleet } from './fleet.js';
import type { Verdict } from './ledger.js';

const minutes = Number(process.env.FLEET_MINUTES ?? 10);
const seed = Number(process.env.FLEET_SEED ?? Date.now() % 1_000_000);
/** However fast they come. */
const leastTimes = minutes >= 10 ? 5 : 1;

describe(`three gateways for ${minutes} min (FLEET_SEED=${seed})`, () => {
  let fleet: Fleet | undefined;
  let verdict: Verdict;
  const times: Record<string, number> = {};

  beforeAll(
    async () => {
      fleet = await Fleet.start();
      const random = new Random(seed);
      const began = performance.now();
      const isOver = (): boolean => performance.now() - began > minutes * 60_000;
      for (let round = 1; round <= leastTimes || !isOver(); round += 1) {
        for (const name of shuffled(random)) {
          await sleep(random.between(500, 4_000));
          tell(began, `round ${round}: ${name}`);
          await faults[name]!(fleet, random);
          times[name] = (times[name] ?? 0) + 1;
        }
      }
      tell(began, 'no new runs any more');
      fleet.windDown();
      verdict = await settled(fleet);
      tell(began, 'all is told');
      console.log(figures(fleet, verdict, times));
    },
    (minutes + 20) * 60_000,
  );

  afterAll(() => fleet?.dispose(), 60_000);

  it('has each fault at least as often as it should', () => {
    for (const name of Object.keys(faults)) expect(times[name]).toBeGreaterThanOrEqual(leastTimes);
  });

  it('has runs end in each way: by their owner, by a sweep, and for one who has died', () => {
    expect(Object.keys(verdict.reasons)).toEqual(
      expect.arrayContaining(['completed', 'deleted', 'lost', 'swept']),
    );
    expect(fleet?.failures.ERR_JOURNAL_TAKEN_OVER).toBeGreaterThan(0);
  });

  it('loses no run whose registration was ever committed, in PostgreSQL or in BullMQ', () => {
    expect(verdict.registered).toBeGreaterThan(500);
    expect([verdict.lost, verdict.lostJobs]).toEqual([[], []]);
    expect(fleet?.deadLetters).toEqual([]);
  });

  it('tells of none twice', () => {
    expect([verdict.twice, verdict.twiceJobs]).toEqual([[], []]);
  });

  it('leaves nothing that a dead gateway owed', async () => {
    for (const instance of fleet!.dead) expect(await fleet!.ledger.epoch(instance)).toBe('settled');
  });
});

const tell = (began: number, what: string): void =>
  console.log(`${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} s  ${what}`);

/** How long nothing may change before it counts as the end, ms: longer than any retry and any takeover. */
const quietMs = 8_000;
const patienceMs = 120_000;

/** Waits until all is told and nothing changes any more. */
async function settled({ ledger }: Fleet): Promise<Verdict> {
  let last = await ledger.verdict();
  const began = performance.now();
  for (let changed = began; ; ) {
    await sleep(500);
    const now = await ledger.verdict();
    if (JSON.stringify(now) !== JSON.stringify(last)) changed = performance.now();
    last = now;
    const isWhole = now.lost.length === 0 && now.lostJobs.length === 0;
    if (performance.now() - changed > (isWhole ? quietMs : 4 * quietMs)) return now;
    if (performance.now() - began > patienceMs) return now;
  }
}

function figures({ failures, dead }: Fleet, verdict: Verdict, times: Record<string, number>): string {
  const { registered, effects, jobs, jobsAgain, unregistered, reasons, lost, lostJobs, twice, twiceJobs } =
    verdict;
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  return `seed ${seed}
faults: ${list(times)}
runs ever committed as registered: ${registered}; rows of effect: ${effects}, jobs: ${jobs}
lost: ${lost.length} (jobs ${lostJobs.length}); twice: ${twice.length} (jobs ${twiceJobs.length})
by reason: ${list(reasons)}; told though never committed: ${unregistered}; jobs that BullMQ did again: ${jobsAgain}
gateways dead for good: ${dead.length}; said of journals: ${list(failures)}`;
}
