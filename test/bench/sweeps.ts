/**
 * What it costs to remove what is due, and how long the event loop is held meanwhile.
 */
import { BusyTime } from './busy-time.js';
import type { Contender, ContenderKind } from './contenders.js';
import { sleep, turn, watch } from './event-loop.js';
import { collect } from './heap.js';
import type { Effort, Figures } from './operations.js';
import { installShiftedTime, passTime, stopwatch } from './shifted-time.js';
import { median } from './statistics.js';
import { createWorkload, type Workload } from './workload.js';

const minute = 60_000;
const ttlMs = 5 * minute;
/** In place of minutes, where entries have timers of their own: none fires before the event loop has its next turn. */
const realTtlMs = 20;
const longRealTtlMs = 60 * minute;

/** Which entries are due when the sweep comes. */
const cases = {
  /** Every hundredth, anywhere in the map. */
  sweepSome: { isDue: (index: number) => index % 100 === 0, isRefreshed: false },
  /** All but one: a map that is emptied as a whole is another case. */
  sweepMost: { isDue: (index: number) => index > 0, isRefreshed: false },
  sweepAll: { isDue: () => true, isRefreshed: false },
  /** None, but all were set again since the deadline they were registered with: what was filed has to be looked at. */
  sweepRefreshed: { isDue: () => false, isRefreshed: true },
} as const;

type CaseName = keyof typeof cases;

/** Measures the sweeps of one contender at one size. Installs shifted clocks: one scenario a process. */
export async function measureSweeps(kind: ContenderKind, size: number, effort: Effort): Promise<Figures> {
  installShiftedTime();
  const make = await kind.load();
  const bench = new SweepBench(kind, make);
  // As in a process that has one for its whole life: with the last object of a shape, its compiled code is thrown away.
  const kept = make({ ttlMs: longRealTtlMs, capacity: 1 });
  kept.subject.set('kept', { ...createWorkload(1).values[0] });
  await kept.sweep?.();
  const small = createWorkload(5_000);
  const began = stopwatch();
  do {
    for (const name of bench.cases) await bench.sweep(name, small);
    await bench.sweepNothing(small, 20);
  } while (stopwatch() - began < effort.warmUpMs);

  const workload = createWorkload(size);
  const figures: Figures = {};
  const repeats = Math.min(7, Math.max(1, Math.ceil(effort.entries / size)));
  for (const name of bench.cases) {
    const runs: Figures[] = [];
    const since = stopwatch();
    do runs.push(await bench.sweep(name, workload));
    while (runs.length < repeats && stopwatch() - since < effort.enoughMs);
    for (const figure of Object.keys(runs[0] as Figures)) {
      figures[name + figure] = median(runs.map((run) => run[figure] as number));
    }
  }
  Object.assign(figures, await bench.sweepNothing(workload, 50));
  kept.close();
  if (kind.name === 'map') {
    // With nothing going on: what is seen here is the machine's.
    const { longestBlockMs, latenessP99Ms } = await watch(() => sleep(300));
    Object.assign(figures, { idleBlockMs: longestBlockMs, idleLatenessP99Ms: latenessP99Ms });
  }
  return figures;
}

class SweepBench {
  readonly #kind: ContenderKind;
  readonly #make: (options: { ttlMs: number; capacity: number }) => Contender;

  constructor(kind: ContenderKind, make: (options: { ttlMs: number; capacity: number }) => Contender) {
    this.#kind = kind;
    this.#make = make;
  }

  get cases(): CaseName[] {
    // A bare Map knows nothing of due entries: it can be emptied, or be told which to delete.
    if (this.#kind.name === 'map') return ['sweepSome', 'sweepMost', 'sweepAll'];
    if (this.#isBare) return ['sweepAll'];
    return this.#kind.hasTimerPerEntry
      ? ['sweepSome', 'sweepMost', 'sweepAll']
      : ['sweepSome', 'sweepMost', 'sweepAll', 'sweepRefreshed'];
  }

  /** Fills a collection, lets time pass, and has it swept once. */
  async sweep(name: CaseName, workload: Workload): Promise<Figures> {
    const { isDue } = cases[name];
    const { keys } = workload;
    let left = 0;
    for (let index = 0; index < keys.length; index += 1) if (!isDue(index)) left += 1;
    const filled = this.#kind.hasTimerPerEntry
      ? this.#fillTimed(name, workload)
      : await this.#fill(name, workload);
    if (!this.#kind.hasTimerPerEntry) await settle();
    const time = new BusyTime();
    let [busyMs, wallMs] = [0, 0];
    const disturbance = await watch(async () => {
      time.restart();
      if (this.#kind.hasTimerPerEntry) while (filled.size() > left) await turn();
      else if (this.#isBare && name !== 'sweepAll') deleteWhere(filled, keys, isDue);
      else await filled.sweep?.();
      busyMs = time.busyMs;
      wallMs = time.wallMs;
    });
    if (filled.size() !== left) {
      throw new Error(`${this.#kind.label}, ${name}: ${filled.size()} entries are left and not ${left}`);
    }
    filled.close();
    return {
      Ms: busyMs,
      WallMs: wallMs,
      BlockMs: disturbance.longestBlockMs,
      LatenessP99Ms: disturbance.latenessP99Ms,
    };
  }

  /** Sweeps again and again a collection in which nothing is due. */
  async sweepNothing({ keys, values }: Workload, times: number): Promise<Figures> {
    if (this.#isBare || this.#kind.hasTimerPerEntry) return {};
    const contender = this.#make({ ttlMs, capacity: keys.length });
    for (let index = 0; index < keys.length; index += 1)
      contender.subject.set(keys[index] as string, values[index]);
    await turn();
    passTime(minute);
    await settle();
    const took: number[] = [];
    // A full scan of a million takes its time, and says the same after a few.
    const latest = stopwatch() + 1_000;
    while (took.length < times && (took.length < 3 || stopwatch() < latest)) {
      const began = stopwatch();
      await contender.sweep?.();
      took.push(stopwatch() - began);
      await turn();
    }
    if (contender.size() !== keys.length) throw new Error(`${this.#kind.label} swept what was not due`);
    contender.close();
    return { sweepNoneMs: median(took), sweepNoneFirstMs: took[0] as number };
  }

  get #isBare(): boolean {
    return this.#kind.name === 'map' || this.#kind.name === 'map-sliced';
  }

  // Minutes pass between turns of the event loop: within one, a stamp may be as late as its end.
  async #fill(name: CaseName, { keys, values }: Workload): Promise<Contender> {
    const { isDue, isRefreshed } = cases[name];
    const contender = this.#make({ ttlMs, capacity: keys.length });
    const { subject } = contender;
    const setWhere = (isWanted: (index: number) => boolean): void => {
      for (let index = 0; index < keys.length; index += 1) {
        if (isWanted(index)) subject.set(keys[index] as string, values[index]);
      }
    };
    setWhere((index) => isDue(index) || isRefreshed);
    await turn();
    passTime(4 * minute);
    setWhere((index) => !isDue(index));
    await turn();
    passTime(2 * minute);
    return contender;
  }

  // Timers of the event loop cannot be shifted; but all of this is one turn of it.
  #fillTimed(name: CaseName, { keys, values }: Workload): Contender {
    const { isDue } = cases[name];
    const contender = this.#make({ ttlMs: longRealTtlMs, capacity: keys.length });
    for (let index = 0; index < keys.length; index += 1) {
      contender.setFor?.(keys[index] as string, values[index], isDue(index) ? realTtlMs : longRealTtlMs);
    }
    const filledAt = stopwatch();
    collect();
    while (stopwatch() - filledAt < realTtlMs + 2);
    return contender;
  }
}

// What no purge can do without: the deletes of what is due, by somebody who need not look for it.
function deleteWhere(
  { subject }: Contender,
  keys: readonly string[],
  isDue: (index: number) => boolean,
): void {
  for (let index = 0; index < keys.length; index += 1)
    if (isDue(index)) subject.delete(keys[index] as string);
}

// Some read the clock once a millisecond, by a timer.
async function settle(): Promise<void> {
  await sleep(5);
  collect();
  await sleep(5);
}
