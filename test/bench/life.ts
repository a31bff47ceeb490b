/**
 * What an entry costs over its whole life: it is set, active three times, and leaves, half of them by their owner and half
 * because they are due; `dispose` is called once for each.
 */
import type { Contender, ContenderKind, ContenderOptions } from './contenders.js';
import { sleep, turn } from './event-loop.js';
import { collect } from './heap.js';
import type { Effort, Figures } from './operations.js';
import { installShiftedTime, passTime, stopwatch } from './shifted-time.js';
import { median } from './statistics.js';
import { type Turns, watchTurns } from './turns.js';
import { createWorkload, type Workload } from './workload.js';

const minute = 60_000;
const ttlMs = 5 * minute;
/** So many calls come in one turn of the event loop, as requests do. */
const callsATurn = 200;
/** Goes through all keys in an order that is not theirs: a prime that divides no size. */
const stride = 7_919;

/** Measures whole lives in one contender at one size. Installs shifted clocks: one scenario a process. */
export async function measureLife(kind: ContenderKind, size: number, effort: Effort): Promise<Figures> {
  installShiftedTime();
  const make = await kind.load();
  const small = createWorkload(5_000);
  // A process has some of them all the time, and V8 keeps what it has compiled for a shape as long as one of it is alive.
  const kept = make({ ttlMs, capacity: size, dispose: () => {} });
  const began = stopwatch();
  do await live(kind, make, small);
  while (stopwatch() - began < effort.warmUpMs);

  const workload = createWorkload(size);
  const cpu: number[] = [];
  const turns: Turns[] = [];
  const repeats = Math.min(7, Math.max(1, Math.ceil(effort.entries / size)));
  for (let life = 0; life < repeats; life += 1) {
    collect();
    await sleep(5);
    cpu.push(await live(kind, make, workload));
  }
  // Afterwards: the watching costs time too, and has V8 throw away what it had compiled.
  for (let life = 0; life < repeats; life += 1) {
    collect();
    await sleep(5);
    turns.push(
      await watchTurns(async () => {
        await live(kind, make, workload);
      }),
    );
  }
  kept.close();
  return {
    lifeUs: (1_000 * median(cpu)) / size,
    lifeTurnMs: median(turns.map(({ longestMs }) => longestMs)),
    lifeTurnWithoutGcMs: median(turns.map(({ longestWithoutGcMs }) => longestWithoutGcMs)),
  };
}

/** Has all entries of a workload live and leave. Returns the CPU time of this process meanwhile, ms. */
async function live(
  kind: ContenderKind,
  make: (options: ContenderOptions) => Contender,
  { keys, values }: Workload,
): Promise<number> {
  let disposed = 0;
  const dispose = (): void => {
    disposed += 1;
  };
  const contender = make({ ttlMs, capacity: keys.length, dispose });
  const { subject } = contender;
  const cpu = process.cpuUsage();
  await each(keys.length, (index) => subject.set(keys[index] as string, values[index]));
  for (let activity = 0; activity < 3; activity += 1) {
    passTime(minute);
    await each(keys.length, (index) => {
      const at = (index * stride) % keys.length;
      const key = keys[at] as string;
      // A bare Map has nothing to refresh.
      if (contender.touchable === undefined) subject.set(key, values[at]);
      else contender.touchable.touch(key);
    });
  }
  await each(keys.length / 2, (index) => subject.delete(keys[(index * stride) % keys.length] as string));
  passTime(2 * ttlMs);
  // lru-cache goes on with a reading of the clock until a timer of 1 ms drops it.
  await sleep(5);
  await contender.sweep?.();
  const { user, system } = process.cpuUsage(cpu);
  if (contender.size() !== 0 || disposed !== keys.length)
    throw new Error(`${kind.label}: ${contender.size()} entries are left, ${disposed} were disposed of`);
  contender.close();
  return (user + system) / 1_000;
}

async function each(count: number, call: (index: number) => void): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    call(index);
    if (index % callsATurn === callsATurn - 1) await turn();
  }
}
