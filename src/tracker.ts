import { ActivityOrder } from './activity-order.js';
import { reconcile } from './bypass.js';
import type { CallbackFailures } from './callback-failures.js';
import { announce, callDispose, newRemoval, type Removal } from './departures.js';
import { EntryActivity } from './entry-activity.js';
import { MapsweepError } from './errors.js';
import type { EventBus, RemovedEvent } from './events.js';
import { Filing } from './filing.js';
import type { JudgedState } from './judge.js';
import type { NativeCollection } from './native-collection.js';
import type { EndedEvent } from './notifier.js';
import { type CompiledPolicy, hasLifetime, type RemovalReason } from './policy.js';
import { HOOKED, LEAVING, StampStore } from './stamp-store.js';
import type { Timeline } from './timeline.js';

/** What a tracker needs of the engine that it belongs to. */
export interface TrackerHost {
  readonly timeline: Timeline;
  readonly bus: EventBus;
  readonly failures: CallbackFailures;
  /** The engine's own mode: `true` removes, evicts and claims nothing. */
  readonly observing: boolean;
  /** The first sweep tick at which something due at this instant is removed. */
  tickOf(deadline: number): number;
  /** Has the map's capacity enforced after the current macrotask. */
  requestCapacityPass(tracker: Tracker): void;
  /** Starts the `beforeSweep` of an entry, or leaves the one alone that runs or waits. */
  runHook(tracker: Tracker, slot: number, reason: 'swept' | 'evicted'): void;
  /** The entry was touched, replaced or removed. */
  cancelHook(tracker: Tracker, slot: number): void;
  /** An entry was removed this long after it became due. */
  sweptLate(tracker: Tracker, lateMs: number): void;
}

/** One claimed ending that has not been announced: until it is confirmed it can be taken back. */
export interface Claim {
  readonly slot: number;
  readonly generation: number;
}

/** Exactly-once endings, as the map that they are kept for sees them. */
export interface ClaimKeeper {
  claim(slot: number, key: unknown, value: unknown, reason: string): Claim | undefined;
  /** The entry did not leave after all. */
  withdraw(claim: Claim): void;
  /** The entry has left: the obligation is the notifier's now. */
  confirm(claim: Claim): EndedEvent;
  /** A slot is free for another entry. */
  forget(slot: number): void;
  isClaimed(slot: number): boolean;
  /** Slots whose entries are claimed, the first claimed first. */
  endedSlots(): Iterable<number>;
}

interface ExpectedRemoval {
  readonly slot: number;
  readonly generation: number;
  readonly reason: RemovalReason;
  readonly removal: Removal;
}

const removalReasons = ['deleted', 'cleared', 'swept', 'evicted', 'companion'] as const;

/** The reasons for which an entry is gone. A replaced value leaves its entry behind. */
export type DepartureReason = (typeof removalReasons)[number];

/**
 * One map's bookkeeping: keeps stamps in step with the map, files entries by deadline, and removes them through the
 * map's own `delete`.
 *
 * State changes first and callbacks run last, from a list, so that whatever they do to the map finds it settled.
 */
export class Tracker {
  readonly name: string;
  readonly policy: CompiledPolicy<unknown, unknown>;
  readonly native: NativeCollection<unknown, unknown>;
  readonly stamps = new StampStore<unknown>();
  readonly order: ActivityOrder | undefined;
  readonly filing: Filing;
  readonly #activity: EntryActivity;
  readonly #host: TrackerHost;
  #expected: ExpectedRemoval | undefined;
  #clearing = false;
  #reconciliation: Iterator<void> | undefined;
  #isAbandoned = false;
  // Slots whose stamps are not in the order of registration.
  readonly #foreignStamps = new Set<number>();

  /** The tracker of the map this one follows, while there is one. */
  leader: Tracker | undefined;
  readonly followers: Tracker[] = [];
  /** Set for the map whose endings are announced. */
  claims: ClaimKeeper | undefined;
  /** While an earlier life's entries are awaited: gives a registration the stamps it had. Whether there were any. */
  onReturn: ((slot: number, key: unknown, value: unknown) => boolean) | undefined;
  /** Called for every registration, with state settled. */
  onRegistered: ((slot: number, key: unknown, value: unknown) => void) | undefined;

  /** The `delete` of an object whose class has none of its own: what it does is known. */
  plainDelete: ((key: unknown) => boolean) | undefined;

  registeredTotal = 0;
  readonly removedTotal: Record<DepartureReason, number> = {
    deleted: 0,
    cleared: 0,
    swept: 0,
    evicted: 0,
    companion: 0,
  };

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
    const { stamps } = this;
    this.order = policy.maxEntries < Number.POSITIVE_INFINITY ? new ActivityOrder() : undefined;
    this.#activity = new EntryActivity(stamps, this.order);
    this.filing = new Filing({
      policy,
      native,
      stamps,
      timeline: host.timeline,
      registeredAt: (slot) => stamps.registeredAt[slot] as number,
      activeAt: (slot) => this.activeAt(slot),
      isOrphan: (key) => this.isOrphan(key),
      tickOf: (deadline) => host.tickOf(deadline),
      policyFailed: (callback, key, error, isFirst) => {
        if (isFirst) host.failures.report(name, callback, key, error);
        else host.failures.count(name, callback);
      },
    });
  }

  /** Judges, counts and reports, and removes nothing. */
  get observing(): boolean {
    return this.#host.observing || this.policy.mode === 'observe';
  }

  /** Whether values that leave are disposed of. */
  get isDisposing(): boolean {
    return this.policy.dispose !== undefined;
  }

  /** Nobody has to be told when an entry leaves by the owner's `delete`, and nothing follows it. */
  get isQuiet(): boolean {
    return (
      this.policy.dispose === undefined &&
      this.claims === undefined &&
      this.followers.length === 0 &&
      this.#expected === undefined &&
      !this.#clearing
    );
  }

  /** The object's `delete` is the native one behind our wrapper, and nobody has put another on top. */
  get isPlain(): boolean {
    return this.plainDelete !== undefined && this.native.target.delete === this.plainDelete;
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

  /** The last activity that counts for the entry: its own or a companion's, monotonic ms. */
  activeAt(slot: number): number {
    return this.#activity.latest(slot);
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
    this.#refresh(slot, key);
    if (this.policy.dispose !== undefined && !Object.is(previous, value)) {
      const { name: map, policy } = this;
      callDispose(
        { map, key, value: previous, reason: 'replaced', dispose: policy.dispose },
        this.#host.failures,
        value,
      );
    }
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
    else if (slot !== undefined && !present) this.#vanished(slot, key);
  }

  /** Refreshes the last activity. False where there is no such entry. */
  touch(key: unknown): boolean {
    const slot = this.stamps.slotOf(key);
    if (slot === undefined) return false;
    this.#refresh(slot, key);
    return true;
  }

  /** A key of a quiet map was deleted, or (`left` is false) was not there. */
  leftQuietly(key: unknown, left: boolean): void {
    const slot = this.stamps.slotOf(key);
    if (slot === undefined) return;
    // A stamp without an entry: that was removed past the wrapper, which comes to the same.
    if (!left && this.native.has(key)) return;
    this.#forget(slot);
    this.removedTotal.deleted += 1;
  }

  /** Runs a `delete` of the owner, or the one that the sweeper called on the owner's object. */
  deleteThrough<Result>(key: unknown, run: () => Result): Result {
    this.settleBypass(key);
    let slot = this.stamps.slotOf(key);
    if (slot === undefined) {
      if (!this.native.has(key)) return run();
      this.settleKey(key);
      slot = this.stamps.slotOf(key) as number;
    }
    const generation = this.stamps.generation[slot] as number;
    const expected = this.#expected;
    // By generation too: the owner's delete may add a key, which gets the slot that has just become free.
    const isOurs = expected !== undefined && expected.slot === slot && expected.generation === generation;
    const removal = isOurs ? expected.removal : newRemoval();
    const reason = isOurs ? expected.reason : this.#clearing ? 'cleared' : 'deleted';
    const value = this.native.get(key);
    if (value === undefined && !this.native.has(key)) {
      this.#vanished(slot, key);
      return run();
    }
    const claim = isOurs ? undefined : this.claims?.claim(slot, key, value, 'deleted');
    try {
      return run();
    } finally {
      if (this.stamps.holds(slot, generation)) {
        if (!this.native.has(key)) this.#leave(slot, key, value, reason as DepartureReason, removal);
      }
      if (claim !== undefined) this.#settleClaim(claim, removal);
      if (!isOurs) announce(removal, this.#host.bus, this.#host.failures);
    }
  }

  /** Runs a `clear` of the owner. */
  clearThrough<Result>(run: () => Result): Result {
    if (this.native.size() !== this.stamps.size) this.reconcileNow();
    const leaving = [...this.stamps.entries()].map(([key, slot]) => {
      const value = this.native.get(key);
      const generation = this.stamps.generation[slot] as number;
      return { key, slot, value, generation, claim: this.claims?.claim(slot, key, value, 'deleted') };
    });
    const wasClearing = this.#clearing;
    this.#clearing = true;
    try {
      return run();
    } finally {
      this.#clearing = wasClearing;
      const removals = leaving.map(({ key, slot, value, generation, claim }) => {
        const removal = newRemoval();
        if (this.stamps.holds(slot, generation) && !this.native.has(key)) {
          this.#leave(slot, key, value, 'cleared', removal);
        }
        if (claim !== undefined) this.#settleClaim(claim, removal);
        return removal;
      });
      for (const removal of removals) announce(removal, this.#host.bus, this.#host.failures);
    }
  }

  // --- what the sweeper does ----------------------------------------------------------------------------------------

  /** Begins a pass over what may be due by `tick`. */
  beginPass(tick: number): void {
    if (this.#isAbandoned) return;
    if (this.#reconciliation === undefined && this.native.size() !== this.stamps.size) {
      this.#reconciliation = this.#reconcile();
    }
    this.filing.buckets.take(tick);
  }

  /** One small step of the pass: looks at one entry. `undefined` when the pass is through. */
  step(now: number): 'swept' | 'kept' | undefined {
    if (this.#reconciliation !== undefined) {
      if (this.#reconciliation.next().done) this.#reconciliation = undefined;
      return 'kept';
    }
    const slot = this.filing.buckets.takeNext();
    return slot < 0 ? undefined : this.look(slot, now);
  }

  /** Judges an entry that is in no bucket, and removes it or files it again. */
  look(slot: number, now: number): 'swept' | 'kept' {
    const key = this.stamps.keyOf(slot);
    const generation = this.stamps.generation[slot] as number;
    if (this.filing.judge.needsValue && !this.native.has(key)) {
      this.#vanished(slot, key);
      return 'kept';
    }
    const state = this.filing.judgeAt(slot, key, now);
    // A policy function may have touched, replaced or removed the entry: then it has been filed or forgotten already.
    if (!this.stamps.holds(slot, generation) || this.filing.buckets.has(slot)) return 'kept';
    if (state === 'due' && !this.observing) {
      if (this.#isUntold) {
        // Native and nobody to tell: the same as below, less the protocol.
        if (this.native.remove(key)) {
          this.removedTotal.swept += 1;
          this.#host.sweptLate(this, Math.max(0, now - this.filing.judge.deadline.at));
        } else this.removedTotal.deleted += 1;
        this.#forget(slot);
        return 'swept';
      }
      if (this.policy.beforeSweep !== undefined && !this.stamps.hasFlag(slot, LEAVING)) {
        this.filing.mark(slot, state);
        this.filing.buckets.watch(slot);
        this.#host.runHook(this, slot, 'swept');
        return 'kept';
      }
      if (!this.native.has(key)) {
        this.#vanished(slot, key);
        return 'kept';
      }
      return this.sweepOut(slot, key, now) ? 'swept' : 'kept';
    }
    this.filing.mark(slot, state);
    this.filing.file(slot, state);
    return 'kept';
  }

  /** The `beforeSweep` of an entry has succeeded: judges it again, and removes it if it is still due. */
  lookAfterHook(slot: number, now: number): void {
    const key = this.stamps.keyOf(slot);
    const generation = this.stamps.generation[slot] as number;
    if (!this.native.has(key)) {
      this.#vanished(slot, key);
      return;
    }
    const state = this.filing.judgeAt(slot, key, now);
    if (!this.stamps.holds(slot, generation)) return;
    if (state === 'due' && !this.observing) this.sweepOut(slot, key, now);
    else {
      this.filing.mark(slot, state);
      this.filing.file(slot, state);
    }
  }

  /** Removes a due entry, which has just been judged. False where the owner's `delete` refused. */
  sweepOut(slot: number, key: unknown, now: number): boolean {
    const { at } = this.filing.judge.deadline;
    const rule = this.stamps.hasFlag(slot, LEAVING) ? 'follows' : this.filing.judge.rule;
    const removal = newRemoval();
    removal.rule = rule;
    const left = this.#expel(slot, key, 'swept', removal);
    announce(removal, this.#host.bus, this.#host.failures);
    if (left) this.#host.sweptLate(this, Math.max(0, now - at));
    return left;
  }

  /** Removes an entry because of `maxEntries`. False where the owner's `delete` refused. */
  evict(slot: number, rule: string): boolean {
    const removal = newRemoval();
    removal.rule = rule;
    const left = this.#expel(slot, this.stamps.keyOf(slot), 'evicted', removal);
    announce(removal, this.#host.bus, this.#host.failures);
    return left;
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

  /** The entries whose end was announced and that are still there, the first ended first. A copy. */
  endedSlots(): number[] {
    return [...(this.claims?.endedSlots() ?? [])];
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
    this.stamps.registeredAt[slot] = registeredAt;
    this.stamps.lastActiveAt[slot] = Math.max(registeredAt, lastActiveAt);
    this.#activity.restore(slot, borrowedAt);
    this.#foreignStamps.add(slot);
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

  /** Stamps, or drops the stamps of, everything that was written past the wrapper. */
  reconcileNow(): void {
    const steps = this.#reconcile();
    while (!steps.next().done);
  }

  /** The earliest registration, monotonic ms; `undefined` for an empty map. Costs nothing while stamps are our own. */
  oldestRegisteredAt(): number | undefined {
    const first = this.stamps.entries().next();
    if (first.done) return undefined;
    let oldest = this.stamps.registeredAt[first.value[1]] as number;
    for (const slot of this.#foreignStamps) {
      const registeredAt = this.stamps.registeredAt[slot] as number;
      if (registeredAt < oldest) oldest = registeredAt;
    }
    return oldest;
  }

  /** The map is tracked no more: drops all stamps, so that a handle somebody keeps pins none of its keys. */
  abandon(): void {
    for (const slot of [...this.stamps.entries()].map(([, at]) => at)) this.#forget(slot);
    this.#reconciliation = undefined;
    this.#isAbandoned = true;
    this.leader = undefined;
    this.followers.length = 0;
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  /** Whether a sweep may remove entries with the native `delete`, since nothing of the owner's would run. */
  get #isUntold(): boolean {
    return (
      this.isQuiet &&
      this.policy.beforeSweep === undefined &&
      !this.#host.bus.hasListener('swept') &&
      this.isPlain
    );
  }

  /** @param isWritten false for an entry that was found in the map: nobody knows when it was written */
  #register(key: unknown, value: unknown, isWritten = true): void {
    const at = this.#host.timeline.now();
    const slot = this.stamps.register(key, at);
    this.registeredTotal += 1;
    this.#activity.begin(slot, at);
    const isBack = this.onReturn?.(slot, key, value) ?? false;
    if (isBack) this.leader?.borrow(key, this.stamps.lastActiveAt[slot] as number);
    else {
      if (isWritten) this.leader?.borrow(key, at);
      this.filing.fileNew(slot, key, at);
    }
    if (this.stamps.size > this.policy.maxEntries) this.#host.requestCapacityPass(this);
    this.onRegistered?.(slot, key, value);
  }

  #refresh(slot: number, key: unknown): void {
    const at = this.#host.timeline.now();
    this.#activity.refresh(slot, at);
    this.leader?.borrow(key, at);
    if (this.stamps.hasFlag(slot, HOOKED)) this.#host.cancelHook(this, slot);
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

  /** Has the owner's own `delete` remove an entry, and sees what came of it. */
  #expel(slot: number, key: unknown, reason: 'swept' | 'evicted' | 'companion', removal: Removal): boolean {
    const generation = this.stamps.generation[slot] as number;
    const value = this.native.get(key);
    const { failures } = this.#host;
    const claim = this.claims?.claim(slot, key, value, reason);
    const before = this.#expected;
    let threw = false;
    this.#expected = { slot, generation, reason, removal };
    try {
      this.native.target.delete(key);
    } catch (error) {
      threw = true;
      failures.report(this.name, 'delete', key, error);
    } finally {
      this.#expected = before;
    }
    if (this.stamps.holds(slot, generation) && !this.native.has(key)) {
      this.#leave(slot, key, value, reason, removal);
    }
    if (claim !== undefined) this.#settleClaim(claim, removal);
    if (!this.stamps.holds(slot, generation)) return true;
    this.filing.mark(slot, 'due');
    this.filing.buckets.watch(slot);
    if (!threw) {
      const message = `delete(key) of '${this.name}' returned and the key is still there`;
      failures.report(this.name, 'delete', key, new MapsweepError('ERR_DELETE_REFUSED', message));
    }
    return false;
  }

  #settleClaim(claim: Claim, removal: Removal): void {
    if (this.stamps.holds(claim.slot, claim.generation)) this.claims?.withdraw(claim);
    else removal.ended = this.claims?.confirm(claim);
  }

  /** The entry is gone from the map: drops its stamp, and takes its companions along. */
  #leave(slot: number, key: unknown, value: unknown, reason: DepartureReason, removal: Removal): void {
    const { name, policy } = this;
    const isSwept = reason === 'swept' || reason === 'evicted';
    const listened = isSwept && this.#host.bus.hasListener(reason);
    if (policy.dispose !== undefined || listened) {
      const removed = listened ? this.#removedEvent(slot, key, value, removal.rule) : undefined;
      removal.departures.push({ map: name, key, value, reason, dispose: policy.dispose, removed });
    }
    this.#forget(slot);
    this.removedTotal[reason] += 1;
    for (const follower of this.followers) follower.#leaveWithLeader(key, removal);
  }

  #removedEvent(slot: number, key: unknown, value: unknown, rule: string): RemovedEvent {
    const { stamps } = this;
    const { timeline } = this.#host;
    const registeredAt = timeline.toEpoch(stamps.registeredAt[slot] as number);
    return {
      map: this.name,
      key,
      value,
      generation: stamps.generation[slot] as number,
      registeredAt,
      lastActiveAt: Math.max(registeredAt, timeline.toEpoch(stamps.lastActiveAt[slot] as number)),
      rule,
    };
  }

  /** The leader's entry has left: so does this one, guarded or not. */
  #leaveWithLeader(key: unknown, removal: Removal): void {
    const slot = this.stamps.slotOf(key);
    if (slot === undefined) return;
    if (this.observing) {
      // It stays as an orphan, for which nothing has filed it so far.
      this.filing.buckets.watch(slot);
      return;
    }
    // What refuses now leaves at the next look.
    if (!this.#expel(slot, key, 'companion', removal)) this.stamps.setFlag(slot, LEAVING, true);
  }

  /** The entry was removed past the wrapper: its value is not known any more. */
  #vanished(slot: number, key: unknown): void {
    const removal = newRemoval();
    const claim = this.claims?.claim(slot, key, undefined, 'deleted');
    this.#forget(slot);
    this.removedTotal.deleted += 1;
    for (const follower of this.followers) follower.#leaveWithLeader(key, removal);
    if (claim !== undefined) removal.ended = this.claims?.confirm(claim);
    announce(removal, this.#host.bus, this.#host.failures);
  }

  #forget(slot: number): void {
    if (this.stamps.hasFlag(slot, HOOKED)) this.#host.cancelHook(this, slot);
    this.filing.forget(slot);
    this.order?.remove(slot);
    if (this.#foreignStamps.size > 0) this.#foreignStamps.delete(slot);
    this.claims?.forget(slot);
    this.stamps.unregister(slot);
  }

  #reconcile(): Generator<void> {
    return reconcile(this.native, this.stamps, {
      appeared: (key) => this.#register(key, this.native.get(key), false),
      vanished: (slot, key) => this.#vanished(slot, key),
    });
  }
}
