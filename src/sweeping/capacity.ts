import { Slices } from '../time/slices.js';
import type { TimerTicket } from '../time/timer-queue.js';
import type { BeforeSweepGate } from './before-sweep.js';
import { evict } from './removals.js';
import type { Shared } from './shared.js';
import type { Tracker } from './tracker.js';

/** How many entries a pass asks whether they are due: the bound of its work, not of what it evicts. */
const mostJudged = 1_000;

/** A pass that found nothing left to evict is repeated at most so often that it takes this share of the time. */
const shareOfFruitlessPasses = 0.05;

/**
 * Brings maps down to their `maxEntries`, after the current macrotask and in one pass however many sets there were.
 *
 * A map in which only guarded entries are left is looked at again when something is added to it, and after each sweep;
 * how often depends on how long that takes, since a look at a million guarded entries must not follow every `set`.
 */
export class CapacityPasses {
  readonly #shared: Shared;
  readonly #hooks: BeforeSweepGate;
  readonly #requested = new Set<Tracker>();
  readonly #notBefore = new WeakMap<Tracker, number>();
  #ticket: TimerTicket | undefined;
  #ticketAt = Number.POSITIVE_INFINITY;
  #isRunning = false;

  constructor(shared: Shared, hooks: BeforeSweepGate) {
    this.#shared = shared;
    this.#hooks = hooks;
  }

  /** Has a map brought down, unless it is not too large. */
  request(tracker: Tracker): void {
    if (tracker.native.size() <= tracker.policy.maxEntries || tracker.observing) return;
    if (this.#requested.has(tracker) || this.#shared.isStopped) return;
    this.#requested.add(tracker);
    this.#schedule();
  }

  /** The map is tracked no more. */
  forget(tracker: Tracker): void {
    this.#requested.delete(tracker);
  }

  /** Gives up what was requested; a pass that is under way ends at its next entry. */
  stop(): void {
    this.#requested.clear();
    this.#unschedule();
  }

  #schedule(): void {
    if (this.#isRunning || this.#requested.size === 0) return;
    const earliest = Math.min(...[...this.#requested].map((tracker) => this.#earliestFor(tracker)));
    const at = Math.max(earliest, this.#shared.timeline.now());
    if (this.#ticketAt <= at) return;
    this.#unschedule();
    this.#ticketAt = at;
    this.#ticket = this.#shared.timers.schedule(at, () => {
      this.#ticketAt = Number.POSITIVE_INFINITY;
      void this.#run();
    });
  }

  #unschedule(): void {
    this.#shared.timers.cancel(this.#ticket);
    this.#ticket = undefined;
    this.#ticketAt = Number.POSITIVE_INFINITY;
  }

  #earliestFor(tracker: Tracker): number {
    return this.#notBefore.get(tracker) ?? Number.NEGATIVE_INFINITY;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const { timeline, sliceBudgetMs } = this.#shared;
    const slices = new Slices({ clock: timeline.clock, budgetMs: sliceBudgetMs });
    const trackers = [...this.#requested].filter((tracker) => this.#earliestFor(tracker) <= slices.now);
    // Out first: what callbacks of this pass add has the next one, in a later macrotask, so that they cannot loop here.
    for (const tracker of trackers) this.#requested.delete(tracker);
    for (const tracker of trackers) {
      const spentBeforeMs = slices.spentMs;
      const steps = evictExcess(tracker, this.#hooks);
      while (!steps.next().done && !this.#shared.isStopped) {
        if (slices.isOver()) await slices.giveWay();
      }
      const isFruitless = tracker.native.size() - this.#hooks.countOf(tracker) > tracker.policy.maxEntries;
      const pauseMs = (slices.spentMs - spentBeforeMs) / shareOfFruitlessPasses;
      if (isFruitless) this.#notBefore.set(tracker, slices.now + pauseMs);
      else this.#notBefore.delete(tracker);
    }
    this.#isRunning = false;
    if (!this.#shared.isStopped) this.#schedule();
  }
}

/**
 * Brings a map down to `maxEntries`: entries that are due first, then those whose end was announced, then the longest
 * idle. Guarded ones never: where only they are left the map stays too large, which its size shows.
 *
 * A generator, one step an entry, so that the caller can pause between any two.
 */
function* evictExcess(tracker: Tracker, hooks: BeforeSweepGate): Generator<void> {
  if (tracker.order === undefined || tracker.observing) return;
  const { stamps, due, shared } = tracker;
  // Where `beforeSweep` runs first, an entry that waits for it is as good as gone.
  const going = new Set<number>();
  const isOver = () => tracker.native.size() - going.size > tracker.policy.maxEntries;

  const remove = (slot: number, rule: string): void => {
    if (tracker.policy.beforeSweep === undefined) evict(tracker, slot, rule);
    else {
      hooks.request(tracker, slot, 'evicted');
      going.add(slot);
    }
  };
  const isGoing = (slot: number): boolean => {
    if (!going.has(slot) && hooks.stateOf(tracker, slot) !== undefined) {
      // One that has failed waits for somebody to ask for its next attempt.
      hooks.request(tracker, slot, 'evicted');
      going.add(slot);
    }
    return going.has(slot);
  };

  const mayBeDue = due.buckets.mayBeDueBy(shared.grid.tickOf(shared.timeline.now()), mostJudged);
  for (const [slot, generation] of mayBeDue.map((at) => [at, stamps.generation[at] as number] as const)) {
    if (!isOver()) return;
    if (!stamps.holds(slot, generation) || isGoing(slot)) continue;
    const isDue = due.judgeAt(slot, shared.timeline.now()) === 'due';
    if (isDue && stamps.holds(slot, generation)) remove(slot, due.judge.rule);
    yield;
  }
  for (const candidates of [firstEndedFirst(tracker), longestIdleFirst(tracker)]) {
    for (const [slot, generation] of candidates) {
      if (!isOver()) return;
      // A callback may have removed it, and its slot may be another entry's.
      if (!stamps.holds(slot, generation) || isGoing(slot)) continue;
      if (!due.isGuarded(slot) && stamps.holds(slot, generation)) remove(slot, 'maxEntries');
      yield;
    }
  }
}

/** The entries whose end was announced, the first ended first. One that was registered since the first was asked for ends the row. */
function* firstEndedFirst({
  claims,
  stamps,
}: Tracker): Generator<readonly [slot: number, generation: number]> {
  const last = stamps.lastGeneration;
  for (const slot of claims?.endedSlots() ?? []) {
    const generation = stamps.generation[slot] as number;
    if (generation > last) return;
    yield [slot, generation];
  }
}

/** The entries by idle time, the longest first, as they were when asked: what callbacks add does not come up. */
function* longestIdleFirst(tracker: Tracker): Generator<readonly [slot: number, generation: number]> {
  const { order, stamps, activity } = tracker;
  if (order === undefined) return;
  const last = stamps.lastGeneration;
  // The last one that was passed over: what comes next is what follows it now, however entries moved meanwhile.
  let passed: { readonly slot: number; readonly generation: number; readonly activeAt: number } | undefined;
  for (let left = stamps.size; left > 0; left -= 1) {
    const isInPlace =
      passed !== undefined &&
      stamps.holds(passed.slot, passed.generation) &&
      activity.latest(passed.slot) === passed.activeAt;
    const following = isInPlace && passed !== undefined ? order.next(passed.slot) : -1;
    const slot = following < 0 ? order.oldest : following;
    if (slot < 0) return;
    const generation = stamps.generation[slot] as number;
    const activeAt = activity.latest(slot);
    if (generation <= last) yield [slot, generation];
    if (stamps.holds(slot, generation)) passed = { slot, generation, activeAt };
  }
}
