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
import { SizeHistory } from '../stamps/size-history.js';
import { HOOKED, OVERDUE, StampStore } from '../stamps/stamp-store.js';
import { TickGrid } from '../time/tick-grid.js';
import type { ClaimKeeper } from './claims.js';
import { Companions } from './companions.js';
import { DueQueue } from './due-queue.js';
import type { EntryRecorder } from './entry-recorder.js';
import { type Hold, Holds, holdOfNothing } from './holds.js';
import { LeaderKeys } from './leader-keys.js';
import { Owners } from './owners.js';
import type { Abort, Removal } from './removal-callbacks.js';
import type { Shared } from './shared.js';

/** What a map asks of the engine that it belongs to. */
export interface MapServices extends Shared {
  /** The calls of `beforeSweep`. */
  readonly hooks: {
    /** Starts that of an entry, or its next attempt if that is due; else does nothing. */
    request(tracker: Tracker, slot: number, reason: HookCause, isLast?: boolean): void;
    /** Says that the entry was touched or replaced. */
    cancel(tracker: Tracker, slot: number): void;
    /** Says that the entry leaves. Returns what tells the call that runs to stop; `undefined` if there is none to tell. */
    leaves(tracker: Tracker, slot: number): Abort | undefined;
  };
  readonly capacity: {
    /** Has a map brought down to its caps after the current macrotask, unless it is within them. */
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

/**
 * What a registration is to the lives before: none of theirs, one that has come back, or gone already, since who was asked
 * about it has removed it.
 */
export type Return = 'new' | 'back' | 'gone';

/** What a map holds under a key, as far as the wrappers have seen. */
export interface Seen {
  slot: number;
  generation: number;
  value: unknown;
}

/**
 * A method of the owner's own class that is under way. It may write to its map before it does what it was called for, and
 * what it then overwrites or removes natively is known from here.
 */
export interface CallUnderWay extends Seen {
  /** What it was called for. */
  readonly key: unknown;
  /** The generation of what was registered there when it was called; 0 if nothing was. */
  before: number;
  /** Of a `clear`, which is called for everything: what is there, by key. */
  readonly everything: Map<unknown, Seen> | undefined;
  readonly outer: CallUnderWay | undefined;
}

/** Finds entries that the owner's class keeps under other keys than it is given. */
export interface EntryFinder {
  /** Returns the slot of what was written for a key before, and is there; `undefined` if nothing is. */
  slotOf(given: unknown): number | undefined;
  /**
   * Returns the slot of what a `set` of a key has just overwritten; `undefined` if that is new, or not found.
   *
   * @param wasInStep there were as many stamps as entries before it
   */
  find(given: unknown, givenValue: unknown, wasInStep: boolean): number | undefined;
}

/** Stands for no slot. */
const none = -1;

/** What the library removes is held by nothing any more: its `maxAge` is over, or the registry is closed. */
const endsNoUse: ReadonlySet<LeavingReason> = new Set(['swept', 'evicted', 'closed']);

const atOnce = (abort: Abort): unknown => abort();

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
  /** The ticks of its sweeps: those of the registry, or its own. */
  readonly grid: TickGrid;
  /** Kept for a map with `maxEntries` or `shed`. */
  readonly order: IdleOrder | undefined;
  /** Kept for a map with `maxPerOwner`. */
  readonly owners: Owners | undefined;
  readonly activity: Activity;
  /** How many entries there were by the hour, for the same. */
  readonly sizes: SizeHistory;
  readonly companions: Companions<Tracker>;
  readonly due: DueQueue;
  readonly #ages: AgeTable;
  /** Made with the first hold of one of its entries. */
  holds: Holds | undefined;
  /** Set while sites are captured: says where a hold is taken, if that one is sampled. */
  siteOfHold: (() => string | undefined) | undefined;
  /** Set for the map whose endings are announced. */
  claims: ClaimKeeper | undefined;
  /**
   * Set while entries of an earlier life are awaited: gives a registration the stamps and the generation that it had, if it
   * is such an entry. It is filed afterwards.
   */
  onReturn: ((slot: number, key: unknown, value: unknown) => Return) | undefined;
  /** Set if what is in the map is to survive a restart. */
  recorder: EntryRecorder | undefined;
  /** Called for every registration, with state settled. */
  onRegistered: ((slot: number, key: unknown, value: unknown) => void) | undefined;
  /** The map is tracked no more. */
  isReleased = false;
  /** A write has shown that the owner's class keeps entries where they cannot be seen: the size says nothing. */
  isKeptElsewhere = false;

  registeredTotal = 0;
  /** How many entries have left, by reason. */
  readonly removedTotal = zeroFor(leavingReasons);
  /** What came of the calls of `beforeSweep`. */
  readonly beforeSweepTotal = zeroFor(beforeSweepOutcomes);
  /** What `beforeSweep` has failed with last. */
  beforeSweepError: unknown;

  /** Set once the owner's class has been seen to keep an entry under another key than it was given. */
  keptKeys: EntryFinder | undefined;
  /** The `delete` of an object whose class has none of its own: what it does is known. */
  plainDelete: ((key: unknown) => boolean) | undefined;
  /** The removal by the library that is under way in the owner's `delete`. */
  expected: ExpectedRemoval | undefined;
  /** The innermost method of the owner's that is under way. */
  underWay: CallUnderWay | undefined;
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
    const { sweepEveryMs } = policy;
    this.grid = sweepEveryMs === undefined ? shared.grid : new TickGrid(shared.grid.origin, sweepEveryMs);
    const evicts = policy.maxEntries < Number.POSITIVE_INFINITY || policy.shed;
    this.order = evicts ? new IdleOrder() : undefined;
    const cohortMs = cohortMsOf(policy, shared.cohortMs);
    this.#ages = new AgeTable(shared.timeline.stampOf(shared.grid.origin), cohortMs);
    this.stamps = new StampStore<unknown>(shared.timeline, this.#ages);
    this.activity = new Activity(this.stamps, this.order, evicts || policy.maxPerOwner !== undefined);
    this.sizes = new SizeHistory(shared.grid.origin, cohortMs, true);
    const keys = policy.leaderKey && new LeaderKeys(this, policy.leaderKey);
    this.companions = new Companions<Tracker>(this, policy.follows, keys);
    this.due = new DueQueue(this, shared);
    this.owners = policy.maxPerOwner && new Owners(this, policy.maxPerOwner);
  }

  /** How many entries reached each age, for the leak verdict. */
  get ages(): AgeTable {
    this.stamps.times.stampWaiting();
    return this.#ages;
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
   * Stamps an entry that has none. Does nothing once the map is tracked no more: whoever releases it may do so from inside of
   * whatever is looking at its entries.
   *
   * @param isWritten `false` for an entry that was found in the map: nobody knows when it was written
   */
  register(key: unknown, value: unknown, isWritten = true): void {
    if (this.isReleased) return;
    this.registeredTotal += 1;
    if (!this.#isRegisteredAlone) {
      this.#registerWithOthers(key, value, isWritten);
      return;
    }
    const slot = this.stamps.registerNow(key);
    // A little early in a burst: what is filed so is looked at, and filed anew, if it is not due.
    const { readAt } = this.stamps.times;
    this.activity.begin(slot, readAt);
    this.due.fileNew(slot, readAt);
    this.shared.memory?.registered();
  }

  /** Nobody has to be asked or told of an entry that is registered. */
  get #isRegisteredAlone(): boolean {
    const { leader, keys, followers } = this.companions;
    return (
      leader === undefined &&
      keys === undefined &&
      followers.length === 0 &&
      this.order === undefined &&
      this.owners === undefined &&
      this.claims === undefined &&
      this.recorder === undefined &&
      this.onReturn === undefined &&
      this.onRegistered === undefined &&
      this.underWay === undefined &&
      this.policy.rules.length === 0
    );
  }

  #registerWithOthers(given: unknown, value: unknown, isWritten: boolean): void {
    const { leader, keys } = this.companions;
    const at = this.shared.timeline.stamp();
    const slot = this.stamps.register(given, at);
    // This is the key as the map keeps it, which is 0 if -0 was given.
    const key = this.stamps.keyOf(slot);
    this.activity.begin(slot, at);
    if (this.underWay !== undefined) this.hasWritten(slot, value);
    // Said first, since whatever is said of the entry below has to come after it.
    this.recorder?.registered(slot);
    this.due.register(slot);
    const came = this.onReturn?.(slot, key, value) ?? 'new';
    if (came === 'gone') return;
    const isBack = came === 'back';
    // What has come back has the generation that it had.
    const registered = this.stamps.generation[slot] as number;
    if (keys !== undefined) {
      keys.ask(slot, key);
      if (!this.stamps.holds(slot, registered)) return;
    }
    // Before anybody else is asked, who may remove it: its run is known then.
    this.claims?.registered(slot, key, value);
    if (!this.stamps.holds(slot, registered)) return;
    this.due.choose(slot);
    if (!this.stamps.holds(slot, registered)) return;
    if (leader !== undefined) this.companions.hasJoinedOrParted(slot);
    if (isBack) this.due.refile(slot);
    else this.due.fileNew(slot, at);
    if (!this.stamps.holds(slot, registered)) return;
    this.askOwner(slot, key);
    if (this.stamps.size > this.policy.maxEntries) this.shared.capacity.request(this);
    this.shared.memory?.registered();
    // Who was asked may have removed it.
    if (!this.stamps.holds(slot, registered)) return;
    this.onRegistered?.(slot, key, value);
    // Last, since whoever listens for an abort may remove it, end its run, or set another value.
    const activeAt = isBack ? this.stamps.lastActiveAt(slot) : at;
    if (leader !== undefined && (isBack || isWritten)) this.leaderActive(slot, activeAt, !isBack);
    if (this.stamps.holds(slot, registered)) this.#leads(key);
  }

  /** Returns whether there are more entries than the caps allow. */
  get isOverCaps(): boolean {
    return (
      this.native.size() > this.policy.maxEntries || (this.owners !== undefined && this.owners.over.size > 0)
    );
  }

  /** Asks whose an entry is that was registered or set, and has the excess of that owner evicted. */
  askOwner(slot: number, key: unknown): void {
    if (this.owners === undefined) return;
    this.owners.ask(slot, key);
    if (this.owners.over.size > 0) this.shared.capacity.request(this);
  }

  /**
   * Counts the activity of an entry as activity of its leader's, if there is one, and on up the chain.
   *
   * @param isNow not so for an entry that has come back from an earlier life, where that was written down
   * @param stop gets what aborts a `beforeSweep` of those, which may have the owner do anything
   */
  leaderActive(slot: number, at: number, isNow: boolean, stop = atOnce): void {
    const { leader } = this.companions;
    if (leader === undefined) return;
    const leading = this.companions.leaderSlotOf(slot);
    if (leading !== undefined) leader.#companionActive(leading, at, isNow, stop);
    else leader.#noneActive(this.companions.leaderKeyOf(slot), at, isNow, stop);
  }

  #companionActive(slot: number, at: number, isNow: boolean, stop: typeof atOnce): void {
    this.activity.companionActive(slot, at);
    if (isNow) this.recorder?.used(slot);
    const abort = this.stamps.hasFlag(slot, HOOKED) ? this.shared.hooks.leaves(this, slot) : undefined;
    if (abort !== undefined) stop(abort);
    this.leaderActive(slot, at, isNow, stop);
  }

  /** There is no entry of a key that a companion was active for. One that a value would have to name is not known. */
  #noneActive(key: unknown, at: number, isNow: boolean, stop: typeof atOnce): void {
    const { leader, keys } = this.companions;
    if (leader === undefined || keys !== undefined) return;
    const leading = leader.stamps.slotOf(key);
    if (leading !== undefined) leader.#companionActive(leading, at, isNow, stop);
    else leader.#noneActive(key, at, isNow, stop);
  }

  /** There is a new key: a `beforeSweep` of what was an orphan without it is to stop, since that may be due no more. */
  #leads(key: unknown): void {
    let found: [Tracker, readonly number[]][] | undefined;
    for (const follower of this.companions.followers) {
      const slots = follower.companions.leaderCame(key);
      if (slots.length === 0) continue;
      found ??= [];
      found.push([follower, slots]);
    }
    if (found === undefined) return;
    // Whoever listens for an abort may release a follower.
    for (const [follower, slots] of found) {
      for (const slot of slots)
        if (follower.stamps.hasFlag(slot, HOOKED)) this.shared.hooks.cancel(follower, slot);
    }
  }

  /** Returns whether an earlier life has left an entry of a key that has not come back yet, and may still. */
  isAwaited(key: unknown): boolean {
    return this.shared.isAwaited(this.name, key);
  }

  /** A key is awaited from now on, or no more: what accompanies it may be an orphan no more, or has become one. */
  awaitingChanged(key: unknown): void {
    for (const { companions, due } of this.companions.followers) {
      for (const slot of companions.accompanying(key))
        if (companions.hasJoinedOrParted(slot)) due.watch(slot);
    }
  }

  /** Takes a hold of the entry of a key; one of nothing if there is no such entry. */
  hold(key: unknown): Hold {
    const slot = this.stamps.slotOf(key);
    if (slot === undefined || !this.native.has(key)) return holdOfNothing();
    if (this.holds === undefined) {
      this.holds = new Holds(this);
      this.shared.measurements.tell((listener) => listener.mapAdded?.());
    }
    return this.holds.take(slot, this.shared.timeline.now(), this.siteOfHold?.());
  }

  /** An entry is held from now on: a `beforeSweep` of it or of what it follows is to stop. */
  heldFromNow(slot: number): void {
    const { leader } = this.companions;
    if (this.stamps.hasFlag(slot, HOOKED)) this.shared.hooks.cancel(this, slot);
    const leading = this.companions.leaderSlotOf(slot);
    if (leading !== undefined) leader?.heldFromNow(leading);
  }

  /** A hold of an entry is over: it was active until now, and if nothing else keeps it, it may be evicted. */
  heldUntilNow(slot: number): void {
    // First, since whoever listens for an abort may remove it.
    this.#mayLeave(slot);
    this.usedUntilNow(slot);
  }

  /**
   * Nothing may keep an entry any more, nor those that it accompanies. Of what a look has found due and kept, the next look is
   * to be that of an eviction too, which passes over what is watched.
   */
  #mayLeave(slot: number): void {
    let map: Tracker | undefined = this;
    let at: number | undefined = slot;
    while (map !== undefined && at !== undefined) {
      if (map.stamps.hasFlag(at, OVERDUE)) map.due.fileAt(at, map.shared.timeline.now());
      map.shared.capacity.request(map);
      at = map.companions.leaderSlotOf(at);
      map = map.companions.leader;
    }
  }

  /** An entry leaves that is held: as by a release, its leader's was in use until now. Returns what aborts a `beforeSweep`. */
  #leavesHeld(slot: number, abort: Abort | undefined): Abort {
    const aborts = abort === undefined ? [] : [abort];
    this.#mayLeave(slot);
    this.leaderActive(slot, this.shared.timeline.stamp(), true, (other) => aborts.push(other));
    return () => {
      for (const each of aborts) each();
    };
  }

  /** An entry was in use until now, as a guard or the release of a hold says: that counts as activity, also of what it follows. */
  usedUntilNow(slot: number): void {
    const at = this.shared.timeline.stamp();
    this.activity.refreshAt(slot, at);
    this.recorder?.active(slot);
    if (this.stamps.hasFlag(slot, HOOKED)) this.shared.hooks.cancel(this, slot);
    this.leaderActive(slot, at, true);
  }

  /**
   * Gives an entry stamps that are not of now: found at adoption, or restored. Monotonic ms. It has yet to be filed by them.
   *
   * @param companionAt the last activity of its companions
   */
  restamp(
    slot: number,
    registeredAt: number,
    lastActiveAt: number,
    companionAt = Number.NEGATIVE_INFINITY,
  ): void {
    this.stamps.restamp(slot, registeredAt, Math.max(registeredAt, lastActiveAt));
    this.activity.restore(slot, this.shared.timeline.stampOf(companionAt));
    this.recorder?.restamped(slot);
    this.owners?.restamped(slot);
  }

  /** Has every entry looked at by the next sweep: the map has a leader now. */
  refileAll(): void {
    for (const [, slot] of this.stamps.entries()) {
      this.companions.hasJoinedOrParted(slot);
      this.due.watch(slot);
    }
  }

  /**
   * Drops everything that is kept about an entry. Returns what aborts its `beforeSweep`, or that of a leader's which it ends a
   * use of, if one is to be: that is for the time when all has left, since whoever listens may do anything.
   */
  forget(slot: number, reason: LeavingReason): Abort | undefined {
    const { stamps, companions } = this;
    const registeredAt = stamps.registeredAt(slot);
    this.recorder?.left(slot);
    this.ages.left(registeredAt);
    const isHooked = ((stamps.flags[slot] as number) & HOOKED) !== 0;
    let abort = isHooked ? this.shared.hooks.leaves(this, slot) : undefined;
    if (this.holds?.has(slot) && !endsNoUse.has(reason)) abort = this.#leavesHeld(slot, abort);
    this.due.forget(slot);
    this.holds?.forget(slot);
    this.owners?.forget(slot);
    if (companions.follows !== undefined) companions.forget(slot);
    this.claims?.forget(slot);
    const wasBurst = stamps.capacity > burstSize;
    if (stamps.unregister(slot) && wasBurst) this.forgetAll();
    if (this.shared.measurements.size > 0) this.tellAge(this.shared.timeline.now() - registeredAt);
    return abort;
  }

  /** Tells those who measure it at what age an entry has left. */
  tellAge(ageMs: number): void {
    this.shared.measurements.tell((listener) => listener.removed?.(this.name, ageMs));
  }

  /** Notes what is written to a key while a method of the owner's is about it, until `underWay` is the outer one again. */
  beginCall(key: unknown, slot = none, value: unknown = undefined): CallUnderWay {
    const generation = slot === none ? 0 : (this.stamps.generation[slot] as number);
    const { underWay: outer } = this;
    this.underWay = { key, slot, generation, before: generation, value, everything: undefined, outer };
    return this.underWay;
  }

  /** Does the same for a `clear`. */
  beginClear(everything: Map<unknown, Seen>): CallUnderWay {
    const nothing = { key: undefined, slot: none, generation: 0, before: 0, value: undefined };
    this.underWay = { ...nothing, everything, outer: this.underWay };
    return this.underWay;
  }

  /** A value was set on a key, the first one or another. */
  hasWritten(slot: number, value: unknown): void {
    const key = this.stamps.keyOf(slot);
    const generation = this.stamps.generation[slot] as number;
    for (let call = this.underWay; call !== undefined; call = call.outer) {
      if (call.everything !== undefined) call.everything.set(key, { slot, generation, value });
      else if (call.key === key || Object.is(call.key, key)) Object.assign(call, { slot, generation, value });
    }
  }

  /** A registration has another generation than before: the owner's methods that are under way go by that. */
  renumbered(slot: number, before: number): void {
    const generation = this.stamps.generation[slot] as number;
    for (let call = this.underWay; call !== undefined; call = call.outer) {
      const seen = call.everything?.get(this.stamps.keyOf(slot)) ?? call;
      if (seen.generation === before) seen.generation = generation;
      if (call.before === before) call.before = generation;
    }
  }

  /** Gives the memory of a burst back whose entries have left. */
  shrink(): void {
    const capacity = this.stamps.shrink();
    if (capacity === undefined) return;
    this.activity.shrink(capacity);
    this.due.shrink(capacity);
    this.owners?.shrink(capacity);
    this.companions.shrink(capacity);
    this.claims?.shrink(capacity);
  }

  /** Drops everything that is kept about all entries: the map is empty, or nobody has to be told about any. */
  forgetAll(): void {
    this.due.clear();
    this.holds?.clear();
    this.owners?.clear();
    this.companions.clear();
    this.claims?.shrink(0);
    this.activity.clear();
    this.stamps.clear();
  }

  /** The map is tracked no more: drops all stamps, so that a handle somebody keeps pins none of its keys. */
  release(): void {
    this.isReleased = true;
    this.claims?.forgetAll();
    this.forgetAll();
    this.holds?.end();
    this.companions.leader = undefined;
    this.companions.followers = [];
  }
}

/** Where entries stay long by their policy, cohorts are long too: so many of them are remembered, and no more. */
function cohortMsOf(policy: CompiledPolicy<unknown, unknown>, leastMs: number): number {
  const { ttlMs, longestMs } = usualStay(policy);
  return Math.max(leastMs, ttlMs / 16, longestMs / 96);
}
