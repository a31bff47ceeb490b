/**
 * What single calls cost: get, has, iteration, set new, set again, touch, delete.
 */
import { BusyTime } from './busy-time.js';
import type { Contender, ContenderKind, Subject } from './contenders.js';
import { sleep, turn } from './event-loop.js';
import { collect } from './heap.js';
import { stopwatch } from './shifted-time.js';
import { median } from './statistics.js';
import { createWorkload, type RunRecord, type Workload } from './workload.js';

/** What a child measured, by name. Times are in the unit that the name ends in. */
export type Figures = Record<string, number>;

/** How long and how often. */
export interface Effort {
  /** Warm-up of the compiler at least this long, ms. */
  readonly warmUpMs: number;
  /** A measurement is repeated on fresh collections until this many entries have been through it, */
  readonly entries: number;
  /** or it has taken this long, ms. */
  readonly enoughMs: number;
}

const ttlMs = 5 * 60_000;
/** One event of a gateway does a few calls; this many at once is a burst. */
const burst = 1_000;

/** What the loops have seen is kept, so that none of them can be optimised away. */
let sink = 0;

type Touchable = NonNullable<Contender['touchable']>;

// Each operation is one loop of its own, so that it is compiled for the one contender of this process.
function setAll(
  subject: Subject,
  keys: readonly string[],
  values: readonly RunRecord[],
  from: number,
  to: number,
) {
  for (let index = from; index < to; index += 1) subject.set(keys[index] as string, values[index]);
}

function setAgain(
  subject: Subject,
  keys: readonly string[],
  values: readonly RunRecord[],
  from: number,
  to: number,
) {
  for (let index = from; index < to; index += 1) subject.set(keys[index] as string, values[index]);
}

function getAll(subject: Subject, keys: readonly string[], from: number, to: number) {
  for (let index = from; index < to; index += 1) {
    if ((subject.get(keys[index] as string) as RunRecord).state === 'running') sink += 1;
  }
}

function hasAll(subject: Subject, keys: readonly string[], from: number, to: number) {
  for (let index = from; index < to; index += 1) if (subject.has(keys[index] as string)) sink += 1;
}

function touchAll(touchable: Touchable, keys: readonly string[], from: number, to: number) {
  for (let index = from; index < to; index += 1) touchable.touch(keys[index] as string);
}

function deleteAll(subject: Subject, keys: readonly string[], from: number, to: number) {
  for (let index = from; index < to; index += 1) subject.delete(keys[index] as string);
}

/** Fewer calls than this take too little time to compare. */
const fewestCalls = 200_000;

/** One operation: how many calls it is, and a stretch of them. */
interface Operation {
  readonly name: string;
  readonly calls: number;
  /** How often all of them are made for one figure; those that add or remove can be made once. */
  readonly passes: number;
  run(from: number, to: number): void;
}

/** In the order in which they follow each other on one collection, from empty to empty. */
function operationsOn({ subject, touchable }: Contender, { keys, values, shuffled }: Workload): Operation[] {
  const once = { calls: keys.length, passes: 1 };
  const often = { calls: shuffled.length, passes: Math.ceil(fewestCalls / shuffled.length) };
  const operations: Operation[] = [
    { name: 'setNew', ...once, run: (from, to) => setAll(subject, keys, values, from, to) },
    { name: 'get', ...often, run: (from, to) => getAll(subject, shuffled, from, to) },
    { name: 'has', ...often, run: (from, to) => hasAll(subject, shuffled, from, to) },
    { name: 'setAgain', ...often, run: (from, to) => setAgain(subject, shuffled, values, from, to) },
  ];
  if (touchable !== undefined) {
    operations.push({ name: 'touch', ...often, run: (from, to) => touchAll(touchable, shuffled, from, to) });
  }
  operations.push({ name: 'delete', ...once, run: (from, to) => deleteAll(subject, keys, from, to) });
  return operations;
}

/** Measures every operation of one contender at one size. `…Ns` is a call's time, `…BurstMs` the longest burst's. */
export async function measureOperations(kind: ContenderKind, size: number, effort: Effort): Promise<Figures> {
  const make = await kind.load();
  await warmUp(make, effort.warmUpMs);
  const workload = createWorkload(size);
  const samples = new Map<string, number[]>();
  const add = (name: string, value: number): void => {
    samples.set(name, [...(samples.get(name) ?? []), value]);
  };

  const began = stopwatch();
  const repeats = Math.min(20, Math.max(1, Math.ceil(effort.entries / size)));
  for (let repeat = 1, isLast = false; !isLast; repeat += 1) {
    isLast = repeat === repeats || stopwatch() - began > effort.enoughMs;
    const contender = make({ ttlMs, capacity: size });
    // Where calls are quick, to look at the clock between bursts would be seen in them: only the last repeat does.
    const isInBursts = isLast;
    const isTimed = !isInBursts || repeat === 1;
    for (const operation of operationsOn(contender, workload)) {
      const { name, calls, passes } = operation;
      // Before anything that not all contenders do: they differ in what a collection has moved from there on.
      if (name === 'setAgain') await measureIteration(contender, size, add);
      await collectAndRest();
      const time = new BusyTime();
      if (isInBursts) add(`${name}BurstMs`, runInBursts(operation));
      else for (let pass = 0; pass < passes; pass += 1) operation.run(0, calls);
      if (isTimed) add(`${name}Ns`, (time.busyMs * 1e6) / (isInBursts ? calls : passes * calls));
    }
    if (contender.size() !== 0) throw new Error(`${kind.label} still has ${contender.size()} entries`);
    contender.close();
  }
  if (sink === 0) throw new Error('the loops have seen nothing');
  return Object.fromEntries([...samples].map(([name, values]) => [name, median(values)]));
}

// What a collection leaves to its helper threads takes longer where there is more to collect.
async function collectAndRest(): Promise<void> {
  collect();
  await sleep(10);
}

/** The longest burst, ms. */
function runInBursts({ calls, run }: Operation): number {
  const time = new BusyTime();
  let longestMs = 0;
  for (let from = 0; from < calls; from += burst) {
    time.restart();
    run(from, Math.min(from + burst, calls));
    longestMs = Math.max(longestMs, time.busyMs);
  }
  return longestMs;
}

function measureIteration(
  contender: Contender,
  size: number,
  add: (name: string, value: number) => void,
): void {
  collect();
  const passes = Math.ceil(fewestCalls / size);
  const time = new BusyTime();
  for (let pass = 0; pass < passes; pass += 1) sink += contender.iterate();
  add('iterateNs', (time.busyMs * 1e6) / (passes * size));
}

async function warmUp(
  make: (options: { ttlMs: number; capacity: number }) => Contender,
  ms: number,
): Promise<void> {
  const workload = createWorkload(5_000);
  const began = stopwatch();
  do {
    const contender = make({ ttlMs, capacity: workload.keys.length });
    for (const { name, calls, run } of operationsOn(contender, workload)) {
      if (name === 'setAgain') sink += contender.iterate();
      run(0, calls);
    }
    contender.close();
    await turn();
  } while (stopwatch() - began < ms);
}
