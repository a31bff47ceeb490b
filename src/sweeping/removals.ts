import { MapsweepError } from '../errors.js';
import type { CallbackFailures } from '../events/callback-failures.js';
import type { EventBus, RemovedEvent } from '../events/event-bus.js';
import { type DepartureReason, departureReasons, type LibraryReason, zeroFor } from '../events/reasons.js';
import type { CompiledPolicy } from '../policy/policy.js';
import { shownStamps } from '../stamps/entry-stamps.js';
import type { NativeCollection } from '../stamps/native-collection.js';
import { LEAVING, type StampStore } from '../stamps/stamp-store.js';
import type { Timeline } from '../time/timeline.js';
import type { Claim, ClaimKeeper } from './claims.js';
import type { DueQueue } from './due-queue.js';
import { announce, newRemoval, type Removal } from './removal-callbacks.js';

/** What removals have to know of the engine that the map belongs to. */
export interface RemovalHost {
  readonly timeline: Timeline;
  readonly bus: EventBus;
  readonly failures: CallbackFailures;
  /** An entry was removed this long after it became due. */
  sweptLate(map: string, lateMs: number): void;
}

/** A map as seen by what removes its entries. */
export interface LeavableMap {
  readonly name: string;
  readonly policy: CompiledPolicy<unknown, unknown>;
  readonly native: NativeCollection<unknown, unknown>;
  readonly stamps: StampStore<unknown>;
  readonly filing: DueQueue;
  readonly claims: ClaimKeeper | undefined;
  readonly observing: boolean;
  /** The maps whose entries leave with those of this one. */
  readonly followers: ReadonlyArray<{ readonly removals: Removals }>;
  /** Puts the stamp of a key right where the sizes say that something went past the wrapper. */
  settleBypass(key: unknown): void;
  settleKey(key: unknown): void;
  reconcileNow(): void;
  /** Drops everything that is kept about an entry. */
  forget(slot: number): void;
  /** Drops everything that is kept about all entries of a map that nobody has to be told about. */
  forgetAll(): void;
}

/** The removal that the sweeper has asked the owner's `delete` for. */
interface ExpectedRemoval {
  readonly slot: number;
  readonly generation: number;
  readonly reason: DepartureReason;
  readonly removal: Removal;
}

/**
 * The one protocol by which entries leave a map, whoever removes them: the end is claimed, the owner's own method runs,
 * and where the key is really gone its stamp goes, its companions go, and only then the callbacks are called. Where the
 * key is still there, the claim is taken back and nothing is said.
 */
export class Removals {
  readonly #map: LeavableMap;
  readonly #host: RemovalHost;
  #expected: ExpectedRemoval | undefined;
  #isClearing = false;

  /** How many entries left, by reason. */
  readonly total = zeroFor(departureReasons);
  /** The `delete` of an object whose class has none of its own: what it does is known. */
  plainDelete: ((key: unknown) => boolean) | undefined;

  constructor(map: LeavableMap, host: RemovalHost) {
    this.#map = map;
    this.#host = host;
  }

  /** Nobody has to be told when an entry leaves by the owner's `delete`, and nothing follows it. */
  get isQuiet(): boolean {
    return (
      this.#map.policy.dispose === undefined &&
      this.#map.claims === undefined &&
      this.#map.followers.length === 0 &&
      this.#expected === undefined &&
      !this.#isClearing
    );
  }

  /** The object's `delete` is the native one behind our wrapper, and nobody has put another on top. */
  get isPlain(): boolean {
    return this.plainDelete !== undefined && this.#map.native.target.delete === this.plainDelete;
  }

  /** Whether a sweep may remove entries with the native `delete`, since nothing of the owner's would run. */
  get isUntold(): boolean {
    return (
      this.isQuiet &&
      this.#map.policy.beforeSweep === undefined &&
      !this.#host.bus.hasListener('swept') &&
      this.isPlain
    );
  }

  /** A key of a quiet map was deleted, or (`left` is false) was not there. */
  leftQuietly(key: unknown, left: boolean): void {
    const slot = this.#map.stamps.slotOf(key);
    if (slot === undefined) return;
    // A stamp without an entry: that was removed past the wrapper, which comes to the same.
    if (!left && this.#map.native.has(key)) return;
    this.#map.forget(slot);
    this.total.deleted += 1;
  }

  /** Runs a `delete` of the owner, or the one that the sweeper called on the owner's object. */
  deleteThrough<Result>(key: unknown, run: () => Result): Result {
    this.#map.settleBypass(key);
    let slot = this.#map.stamps.slotOf(key);
    if (slot === undefined) {
      if (!this.#map.native.has(key)) return run();
      this.#map.settleKey(key);
      slot = this.#map.stamps.slotOf(key) as number;
    }
    const generation = this.#map.stamps.generation[slot] as number;
    const expected = this.#expected;
    // By generation too: the owner's delete may add a key, which gets the slot that has just become free.
    const isOurs = expected !== undefined && expected.slot === slot && expected.generation === generation;
    const removal = isOurs ? expected.removal : newRemoval();
    const reason = isOurs ? expected.reason : this.#isClearing ? 'cleared' : 'deleted';
    const value = this.#map.native.get(key);
    if (value === undefined && !this.#map.native.has(key)) {
      this.vanished(slot, key);
      return run();
    }
    const claim = isOurs ? undefined : this.#map.claims?.claim(slot, key, value, 'deleted');
    try {
      return run();
    } finally {
      if (this.#map.stamps.holds(slot, generation)) {
        if (!this.#map.native.has(key)) this.#leave(slot, key, value, reason, removal);
      }
      if (claim !== undefined) this.#settleClaim(claim, removal);
      if (!isOurs) announce(removal, this.#host.bus, this.#host.failures);
    }
  }

  /** Runs a `clear` of the owner. */
  clearThrough<Result>(run: () => Result): Result {
    if (this.isQuiet) return this.#clearQuietly(run);
    if (this.#map.native.size() !== this.#map.stamps.size) this.#map.reconcileNow();
    const leaving = [...this.#map.stamps.entries()].map(([key, slot]) => {
      const value = this.#map.native.get(key);
      const generation = this.#map.stamps.generation[slot] as number;
      return {
        key,
        slot,
        value,
        generation,
        claim: this.#map.claims?.claim(slot, key, value, 'deleted'),
      };
    });
    const wasClearing = this.#isClearing;
    this.#isClearing = true;
    try {
      return run();
    } finally {
      this.#isClearing = wasClearing;
      const removals = leaving.map(({ key, slot, value, generation, claim }) => {
        const removal = newRemoval();
        if (this.#map.stamps.holds(slot, generation) && !this.#map.native.has(key)) {
          this.#leave(slot, key, value, 'cleared', removal);
        }
        if (claim !== undefined) this.#settleClaim(claim, removal);
        return removal;
      });
      for (const removal of removals) announce(removal, this.#host.bus, this.#host.failures);
    }
  }

  #clearQuietly<Result>(run: () => Result): Result {
    this.#isClearing = true;
    try {
      return run();
    } finally {
      this.#isClearing = false;
      for (const [key, slot] of this.#map.stamps.entries()) {
        if (this.#map.native.has(key)) continue;
        this.#map.forget(slot);
        this.total.cleared += 1;
      }
    }
  }

  /** Removes an entry that has just been judged due. False where that was not the sweeper's doing. */
  sweepOut(slot: number, key: unknown, now: number): boolean {
    const removal = newRemoval();
    if (this.#map.stamps.hasFlag(slot, LEAVING)) {
      this.#expel(slot, key, 'companion', removal);
      announce(removal, this.#host.bus, this.#host.failures);
      return false;
    }
    const { at } = this.#map.filing.judge.deadline;
    removal.rule = this.#map.filing.judge.rule;
    const left = this.#expel(slot, key, 'swept', removal);
    announce(removal, this.#host.bus, this.#host.failures);
    if (left) this.#host.sweptLate(this.#map.name, Math.max(0, now - at));
    return left;
  }

  /** Removes an entry because of `maxEntries`. False where the owner's `delete` refused. */
  evict(slot: number, rule: string): boolean {
    const removal = newRemoval();
    removal.rule = rule;
    const left = this.#expel(slot, this.#map.stamps.keyOf(slot), 'evicted', removal);
    announce(removal, this.#host.bus, this.#host.failures);
    return left;
  }

  /**
   * Removes a due entry of a map that nobody has to be told about, as `sweepOut` does, less the protocol. False where
   * it had been removed past the wrapper.
   */
  sweepUntold(slot: number, key: unknown, lateMs: number): boolean {
    const left = this.#map.native.remove(key);
    this.total[left ? 'swept' : 'deleted'] += 1;
    if (left) this.#host.sweptLate(this.#map.name, lateMs);
    this.#map.forget(slot);
    return left;
  }

  /** Everything in a map that nobody has to be told about is due: empties it. How many entries that were. */
  sweepWhole(): number {
    const count = this.#map.stamps.size;
    this.#map.native.empty();
    this.#map.forgetAll();
    this.total.swept += count;
    return count;
  }

  /** Has the owner's own `delete` remove an entry, and sees what came of it. */
  #expel(slot: number, key: unknown, reason: LibraryReason | 'companion', removal: Removal): boolean {
    const generation = this.#map.stamps.generation[slot] as number;
    const value = this.#map.native.get(key);
    const { failures } = this.#host;
    const claim = this.#map.claims?.claim(slot, key, value, reason);
    const before = this.#expected;
    let threw = false;
    this.#expected = { slot, generation, reason, removal };
    try {
      this.#map.native.target.delete(key);
    } catch (error) {
      threw = true;
      failures.report(this.#map.name, 'delete', key, error);
    } finally {
      this.#expected = before;
    }
    if (this.#map.stamps.holds(slot, generation) && !this.#map.native.has(key)) {
      this.#leave(slot, key, value, reason, removal);
    }
    if (claim !== undefined) this.#settleClaim(claim, removal);
    if (!this.#map.stamps.holds(slot, generation)) return true;
    this.#map.filing.mark(slot, 'due');
    this.#map.filing.buckets.watch(slot);
    if (!threw) {
      const message = `delete(key) of '${this.#map.name}' returned and the key is still there`;
      failures.report(this.#map.name, 'delete', key, new MapsweepError('ERR_DELETE_REFUSED', message));
    }
    return false;
  }

  #settleClaim(claim: Claim, removal: Removal): void {
    if (this.#map.stamps.holds(claim.slot, claim.generation)) this.#map.claims?.withdraw(claim);
    else removal.ended = this.#map.claims?.confirm(claim);
  }

  /** The entry is gone from the map: drops its stamp, and takes its companions along. */
  #leave(slot: number, key: unknown, value: unknown, reason: DepartureReason, removal: Removal): void {
    const { name, policy } = this.#map;
    const isSwept = reason === 'swept' || reason === 'evicted';
    const listened = isSwept && this.#host.bus.hasListener(reason);
    if (policy.dispose !== undefined || listened) {
      // The key as the map keeps it, which is 0 where -0 was given.
      const kept = this.#map.stamps.keyOf(slot);
      const removed = listened ? this.#removedEvent(slot, kept, value, removal.rule) : undefined;
      removal.departures.push({ map: name, key: kept, value, reason, dispose: policy.dispose, removed });
    }
    this.#map.forget(slot);
    this.total[reason] += 1;
    for (const follower of this.#map.followers) follower.removals.#leaveWithLeader(key, removal);
  }

  #removedEvent(slot: number, key: unknown, value: unknown, rule: string): RemovedEvent {
    const { name, stamps } = this.#map;
    return { map: name, key, value, rule, ...shownStamps(stamps, this.#host.timeline, slot) };
  }

  /** The leader's entry has left: so does this one, guarded or not. */
  #leaveWithLeader(key: unknown, removal: Removal): void {
    const slot = this.#map.stamps.slotOf(key);
    if (slot === undefined) return;
    if (this.#map.observing) {
      // It stays as an orphan, for which nothing has filed it so far.
      this.#map.filing.buckets.watch(slot);
      return;
    }
    // What refuses now leaves at the next look.
    if (!this.#expel(slot, key, 'companion', removal)) this.#map.stamps.setFlag(slot, LEAVING, true);
  }

  /** The entry was removed past the wrapper: its value is not known any more. */
  vanished(slot: number, key: unknown): void {
    const removal = newRemoval();
    const claim = this.#map.claims?.claim(slot, key, undefined, 'deleted');
    this.#map.forget(slot);
    this.total.deleted += 1;
    for (const follower of this.#map.followers) follower.removals.#leaveWithLeader(key, removal);
    if (claim !== undefined) removal.ended = this.#map.claims?.confirm(claim);
    announce(removal, this.#host.bus, this.#host.failures);
  }
}
