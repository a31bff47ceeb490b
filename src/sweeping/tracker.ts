import {
  beforeSweepOutcomes,
  type HookCause,
  type LeavingReason,
  leavingReasons,
  zeroFor,
} from '../events/reasons.js';
import { type CompiledPolicy, hasLifetime, usualStay } from '../policy/policy.js';
import { Activity } from '../stamps/activity.js';
import { AgeTable } from '../stamps/age-table.js';
import { IdleOrder } from '../stamps/idle-order.js';
import type { NativeCollection } from '../stamps/native-collection.js';
import { HOOKED, StampStore } from '../stamps/stamp-store.js';
import type { ClaimKeeper } from './claims.js';
import { Companions } from './companions.js';
import { DueQueue } from './due-queue.js';
import type { EntryRecorder } from './entry-recorder.js';
import type { Removal } from './removal-callbacks.js';
import type { Shared } from './shared.js';

/** What a map asks of the engine that it belongs to. */
export interface MapServices extends Shared {
  /** The calls of `beforeSweep`. */
  readonly hooks: {
    /** Starts that of an entry, or its next attempt if that is due; else does nothing. */
    request(tracker: Tracker, slot: number, reason: HookCause, isLast?: boolean): void;
    /** Says that the entry was touched, replaced or removed. */
    cancel(tracker: Tracker, slot: number): void;
  };
  readonly capacity: {
    /** Has a map brought down to its `maxEntries` after the current macrotask, unless it is not too large. */
    request(tracker: Tracker): void;
  };
}

/** A removal that the library has asked the owner's `delete` for. */
export interface ExpectedRemoval {
  readonly slot: number;
  readonly generation: number;
  readonly reason: LeavingReason;
  readonly removal: Removal;
}

/** A key that is being removed by the owner's own method, which may write to it before it does so, or anew. */
export interface RemovalUnderWay {
  readonly key: unknown;
  slot: number;
  generation: number;
  /** What the map holds under it, as far as the wrappers have seen. */
  value: unknown;
  readonly outer: RemovalUnderWay | undefined;
}

/** A map that has had more entries than this gives the memory of its lists back when it is empty. */
const burstSize = 1_024;

/**
 * The state of one map: the stamps of its entries, their activity, when each is due, and what it has to do with other
 * maps. Sweeps, evictions, removals and the owner's writes all work on it.
 *
 * State changes first and callbacks run last, from a list, so that whatever they do to the map finds it settled.
 */
export class Tracker {
  readonly name: string;
  readonly policy: CompiledPolicy<unknown, unknown>;
  readonly native: NativeCollection<unknown, unknown>;
  readonly shared: MapServices;
  readonly stamps: StampStore<unknown>;
  /** Kept for a map with `maxEntries` or `shed`. */
  readonly order: IdleOrder | undefined;
  readonly activity: Activity;
  /** How many entries reached each age, for the leak verdict. */
  readonly ages: AgeTable;
  readonly companions: Companions<Tracker>;
  readonly due: DueQueue;
  /** Set for the map whose endings are announced. */
  claims: ClaimKeeper | undefined;
  /**
   * Set while entries of an earlier life are awaited: gives a registration the stamps that it had, and returns whether
   * there were any.
   */
  onReturn: ((slot: number, key: unknown, value: unknown) => boolean) | undefined;
  /** Set if what is in the map is to survive a restart. */
  recorder: EntryRecorder | undefined;
  /** Called for every registration, with state settled. */
  onRegistered: ((slot: number, key: unknown, value: unknown) => void) | undefined;
  /** The map is tracked no more. */
  isReleased = false;

  registeredTotal = 0;
  /** How many entries have left, by reason. */
  readonly removedTotal = zeroFor(leavingReasons);
  /** What came of the calls of `beforeSweep`. */
  readonly beforeSweepTotal = zeroFor(beforeSweepOutcomes);

  /** The `delete` of an object whose class has none of its own: what it does is known. */
  plainDelete: ((key: unknown) => boolean) | undefined;
  /** The removal by the library that is under way in the owner's `delete`. */
  expected: ExpectedRemoval | undefined;
  /** The innermost removal that is under way. */
  removing: RemovalUnderWay | undefined;
  /** The owner's `clear` is under way. */
  isClearing = false;

  constructor(
    name: string,
    policy: CompiledPolicy<unknown, unknown>,
    native: NativeCollection<unknown, unknown>,
    shared: MapServices,
  ) {
    this.name = name;
    this.policy = policy;
    this.native = native;
    this.shared = shared;
    this.stamps = new StampStore<unknown>(shared.timeline.clock);
    const evicts = policy.maxEntries < Number.POSITIVE_INFINITY || policy.shed;
    this.order = evicts ? new IdleOrder() : undefined;
    this.activity = new Activity(this.stamps, this.order);
    this.ages = new AgeTable(shared.grid.origin, cohortMsOf(policy, shared.cohortMs));
    this.companions = new Companions(policy.follows);
    this.due = new DueQueue(this, shared);
  }

  /** The library judges, counts and reports here, and removes nothing. */
  get observing(): boolean {
    return this.shared.observing || this.policy.mode === 'observe';
  }

  /** Something was written past the wrapper: there are more or fewer entries than stamps. A released map has no stamps. */
  get isBypassed(): boolean {
    return this.native.size() !== this.stamps.size && !this.isReleased;
  }

  /** Entries of this map can become due, or leave with a leader. */
  get isManaged(): boolean {
    return hasLifetime(this.policy) || this.policy.follows !== undefined;
  }

  /**
   * Stamps an entry that has none.
   *
   * @param isWritten `false` for an entry that was found in the map: nobody knows when it was written
   */
  register(key: unknown, value: unknown, isWritten = true): void {
    const { leader } = this.companions;
    const at = this.shared.timeline.now();
    const slot = this.stamps.register(key, at);
    this.registeredTotal += 1;
    this.ages.registered(at);
    this.activity.begin(slot, at);
    const generation = this.stamps.generation[slot] as number;
    for (let removal = this.removing; removal !== undefined; removal = removal.outer) {
      if (Object.is(removal.key, key)) Object.assign(removal, { slot, generation, value });
    }
    // Said first, since whatever is said of the entry below has to come after it.
    this.recorder?.registered(slot);
    this.due.register(slot);
    if (!this.stamps.holds(slot, generation)) return;
    const isBack = this.onReturn?.(slot, key, value) ?? false;
    // What the owner was asked may have removed the entry.
    if (!isBack && !this.stamps.holds(slot, generation)) return;
    if (isBack) leader?.companionActive(key, this.stamps.lastActiveAt(slot));
    else {
      if (isWritten) leader?.companionActive(key, at, true);
      this.due.fileNew(slot, at);
    }
    this.claims?.registered(slot, key, value);
    if (this.stamps.size > this.policy.maxEntries) this.shared.capacity.request(this);
    this.onRegistered?.(slot, key, value);
    this.shared.memory?.registered();
  }

  /**
   * Counts the activity of a companion as activity of its leader's entry here, if there is one, and on up the chain.
   *
   * @param isNow not so for a companion that has come back from an earlier life, where that was written down
   */
  companionActive(key: unknown, at: number, isNow = false): void {
    const slot = this.stamps.slotOf(key);
    if (slot !== undefined) {
      this.activity.companionActive(slot, at);
      if (isNow) this.recorder?.used(slot);
      if (this.stamps.hasFlag(slot, HOOKED)) this.shared.hooks.cancel(this, slot);
    }
    this.companions.leader?.companionActive(key, at, isNow);
  }

  /** A look found a guard of this map holding an entry: that counts as activity, also of what it follows. */
  guardHolds(key: unknown): void {
    const slot = this.stamps.slotOf(key);
    if (slot === undefined) return;
    const now = this.shared.timeline.now();
    this.activity.refreshAt(slot, now);
    this.recorder?.active(slot);
    if (this.stamps.hasFlag(slot, HOOKED)) this.shared.hooks.cancel(this, slot);
    this.companions.leader?.companionActive(key, now, true);
  }

  /**
   * Gives an entry stamps that are not of now: found at adoption, or restored. Monotonic ms.
   *
   * @param companionAt the last activity of its companions
   */
  restamp(
    slot: number,
    registeredAt: number,
    lastActiveAt: number,
    companionAt = Number.NEGATIVE_INFINITY,
  ): void {
    this.ages.restamped(this.stamps.registeredAt[slot] as number, registeredAt);
    this.stamps.restamp(slot, registeredAt, Math.max(registeredAt, lastActiveAt));
    this.activity.restore(slot, companionAt);
    this.recorder?.restamped(slot);
    this.due.refile(slot);
  }

  /** Has every entry looked at by the next sweep: the map has another leader than before. */
  refileAll(): void {
    for (const [, slot] of this.stamps.entries()) this.due.watch(slot);
  }

  /** Drops everything that is kept about an entry. */
  forget(slot: number): void {
    const registeredAt = this.stamps.registeredAt[slot] as number;
    this.recorder?.left(slot);
    this.ages.left(registeredAt);
    if (((this.stamps.flags[slot] as number) & HOOKED) !== 0) this.shared.hooks.cancel(this, slot);
    this.due.forget(slot);
    this.claims?.forget(slot);
    this.stamps.unregister(slot);
    if (this.stamps.size === 0 && this.due.buckets.capacity > burstSize) this.forgetAll();
    if (this.shared.measurements.size > 0) this.tellAge(this.shared.timeline.now() - registeredAt);
  }

  /** Tells those who measure it at what age an entry has left. */
  tellAge(ageMs: number): void {
    this.shared.measurements.tell((listener) => listener.removed?.(this.name, ageMs));
  }

  /** Follows what becomes of a key while the owner's own method removes it, until `removing` is the outer one again. */
  beginRemoval(slot: number, key: unknown, value: unknown): RemovalUnderWay {
    const generation = this.stamps.generation[slot] as number;
    this.removing = { key, slot, generation, value, outer: this.removing };
    return this.removing;
  }

  /** Another value was set on a key. */
  hasReplaced(slot: number, value: unknown): void {
    for (let removal = this.removing; removal !== undefined; removal = removal.outer) {
      if (removal.slot === slot && this.stamps.holds(slot, removal.generation)) removal.value = value;
    }
  }

  /** Gives the memory of a burst back whose entries have left. */
  shrink(): void {
    const capacity = this.stamps.shrink();
    if (capacity === undefined) return;
    this.activity.shrink(capacity);
    this.due.shrink(capacity);
  }

  /** Drops everything that is kept about all entries: the map is empty, or nobody has to be told about any. */
  forgetAll(): void {
    this.due.clear();
    this.activity.clear();
    this.stamps.clear();
  }

  /** The map is tracked no more: drops all stamps, so that a handle somebody keeps pins none of its keys. */
  release(): void {
    this.isReleased = true;
    this.claims?.forgetAll();
    this.forgetAll();
    this.companions.leader = undefined;
    this.companions.followers.length = 0;
  }
}

/** Where entries stay long by their policy, cohorts are long too: so many of them are remembered, and no more. */
function cohortMsOf(policy: CompiledPolicy<unknown, unknown>, leastMs: number): number {
  const { ttlMs, longestMs } = usualStay(policy);
  return Math.max(leastMs, ttlMs / 16, longestMs / 96);
}
