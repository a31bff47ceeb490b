import type { IdleOrder } from '../stamps/idle-order.js';
import type { Slices } from '../time/slices.js';
import type { TimerTicket } from '../time/timer-queue.js';
import { AskedWalk } from './asked-walk.js';
import type { BeforeSweepGate } from './before-sweep.js';
import { Eviction } from './eviction.js';
import { judgeNow, keep } from './look.js';
import { evictOfOwner } from './owner-evictions.js';
import type { Shared } from './shared.js';
import type { Tracker } from './tracker.js';

/** So many passes over one map may follow each other at one instant: more are a `dispose` that sets its key again. */
const mostPassesAtOnce = 16;

/** The share of its entries that a map sheds at most, before anybody looks what came of it. */
const shareShed = 0.1;

/** A pass that finds nothing more to evict is repeated at most so often that what it takes for that is this share of the time. */
const shareOfFruitlessPasses = 0.05;

/**
 * Brings maps down to their `maxPerOwner` and `maxEntries`, after the current macrotask and in one pass however many sets there were.
 *
 * A map in which only guarded and held entries are left is looked at again when something is added to it, and after each sweep;
 * how often depends on how long that takes, since a look at a million of them must not follow every `set`.
 */
export class CapacityPasses {
  readonly #shared: Shared;
  readonly #hooks: BeforeSweepGate;
  readonly #requested = new Set<Tracker>();
  /** How many entries a map has yet to shed. */
  readonly #shedding = new Map<Tracker, number>();
  readonly #notBefore = new WeakMap<Tracker, number>();
  readonly #passesAt = new WeakMap<Tracker, { readonly at: number; readonly count: number }>();
  #ticket: TimerTicket | undefined;
  #ticketAt = Number.POSITIVE_INFINITY;
  /** Those of the pass that is under way. */
  #slices: Slices | undefined;

  constructor(shared: Shared, hooks: BeforeSweepGate) {
    this.#shared = shared;
    this.#hooks = hooks;
  }

  /** When the pass that is under way last got on, monotonic ms; `undefined` while none is. */
  get gotOnAt(): number | undefined {
    return this.#slices?.now;
  }

  /** Has a map brought down, unless it is not too large. */
  request(tracker: Tracker): void {
    if (!tracker.isOverCaps || tracker.observing) return;
    if (this.#requested.has(tracker) || this.#shared.isStopped) return;
    this.#requested.add(tracker);
    this.#schedule(this.#earliestFor(tracker));
  }

  /**
   * Has a map with `shed` evict up to a tenth of its entries, whatever its `maxEntries`, under the same rules. Returns how many
   * it may be; 0 of a map that does not shed, or that is still at the last tenth. To be called in a turn of its own.
   */
  shed(tracker: Tracker): number {
    if (!tracker.policy.shed || tracker.observing || this.#shared.isStopped) return 0;
    if (this.#shedding.has(tracker)) return 0;
    const quota = Math.floor(tracker.native.size() * shareShed);
    if (quota === 0) return 0;
    this.#shedding.set(tracker, quota);
    this.#notBefore.delete(tracker);
    this.#requested.add(tracker);
    // At once, and not after a timer: near the limit the heap may be full a few turns later.
    if (this.#slices === undefined) void this.#run();
    return quota;
  }

  /** The map is tracked no more. */
  forget(tracker: Tracker): void {
    this.#requested.delete(tracker);
    this.#shedding.delete(tracker);
  }

  /** Gives up what was requested; a pass that is under way ends at its next entry. */
  stop(): void {
    this.#requested.clear();
    this.#shedding.clear();
    this.#unschedule();
  }

  #schedule(earliest: number): void {
    if (this.#slices !== undefined) return;
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

  #isRepeated(tracker: Tracker, now: number): boolean {
    const before = this.#passesAt.get(tracker);
    const count = before?.at === now ? before.count + 1 : 1;
    this.#passesAt.set(tracker, { at: now, count });
    return count >= mostPassesAtOnce;
  }

  #earliestFor(tracker: Tracker): number {
    return this.#notBefore.get(tracker) ?? Number.NEGATIVE_INFINITY;
  }

  async #run(): Promise<void> {
    const { timeline } = this.#shared;
    const slices = this.#shared.newSlices();
    this.#slices = slices;
    this.#unschedule();
    timeline.compareClocks();
    const trackers = [...this.#requested].filter((tracker) => this.#earliestFor(tracker) <= slices.now);
    // They go first: what callbacks of this pass add has the next one, in a later macrotask, so that they cannot loop.
    for (const tracker of trackers) this.#requested.delete(tracker);
    for (const tracker of trackers) {
      let usefulUntilMs = slices.spentMs;
      const quota = this.#shedding.get(tracker);
      const eviction = new Eviction(tracker, this.#hooks, quota ?? 0);
      let taken = 0;
      try {
        const steps = evictExcess(tracker, this.#hooks, eviction);
        while (!this.#shared.isStopped && !steps.next().done) {
          const isOver = slices.isOver();
          if (eviction.taken > taken) {
            usefulUntilMs = slices.spentMs;
            taken = eviction.taken;
          }
          if (!isOver) continue;
          await slices.giveWay();
          timeline.notice();
        }
      } catch (error) {
        // Nothing in there should throw; if it does, that ends no other map's.
        this.#shared.failures.report(tracker.name, 'evict', undefined, error);
      }
      // What was asked for in the midst of it has the next pass, without a pause.
      if (quota !== undefined) this.#shedding.delete(tracker);
      const isAskedFor = this.#shedding.has(tracker);
      const isTooLarge = tracker.native.size() - this.#hooks.goingOf(tracker) > tracker.policy.maxEntries;
      const isFruitless = isTooLarge || (tracker.owners?.over.size ?? 0) > 0;
      const pauseMs = (slices.spentMs - usefulUntilMs) / shareOfFruitlessPasses;
      const leastPauseMs = this.#isRepeated(tracker, slices.now) ? 1 : 0;
      if (!isAskedFor && (isFruitless || leastPauseMs > 0)) {
        this.#notBefore.set(tracker, slices.now + Math.max(pauseMs, leastPauseMs));
      } else this.#notBefore.delete(tracker);
    }
    this.#slices = undefined;
    if (this.#shared.isStopped || this.#requested.size === 0) return;
    let earliest = Number.POSITIVE_INFINITY;
    for (const tracker of this.#requested) earliest = Math.min(earliest, this.#earliestFor(tracker));
    this.#schedule(earliest);
  }
}

/**
 * Brings a map down to its caps: the entries of each owner who has too many, then those of all; and evicts as many as are to be
 * shed, if the map has as many to spare. Entries that are due first, then those whose end was announced, then the longest
 * idle. Guarded and held ones never leave: if only they remain the map stays too large, which its size shows.
 *
 * A generator, one small step at a time, so that the caller can pause between any two.
 */
function* evictExcess(tracker: Tracker, hooks: BeforeSweepGate, eviction: Eviction): Generator<void> {
  if (tracker.observing) return;
  yield* hooks.retrying(tracker);
  for (const owned of [...(tracker.owners?.over ?? [])]) yield* evictOfOwner(tracker, owned, eviction);
  yield* evictOfAll(tracker, eviction);
}

function* evictOfAll(tracker: Tracker, eviction: Eviction): Generator<void> {
  if (tracker.order === undefined || !eviction.isOver) return;
  const { stamps, due, grid, shared } = tracker;

  // The first time after a sweep all come up that only a look can find due, and the next pass goes on where this one ends; what
  // becomes due by a function after that waits for the sweep, or until it is the next one to be evicted.
  if (due.isAsked && !due.isLookedAt) yield* rememberDue(tracker);
  due.buckets.take(grid.tickOf(shared.timeline.now()), !due.isLookedAt);
  due.isLookedAt = true;
  const dueOnes = dueFirst(tracker);
  for (;;) {
    // Before the next one is looked at, which else would not come up again.
    if (!eviction.isOver) return;
    const { value: slot, done } = dueOnes.next();
    if (done) break;
    if (slot !== undefined && eviction.isOver) eviction.take(slot, due.rule);
    yield;
  }
  const passedOver: number[] = [];
  for (const candidates of [firstEndedFirst(tracker), longestIdleFirst(tracker, passedOver)]) {
    for (const candidate of candidates) {
      if (!eviction.isOver) break;
      const [slot, generation] = candidate ?? none;
      // A callback may have removed it, and its slot may be another entry's.
      if (stamps.holds(slot, generation)) {
        const cap = eviction.isBeyondMax ? 'maxEntries' : 'shed';
        eviction.takeUnlessKept(slot, cap, () => eviction.isOver);
      }
      yield;
    }
  }
  yield* putBack(tracker, passedOver);
}

type Candidate = readonly [slot: number, generation: number];
/** Stands for a step that found no candidate. */
const none: Candidate = [-1, -1];

/** Yields those that came up and are due, each right after it was judged. `undefined`: a step that found none. */
function* dueFirst(tracker: Tracker): Generator<number | undefined, void> {
  const { native, stamps, due, shared } = tracker;
  const { buckets } = due;
  for (let slot = buckets.takeNext(); slot >= 0; slot = buckets.takeNext()) {
    const key = stamps.keyOf(slot);
    const generation = stamps.generation[slot] as number;
    const now = shared.timeline.now();
    const state = judgeNow(tracker, slot, key, native.get(key), now);
    if (!stamps.holds(slot, generation)) {
      yield;
      continue;
    }
    // If nothing takes it now, every sweep looks at it.
    if (state === 'due' || state === 'overtaken') buckets.watch(slot);
    else if (state === 'guarded' || state === 'held') keep(tracker, slot);
    else {
      // No sweep looks at it before it is due.
      due.mark(slot, state);
      due.file(slot, state);
    }
    yield state === 'due' ? slot : undefined;
  }
}

/**
 * Asks all entries of a map that is asked, and has those come up that are due. It goes through though the map is no longer too
 * large: given up, and begun again by every `set` that is one too many, it would take all the time.
 */
function* rememberDue(tracker: Tracker): Generator<void> {
  const { stamps, due, order, activity, policy, shared } = tracker;
  due.buckets.clear();
  const walk = new AskedWalk(tracker, (_, slot, _key, value, now) => {
    const generation = stamps.generation[slot] as number;
    const state = due.judgeAt(slot, value, now);
    if (!stamps.holds(slot, generation)) return;
    if (state === 'due') due.buckets.watch(slot);
    else if (state === 'guarded' || state === 'held') keep(tracker, slot);
    // It may have been known as active later than its value says now.
    if (policy.activeAt !== undefined) order?.place(slot, due.activeAt(slot, now), activity.turnOf(slot));
  });
  walk.begin();
  while (!tracker.isReleased && walk.step(shared.timeline.now())) yield;
}

/** Yields the entries whose end was announced, the first ended first, up to one that was registered meanwhile. */
function* firstEndedFirst({ claims, stamps }: Tracker): Generator<Candidate> {
  const last = stamps.lastGeneration;
  for (const slot of claims?.endedSlots() ?? []) {
    const generation = stamps.generation[slot] as number;
    if (generation > last) return;
    yield [slot, generation];
  }
}

/**
 * Yields the entries by idle time, the longest first. What is registered meanwhile does not come up.
 *
 * @param passedOver gets all that came up, to be put back in the end: each comes up once
 */
function* longestIdleFirst(tracker: Tracker, passedOver: number[]): Generator<Candidate | undefined> {
  const { order, stamps } = tracker;
  if (order === undefined) return;
  const last = stamps.lastGeneration;
  const isUpToDate = bringingUpToDate(tracker, order);
  for (let slot = order.oldest; slot >= 0; slot = order.oldest) {
    const generation = stamps.generation[slot] as number;
    // A slot that is free has been left behind by an entry that has gone.
    if (generation === 0) order.remove(slot);
    else if (isUpToDate(slot, generation)) {
      order.remove(slot);
      passedOver.push(slot);
      if (generation <= last) yield [slot, generation];
    }
    yield;
  }
}

/**
 * Returns the question whether the place of a slot in the order is that of its activity, which puts it there. Where the value
 * says when it was active it is asked once in a pass, unless the entry was set or touched since: one whose answer is the
 * present, or fails, is another one each time, and would come up for ever.
 */
function bringingUpToDate(
  { stamps, activity, due, policy, shared }: Tracker,
  order: IdleOrder,
): (slot: number, generation: number) => boolean {
  const moved = new Map<number, number>();
  return (slot, generation) => {
    if (moved.get(slot) === activity.turnOf(slot)) return true;
    const activeAt = due.activeAt(slot, shared.timeline.now());
    // Whoever was asked may have removed it, and the slot be another's.
    if (!stamps.holds(slot, generation)) return false;
    const turn = activity.turnOf(slot);
    if (order.isUpToDate(slot, activeAt, turn)) return true;
    if (policy.activeAt !== undefined) moved.set(slot, turn);
    return false;
  };
}

/** Has entries that came up and are still there come up again. */
function* putBack({ order, stamps, activity }: Tracker, slots: readonly number[]): Generator<void> {
  for (const slot of slots) {
    const isThere = stamps.isUsed(slot);
    if (isThere && order?.has(slot) === false)
      order.place(slot, activity.latest(slot), activity.turnOf(slot));
    yield;
  }
}
