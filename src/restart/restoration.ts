import type { Endings, EndOptions } from '../endings/endings.js';
import type { NotifierState } from '../endings/notifier.js';
import type { Tombstones } from '../endings/tombstones.js';
import { MapsweepError } from '../errors.js';
import type { DeadLetter } from '../events/dead-letter.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { Slices } from '../time/slices.js';
import type { TimerTicket } from '../time/timer-queue.js';
import { checkSnapshot, type KeyCodec, type SnapshotEntry, type SnapshotEvent } from './snapshot-format.js';

/** An entry of an earlier life that has not come back. */
export interface AbsentEntry {
  readonly key: unknown;
  readonly entry: Omit<SnapshotEntry, 'key'>;
}

/** What a restoration changes. */
export interface RestorationHost {
  readonly engine: Engine;
  endings(): Endings | undefined;
  readonly tombstones: Tombstones | undefined;
  readonly keyCodec: KeyCodec | undefined;
  readonly restoreWindowMs: number;
  /** Whether the end of an entry that came back was announced before, by its value. */
  isSettled(value: unknown, key: unknown): boolean;
  /** Takes over deliveries that an earlier life left. */
  resume(state: NotifierState<unknown, unknown>): void;
}

/** How one key of the map of the endings was left. */
interface Ended {
  readonly id: string;
}

/** The instants of a held entry, monotonic ms, none later than the restore. */
interface HeldInstants {
  readonly registeredAt: number;
  readonly lastActiveAt: number;
  readonly borrowedAt: number | undefined;
}

/**
 * What an earlier life of the process left, until it has come back: entries whose key has not been set again, and runs
 * that were announced.
 *
 * The first `set` of a key takes what is held for it. When the window closes, runs that have not come back end as
 * `lost`, and everything else that is still held is forgotten.
 */
export class Restoration {
  readonly #host: RestorationHost;
  readonly #entries = new Map<string, Map<unknown, SnapshotEntry>>();
  // Translated when they are restored: a jump of the wall clock until an entry comes back must not age it.
  readonly #instants = new WeakMap<SnapshotEntry, HeldInstants>();
  readonly #announced = new Map<unknown, Ended>();
  // Generations, by map: as many as the snapshots had, and kept so that a second restore changes nothing.
  readonly #taken = new Map<string, Set<number>>();
  readonly #restoredIds = new Set<string>();
  readonly #restoredTombstones = new Set<string>();
  readonly #restoredDeliveries = new Set<string>();
  #ticket: TimerTicket | undefined;
  /** Is another one after each `stop()`, which ends a closing that is under way. */
  #windows = 0;
  #clamped = 0;

  constructor(host: RestorationHost) {
    this.#host = host;
  }

  /** How many restored stamps lay in the future, by the wall clock, and were taken as of now. */
  get clampedTotal(): number {
    return this.#clamped;
  }

  /** Whether an ending came out of a snapshot. */
  isRestored(id: string): boolean {
    return this.#restoredIds.has(id);
  }

  /** What has not come back to a map. */
  absentFrom(map: string): AbsentEntry[] {
    return [...(this.#entries.get(map) ?? [])].map(([key, { key: _, ...entry }]) => ({ key, entry }));
  }

  /** The maps of which something has not come back. */
  mapsThatAreAbsent(): string[] {
    return [...this.#entries.keys()];
  }

  /**
   * Takes over a snapshot: all of it, or nothing where it is damaged. What is in it and known already is left alone, so
   * that a second time changes nothing.
   *
   * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, saying where it is damaged
   */
  restore(snapshot: unknown): void {
    const { maps, ended } = checkSnapshot(snapshot);
    const endings = this.#host.endings();
    if (ended !== undefined && endings?.tracker.name !== ended.map) {
      throw new MapsweepError(
        'ERR_INVALID_SNAPSHOT',
        `snapshot.ended.map: it holds endings of '${ended.map}', this registry announces ` +
          `${endings === undefined ? 'none' : `those of '${endings.tracker.name}'`}. Nothing was restored`,
      );
    }
    // Everything that can throw comes before the first change.
    const decoded = Object.entries(maps).map(([map, { lastGeneration, entries }]) => ({
      map,
      lastGeneration,
      entries: entries.map((entry, index) => ({
        key: this.#decode(entry.key, map, `entries[${index}]`),
        entry,
      })),
    }));
    const tombstones = (ended?.tombstones ?? []).map((tombstone, index) => ({
      ...tombstone,
      key: this.#decode(tombstone.key, ended?.map as string, `tombstones[${index}]`),
    }));
    const pending = (ended?.pending ?? []).map(({ event, attempts }) => ({
      event: this.#event(event, ended?.map as string),
      attempts,
    }));
    const letters = (ended?.deadLetters ?? []).map(({ event, error, ...letter }) => ({
      ...letter,
      id: event.id,
      event: this.#event(event, ended?.map as string),
      error: error === undefined ? undefined : new MapsweepError('ERR_RESTORED', error),
    }));

    this.#host.engine.timeline.compareClocks();
    for (const { map, lastGeneration, entries } of decoded) this.#takeMap(map, lastGeneration, entries);
    // Tombstones are forgotten in the order in which they are kept, which has to be that of their age. A wall clock that
    // was set back leaves some that are of the future, and count as of now.
    tombstones.sort((one, other) => one.at - other.at);
    for (const tombstone of tombstones) this.#takeTombstone(tombstone);
    this.#takeDeliveries(pending, letters);
    for (const tracker of this.#host.engine.trackers.values()) this.greet(tracker);
    this.#openWindow();
  }

  /** Gives a map that has just been added, or filled, what is held for its keys. */
  greet(tracker: Tracker): void {
    const { stamps } = tracker;
    if (!this.#isAwaited(tracker)) return;
    tracker.onReturn = (slot, key, value) => this.#comeBack(tracker, slot, key, value);
    for (const [key, slot] of [...stamps.entries()])
      this.#comeBack(tracker, slot, key, tracker.native.get(key));
  }

  /** Leaves the window open for good: what has not come back is for the next life to decide about. */
  stop(): void {
    if (this.#ticket !== undefined) this.#host.engine.timers.cancel(this.#ticket);
    this.#ticket = undefined;
    this.#windows += 1;
  }

  /** Claims the end of a run that has not come back. `undefined` where none is held under the key. */
  endAbsent(
    key: unknown,
    { reason = 'completed', detail, generation }: EndOptions,
  ): 'claimed' | 'duplicate' | undefined {
    const endings = this.#host.endings();
    const held = endings === undefined ? undefined : this.#entries.get(endings.tracker.name);
    const entry = held?.get(key);
    if (endings === undefined || entry === undefined) return undefined;
    if (generation !== undefined && generation !== entry.generation) return undefined;
    if (entry.claimed) return 'duplicate';
    this.#conclude(endings, key, entry, reason, detail);
    return 'claimed';
  }

  /** Marks a run that has not come back as ended, without telling anybody. */
  settleAbsent(key: unknown): 'settled' | 'duplicate' | undefined {
    const endings = this.#host.endings();
    const entry = endings && this.#entries.get(endings.tracker.name)?.get(key);
    if (endings === undefined || entry === undefined) return undefined;
    if (entry.claimed) return 'duplicate';
    entry.claimed = true;
    this.#entomb(key, entry);
    return 'settled';
  }

  #takeMap(
    map: string,
    lastGeneration: number,
    entries: Array<{ key: unknown; entry: SnapshotEntry }>,
  ): void {
    const tracker = this.#host.engine.trackers.get(map);
    const held = this.#entries.get(map) ?? new Map<unknown, SnapshotEntry>();
    this.#entries.set(map, held);
    const taken = this.#taken.get(map) ?? new Set<number>();
    this.#taken.set(map, taken);
    if (tracker !== undefined) this.#renumber(tracker, lastGeneration, taken);
    for (const { key, entry } of entries) {
      // Taken before, from this snapshot or an earlier one: it has come back, is held, or has ended.
      if (taken.has(entry.generation)) continue;
      taken.add(entry.generation);
      if (entry.id !== undefined) this.#restoredIds.add(entry.id);
      const own = { ...entry };
      this.#instants.set(own, this.#instantsOf(entry));
      held.set(key, own);
    }
    if (held.size === 0) this.#entries.delete(map);
  }

  /**
   * Entries that were set before the restore are later registrations than any in the snapshot, while the counter that
   * numbered them knew nothing of those. Their ids stay.
   */
  #renumber(tracker: Tracker, lastGeneration: number, taken: ReadonlySet<number>): void {
    const { stamps } = tracker;
    stamps.raiseGeneration(lastGeneration);
    const endings = this.#host.endings();
    for (const [, slot] of stamps.entries()) {
      const generation = stamps.generation[slot] as number;
      if (generation > lastGeneration || taken.has(generation)) continue;
      if (endings?.tracker === tracker) endings.restoreId(slot, endings.idOf(slot));
      stamps.renumber(slot);
    }
  }

  #takeTombstone({
    key,
    id,
    generation,
    at,
  }: {
    key: unknown;
    id: string;
    generation: number;
    at: number;
  }): void {
    const { tombstones, engine } = this.#host;
    // One that was restored before and forgotten since stays forgotten.
    if (this.#restoredTombstones.has(id)) return;
    this.#restoredTombstones.add(id);
    const known = tombstones?.get(key);
    if (known !== undefined && known.generation >= generation) return;
    const { timeline } = engine;
    tombstones?.set(key, { id, generation, at: Math.min(timeline.toMonotonic(at), timeline.now()) });
    if (tombstones?.get(key) !== undefined && !this.#restoredIds.has(id)) this.#announced.set(key, { id });
  }

  #takeDeliveries(pending: NotifierState<unknown, unknown>['pending'], letters: DeadLetter[]): void {
    const isNew = (id: string): boolean => {
      if (this.#restoredDeliveries.has(id)) return false;
      this.#restoredDeliveries.add(id);
      return true;
    };
    this.#host.resume({
      pending: pending.filter(({ event }) => isNew(event.id)),
      deadLetters: letters.filter(({ id }) => isNew(id)),
    });
  }

  #comeBack(tracker: Tracker, slot: number, key: unknown, value: unknown): boolean {
    const endings = this.#host.endings();
    const ofEnded = endings?.tracker === tracker ? endings : undefined;
    const held = this.#entries.get(tracker.name);
    const entry = held?.get(key);
    if (held !== undefined && entry !== undefined) {
      held.delete(key);
      if (held.size === 0) this.#entries.delete(tracker.name);
      this.#restamp(tracker, slot, entry);
      if (entry.id !== undefined) ofEnded?.restoreId(slot, entry.id);
      if (entry.claimed || this.#host.isSettled(value, key)) ofEnded?.settleSilently(slot, key);
    }
    const announced = entry === undefined && ofEnded !== undefined ? this.#announced.get(key) : undefined;
    if (announced !== undefined) {
      ofEnded?.restoreId(slot, announced.id);
      ofEnded?.settleSilently(slot, key);
    }
    if (ofEnded !== undefined) this.#announced.delete(key);
    if (!this.#isAwaited(tracker)) tracker.onReturn = undefined;
    return entry !== undefined;
  }

  #restamp(tracker: Tracker, slot: number, entry: SnapshotEntry): void {
    const { registeredAt, lastActiveAt, borrowedAt } = this.#instants.get(entry) as HeldInstants;
    tracker.stamps.raiseGeneration(entry.generation);
    tracker.stamps.generation[slot] = entry.generation;
    tracker.restamp(slot, registeredAt, lastActiveAt, borrowedAt);
  }

  #instantsOf({ registeredAt, lastActiveAt, borrowedAt }: SnapshotEntry): HeldInstants {
    const { timeline } = this.#host.engine;
    const now = timeline.now();
    const past = (epoch: number): number => Math.min(timeline.toMonotonic(epoch), now);
    if (timeline.toMonotonic(registeredAt) > now) this.#clamped += 1;
    return {
      registeredAt: past(registeredAt),
      lastActiveAt: past(lastActiveAt),
      borrowedAt: borrowedAt === undefined ? undefined : past(borrowedAt),
    };
  }

  #openWindow(): void {
    const { engine, restoreWindowMs } = this.#host;
    this.stop();
    this.#ticket = engine.timers.schedule(
      engine.timeline.now() + restoreWindowMs,
      () => void this.#closeWindow(),
    );
  }

  async #closeWindow(): Promise<void> {
    this.#ticket = undefined;
    const { engine } = this.#host;
    const endings = this.#host.endings();
    if (endings !== undefined && !endings.tracker.observing) {
      const window = this.#windows;
      const isStopped = (): boolean => window !== this.#windows || engine.isStopped;
      const { clock } = engine.timeline;
      const slices = new Slices({ clock, budgetMs: engine.sliceBudgetMs, isStopped });
      // One that comes back meanwhile, because of a listener or in a pause, leaves the row.
      const absent = this.#entries.get(endings.tracker.name) ?? new Map<unknown, SnapshotEntry>();
      for (const [key, entry] of absent) {
        if (entry.claimed) continue;
        // Gone before anybody is told: what is set under this key from now on is a new run.
        absent.delete(key);
        this.#conclude(endings, key, entry, 'lost', undefined);
        if (isStopped() || (slices.isOver() && !(await slices.giveWay()))) return;
      }
    }
    this.#entries.clear();
    this.#announced.clear();
    for (const tracker of engine.trackers.values()) tracker.onReturn = undefined;
  }

  #conclude(endings: Endings, key: unknown, entry: SnapshotEntry, reason: string, detail: unknown): void {
    entry.claimed = true;
    this.#entomb(key, entry);
    const { id, generation, value } = entry;
    const endedAt = this.#host.engine.timeline.clock.now();
    // The wall clock may have been set back since.
    const registeredAt = Math.min(entry.registeredAt, endedAt);
    const lastActiveAt = Math.min(entry.lastActiveAt, endedAt);
    const event = {
      id: id as string,
      key,
      generation,
      reason,
      registeredAt,
      lastActiveAt,
      endedAt,
      value,
      detail,
    };
    endings.conclude(event);
  }

  #entomb(key: unknown, { id, generation }: SnapshotEntry): void {
    this.#host.tombstones?.set(key, { id: id as string, generation, at: this.#host.engine.timeline.now() });
  }

  #isAwaited(tracker: Tracker): boolean {
    const isEnded = this.#host.endings()?.tracker === tracker;
    return this.#entries.has(tracker.name) || (isEnded && this.#announced.size > 0);
  }

  #decode(json: unknown, map: string, path: string): unknown {
    const { keyCodec } = this.#host;
    if (keyCodec === undefined) return json;
    try {
      return keyCodec.decode(json, map);
    } catch (cause) {
      throw new MapsweepError(
        'ERR_INVALID_SNAPSHOT',
        `snapshot.maps["${map}"].${path}.key: keyCodec.decode failed. Nothing was restored`,
        { cause },
      );
    }
  }

  #event(event: SnapshotEvent, map: string): EndedEvent {
    const { value, detail, ...rest } = event;
    return { ...rest, key: this.#decode(event.key, map, 'pending'), value, detail };
  }
}
