import { MapsweepError } from '../errors.js';
import type { BeforeSweepOutcome, HookCause } from '../events/reasons.js';
import { HOOKED, OVERDUE } from '../stamps/stamp-store.js';
import { take } from '../stamps/take.js';
import { type Failure, type HookCall, HookCalls, type WaitingEntry } from './hook-calls.js';
import { isFree, leavesBy, look } from './look.js';
import { reconcileKey } from './reconcile.js';
import type { Abort } from './removal-callbacks.js';
import { evict } from './removals.js';
import type { Shared } from './shared.js';
import type { Tracker } from './tracker.js';

/** However often a hook fails, the first sweep after this tries again. */
const longestPauseMs = 60 * 60_000;

/** What a hook does: it waits for a free place, runs, or waits for its next attempt. */
type HookState = 'queued' | 'running' | 'paused';

/** The calls of `beforeSweep` for one entry, from the look that found it due. */
interface Hook extends WaitingEntry<Hook> {
  readonly generation: number;
  readonly reason: HookCause;
  state: HookState;
  /** The next attempt comes no earlier, monotonic ms. */
  notBefore: number;
  /** The call that runs. */
  call: HookCall<Hook> | undefined;
  /** The entry was touched, replaced or removed while the hook ran. */
  isCancelled: boolean;
  /** Nobody waits for what it answers any more: its map was released, or the registry stopped. */
  isAbandoned: boolean;
}

/** The hooks of one map. */
interface HooksOfMap {
  readonly bySlot: Map<number, Hook>;
  /** How many of them nothing has cancelled. */
  going: number;
}

/**
 * Runs `beforeSweep` beside the sweeps, one an entry. A failure keeps the entry and makes it wait, a touch aborts. Once `maxAge`
 * is over, the first attempt that ends lets the entry go, whatever came of it.
 */
export class BeforeSweepGate {
  readonly #shared: Shared;
  readonly #hooks = new Map<Tracker, HooksOfMap>();
  readonly #calls: HookCalls<Hook>;
  #isClosed = false;

  constructor(shared: Shared) {
    this.#shared = shared;
    this.#calls = new HookCalls(shared, {
      isWanted: (hook) => {
        // It may have been deleted past the wrapper while it waited.
        reconcileKey(hook.tracker, hook.tracker.stamps.keyOf(hook.slot));
        return this.#isKnown(hook);
      },
      isToGo: (hook) => this.#isToGo(hook),
      started: (call) => {
        for (const hook of call.entries) Object.assign(hook, { state: 'running', call });
      },
      settled: (hook, key, failure) => this.#settled(hook, key, failure),
    });
  }

  /** How many calls run over all maps. */
  get runningCount(): number {
    return this.#calls.running.size;
  }

  /** Returns how many hooks one map has, whatever they do. */
  countOf(tracker: Tracker): number {
    const hooks = this.#hooks.get(tracker)?.bySlot;
    if (hooks === undefined) return 0;
    let count = hooks.size;
    // One that was told to stop and has not done so is known until it ends, but no entry waits for it.
    for (const hook of this.#running()) if (hooks.get(hook.slot) === hook && isForNothing(hook)) count -= 1;
    return count;
  }

  /**
   * Returns for how many entries of one map the hook has failed more than once in a row: one failure may be an accident.
   *
   * @param forMs and has done so for so long at least
   */
  failingCountOf(tracker: Tracker, forMs = 1): number {
    let count = 0;
    for (const hook of this.#hooks.get(tracker)?.bySlot.values() ?? []) {
      // The attempt that runs has not failed yet.
      const failures = hook.state === 'running' ? hook.attempt - 1 : hook.attempt;
      // So long are the pauses between them together, as long as none is longer than an hour; of a single one there is none.
      const failingMs = tracker.grid.everyMs * (2 ** (failures - 1) - 1);
      if (failingMs >= forMs && !isForNothing(hook)) count += 1;
    }
    return count;
  }

  /** Returns how many entries of a map are on their way to leave it: each has a hook that was not cancelled. */
  goingOf(tracker: Tracker): number {
    return this.#hooks.get(tracker)?.going ?? 0;
  }

  /** Returns whether an entry is on its way to leave its map. */
  isGoing(tracker: Tracker, slot: number): boolean {
    return this.stateOf(tracker, slot)?.isCancelled === false;
  }

  /** Starts the next attempts of a map that are due, one a step, and lets go of hooks whose entry is another registration by now. */
  *retrying(tracker: Tracker): Generator<void> {
    const hooks = this.#hooks.get(tracker)?.bySlot;
    if (hooks === undefined) return;
    for (const hook of take(hooks.values(), hooks.size)) {
      if (!this.#isKnown(hook)) this.#forget(hook);
      else if (hook.state === 'paused') this.request(tracker, hook.slot, hook.reason);
      yield;
    }
  }

  /** Returns the hook of an entry; `undefined` if it has none. */
  stateOf(
    tracker: Tracker,
    slot: number,
  ): Pick<Hook, 'state' | 'attempt' | 'notBefore' | 'isCancelled'> | undefined {
    const hook = this.#hooks.get(tracker)?.bySlot.get(slot);
    // One that runs on after its entry has left says nothing of who has its slot by now.
    return hook && tracker.stamps.holds(slot, hook.generation) ? hook : undefined;
  }

  /** Returns for what a cap an entry with a hook is to leave that need not be due; `undefined` if for none. */
  evictionOf(tracker: Tracker, slot: number): Exclude<HookCause, 'swept'> | undefined {
    const hook = this.#hooks.get(tracker)?.bySlot.get(slot);
    if (hook === undefined || hook.reason === 'swept' || hook.isCancelled || !this.#isKnown(hook))
      return undefined;
    return isExcess(hook) ? hook.reason : undefined;
  }

  /**
   * Starts the hook of a due entry, or its next attempt if that is due; else does nothing.
   *
   * @param isLast `maxAge` is over: the attempt is due now
   */
  request(tracker: Tracker, slot: number, reason: HookCause, isLast = false): void {
    // Whoever has stopped it did so in the midst of the look that asks for this.
    if (this.#isClosed) return;
    const generation = tracker.stamps.generation[slot] as number;
    let hook = this.#hooks.get(tracker)?.bySlot.get(slot);
    if (hook !== undefined && hook.generation !== generation) {
      this.#forget(hook);
      hook = undefined;
    }
    if (hook === undefined) {
      const state = 'paused';
      hook = {
        tracker,
        slot,
        generation,
        reason,
        state,
        attempt: 0,
        notBefore: Number.NEGATIVE_INFINITY,
        call: undefined,
        isCancelled: false,
        isAbandoned: false,
        list: undefined,
        earlier: undefined,
        later: undefined,
      };
      this.#know(hook);
      tracker.stamps.setFlag(slot, HOOKED, true);
    }
    if (hook.state !== 'paused' || (!isLast && this.#shared.timeline.now() < hook.notBefore)) return;
    hook.state = 'queued';
    this.#calls.add(hook);
  }

  /** The entry was touched or replaced: what runs is told to stop, and what it answers will not count. */
  cancel(tracker: Tracker, slot: number): void {
    this.leaves(tracker, slot)?.();
  }

  /** Does the same for an entry that leaves, and returns what tells it: whoever listens is to find the entry gone. */
  leaves(tracker: Tracker, slot: number): Abort | undefined {
    const hook = this.#hooks.get(tracker)?.bySlot.get(slot);
    return hook && this.#cancel(hook);
  }

  /** What the hook answers will not count. Returns what tells its call to stop; `undefined` if that goes on, or none runs. */
  #cancel(hook: Hook): Abort | undefined {
    if (hook.isCancelled) return undefined;
    hook.isCancelled = true;
    const hooks = this.#hooksWith(hook);
    if (hooks !== undefined) hooks.going -= 1;
    this.#calls.delete(hook);
    // One that runs stays known until it has ended, so that no second one runs for the same entry.
    if (hook.state !== 'running' || !hook.tracker.stamps.holds(hook.slot, hook.generation))
      this.#forget(hook);
    // A batch goes on for the others.
    const { call } = hook;
    if (!call?.entries.every(({ isCancelled }) => isCancelled)) return undefined;
    return () =>
      call.controller.abort(new MapsweepError('ERR_CALLBACK_OBSOLETE', 'the entry was touched or has left'));
  }

  /** Tells every hook of a map that runs to stop, and forgets the others: the map is tracked or swept no more. */
  forget(tracker: Tracker): void {
    // They go at once, since there may be as many as entries. Their flags stay up, which says nothing without a hook.
    this.#hooks.delete(tracker);
    this.#calls.forget(tracker);
    for (const hook of this.#running()) {
      if (hook.tracker !== tracker) continue;
      if (tracker.stamps.holds(hook.slot, hook.generation)) this.#know(hook);
      this.#abandon(hook);
    }
  }

  #abandon(hook: Hook): void {
    hook.isAbandoned = true;
    this.#cancel(hook)?.();
  }

  /**
   * A sweep begins: starts hooks again, after `close`.
   *
   * @param isHurried somebody has asked for it: nothing is spread over the interval
   */
  open(isHurried: boolean): void {
    // What still runs keeps its place, and its entry from a second call, until it has ended: by its time-out at the latest.
    if (this.#isClosed) for (const call of this.#calls.running) call.limit();
    this.#isClosed = false;
    this.#calls.isHurried = isHurried;
  }

  /** Does the same for every map, and starts none before `open`. */
  close(): void {
    this.#isClosed = true;
    this.#calls.clear();
    for (const tracker of [...this.#hooks.keys()]) this.forget(tracker);
    // Those too whose entry has left meanwhile.
    for (const hook of this.#running()) this.#abandon(hook);
  }

  *#running(): Generator<Hook> {
    for (const { entries } of this.#calls.running) yield* entries;
  }

  #know(hook: Hook): void {
    const { tracker, slot, isCancelled } = hook;
    let hooks = this.#hooks.get(tracker);
    if (hooks === undefined) {
      hooks = { bySlot: new Map(), going: 0 };
      this.#hooks.set(tracker, hooks);
    }
    hooks.bySlot.set(slot, hook);
    if (!isCancelled) hooks.going += 1;
  }

  /** Returns the hooks of the map of a hook; `undefined` if it is none of them. */
  #hooksWith(hook: Hook): HooksOfMap | undefined {
    const hooks = this.#hooks.get(hook.tracker);
    return hooks?.bySlot.get(hook.slot) === hook ? hooks : undefined;
  }

  /** Its entry is there, its map is tracked, and nothing has stopped it. */
  #isKnown(hook: Hook): boolean {
    return this.stateOf(hook.tracker, hook.slot) === hook;
  }

  /**
   * Looks again at an entry whose turn has come, as a sweep does: it may have waited for minutes, and is not to be cleaned up
   * for if it stays. Asks its policy functions, which may do anything.
   */
  #isToGo(hook: Hook): boolean {
    const { tracker, slot, reason } = hook;
    const { stamps, due } = tracker;
    const now = this.#shared.timeline.now();
    if (due.isBeyondMaxAge(slot, now)) return true;
    if (reason !== 'swept' && isExcess(hook)) {
      if (isFree(tracker, slot)) return true;
    } else {
      // Where it is still due, that asks for the hook that waits already.
      look(tracker, slot, now);
      if (stamps.hasFlag(slot, OVERDUE) && due.keeper === undefined) return true;
    }
    this.#forget(hook);
    return false;
  }

  #settled(hook: Hook, key: unknown, failure: Failure | undefined): void {
    const { tracker, slot } = hook;
    const failed = failure !== undefined;
    hook.call = undefined;
    // One that is not known any more: what another entry of the batch has set off has stopped it.
    if (hook.isAbandoned || !this.#isKnown(hook)) {
      tracker.beforeSweepTotal.aborted += 1;
      this.#forget(hook);
      return;
    }
    const outcome = hook.isCancelled ? 'aborted' : failed ? 'failed' : 'succeeded';
    tracker.beforeSweepTotal[outcome] += 1;
    if (failure?.isTold && !hook.isCancelled)
      this.#shared.failures.report(tracker.name, 'beforeSweep', key, failure.error);
    // Whoever was told may have removed it.
    if (!tracker.stamps.holds(slot, hook.generation)) {
      this.#forget(hook);
      return;
    }
    const isLast = tracker.due.isBeyondMaxAge(slot, this.#shared.timeline.now());
    if (hook.isCancelled && !isLast) {
      this.#forget(hook);
      return;
    }
    if (failed && !isLast) {
      tracker.beforeSweepError = failure.error;
      const pause = Math.min(tracker.grid.everyMs * 2 ** (hook.attempt - 1), longestPauseMs);
      hook.notBefore = this.#shared.timeline.now() + pause;
      hook.state = 'paused';
      return;
    }
    this.#forget(hook);
    this.#proceed(hook, isLast, outcome);
  }

  /** The hook is over, with success or for the last time: judges the entry again, and removes it if it still is to be. */
  #proceed(hook: Hook, isLast: boolean, outcome: BeforeSweepOutcome): void {
    const { tracker, slot, reason } = hook;
    this.#shared.timeline.compareClocks();
    if (reason === 'swept' || isLast || !isExcess(hook)) {
      tracker.due.buckets.remove(slot);
      look(tracker, slot, this.#shared.timeline.now(), outcome);
      return;
    }
    const cap = reason === 'shed' ? 'shed' : isOfMany(hook) ? 'maxPerOwner' : 'maxEntries';
    const rule = leavesBy(tracker, slot, cap);
    // One that is kept after all has no other one asked for at once: a guard might have all of them cleaned up for.
    if (rule !== undefined) evict(tracker, slot, rule);
  }

  #forget(hook: Hook): void {
    const { tracker, slot } = hook;
    const hooks = this.#hooksWith(hook);
    if (hooks === undefined) return;
    hooks.bySlot.delete(slot);
    if (!hook.isCancelled) hooks.going -= 1;
    if (hooks.bySlot.size === 0) this.#hooks.delete(tracker);
    if (tracker.stamps.holds(slot, hook.generation)) {
      tracker.stamps.setFlag(slot, HOOKED, false);
    }
  }
}

/** Returns whether its owner has too many. */
const isOfMany = ({ tracker, slot }: Hook): boolean => tracker.owners?.isOver(slot) ?? false;

/** Returns whether a cap is exceeded for which the entry of a hook is to go. */
const isExcess = (hook: Hook): boolean =>
  hook.reason === 'shed' || isOfMany(hook) || hook.tracker.native.size() > hook.tracker.policy.maxEntries;

/** Returns whether the entry of a hook has left, or is due no more. */
function isForNothing({ tracker: { stamps }, slot, generation, isCancelled }: Hook): boolean {
  return isCancelled && !(stamps.holds(slot, generation) && stamps.hasFlag(slot, OVERDUE));
}
