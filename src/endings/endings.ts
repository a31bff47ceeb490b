import { randomUUID } from 'node:crypto';
import type { EndedEvent } from '../events/ended-event.js';
import { type EndedReason, endedReasons, zeroFor } from '../events/reasons.js';
import { shownStamps } from '../stamps/entry-stamps.js';
import { CLAIMED } from '../stamps/stamp-store.js';
import type { Claim, ClaimKeeper } from '../sweeping/claims.js';
import { reconcileKey } from '../sweeping/reconcile.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { Timeline } from '../time/timeline.js';
import type { Tombstone, Tombstones } from './tombstones.js';

/** What came of `registry.end()`: the first claim wins, later ones are duplicates. */
export type EndResult = 'claimed' | 'duplicate' | 'unknown';

/** What came of `registry.transfer()`. */
export type TransferResult = 'transferred' | 'duplicate' | 'unknown';

/** How a run ended. */
export interface EndOptions {
  /** Any short text; `completed` by default. The metrics fold texts of your own into `other`. */
  reason?: string | undefined;
  /** Whatever the recipient should know. Travels in a snapshot only as far as JSON carries it. */
  detail?: unknown;
  /** The registration that is meant, as `stamps()` gave it. Default: the present one. */
  generation?: number | undefined;
}

/** Whom the endings are handed to. */
export interface EndingsHost {
  readonly timeline: Timeline;
  readonly tombstones: Tombstones;
  /** The ending is claimed and all state has changed: it has to be delivered. */
  obliged(event: EndedEvent): void;
  /** Tells the bus. */
  announce(event: EndedEvent): void;
  /** Runs of an earlier life of the process that have not come back. */
  readonly absent: AbsentRuns;
}

/** Runs that a restart has left open, until their key is set again. */
export interface AbsentRuns {
  endAbsent(key: unknown, options: EndOptions): 'claimed' | 'duplicate' | undefined;
  settleAbsent(key: unknown): 'settled' | 'duplicate' | undefined;
}

interface OpenClaim extends Claim {
  readonly key: unknown;
  readonly event: EndedEvent;
  readonly replaced: Tombstone | undefined;
}

/**
 * Exactly one ending for each registration in one map.
 *
 * A registration opens an obligation; the first who claims it, be it the owner, a sweep or an eviction, discharges it.
 * Claim and tombstone are written together before anything is removed or said, and are taken back only if the
 * entry turns out to have stayed.
 */
export class Endings implements ClaimKeeper {
  readonly tracker: Tracker;
  readonly #host: EndingsHost;
  // Unique to this life of the process; with a generation, unique for ever.
  readonly #lifeId = randomUUID();
  // By slot.
  readonly #restoredIds = new Map<number, string>();
  readonly #ended = new Set<number>();
  readonly #tentative = new Set<OpenClaim>();
  readonly endedTotal = zeroFor(endedReasons);
  duplicatesTotal = 0;

  constructor(tracker: Tracker, host: EndingsHost) {
    this.tracker = tracker;
    this.#host = host;
    tracker.claims = this;
  }

  /** Claims the end of a run for the owner. The entry may stay. */
  end(key: unknown, { reason = 'completed', detail, generation }: EndOptions = {}): EndResult {
    const { stamps } = this.tracker;
    if (this.tracker.isBypassed) reconcileKey(this.tracker, key);
    const slot = stamps.slotOf(key);
    if (slot !== undefined && (generation === undefined || stamps.holds(slot, generation))) {
      if (this.isClaimed(slot)) return this.#duplicate();
      const event = this.#eventOf(slot, key, this.tracker.native.get(key), reason, detail);
      this.#write(slot, event);
      this.conclude(event);
      return 'claimed';
    }
    const absent = this.#host.absent.endAbsent(key, { reason, detail, generation });
    if (absent !== undefined) return absent === 'claimed' ? absent : this.#duplicate();
    const tombstone = this.#host.tombstones.get(key);
    if (tombstone === undefined) return 'unknown';
    return generation === undefined || generation <= tombstone.generation ? this.#duplicate() : 'unknown';
  }

  /** A run goes on under another key: the end of `to` will be the end of both. */
  transfer(from: unknown, to: unknown): TransferResult {
    const { stamps } = this.tracker;
    if (this.tracker.isBypassed) for (const key of [from, to]) reconcileKey(this.tracker, key);
    const source = stamps.slotOf(from);
    const target = stamps.slotOf(to);
    if (source === undefined) {
      const absent = target === undefined ? undefined : this.#host.absent.settleAbsent(from);
      if (absent === 'settled') return 'transferred';
      if (this.#host.tombstones.get(from) === undefined) return 'unknown';
      this.#duplicate();
      return 'duplicate';
    }
    if (target === undefined) return 'unknown';
    if (source === target) return 'transferred';
    if (this.isClaimed(source)) {
      this.#duplicate();
      return 'duplicate';
    }
    this.settleSilently(source, from);
    return 'transferred';
  }

  /** Marks a registration as ended without telling anybody: that was done before, or is done under another key. */
  settleSilently(slot: number, key: unknown): void {
    if (this.isClaimed(slot)) return;
    const { stamps } = this.tracker;
    const generation = stamps.generation[slot] as number;
    this.#mark(slot);
    const tombstone = { id: this.idOf(slot), generation, at: this.#host.timeline.now() };
    this.#host.tombstones.set(key, tombstone);
  }

  /** The id of a registration: the idempotency key of its ending. */
  idOf(slot: number): string {
    return this.#restoredIds.get(slot) ?? `${this.#lifeId}:${this.tracker.stamps.generation[slot]}`;
  }

  /** Gives a registration the id that it had before a restart. */
  restoreId(slot: number, id: string): void {
    this.#restoredIds.set(slot, id);
  }

  isClaimed(slot: number): boolean {
    return this.tracker.stamps.hasFlag(slot, CLAIMED);
  }

  /** The keys of claims that are being made at this moment, and may yet be taken back. */
  tentativeKeys(): Set<unknown> {
    return new Set(this.#tentativeClaims().map((claim) => claim.key));
  }

  /** Returns whether a claim is being made at this moment, and may yet be taken back: to a snapshot it is still open. */
  isTentative(slot: number): boolean {
    return this.#tentativeClaims().some((claim) => claim.slot === slot);
  }

  /** Endings whose entry has left while its companions are still leaving: claimed, and not handed over yet. */
  endingNow(): EndedEvent[] {
    const claims = [...this.#tentative].filter((claim) => !this.#isUnderway(claim));
    return claims.map((claim) => claim.event);
  }

  /** Takes over a claimed ending: counts it, has it delivered, and tells the bus. */
  conclude(event: EndedEvent): void {
    this.#handOver(event);
    this.#host.announce(event);
  }

  // --- ClaimKeeper --------------------------------------------------------------------------------------------------

  claim(slot: number, key: unknown, value: unknown, reason: string): Claim | undefined {
    if (this.isClaimed(slot)) return undefined;
    const claim = this.#open(slot, key, value, reason, undefined);
    this.#tentative.add(claim);
    return claim;
  }

  withdraw(claim: Claim): void {
    const open = claim as OpenClaim;
    this.#tentative.delete(open);
    const { stamps } = this.tracker;
    stamps.setFlag(open.slot, CLAIMED, false);
    this.#ended.delete(open.slot);
    if (open.replaced === undefined) this.#host.tombstones.delete(open.key);
    else this.#host.tombstones.set(open.key, open.replaced);
  }

  confirm(claim: Claim): EndedEvent {
    const open = claim as OpenClaim;
    this.#tentative.delete(open);
    this.#handOver(open.event);
    return open.event;
  }

  forget(slot: number): void {
    this.#ended.delete(slot);
    this.#restoredIds.delete(slot);
  }

  forgetAll(): void {
    this.#ended.clear();
    this.#restoredIds.clear();
  }

  endedSlots(): Iterable<number> {
    return this.#ended;
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  #tentativeClaims(): OpenClaim[] {
    return [...this.#tentative].filter((claim) => this.#isUnderway(claim));
  }

  #isUnderway({ slot, generation }: OpenClaim): boolean {
    return this.tracker.stamps.holds(slot, generation);
  }

  #open(slot: number, given: unknown, value: unknown, reason: string, detail: unknown): OpenClaim {
    const event = this.#eventOf(slot, given, value, reason, detail);
    const { key, generation } = event;
    const replaced = this.#host.tombstones.get(key);
    this.#write(slot, event);
    return { slot, generation, key, event, replaced };
  }

  // A million runs may end in one go: the wall clock is read once for each, and nothing is copied.
  #eventOf(slot: number, given: unknown, value: unknown, reason: string, detail: unknown): EndedEvent {
    const { timeline } = this.#host;
    const endedAt = timeline.clock.now();
    const { registeredAt, lastActiveAt, generation } = shownStamps(
      this.tracker.stamps,
      timeline,
      slot,
      endedAt,
    );
    const key = given === 0 ? 0 : given; // A Map keeps -0 as 0.
    const id = this.idOf(slot);
    return { id, key, generation, reason, registeredAt, lastActiveAt, endedAt, value, detail };
  }

  /** Claims the end of a registration: from here on, whoever comes is a duplicate. */
  #write(slot: number, { key, id, generation }: EndedEvent): void {
    this.#mark(slot);
    this.#host.tombstones.set(key, { id, generation, at: this.#host.timeline.now() });
  }

  #mark(slot: number): void {
    this.tracker.stamps.setFlag(slot, CLAIMED, true);
    // Only evictions ask for them.
    if (this.tracker.order !== undefined) this.#ended.add(slot);
  }

  #handOver(event: EndedEvent): void {
    this.endedTotal[counted(event.reason)] += 1;
    this.#host.obliged(event);
  }

  #duplicate(): 'duplicate' {
    this.duplicatesTotal += 1;
    return 'duplicate';
  }
}

function counted(reason: string): EndedReason {
  return endedReasons.find((known) => known === reason) ?? 'other';
}
