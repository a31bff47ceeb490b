import fc from 'fast-check';
import { createRegistry, type EndedEvent, type Registry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/time/clock.js';
import { heldBy } from '../restart/held-by.js';

interface Run {
  readonly serial: number;
}
type Maps = { runs: Map<string, Run>; contexts: Map<string, Run> };

const keys = ['a', 'b'] as const;
type Key = (typeof keys)[number];

/** What an actor of a race does at its turn. */
type Step =
  | { readonly do: 'set' | 'delete' | 'touch' | 'end' | 'follow'; readonly key: Key }
  | { readonly do: 'sweep' | 'clear' | 'advance' | 'snapshot' };

const stepsOf = (...steps: fc.Arbitrary<Step>[]) =>
  fc.array(fc.oneof(...steps), { minLength: 1, maxLength: 5 });
const onKey = (...kinds: ('set' | 'delete' | 'touch' | 'end' | 'follow')[]) =>
  fc.record({ do: fc.constantFrom(...kinds), key: fc.constantFrom(...keys) });
const alone = (...kinds: ('sweep' | 'clear' | 'advance' | 'snapshot')[]) =>
  fc.record({ do: fc.constantFrom(...kinds) });

/** What becomes of the attempts to deliver, in turn; beyond the row they succeed. */
const outcomes = fc.array(fc.boolean(), { maxLength: 12 });

/** A clock on which every reading costs time, so that every pass has to pause, and pauses end when the race says so. */
function racingClock(scheduler: fc.Scheduler) {
  const manual = createManualClock();
  let spentMs = 0;
  const clock: Clock = {
    now: () => manual.now() + Math.floor(spentMs),
    monotonic: () => {
      spentMs += 0.25;
      return manual.monotonic() + spentMs;
    },
    setTimeout: manual.setTimeout,
    clearTimeout: manual.clearTimeout,
    yield: () => scheduler.schedule(Promise.resolve(), 'a slice').then(() => {}),
    random: manual.random,
  };
  return { manual, clock };
}

/** A registry in a race, and everything that it says and does. */
class Race {
  readonly registry: Registry<Maps>;
  readonly manual: ReturnType<typeof createManualClock>;
  readonly #scheduler: fc.Scheduler;
  readonly #outcomes: boolean[];
  readonly #running = new Set<string>();
  readonly delivered = new Map<string, number>();
  readonly told: EndedEvent[] = [];
  readonly disposed: number[] = [];
  readonly wrong: string[] = [];
  #serial = 0;

  constructor(scheduler: fc.Scheduler, outcomes: readonly boolean[], isAdopted: boolean) {
    this.#scheduler = scheduler;
    this.#outcomes = [...outcomes];
    const { manual, clock } = racingClock(scheduler);
    this.manual = manual;
    const dispose = (run: Run): void => {
      this.disposed.push(run.serial);
    };
    this.registry = createRegistry<Maps>({
      maps: {
        runs: {
          maxIdle: 100,
          dispose,
          replaced: dispose,
          ...(isAdopted ? { adopt: new Map<string, Run>() } : {}),
        },
        contexts: { follows: 'runs', orphanAfter: 100, dispose, replaced: dispose },
      },
      ended: {
        map: 'runs',
        deliver: (event) => this.#deliver(event),
        attempts: 2,
        minDelay: 1,
        maxDelay: 1,
        concurrency: 2,
      },
      sweepEvery: 50,
      sliceBudget: 0.1,
      clock,
    });
    this.registry.on('subagent-ended', (event) => {
      this.told.push(event);
      // Whoever hears of an end and says so itself is second.
      if (this.registry.end(event.key, { generation: event.generation }) === 'claimed') {
        this.wrong.push('an end that was told could be claimed');
      }
    });
  }

  /** What is in the maps and has not been told. */
  openRuns(): number {
    return heldBy(this.registry.snapshot()).openKeys('runs').length;
  }

  take(step: Step): void {
    const { runs, contexts } = this.registry.maps;
    switch (step.do) {
      case 'set':
        runs.set(step.key, this.#run());
        break;
      case 'follow':
        contexts.set(step.key, this.#run());
        break;
      case 'delete':
        runs.delete(step.key);
        break;
      case 'touch':
        this.registry.touch('runs', step.key);
        break;
      case 'end':
        this.registry.end(step.key);
        break;
      case 'clear':
        runs.clear();
        break;
      case 'sweep':
        void this.registry.sweep();
        break;
      case 'snapshot':
        this.#checkSnapshot();
        break;
      case 'advance':
        void this.manual.advance(60);
        break;
    }
  }

  /** Lets each actor take its steps in its own order, and everything else come in any. */
  async run(actors: readonly (readonly Step[])[]): Promise<void> {
    for (const [index, steps] of actors.entries()) {
      this.#scheduler.scheduleSequence(
        steps.map((step) => ({
          label: `actor ${index}: ${JSON.stringify(step)}`,
          builder: async () => this.take(step),
        })),
      );
    }
    await this.#scheduler.waitIdle();
    // What an `advance` had under way needs turns of the event loop, and may schedule more.
    await this.manual.advance(0);
    await this.#scheduler.waitIdle();
  }

  /** What has to hold whatever came first. */
  check(): void {
    expect(this.wrong).toEqual([]);
    const ids = this.told.map(({ id }) => id);
    expect(new Set(ids).size, 'an end was told twice').toBe(ids.length);
    expect(new Set(this.disposed).size, 'a value was disposed twice').toBe(this.disposed.length);
    expect(Math.max(0, ...this.delivered.values()), 'an end was delivered twice').toBeLessThanOrEqual(1);
    const report = this.registry.report();
    expect(report.maps[0]?.registered, 'a run was neither told nor is it open').toBe(
      ids.length + this.openRuns(),
    );
    expect(this.disposed.length + this.#valuesThere()).toBe(this.#serial);
  }

  #run(): Run {
    this.#serial += 1;
    return { serial: this.#serial };
  }

  #valuesThere(): number {
    return this.registry.maps.runs.size + this.registry.maps.contexts.size;
  }

  async #deliver({ id, key, generation }: EndedEvent): Promise<void> {
    if (this.#running.has(id)) this.wrong.push('two attempts overlap');
    this.#running.add(id);
    const succeeds = this.#outcomes.shift() ?? true;
    await this.#scheduler.schedule(Promise.resolve(), 'a delivery');
    this.#running.delete(id);
    // By now its key may be another run's.
    if (this.registry.end(key, { generation }) === 'claimed') this.wrong.push('a delivered end was claimed');
    if (!succeeds) throw new Error('refused');
    this.delivered.set(id, (this.delivered.get(id) ?? 0) + 1);
  }

  /** Every run that was registered is in a snapshot, or was delivered. */
  #checkSnapshot(): void {
    const held = heldBy(this.registry.snapshot());
    const open = held.openKeys('runs').length;
    const owed = held.pending.length + held.deadLetters.length;
    const delivered = this.registry.report().endings?.delivered ?? 0;
    const registered = this.registry.report().maps[0]?.registered;
    if (open + owed + delivered !== registered) this.wrong.push('a snapshot does not hold every run');
  }
}

describe('a race ends as if one had come after the other', () => {
  const actors = fc.tuple(
    stepsOf(onKey('set', 'follow'), onKey('set')),
    stepsOf(onKey('end', 'touch')),
    stepsOf(onKey('delete'), onKey('delete'), alone('clear')),
    stepsOf(alone('sweep', 'advance', 'snapshot')),
  );

  it('sweep, end, delete and re-registration tell and deliver every run once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        actors,
        outcomes,
        fc.boolean(),
        async (scheduler, steps, rows, isAdopted) => {
          const race = new Race(scheduler, rows, isAdopted);
          race.take({ do: 'set', key: 'a' });
          race.take({ do: 'follow', key: 'a' });
          await race.run(steps);
          race.check();
          race.registry.stop();
          await scheduler.waitIdle();
          expect(race.manual.pendingTimers).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  }, 60_000);

  it('stop() in their midst leaves no timer, and loses no run', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), actors, outcomes, async (scheduler, steps, rows) => {
        const race = new Race(scheduler, rows, false);
        race.take({ do: 'set', key: 'a' });
        scheduler.scheduleFunction(async () => race.registry.stop())();
        await race.run(steps);
        race.check();
        expect(race.manual.pendingTimers).toBe(0);
      }),
      { numRuns: 100 },
    );
  }, 60_000);

  it('close() in their midst delivers what was told, or says how much it has not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), actors, outcomes, async (scheduler, steps, rows) => {
        const race = new Race(scheduler, rows, false);
        race.take({ do: 'set', key: 'a' });
        let undelivered: number | undefined;
        let lettersBefore = 0;
        scheduler.scheduleFunction(async () => {
          lettersBefore = race.registry.deadLetters().length;
          void race.registry.close().then((result) => {
            undelivered = result.undelivered;
          });
        })();
        await race.run(steps);
        await scheduler.waitFor(race.registry.close());
        race.check();
        const { pending = 0 } = race.registry.report().endings ?? {};
        const letters = race.registry.deadLetters().length;
        expect(undelivered).toBeLessThanOrEqual(pending + letters - lettersBefore);
        expect(race.delivered.size + pending + letters).toBe(race.told.length);
        expect(race.manual.pendingTimers).toBe(0);
      }),
      { numRuns: 100 },
    );
  }, 60_000);
});

it('a run that a listener brings back while others are being lost is not lost as well', async () => {
  const clock = createManualClock();
  const first = createRegistry<{ runs: Map<string, Run> }>({
    maps: { runs: {} },
    ended: { map: 'runs' },
    clock,
  });
  first.maps.runs.set('a', { serial: 1 }).set('b', { serial: 2 });
  const snapshot = first.snapshot();
  first.stop();

  const second = createRegistry<{ runs: Map<string, Run> }>({
    maps: { runs: {} },
    ended: { map: 'runs' },
    restoreWindow: '1m',
    clock,
  });
  const told: string[] = [];
  second.on('subagent-ended', ({ key, reason }) => {
    told.push(`${String(key)} ${reason}`);
    if (key === 'a') second.maps.runs.set('b', { serial: 3 });
  });
  second.restore(snapshot);
  await clock.advance(60_000);
  expect(told).toEqual(['a lost']);
  expect(second.end('b')).toBe('claimed');
  expect(told).toEqual(['a lost', 'b completed']);
  second.stop();
  expect(clock.pendingTimers).toBe(0);
});

it('a companion that comes back after a restart is no new activity of its leader', async () => {
  const clock = createManualClock();
  const maps = { runs: { maxEntries: 2 }, contexts: { follows: 'runs' } };
  const first = createRegistry<Maps>({ maps, clock });
  first.maps.runs.set('a', { serial: 1 });
  first.maps.contexts.set('a', { serial: 2 });
  const snapshot = first.snapshot();
  first.stop();

  const second = createRegistry<Maps>({ maps, clock });
  second.restore(snapshot);
  second.maps.runs.set('a', { serial: 3 });
  await clock.advance(1_000);
  second.maps.runs.set('b', { serial: 4 });
  await clock.advance(1_000);
  second.maps.contexts.set('a', { serial: 5 });
  second.maps.runs.set('c', { serial: 6 });
  await clock.advance(1);
  expect([...second.maps.runs.keys()]).toEqual(['b', 'c']);
  second.stop();
  expect(clock.pendingTimers).toBe(0);
});
