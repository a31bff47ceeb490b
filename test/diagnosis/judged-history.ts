/** Runs the history of a simulated map through the verdict, and through `deriv(entries[6h]) > 0` beside it. */
import { LeakJudge } from '../../src/diagnosis/leak-judge.ts';
import type { LeakState, LeakVerdict } from '../../src/diagnosis/leak-verdict.ts';
import { AgeTable, type KeptAges } from '../../src/stamps/age-table.ts';
import { type HourlySize, SizeHistory } from '../../src/stamps/size-history.ts';
import { randomOf } from './random.ts';
import type { Model, SimulatedMap } from './simulated-maps.ts';

const hourMs = 3_600_000;
const stepsAnHour = 12;
const stepMs = hourMs / stepsAnHour;

export interface Change {
  readonly hour: number;
  readonly verdict: LeakVerdict;
}

export interface History {
  readonly changes: readonly Change[];
  /** How often the process was started anew, which forgets everything but what a journal has. */
  readonly restarts: number;
  /** The hour at which it was first called leaking. */
  readonly leakingAt: number | undefined;
  readonly neededAt: number;
  /** When the derivative over six hours had been positive for another six. */
  readonly derivAt: number | undefined;
}

/** What a journal would have. */
interface Written {
  readonly kept: KeptAges;
  readonly hours: readonly HourlySize[];
  readonly at: number;
}

interface Entry {
  readonly at: number;
  isThere: boolean;
}

/** Plays the history that a seed makes of a map. */
export function judgedHistory(map: SimulatedMap, seed: number): History {
  const random = randomOf(seed);
  const model = map.model(random);
  const { ttl = 0, longest = 0, maxEntries, expectedMax, ceiling = Infinity } = model;
  const cohortMs = Math.max(hourMs, (ttl * hourMs) / 16, (longest * hourMs) / 96);
  const bound =
    maxEntries !== undefined
      ? { max: maxEntries, name: 'maxEntries' }
      : expectedMax !== undefined
        ? { max: expectedMax, name: 'expectedMax' }
        : undefined;

  let ages = new AgeTable(0, cohortMs);
  let sizes = new SizeHistory(0, cohortMs, true);
  let judge = new LeakJudge({ originAt: 0, hourMs, minGrowth: 12, ages, sizes });
  let bornAt = 0;
  let size = 0;
  let queue: Entry[] = [];
  let queueFrom = 0;
  let leavesAt = new Map<number, { entry: Entry; isByCeiling: boolean }[]>();
  const leave = (entry: Entry, isByCeiling: boolean): void => {
    if (!entry.isThere) return;
    entry.isThere = false;
    size -= 1;
    if (isByCeiling) ages.byCeiling(entry.at);
    ages.left(entry.at);
  };
  const register = (at: number, stays: number): void => {
    const entry = { at, isThere: true };
    ages.registered(at);
    size += 1;
    queue.push(entry);
    const stay = Math.min(stays, ceiling);
    if (stay === Infinity) return;
    const step = Math.ceil((at + stay * hourMs) / stepMs);
    const leaving = leavesAt.get(step) ?? [];
    leaving.push({ entry, isByCeiling: stays > ceiling });
    leavesAt.set(step, leaving);
  };

  const changes: Change[] = [];
  let state: LeakState = 'ok';
  let leakingAt: number | undefined;
  const leakedIn: number[] = [];
  let restarts = 0;
  let written: string | undefined;
  let writtenCounts = 0;
  const recent: number[] = [];
  let positive = 0;
  let derivAt: number | undefined;
  for (let step = 0; step < map.days * 24 * stepsAnHour; step += 1) {
    const hour = step / stepsAnHour;
    if (model.restartsEvery !== undefined && step > 0 && step % (model.restartsEvery * stepsAnHour) === 0) {
      bornAt = step * stepMs;
      writtenCounts = 0;
      ages = new AgeTable(bornAt, cohortMs);
      sizes = new SizeHistory(bornAt, cohortMs, true);
      judge = new LeakJudge({ originAt: bornAt, hourMs, minGrowth: 12, ages, sizes });
      if (model.outlastsRestarts && written !== undefined) {
        // As the journal has it: text, of the last count.
        const { kept, hours, at } = JSON.parse(written) as Written;
        const agedMs = bornAt - at;
        const cohorts = kept.cohorts.map((cohort) => ({
          ...cohort,
          agedMs: cohort.agedMs === undefined ? undefined : cohort.agedMs + agedMs,
        }));
        const there = queue.filter(({ isThere }) => isThere).map((entry) => entry.at);
        ages.goOn({ ...kept, cohorts }, 0, there);
        sizes.goOn(hours);
      } else if (!model.outlastsRestarts) [size, queue, queueFrom, leavesAt] = [0, [], 0, new Map()];
      state = 'ok';
      restarts += 1;
    }
    const startAt = step * stepMs;
    if (step === 0) for (let count = model.loaded ?? 0; count > 0; count -= 1) register(startAt, Infinity);
    // In the order of their registration, as entries come.
    const arriving: { at: number; stays: number }[] = [];
    for (const { perHour, stays, isLeak } of model.streams) {
      for (let count = random.poisson(perHour(hour) / stepsAnHour); count > 0; count -= 1) {
        arriving.push({ at: startAt + random.between(0, stepMs), stays: stays() });
        if (isLeak) leakedIn[Math.floor(hour)] = (leakedIn[Math.floor(hour)] ?? 0) + 1;
      }
    }
    arriving.sort((a, b) => a.at - b.at);
    for (const { at, stays } of arriving) register(at, stays);
    const at = startAt + stepMs;
    for (const { entry, isByCeiling } of leavesAt.get(step + 1) ?? []) leave(entry, isByCeiling);
    leavesAt.delete(step + 1);
    if (model.purgedEvery !== undefined && (step + 1) % (model.purgedEvery * stepsAnHour) === 0) {
      for (const entry of queue) leave(entry, false);
      [queue, queueFrom] = [[], 0];
    }
    while (maxEntries !== undefined && size > maxEntries) leave(queue[queueFrom++] as Entry, true);

    const verdict = judge.judge({
      at,
      watchedMs: at - bornAt,
      size,
      bound,
      stay: { ttlMs: ttl * hourMs, longestMs: longest * hourMs },
    });
    if (ages.counts !== writtenCounts) {
      const state: Written = { kept: ages.kept(at - bornAt), hours: sizes.hours, at };
      [written, writtenCounts] = [JSON.stringify(state), ages.counts];
    }
    const nowHour = at / hourMs;
    if (verdict.state !== state) {
      state = verdict.state;
      changes.push({ hour: nowHour, verdict });
      if (state === 'leaking') leakingAt ??= nowHour;
    }
    recent.push(size);
    if (recent.length > 6 * stepsAnHour) recent.shift();
    positive = recent.length === 6 * stepsAnHour && slope(recent) > 0 ? positive + 1 : 0;
    if (positive >= 6 * stepsAnHour) derivAt ??= nowHour;
  }
  // At its rates, or as the seed has drawn them, whichever is later: a lucky dozen is no promise.
  const leaks = model.streams.filter(({ isLeak }) => isLeak);
  const expected = (hour: number) => leaks.reduce((sum, { perHour }) => sum + perHour(hour), 0);
  const atBest = Math.max(
    neededAt(model, map.days, expected),
    neededAt(model, map.days, (hour) => leakedIn[hour] ?? 0),
  );
  return { changes, restarts, leakingAt, neededAt: atBest, derivAt };
}

/**
 * When the rule could find the leak at the earliest: when 12 leaked entries, from five hours, are four hours older than
 * their cohorts; or, where nothing leaves, when the map has grown in 12 hours.
 *
 * @param leakedIn how many leaked entries arrive in an hour
 */
function neededAt(
  { streams, restartsEvery = Infinity, outlastsRestarts }: Model,
  days: number,
  leakedIn: (hour: number) => number,
): number {
  const isAlone = streams.every(({ isLeak }) => isLeak);
  let leaked = 0;
  let hours = 0;
  for (let hour = 0; hour < days * 24; hour += 1) {
    if (!outlastsRestarts && hour % restartsEvery === 0) [leaked, hours] = [0, 0];
    leaked += leakedIn(hour);
    if (leakedIn(hour) > 0) hours += 1;
    if (leaked >= 12 && hours >= (isAlone ? 12 : 5)) return hour + (isAlone ? 1 : 5);
  }
  return Infinity;
}

/** Least squares, as Prometheus has it. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) sum += (index - middle) * (values[index] as number);
  return sum;
}
