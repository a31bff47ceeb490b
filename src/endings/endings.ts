import { noteOwnersEnd } from '../events/audit.js';
import type { EndedEvent } from '../events/ended-event.js';
import { endedReasons, zeroFor } from '../events/reasons.js';
import { shownStamps } from '../stamps/entry-stamps.js';
import { mapKey } from '../stamps/map-key.js';
import { setAt } from '../stamps/set-at.js';
import { CLAIMED } from '../stamps/stamp-store.js';
import type { Claim, ClaimKeeper } from '../sweeping/claims.js';
import { reconcileKey } from '../sweeping/reconcile.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { Timeline } from '../time/timeline.js';
import type { OwnIdOf } from './own-id.js';
import { RunIds } from './run-ids.js';
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
  /** Unique to this life of the process; with a generation, unique for ever. */
  readonly lifeId: string;
  /** Set if the owner says which run is which. */
  readonly ownIdOf: OwnIdOf | undefined;
  /** The end of a registration is claimed, and nobody is to be told. */
  settledSilently(run: EndedRun): void;
  /** The ending is claimed and all state has changed: it has to be delivered. */
  obliged(event: EndedEvent): void;
  /** Tells the bus. */
  announce(event: EndedEvent): void;
  /** As {@link ClaimKeeper.owedOf}, of a run that has ended. */
  owedOf(id: string): readonly (readonly [recipient: string, state: string])[];
  /** Runs of an earlier life of the process that have not come back. */
  readonly absent: AbsentRuns;
}

/** Runs that a restart has left open, until their key is set again. */
export interface AbsentRuns {
  endAbsent(key: unknown, options: EndOptions): 'claimed' | 'duplicate' | undefined;
  settleAbsent(key: unknown): 'settled' | 'duplicate' | undefined;
  /** Returns whether a run that has not come back has this key. */
  hasAbsent(key: unknown): boolean;
}

/** A registration whose end is claimed. */
export type EndedRun = Pick<EndedEvent, 'key' | 'id' | 'generation'>;

interface OpenClaim extends Claim {
  generation: number;
  readonly key: unknown;
  event: EndedEvent;
  /** The owner has ended the run meanwhile, from inside of his `delete`: it has ended, whether the entry leaves or not. */
  isOwners: boolean;
  isConfirmed: boolean;
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
  /** Which of its registrations is which run. */
  readonly ids: RunIds;
  readonly #host: EndingsHost;
  readonly #ended = new Set<number>();
  // Slots of registrations whose run another one has, or had.
  readonly #duplicates = new Set<number>();
  /** The claims on entries that are to leave and are still there, by slot. */
  readonly #underway: (OpenClaim | undefined)[] = [];
  /** Those on entries that have left. The last one is confirmed first, unless the map was released in between. */
  readonly #leaving: OpenClaim[] = [];
  readonly endedTotal: Record<string, number> = zeroFor(endedReasons);
  duplicatesTotal = 0;
  /** Registrations whose end is claimed. All others are open, or were when the map was released. */
  claimedTotal = 0;

  constructor(tracker: Tracker, host: EndingsHost) {
    this.tracker = tracker;
    this.#host = host;
    this.ids = new RunIds(tracker.stamps, host.lifeId, host.ownIdOf);
    tracker.claims = this;
  }

  /** Claims the end of a run for the owner. The entry may stay. */
  end(key: unknown, { reason = 'completed', detail, generation }: EndOptions = {}): EndResult {
    const { stamps } = this.tracker;
    if (this.tracker.isBypassed) reconcileKey(this.tracker, key);
    const slot = stamps.slotOf(key);
    if (this.#isBeingAsked(slot)) return 'unknown';
    if (slot !== undefined && (generation === undefined || stamps.holds(slot, generation))) {
      const underway = this.#underway[slot];
      // Inside of a `delete` nobody knows whether the entry will leave: as long as it is there, its owner may claim.
      const isOpen = underway !== undefined && !underway.isOwners && this.tracker.native.has(key);
      if (this.isClaimed(slot) && !isOpen) return this.#duplicate();
      const event = this.#eventOf(slot, key, this.tracker.native.get(key), reason, detail);
      noteOwnersEnd(event);
      if (underway !== undefined && isOpen) {
        underway.event = event;
        underway.isOwners = true;
        return 'claimed';
      }
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
    if (this.#isBeingAsked(source) || this.#isBeingAsked(target)) return 'unknown';
    if (source === undefined) {
      const absent = target === undefined ? undefined : this.#transferAbsent(from, target);
      if (absent === 'settled') return 'transferred';
      if (absent === undefined && this.#host.tombstones.get(from) === undefined) return 'unknown';
      return this.#duplicate();
    }
    if (target === undefined) return 'unknown';
    if (source === target) return 'transferred';
    if (this.isClaimed(source)) return this.#duplicate();
    if (this.ids.areOwn && this.ids.of(source) === this.ids.of(target)) {
      this.#moveOver(source, target);
      return 'transferred';
    }
    // Nobody would hear of the end of `from`: that of `to` was told.
    if (this.isClaimed(target)) return this.#duplicate();
    this.settleSilently(source, from);
    return 'transferred';
  }

  /** Its owner is being asked which run it is, so that nobody knows yet. */
  #isBeingAsked(slot: number | undefined): boolean {
    return slot !== undefined && this.ids.areOwn && !this.ids.has(slot);
  }

  #transferAbsent(from: unknown, target: number): 'settled' | 'duplicate' | undefined {
    const { absent } = this.#host;
    // Nobody would hear of the end of `from`, here too.
    if (this.isClaimed(target)) return absent.hasAbsent(from) ? 'duplicate' : undefined;
    return absent.settleAbsent(from);
  }

  /** A run goes on under another key that was set with its id, and counted as nothing new: now that one is the run. */
  #moveOver(source: number, target: number): void {
    const { stamps } = this.tracker;
    const { tombstones } = this.#host;
    const id = this.ids.of(target);
    this.#unmark(target);
    this.#duplicates.delete(target);
    tombstones.delete(stamps.keyOf(target));
    tombstones.deleteRun(id);
    this.ids.open(target);
    // Before the other one is over: wherever records end, the run is open.
    this.tracker.recorder?.registered(target);
    // Not as active now, as what has just been registered is.
    this.tracker.recorder?.restamped(target);
    this.settleSilently(source, stamps.keyOf(source));
  }

  /** Marks a registration as ended without telling anybody: that was done before, or is done under another key. */
  settleSilently(slot: number, key: unknown): void {
    if (this.isClaimed(slot)) return;
    const run = this.#runOf(slot, key);
    this.#write(slot, run);
    this.#host.settledSilently(run);
  }

  /**
   * Marks a registration as ended that had ended in an earlier life.
   *
   * @param isWritten whether the journal has its claim
   */
  settleAgain(slot: number, key: unknown, isWritten: boolean): void {
    const run = this.#runOf(slot, key);
    // One that was found in its map may count as a duplicate already.
    if (!this.isClaimed(slot)) {
      this.#mark(slot);
      const { id, generation } = run;
      this.ids.close(slot);
      this.#host.tombstones.set(key, { id, generation, at: this.#host.timeline.now(), endsRun: false });
    }
    if (!isWritten) this.#host.settledSilently(run);
  }

  /**
   * A registration has come back that had the run in an earlier life. If another one of the same id was found beside it,
   * this one is the run, whichever of them was taken for the duplicate, and the other one is not.
   */
  isTheRun(slot: number): void {
    const { stamps } = this.tracker;
    const { tombstones } = this.#host;
    if (this.#duplicates.delete(slot)) {
      this.#unmark(slot);
      tombstones.delete(stamps.keyOf(slot));
    }
    if (!this.ids.areOwn || this.isClaimed(slot)) return;
    const id = this.ids.of(slot);
    const other = this.ids.openSlotOf(id);
    this.ids.open(slot);
    if (other !== undefined && other !== slot) this.#settleDuplicate(other, stamps.keyOf(other));
  }

  #settleDuplicate(slot: number, key: unknown): void {
    if (this.isClaimed(slot)) return;
    this.#duplicates.add(slot);
    this.settleSilently(slot, key);
  }

  /** A run has ended, be it in the map or not. Returns what was known of its key. */
  remember({ key, id, generation }: EndedRun): Tombstone | undefined {
    const { timeline, tombstones } = this.#host;
    // A second registration of one run ends at once, and the run itself is open.
    const endsRun = this.ids.areOwn && this.ids.openSlotOf(id) === undefined;
    return tombstones.set(key, { id, generation, at: timeline.now(), endsRun });
  }

  /** The memory of those that have ended. */
  get tombstones(): Tombstones {
    return this.#host.tombstones;
  }

  /** A registration has another generation than it was given: what is remembered of its end goes by that one. */
  renumbered(slot: number): void {
    if (!this.isClaimed(slot)) return;
    const key = this.tracker.stamps.keyOf(slot);
    const run = this.#runOf(slot, key);
    this.#host.tombstones.rename(key, run);
    const underway = this.#underway[slot];
    if (underway === undefined) return;
    underway.generation = run.generation;
    Object.assign(underway.event, run);
  }

  owedOf(slot: number | undefined, key: unknown): ReturnType<ClaimKeeper['owedOf']> {
    const isOver = slot === undefined || this.isClaimed(slot);
    const id = slot === undefined ? this.#host.tombstones.get(key)?.id : this.ids.of(slot);
    return isOver && id !== undefined ? this.#host.owedOf(id) : undefined;
  }

  isClaimed(slot: number): boolean {
    return this.tracker.stamps.hasFlag(slot, CLAIMED);
  }

  /** Whether another registration has, or had, its run. */
  isDuplicate(slot: number): boolean {
    return this.#duplicates.has(slot);
  }

  /** The claim that is being made on a registration at this moment, and may yet be taken back. */
  tentativeAt(slot: number): EndedEvent | undefined {
    return this.#underway[slot]?.event;
  }

  /** Endings whose entry has left while its companions are still leaving: claimed, and not handed over yet. */
  endingNow(): EndedEvent[] {
    return this.#leaving.filter(({ isConfirmed }) => !isConfirmed).map(({ event }) => event);
  }

  /** Takes over a claimed ending: counts it, has it delivered, and tells the bus. */
  conclude(event: EndedEvent): void {
    this.#handOver(event);
    this.#host.announce(event);
  }

  /** Counts endings for a reason of the owner's by themselves from now on, and no more as `other`. */
  countReason(reason: string): void {
    this.endedTotal[reason] ??= 0;
  }

  registered(slot: number, key: unknown, value: unknown): void {
    if (!this.ids.areOwn) return;
    const generation = this.tracker.stamps.generation[slot] as number;
    if (!this.ids.has(slot)) this.ids.ask(slot, key, value);
    if (!this.tracker.stamps.holds(slot, generation)) return;
    const id = this.ids.of(slot);
    if (this.isClaimed(slot)) return;
    const open = this.ids.openSlotOf(id);
    // Another entry has that run, or had it: its end is not the end of the run.
    if ((open !== undefined && open !== slot) || this.#host.tombstones.hasRun(id))
      this.#settleDuplicate(slot, key);
    else this.ids.open(slot);
  }

  claim(slot: number, key: unknown, value: unknown, reason: string): Claim | undefined {
    if (this.isClaimed(slot)) return undefined;
    const claim = this.#open(slot, key, value, reason, undefined);
    setAt(this.#underway, slot, claim, undefined);
    return claim;
  }

  withdraw(claim: Claim): EndedEvent | undefined {
    const open = claim as OpenClaim;
    this.#underway[open.slot] = undefined;
    if (open.isOwners) {
      this.#handOver(open.event);
      return open.event;
    }
    const { tombstones } = this.#host;
    this.#unmark(open.slot);
    tombstones.deleteRun(open.event.id);
    this.ids.open(open.slot);
    if (open.replaced === undefined) tombstones.delete(open.key);
    else tombstones.putBack(open.key, open.replaced);
    return undefined;
  }

  confirm(claim: Claim): EndedEvent {
    const open = claim as OpenClaim;
    open.isConfirmed = true;
    while (this.#leaving.at(-1)?.isConfirmed) this.#leaving.pop();
    this.#handOver(open.event);
    return open.event;
  }

  forget(slot: number): void {
    if (this.#ended.size > 0) this.#ended.delete(slot);
    const underway = this.#underway[slot];
    if (underway !== undefined) {
      this.#underway[slot] = undefined;
      this.#leaving.push(underway);
    }
    if (this.#duplicates.size > 0) this.#duplicates.delete(slot);
    this.ids.forget(slot);
  }

  shrink(capacity: number): void {
    if (this.#underway.length > capacity) this.#underway.length = capacity;
    this.ids.shrink(capacity);
  }

  forgetAll(): void {
    this.#ended.clear();
    for (const claim of this.#underway.splice(0)) if (claim !== undefined) this.#leaving.push(claim);
    this.#duplicates.clear();
    this.ids.clear();
  }

  endedSlots(): Iterable<number> {
    return this.#ended;
  }

  #runOf(slot: number, key: unknown): EndedRun {
    return { key, id: this.ids.of(slot), generation: this.tracker.stamps.generation[slot] as number };
  }

  #open(slot: number, given: unknown, value: unknown, reason: string, detail: unknown): OpenClaim {
    const event = this.#eventOf(slot, given, value, reason, detail);
    const { key, generation } = event;
    const replaced = this.#write(slot, event);
    return { slot, generation, key, event, isOwners: false, isConfirmed: false, replaced };
  }

  // A million runs may end in one go: the wall clock is read once for each, and nothing is copied.
  #eventOf(slot: number, given: unknown, value: unknown, reason: string, detail: unknown): EndedEvent {
    const { timeline } = this.#host;
    const endedAt = timeline.clock.now();
    const { registeredAt, lastActiveAt, generation } = shownStamps(this.tracker, timeline, slot, endedAt);
    const key = mapKey(given);
    const id = this.ids.of(slot);
    return { id, key, generation, reason, registeredAt, lastActiveAt, endedAt, value, detail };
  }

  /** Claims the end of a registration: from here on, whoever comes is a duplicate. Returns what was known of its key. */
  #write(slot: number, run: EndedRun): Tombstone | undefined {
    this.#mark(slot);
    this.ids.close(slot);
    return this.remember(run);
  }

  #mark(slot: number): void {
    this.claimedTotal += 1;
    this.tracker.stamps.setFlag(slot, CLAIMED, true);
    // Only evictions ask for them.
    if (this.tracker.order !== undefined) this.#ended.add(slot);
    this.tracker.owners?.ended(slot);
  }

  #unmark(slot: number): void {
    this.claimedTotal -= 1;
    this.tracker.stamps.setFlag(slot, CLAIMED, false);
    this.#ended.delete(slot);
  }

  #handOver(event: EndedEvent): void {
    const counted = Object.hasOwn(this.endedTotal, event.reason) ? event.reason : 'other';
    this.endedTotal[counted] = (this.endedTotal[counted] as number) + 1;
    this.#host.obliged(event);
  }

  #duplicate(): 'duplicate' {
    this.duplicatesTotal += 1;
    return 'duplicate';
  }
}

/** Returns the endings of a map, if it is the one whose runs end. */
export const endingsOf = ({ claims }: Tracker): Endings | undefined =>
  claims instanceof Endings ? claims : undefined;
