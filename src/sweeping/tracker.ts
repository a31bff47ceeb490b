import type { LibraryReason } from '../events/reasons.js';
import type { JudgedState } from '../policy/judge.js';
import { type CompiledPolicy, hasLifetime } from '../policy/policy.js';
import { Activity } from '../stamps/activity.js';
import { IdleOrder } from '../stamps/idle-order.js';
import type { NativeCollection } from '../stamps/native-collection.js';
import { reconcile } from '../stamps/reconcile.js';
import { HOOKED, StampStore } from '../stamps/stamp-store.js';
import type { Timeline } from '../time/timeline.js';
import type { ClaimKeeper } from './claims.js';
import { DueQueue, type DueQueueHost } from './due-queue.js';
import { MapPass, type MapPassHost, type SweptMap } from './map-pass.js';
import { callDispose } from './removal-callbacks.js';
import { type LeavableMap, type RemovalHost, Removals } from './removals.js';

/** What a tracker needs of the engine that it belongs to. */
export interface TrackerHost extends RemovalHost, MapPassHost {
  /** The engine's own mode: `true` removes, evicts and claims nothing. */
  readonly observing: boolean;
  /** The first sweep tick at which something due at this instant is removed. */
  tickOf(deadline: number): number;
  /** Has the map's capacity enforced after the current macrotask. */
  requestCapacityPass(tracker: Tracker): void;
  /** Starts the `beforeSweep` of an entry, or leaves the one alone that runs or waits. */
  runHook(tracker: Tracker, slot: number, reason: LibraryReason): void;
  /** The entry was touched, replaced or removed. */
  cancelHook(tracker: Tracker, slot: number): void;
}

/** A map that has had more entries than this gives the memory of its lists back when it is empty. */
const burstSize = 1_024;

/**
 * One map's bookkeeping: keeps stamps in step with the map, files entries by deadline, and removes them through the
 * map's own `delete`.
 *
 * State changes first and callbacks run last, from a list, so that whatever they do to the map finds it settled.
 */
export class Tracker implements LeavableMap, DueQueueHost, SweptMap {
  readonly name: string;
  readonly policy: CompiledPolicy<unknown, unknown>;
  readonly native: NativeCollection<unknown, unknown>;
  readonly stamps: StampStore<unknown>;
  readonly timeline: Timeline;
  readonly order: IdleOrder | undefined;
  readonly filing: DueQueue;
  readonly removals: Removals;
  readonly pass: MapPass;
  readonly #activity: Activity;
  readonly #host: TrackerHost;

  /** The tracker of the map this one follows, while there is one. */
  leader: Tracker | undefined;
  readonly followers: Tracker[] = [];
  /** Set for the map whose endings are announced. */
  claims: ClaimKeeper | undefined;
  /** While an earlier life's entries are awaited: gives a registration the stamps it had. Whether there were any. */
  onReturn: ((slot: number, key: unknown, value: unknown) => boolean) | undefined;
  /** Called for every registration, with state settled. */
  onRegistered: ((slot: number, key: unknown, value: unknown) => void) | undefined;

  registeredTotal = 0;

  constructor(
    name: string,
    policy: CompiledPolicy<unknown, unknown>,
    native: NativeCollection<unknown, unknown>,
    host: TrackerHost,
  ) {
    this.name = name;
    this.policy = policy;
    this.native = native;
    this.#host = host;
    const stamps = new StampStore<unknown>(host.timeline.clock);
    this.stamps = stamps;
    this.order = policy.maxEntries < Number.POSITIVE_INFINITY ? new IdleOrder() : undefined;
    this.removals = new Removals(this, host);
    this.#activity = new Activity(stamps, this.order);
    this.timeline = host.timeline;
    this.filing = new DueQueue(this);
    this.pass = new MapPass(this, host);
  }

  /** Judges, counts and reports, and removes nothing. */
  get observing(): boolean {
    return this.#host.observing || this.policy.mode === 'observe';
  }

  /** Whether values that leave are disposed of. */
  get isDisposing(): boolean {
    return this.policy.dispose !== undefined;
  }

  /** How many entries a sweep found due that are still there. */
  get overdueCount(): number {
    return this.filing.overdueCount;
  }

  /** How many of those `keepWhile` holds. */
  get guardedCount(): number {
    return this.filing.guardedCount;
  }

  /** Whether entries of this map can become due, or leave with a leader. */
  get isManaged(): boolean {
    return hasLifetime(this.policy) || this.policy.follows !== undefined;
  }

  // --- what filing asks: methods and no closures, so that one compiled sweep serves every map ------------------------

  registeredAt(slot: number): number {
    return this.stamps.registeredAt[slot] as number;
  }

  tickOf(deadline: number): number {
    return this.#host.tickOf(deadline);
  }

  policyFailed(callback: string, key: unknown, error: unknown, isFirst: boolean): void {
    if (isFirst) this.#host.failures.report(this.name, callback, key, error);
    else this.#host.failures.count(this.name, callback);
  }

  /** The last activity that counts for the entry: its own or a companion's, monotonic ms. */
  activeAt(slot: number): number {
    return this.#activity.latest(slot);
  }

  /** A number that is another one after any registration, activity, or change of stamps. */
  get writes(): number {
    return this.#activity.writes;
  }

  /** Whether this map follows another that has no such key. */
  isOrphan(key: unknown): boolean {
    return this.policy.follows !== undefined && !(this.leader?.native.has(key) ?? false);
  }

  // --- what the owner does, told by the wrapper -------------------------------------------------------------------

  /** The owner is about to write or delete `key`: puts right what a write past the wrapper left behind for it. */
  settleBypass(key: unknown): void {
    if (this.native.size() !== this.stamps.size) this.settleKey(key);
  }

  /** A key was set that had no entry. */
  registered(key: unknown, value: unknown): void {
    this.#register(key, value);
  }

  /** A value was set on a key that had an entry. */
  overwritten(slot: number, key: unknown, value: unknown, previous: unknown): void {
    const { name: map, policy } = this;
    if (policy.dispose === undefined || Object.is(previous, value)) {
      this.#refresh(slot, key);
      return;
    }
    // The key as the map keeps it, which is 0 where -0 was given.
    const departure = { map, key: this.stamps.keyOf(slot), value: previous, reason: 'replaced' } as const;
    this.#refresh(slot, key);
    callDispose({ ...departure, dispose: policy.dispose }, this.#host.failures, value);
  }

  /** Runs a `set` or `add` of a class that has its own, whatever that does, and sees what came of it. */
  setThrough<Result>(key: unknown, run: () => Result): Result {
    this.settleBypass(key);
    const slot = this.stamps.slotOf(key);
    const generation = slot === undefined ? 0 : (this.stamps.generation[slot] as number);
    const previous = slot === undefined ? undefined : this.native.get(key);
    try {
      return run();
    } finally {
      if (slot !== undefined && this.stamps.holds(slot, generation) && this.native.has(key)) {
        this.overwritten(slot, key, this.native.get(key), previous);
      } else this.settleKey(key);
    }
  }

  /** Runs a `getOrInsert` of the owner: it registers a key that was not there, and is a plain read of one that was. */
  insertThrough<Result>(key: unknown, run: () => Result): Result {
    this.settleBypass(key);
    try {
      return run();
    } finally {
      this.settleKey(key);
    }
  }

  /** Runs a `getOrInsertComputed` of the owner, whose callback may itself set the key: then its value is replaced. */
  computeThrough<Result>(
    key: unknown,
    compute: (key: unknown) => unknown,
    run: (compute: (key: unknown) => unknown) => Result,
  ): Result {
    let setMeanwhile: { slot: number; generation: number; value: unknown } | undefined;
    const compared = (given: unknown): unknown => {
      const computed = compute(given);
      const slot = this.stamps.slotOf(key);
      if (slot !== undefined) {
        setMeanwhile = {
          slot,
          generation: this.stamps.generation[slot] as number,
          value: this.native.get(key),
        };
      }
      return computed;
    };
    try {
      return this.insertThrough(key, () => run(compared));
    } finally {
      if (setMeanwhile !== undefined && this.stamps.holds(setMeanwhile.slot, setMeanwhile.generation)) {
        this.overwritten(setMeanwhile.slot, key, this.native.get(key), setMeanwhile.value);
      }
    }
  }

  /** Brings the stamp of one key in step with the map. */
  settleKey(key: unknown): void {
    const slot = this.stamps.slotOf(key);
    const present = this.native.has(key);
    if (slot === undefined && present) this.#register(key, this.native.get(key));
    else if (slot !== undefined && !present) this.removals.vanished(slot, key);
  }

  /** Refreshes the last activity. False where there is no such entry. */
  touch(key: unknown): boolean {
    const slot = this.stamps.slotOf(key);
    if (slot === undefined) return false;
    this.#refresh(slot, key);
    return true;
  }

  // --- what others ask ---------------------------------------------------------------------------------------------

  /** Starts the `beforeSweep` of an entry, or leaves the one alone that runs or waits. */
  runHook(slot: number): void {
    this.#host.runHook(this, slot, 'swept');
  }

  /** Judges an entry without consequences, for explanations and evictions. */
  judgeOnly(slot: number, now: number): JudgedState {
    return this.filing.judgeAt(slot, this.stamps.keyOf(slot), now);
  }

  /** Whether `keepWhile` holds an entry. */
  isGuarded(slot: number): boolean {
    const key = this.stamps.keyOf(slot);
    return this.filing.judge.isGuarded(slot, key, this.native.get(key));
  }

  /** Slots, with their generations, that may be due by a tick; at most `limit`. A copy. */
  mayBeDueBy(tick: number, limit: number): Array<[slot: number, generation: number]> {
    return this.filing.buckets
      .mayBeDueBy(tick, limit)
      .map((slot) => [slot, this.stamps.generation[slot] as number]);
  }

  // --- stamps from elsewhere ----------------------------------------------------------------------------------------

  /**
   * Gives an entry stamps that are not of now: found at adoption, or restored. Monotonic ms.
   *
   * @param borrowedAt the activity of companions that it had
   */
  restamp(
    slot: number,
    registeredAt: number,
    lastActiveAt: number,
    borrowedAt = Number.NEGATIVE_INFINITY,
  ): void {
    this.stamps.restamp(slot, registeredAt, Math.max(registeredAt, lastActiveAt));
    this.#activity.restore(slot, borrowedAt);
    this.refile(slot);
  }

  /** Files an entry anew, by a deadline that may have come closer. */
  refile(slot: number): void {
    this.filing.refile(slot, this.stamps.keyOf(slot));
  }

  /** Has every entry looked at by the next sweep: what it follows has changed. */
  refileAll(): void {
    for (const [, slot] of this.stamps.entries()) this.filing.buckets.watch(slot);
  }

  /** Stamps, or drops the stamps of, what was written past the wrapper: one entry a step. */
  reconcile(): Generator<void> {
    return reconcile(this.native, this.stamps, {
      appeared: (key) => this.#register(key, this.native.get(key), false),
      vanished: (slot, key) => this.removals.vanished(slot, key),
    });
  }

  /** The same, all at once. */
  reconcileNow(): void {
    const steps = this.reconcile();
    while (!steps.next().done);
  }

  /** The earliest registration, monotonic ms; `undefined` for an empty map. */
  oldestRegisteredAt(): number | undefined {
    return this.stamps.oldestRegisteredAt();
  }

  /** The map is tracked no more: drops all stamps, so that a handle somebody keeps pins none of its keys. */
  abandon(): void {
    for (const slot of [...this.stamps.entries()].map(([, at]) => at)) this.forget(slot);
    this.pass.abandon();
    this.leader = undefined;
    this.followers.length = 0;
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  /** @param isWritten false for an entry that was found in the map: nobody knows when it was written */
  #register(key: unknown, value: unknown, isWritten = true): void {
    const at = this.#host.timeline.now();
    const slot = this.stamps.register(key, at);
    this.registeredTotal += 1;
    this.#activity.begin(slot, at);
    const isBack = this.onReturn?.(slot, key, value) ?? false;
    if (isBack) this.leader?.borrow(key, this.stamps.lastActiveAt(slot));
    else {
      if (isWritten) this.leader?.borrow(key, at);
      this.filing.fileNew(slot, key, at);
    }
    if (this.stamps.size > this.policy.maxEntries) this.#host.requestCapacityPass(this);
    this.onRegistered?.(slot, key, value);
  }

  #refresh(slot: number, key: unknown): void {
    if (this.leader === undefined) this.#activity.refresh(slot);
    else {
      const at = this.#host.timeline.now();
      this.#activity.refreshAt(slot, at);
      this.leader.borrow(key, at);
    }
    // By the policy first: a flag is one more place in memory to go to.
    if (this.policy.beforeSweep !== undefined && this.stamps.hasFlag(slot, HOOKED)) {
      this.#host.cancelHook(this, slot);
    }
    this.filing.fileActive(slot, key);
  }

  /** A companion was active: so was its leader's entry, and that one's leader's. */
  borrow(key: unknown, at: number): void {
    const slot = this.stamps.slotOf(key);
    if (slot !== undefined) {
      this.#activity.borrow(slot, at);
      if (this.stamps.hasFlag(slot, HOOKED)) this.#host.cancelHook(this, slot);
    }
    this.leader?.borrow(key, at);
  }

  /** Drops everything that is kept about an entry. */
  forget(slot: number): void {
    if (this.stamps.hasFlag(slot, HOOKED)) this.#host.cancelHook(this, slot);
    this.filing.forget(slot);
    this.order?.remove(slot);
    this.claims?.forget(slot);
    this.stamps.unregister(slot);
    if (this.stamps.size === 0 && this.filing.buckets.capacity > burstSize) this.forgetAll();
  }

  /** Drops everything that is kept about all entries, of a map that is empty or where nobody has to be told about any. */
  forgetAll(): void {
    this.filing.clear();
    this.#activity.clear();
    this.stamps.clear();
  }
}
