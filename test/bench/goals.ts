/**
 * What is promised, and whether it was kept.
 */
import { contenderKinds } from './contenders.js';
import type { Results } from './results.js';

/** One promise at one size. */
export interface Goal {
  readonly what: string;
  readonly size: number;
  readonly goal: string;
  readonly measured: string;
  readonly isMet: boolean;
}

/** Judges all that was measured; what was not is left out. */
export function judgeGoals(results: Results): Goal[] {
  const goals: Goal[] = [];
  const atMost = (
    what: string,
    size: number,
    limit: number,
    measured: number | undefined,
    unit = '',
  ): void => {
    if (measured === undefined) return;
    const goal = `<= ${limit}${unit}`;
    goals.push({ what, size, goal, measured: `${figure(measured)}${unit}`, isMet: measured <= limit });
  };

  for (const size of results.sizes('operations')) {
    const call = (contender: string, name: string) =>
      ({ scenario: 'operations', contender, size, figure: `${name}Ns` }) as const;
    for (const [contender, label] of oursInWords) {
      for (const name of readingCalls) {
        atMost(`${name}, ${label}`, size, 1.05, results.ratio(call(contender, name), call('map', name)));
      }
      for (const [name, words] of writingCalls) {
        const ratio = results.ratio(call(contender, name), call('map-least', name));
        atMost(`${words}, against the least of stamps, ${label}`, size, 1.3, ratio);
      }
    }
  }

  for (const size of results.sizes('life')) {
    const life = (contender: string, name: string) =>
      ({ scenario: 'life', contender, size, figure: name }) as const;
    for (const [contender, label] of oursInWords) {
      const cpu = results.ratio(life(contender, 'lifeUs'), life('lru-cache', 'lifeUs'));
      atMost(`a whole life, CPU against lru-cache's, ${label}`, size, 1.05, cpu);
      const turn = life(contender, 'lifeTurnWithoutGcMs');
      if (size <= 100_000) {
        atMost(`a whole life, longest turn but for GC, ${label}`, size, 8, results.median(turn), ' ms');
      } else {
        const block = results.ratio(turn, life('map-sliced', 'lifeTurnWithoutGcMs'));
        atMost(`a whole life, longest turn against a bare Map's in slices, ${label}`, size, 1.2, block);
      }
    }
  }

  for (const size of results.sizes('memory')) {
    for (const [contender, label] of oursInWords) {
      const bytes = (of: string) =>
        results.median({ scenario: 'memory', contender: of, size, figure: 'bytesPerEntry' });
      const [ours, plain] = [bytes(contender), bytes('map')];
      const beyond = ours === undefined || plain === undefined ? undefined : ours - 2 * plain;
      atMost(`bytes an entry beyond two Maps, ${label}`, size, 34, beyond, ' B');
    }
  }

  const sweepSizes = results.sizes('sweeps');
  for (const size of sweepSizes) {
    const sweep = (contender: string, name: string) =>
      ({ scenario: 'sweeps', contender, size, figure: name }) as const;
    const tracked = (name: string) => sweep('tracked', name);
    atMost('sweep, none due', size, 0.2, results.median(tracked('sweepNoneMs')), ' ms');
    judgeSomeDue(results, size, goals);
    const wholeSweep = results.ratio(tracked('sweepAllMs'), sweep('map', 'sweepAllMs'));
    atMost("everything due, against a bare Map's deletes", size, 1.5, wholeSweep);
    if (size <= 100_000) {
      atMost('everything due, longest block', size, 8, results.median(tracked('sweepAllBlockMs')), ' ms');
    } else {
      const block = results.ratio(tracked('sweepAllBlockMs'), sweep('map-sliced', 'sweepAllBlockMs'));
      atMost("everything due, longest block, against a bare Map's in slices", size, 1.2, block);
    }
    const lateness = results.median(tracked('sweepAllLatenessP99Ms'));
    atMost('everything due, lateness of a timer, p99', size, 8, lateness, ' ms');
  }
  const [smallest, largest] = [sweepSizes[0], sweepSizes[sweepSizes.length - 1]];
  if (smallest !== undefined && largest !== undefined && smallest < largest) {
    const none = (size: number) =>
      ({ scenario: 'sweeps', contender: 'tracked', size, figure: 'sweepNoneMs' }) as const;
    const growth = results.ratio(none(largest), none(smallest));
    atMost(`sweep, none due, against ${smallest.toLocaleString('en')} entries`, largest, 2, growth);
  }

  const batch = (contender: string) =>
    ({ scenario: 'batch', contender, size: 0, figure: 'batchMs' }) as const;
  atMost('the batch, against plain Maps', 0, 3, results.ratio(batch('tracked'), batch('map')));
  for (const size of results.sizes('gateway')) {
    for (const [name, words, limit] of gatewaySteps) {
      const us = results.median({ scenario: 'gateway', contender: 'tracked', size, figure: name });
      atMost(`a run ${words}`, size, limit, us, ' us');
    }
  }
  for (const size of sweepSizes) {
    const ms = results.median({ scenario: 'sweeps', contender: 'asking', size, figure: 'sweepNoneMs' });
    const us = ms === undefined ? undefined : (1_000 * ms) / size;
    atMost('sweep, none due, an entry whose lifetime is a function', size, 0.15, us, ' us');
  }

  for (const size of results.sizes('endings')) {
    const rate = results.median({
      scenario: 'endings',
      contender: 'tracked',
      size,
      figure: 'endingsPerSecond',
    });
    if (rate === undefined) continue;
    const measured = `${Math.round(rate).toLocaleString('en')}/s`;
    goals.push({ what: 'endings delivered', size, goal: '>= 200,000/s', measured, isMet: rate >= 200_000 });
  }
  for (const size of results.sizes('scrape')) {
    const took = results.median({ scenario: 'scrape', contender: 'tracked', size, figure: 'scrapeMs' });
    atMost('scrape of four maps', size, 1, took, ' ms');
  }
  for (const size of results.sizes('journal')) judgeJournal(results, size, atMost);
  return goals;
}

/** A journal is judged by what it adds to the same load without one. */
function judgeJournal(
  results: Results,
  size: number,
  atMost: (what: string, size: number, limit: number, measured: number | undefined, unit?: string) => void,
): void {
  const of = (contender: string, name: string) =>
    results.median({ scenario: 'journal', contender, size, figure: name });
  const added = (name: string): number | undefined => {
    const [own, without] = [of('journaled', name), of('tracked', name)];
    return own === undefined || without === undefined ? undefined : own - without;
  };
  atMost('journal, added to the longest turn', size, 5, added('journalTurnWithoutGcMs'), ' ms');
  atMost('journal, added to the 99.9th percentile of turns', size, 5, added('journalTurnP999Ms'), ' ms');
  atMost('journal, CPU added for a record', size, 3, added('journalRecordUs'), ' us');
  atMost('journal, bytes of the life of a run', size, 400, of('journaled', 'journalLifeBytes'), ' B');
  if (size < 1_000_000) return;
  atMost('journal, loaded in', size, 3_000, of('journaled', 'journalLoadMs'), ' ms');
  atMost('journal, memory of a run that is awaited', size, 300, of('journaled', 'journalLoadBytes'), ' B');
}

const oursInWords = [
  ['tracked', 'TrackedMap'],
  ['adopted', 'adopted'],
] as const;

/** Operations that are to cost what they cost in a plain Map. */
const readingCalls = ['get', 'has', 'iterate'] as const;

/** Operations that are held against the least that stamps can cost, and what they are called. */
const writingCalls = [
  ['setNew', 'set new'],
  ['setAgain', 'set again'],
  ['touch', 'touch'],
  ['delete', 'delete'],
] as const;

/** Steps in the life of a run in the gateway's maps, us at most. */
const gatewaySteps = [
  ['gatewayRegisterUs', 'is registered in three maps', 3],
  ['gatewaySaidUs', 'says something', 0.3],
  ['gatewayEndUs', 'ends, and that is delivered', 3],
  ['gatewaySweepUs', 'is swept', 3],
] as const;

/** Three figures, the way a person would round. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  if (Math.abs(value) >= 10) return value.toFixed(1);
  return Math.abs(value) >= 0.1 || value === 0 ? value.toFixed(2) : value.toPrecision(2);
}

function judgeSomeDue(results: Results, size: number, goals: Goal[]): void {
  const some = (contender: string) =>
    ({ scenario: 'sweeps', contender, size, figure: 'sweepSomeMs' }) as const;
  const peers = contenderKinds.filter(
    ({ isPeer, name }) => isPeer && results.median(some(name)) !== undefined,
  );
  const byTime = peers.sort(
    (a, b) => (results.median(some(a.name)) ?? 0) - (results.median(some(b.name)) ?? 0),
  );
  const fastest = byTime[0];
  if (fastest === undefined) return;
  const ratio = results.ratio(some(fastest.name), some('tracked'));
  if (ratio === undefined) return;
  goals.push({
    what: `sweep, 1% due, against the fastest peer: ${fastest.label}`,
    size,
    goal: '>= 10 times faster',
    measured: `${figure(ratio)} times`,
    isMet: ratio >= 10,
  });
}
