import type { AbsentRuns, Endings, EndOptions } from '../endings/endings.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { Awaited } from './awaited.js';
import { decoded } from './decode.js';
import type { Left, PastEntry } from './left.js';
import type { AbsentParts } from './live-records.js';
import type { Recorder } from './recorder.js';
import { RestoreWindow } from './restore-window.js';

/** What a restoration changes. */
export interface RestorationHost {
  readonly engine: Engine;
  readonly restoreWindowMs: number;
  /** Whether the owner says which run is which, beside the keys. */
  readonly hasOwnIds: boolean;
  endings(): Endings | undefined;
  /** Whether runs that do not come back end as lost: not so if this life only observes, or has nobody to tell. */
  mayConclude(): boolean;
  /** Whether the owner says which runs were announced before. */
  readonly asksSettled: boolean;
  /** Whether the end of an entry was announced before, by its value. */
  isSettled(value: unknown, key: unknown): boolean;
  /** Whoever writes down what happens, if there is a journal. */
  recorder(): Recorder | undefined;
  /** Remembers what `encode` had given for the value of an ending. */
  keepPastValue(event: EndedEvent, json: unknown): void;
}

/** How the entries of earlier lives are taken over. */
export interface Taking {
  /** What has to be added to their instants to have them in the monotonic time of this life, ms. */
  readonly shift: number;
  /** How much later than it was written the last activity may have been, ms. */
  readonly lateMs: number;
  /** Whether the journal of this registry has them. */
  readonly isRecorded: boolean;
}

/**
 * The entries of earlier lives until they come back: until their key is set again.
 *
 * The first `set` of a key takes the stamps, the id and the claim of its entry. A run that has not come back when its
 * window closes ends as `lost`; any other entry is forgotten then.
 */
export class Restoration implements AbsentRuns, AbsentParts {
  readonly #host: RestorationHost;
  readonly #awaited = new Map<string, Awaited>();
  readonly #lastGenerations = new Map<string, number>();
  /** Maps that were filled before anybody knew of earlier generations. */
  readonly #unnumbered = new Set<string>();
  readonly #window: RestoreWindow;
  #settlesUntil = Number.NEGATIVE_INFINITY;

  constructor(host: RestorationHost) {
    this.#host = host;
    const { engine, restoreWindowMs } = host;
    this.#window = new RestoreWindow(engine, restoreWindowMs, {
      awaited: () => this.entries(),
      close: (map, entry) => this.#close(map, entry),
    });
  }

  /**
   * How long this life has waited, ms of running time; `undefined` if nothing is awaited. A life in which nothing can end
   * as lost leaves the next one the time that it found.
   */
  get windowMs(): number | undefined {
    return this.#host.mayConclude() ? this.#window.elapsedMs : undefined;
  }

  /** The names of the maps that have ever had an entry. */
  get mapNames(): Iterable<string> {
    return this.#lastGenerations.keys();
  }

  /** Takes over the entries that earlier lives left. To be called before the maps are filled, or after. */
  take(left: Left, { shift, lateMs, isRecorded }: Taking): void {
    const { engine, restoreWindowMs, hasOwnIds } = this.#host;
    const now = engine.timeline.now();
    const present = (instant: number): number => Math.min(instant + shift, now);
    const isKnown = this.#knownRuns();
    const waitedMs = this.#window.runningMs;
    for (const [map, { lastGeneration, entries }] of left.maps) {
      const tracker = engine.trackers.get(map);
      const stamped = tracker?.stamps.lastGeneration ?? 0;
      // What was taken over before has generations of its own.
      const known = this.lastGenerationOf(map);
      const offset = known === 0 ? 0 : Math.max(known, stamped);
      if (known === 0 && stamped > 0) this.#unnumbered.add(map);
      this.#lastGenerations.set(map, offset + lastGeneration);
      const awaited = this.#awaited.get(map) ?? new Awaited(hasOwnIds);
      for (const entry of entries.values()) {
        if (isKnown(awaited, entry)) continue;
        entry.generation += offset;
        entry.registeredAt = present(entry.registeredAt);
        entry.lastActiveAt = present(entry.lastActiveAt);
        entry.usedAt = present(entry.usedAt);
        entry.absentMs -= waitedMs;
        entry.lateMs = lateMs;
        if (!isRecorded) entry.isUnrecorded = true;
        const dropped = awaited.add(entry);
        if (dropped !== undefined) this.#forgotten(map, dropped);
      }
      entries.clear();
      if (awaited.size > 0) this.#awaited.set(map, awaited);
    }
    this.#settlesUntil = now + restoreWindowMs;
    this.#window.open();
  }

  /** A map is there: its generations go on where an earlier life left off. To be called before its entries are stamped. */
  number(tracker: Tracker): void {
    tracker.stamps.raiseGeneration(this.lastGenerationOf(tracker.name));
  }

  /** Has what is in a map compared with what is awaited there, and what is set in it from now on. */
  expect(tracker: Tracker): void {
    const { stamps, native } = tracker;
    this.number(tracker);
    if (this.#unnumbered.delete(tracker.name)) this.#renumber(tracker);
    if (!this.#isExpecting(tracker)) return;
    tracker.onReturn = (slot, key, value) => this.#comeBack(tracker, slot, key, value);
    for (const [key, slot] of [...stamps.entries()]) {
      if (stamps.slotOf(key) === slot) this.#comeBack(tracker, slot, key, native.get(key));
    }
  }

  /** Sets the entries of a map whose policy can decode them. To be called when all maps are there. */
  fill(tracker: Tracker): void {
    const decode = tracker.policy.persist?.decode;
    const awaited = this.#awaited.get(tracker.name);
    if (decode === undefined || awaited === undefined) return;
    const { failures } = this.#host.engine;
    let isSaid = false;
    for (const entry of awaited) {
      const { key, value } = entry;
      if (value === undefined || awaited.at(key) !== entry || tracker.native.has(key)) continue;
      const result = decoded(decode, value, key);
      const error = result.error ?? setThrough(tracker, key, result.value);
      if (error === undefined) continue;
      if (isSaid) failures.count(tracker.name, 'persist.decode');
      else failures.report(tracker.name, 'persist.decode', key, error);
      isSaid = true;
    }
  }

  /** Leaves the window open for good: what has not come back is for the next life to decide about. */
  stop(): void {
    this.#window.stop();
  }

  // --- what is awaited ------------------------------------------------------------------------------------------------

  count(): number {
    let count = 0;
    for (const { size } of this.#awaited.values()) count += size;
    return count;
  }

  *entries(): Generator<readonly [map: string, entry: PastEntry]> {
    for (const [map, awaited] of this.#awaited) for (const entry of awaited) yield [map, entry];
  }

  /** The highest generation that was ever given out in a map that is not there. */
  lastGenerationOf(map: string): number {
    return this.#lastGenerations.get(map) ?? 0;
  }

  /** Claims the end of a run that has not come back. `undefined` if none is awaited under the key. */
  endAbsent(
    key: unknown,
    { reason = 'completed', detail, generation }: EndOptions,
  ): 'claimed' | 'duplicate' | undefined {
    const found = this.#runOf(key);
    if (found === undefined) return undefined;
    if (generation !== undefined && generation !== found.entry.generation) return undefined;
    if (found.entry.claimed) return 'duplicate';
    this.#conclude(found.endings, found.entry, reason, detail);
    return 'claimed';
  }

  /** Marks a run that has not come back as ended, without telling anybody. */
  settleAbsent(key: unknown): 'settled' | 'duplicate' | undefined {
    const found = this.#runOf(key);
    if (found === undefined) return undefined;
    const { endings, entry } = found;
    if (entry.claimed) return 'duplicate';
    entry.claimed = true;
    const run = { key: entry.key, id: entry.id as string, generation: entry.generation };
    endings.rememberAbsent(run);
    this.#host.recorder()?.quiet(run);
    return 'settled';
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  /** Returns the question whether an entry is known already, by an earlier take: that is asked about snapshots alone. */
  #knownRuns(): (awaited: Awaited, entry: PastEntry) => boolean {
    if (this.#lastGenerations.size === 0) return () => false;
    const endings = this.#host.endings();
    const ids = new Set<string>();
    for (const [, { id }] of this.entries()) if (id !== undefined) ids.add(id);
    for (const [, slot] of endings?.tracker.stamps.entries() ?? []) ids.add((endings as Endings).idOf(slot));
    return (awaited, { id, key }) => (id === undefined ? awaited.at(key) !== undefined : ids.has(id));
  }

  /** Whether entries of earlier lives may come back into a map. */
  #isExpecting(tracker: Tracker): boolean {
    if (this.#awaited.has(tracker.name)) return true;
    return this.#host.endings()?.tracker === tracker && this.#isSettling();
  }

  /** Whether a run may be set again that had ended and left before. */
  #isSettling(): boolean {
    return this.#host.asksSettled && this.#host.engine.timeline.now() < this.#settlesUntil;
  }

  #runOf(key: unknown): { endings: Endings; entry: PastEntry } | undefined {
    const endings = this.#host.endings();
    const entry = endings && this.#awaited.get(endings.tracker.name)?.at(key);
    return endings === undefined || entry?.id === undefined ? undefined : { endings, entry };
  }

  /**
   * Entries that were set before the restore are later registrations than any of an earlier life, while the counter
   * that numbered them knew nothing of those. Their ids stay.
   */
  #renumber(tracker: Tracker): void {
    const { stamps } = tracker;
    const lastGeneration = this.lastGenerationOf(tracker.name);
    const endings = this.#host.endings();
    for (const [, slot] of stamps.entries()) {
      const before = stamps.generation[slot] as number;
      if (before > lastGeneration) continue;
      if (endings?.tracker === tracker) endings.restoreId(slot, endings.idOf(slot));
      stamps.renumber(slot);
      this.#host.recorder()?.renumbered(tracker, slot, before);
    }
  }

  /** An entry is set: takes over what is awaited for it. Returns whether anything was. */
  #comeBack(tracker: Tracker, slot: number, key: unknown, value: unknown): boolean {
    const endings = this.#host.endings();
    const ofEnded = endings?.tracker === tracker ? endings : undefined;
    const { stamps } = tracker;
    const generation = stamps.generation[slot] as number;
    const id = ofEnded?.askId(slot, key, value);
    // What the owner was asked may have removed the entry.
    if (!stamps.holds(slot, generation)) return false;
    const entry = this.#awaited.get(tracker.name)?.find(key, id);
    // A run whose ends are not announced in this life stays as it is, for one in which they are.
    if (entry === undefined || (entry.id !== undefined && ofEnded === undefined)) {
      if (ofEnded !== undefined && this.#isSettling()) this.#settle(ofEnded, slot, key, value);
      if (!this.#isExpecting(tracker)) tracker.onReturn = undefined;
      return false;
    }
    this.#remove(tracker.name, entry);
    this.#restamp(tracker, slot, entry);
    if (entry.id !== undefined) ofEnded?.restoreId(slot, entry.id);
    const isSame = entry.isUnrecorded !== true && Object.is(entry.key, stamps.keyOf(slot));
    const isClaimWritten =
      this.#host.recorder()?.cameBack(tracker, slot, { before: generation, isSame }) ?? true;
    if (ofEnded === undefined) return true;
    if (entry.claimed) ofEnded.settleAgain(slot, key, isClaimWritten);
    else this.#settle(ofEnded, slot, key, value);
    return true;
  }

  #restamp(tracker: Tracker, slot: number, entry: PastEntry): void {
    tracker.stamps.raiseGeneration(entry.generation);
    tracker.stamps.generation[slot] = entry.generation;
    const now = this.#host.engine.timeline.now();
    // It may have been active after that was written.
    const late = (at: number): number => Math.min(at + entry.lateMs, now);
    tracker.restamp(slot, entry.registeredAt, late(entry.lastActiveAt), late(entry.usedAt));
  }

  /** Marks a run as ended whose value says that its end was announced before. */
  #settle(endings: Endings, slot: number, key: unknown, value: unknown): void {
    const { stamps } = endings.tracker;
    const generation = stamps.generation[slot] as number;
    if (this.#host.isSettled(value, key) && stamps.holds(slot, generation)) endings.settleSilently(slot, key);
  }

  #remove(map: string, entry: PastEntry): void {
    const awaited = this.#awaited.get(map);
    if (awaited === undefined) return;
    awaited.remove(entry);
    if (awaited.size > 0) return;
    this.#awaited.delete(map);
    const tracker = this.#host.engine.trackers.get(map);
    if (tracker !== undefined && !this.#isExpecting(tracker)) tracker.onReturn = undefined;
  }

  /** The window of an entry has closed. */
  #close(map: string, entry: PastEntry): void {
    const endings = this.#host.endings();
    if (entry.id !== undefined && !entry.claimed) {
      if (endings === undefined || !this.#host.mayConclude()) return;
      this.#remove(map, entry);
      this.#conclude(endings, entry, 'lost', undefined);
    } else this.#remove(map, entry);
    this.#forgotten(map, entry);
  }

  #forgotten(map: string, { generation, isUnrecorded }: PastEntry): void {
    if (isUnrecorded !== true) this.#host.recorder()?.forgotten(map, generation);
  }

  #conclude(endings: Endings, entry: PastEntry, reason: string, detail: unknown): void {
    const { engine, keepPastValue } = this.#host;
    const { timeline } = engine;
    entry.claimed = true;
    const { key, generation } = entry;
    const id = entry.id as string;
    endings.rememberAbsent({ key, id, generation });
    const endedAt = timeline.clock.now();
    const event: EndedEvent = {
      id,
      key,
      generation,
      reason,
      registeredAt: timeline.toEpoch(entry.registeredAt, endedAt),
      lastActiveAt: timeline.toEpoch(entry.lastActiveAt, endedAt),
      endedAt,
      value: this.valueOf(endings.tracker, entry.value, key),
      detail,
    };
    keepPastValue(event, entry.value);
    endings.conclude(event);
  }

  /** The value that `encode` had given, decoded if the policy can do that. */
  valueOf(tracker: Tracker, json: unknown, key: unknown): unknown {
    const decode = tracker.policy.persist?.decode;
    if (decode === undefined || json === undefined) return json;
    const { error, value } = decoded(decode, json, key);
    if (error !== undefined) this.#host.engine.failures.count(tracker.name, 'persist.decode');
    return value;
  }
}

/** By the owner's own method, so that a class of his keeps its indexes. Returns what it threw. */
function setThrough({ native }: Tracker, key: unknown, value: unknown): unknown {
  try {
    if (native.kind === 'map') (native.target as Map<unknown, unknown>).set(key, value);
    else (native.target as Set<unknown>).add(key);
    return undefined;
  } catch (error) {
    return error ?? new Error('set threw nothing');
  }
}
