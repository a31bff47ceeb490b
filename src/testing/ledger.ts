import type { Tracker } from '../sweeping/tracker.js';
import { type Course, courseOfEntries, type Look } from './course.js';
import type { Subject } from './subject.js';

/**
 * Which entries of one map came in which stretch of runs, and which of these are still there. By their generations: an
 * entry that came in a stretch has one above the last that was given out before.
 */
export class MapLedger {
  readonly tracker: Tracker;
  /** Entries before its first stretch. */
  readonly before: number;
  /** Entries at the end of its first stretch. */
  after: number;
  /** It appeared in the first stretch: what is in it may have been there long before. */
  readonly isLate: boolean;
  readonly looks: Look[] = [];
  // The last generation before each stretch. An entry that is written past the wrapper may have none for a while.
  readonly #marks: number[] = [];
  readonly #untracked = new Map<unknown, number>();
  // The last generation when the runs of the present stretch were over.
  #drainMark: number | undefined;
  #low: number;

  constructor(tracker: Tracker, isLate: boolean) {
    this.tracker = tracker;
    this.isLate = isLate;
    this.before = tracker.native.size();
    this.after = this.before;
    this.#low = this.before;
    this.#marks.push(tracker.stamps.lastGeneration);
    for (const key of this.#unstamped()) this.#untracked.set(key, -1);
  }

  get course(): Course {
    // Nobody knows yet which of the entries came with the map.
    if (this.looks.length === 0) return this.isLate && this.before > 0 ? 'doubtful' : 'back';
    const { isManaged, policy } = this.tracker;
    // Where a lifetime is to remove the entries, the cap only keeps a leak from being the end.
    return courseOfEntries(this.looks, isManaged ? Number.POSITIVE_INFINITY : policy.maxEntries);
  }

  /** The first stretch of which something had stayed at its end, from 0; below 0 if there is none. */
  get firstStretch(): number {
    return this.looks.findIndex(({ stayed }, stretch) => (stayed[stretch] as number) > 0);
  }

  /** How many entries of that stretch had stayed by its own end, and how many of these are there now. */
  get stayed(): { readonly atFirst: number; readonly now: number } {
    const { firstStretch } = this;
    const at = (look: Look | undefined): number => look?.stayed[firstStretch] ?? 0;
    return { atFirst: at(this.looks[firstStretch]), now: at(this.looks.at(-1)) };
  }

  /** Entries at the end of the last stretch. */
  get size(): number {
    return this.looks.at(-1)?.size ?? this.before;
  }

  /** The stretch in which an entry came, from 0; below 0 if it was there before. */
  stretchOf(key: unknown): number {
    const generation = this.#generationOf(key);
    if (generation === 0) return this.#untracked.get(key) ?? this.#marks.length - 1;
    return this.#stretchOfGeneration(generation);
  }

  /** Returns whether a registration, that may have left, came in a stretch. */
  hasCome(generation: number): boolean {
    return this.#stretchOfGeneration(generation) >= 0;
  }

  /** A run is over. */
  sample(): void {
    this.#low = Math.min(this.#low, this.tracker.native.size());
  }

  /** The runs of a stretch are over, and what comes now comes in its drain. */
  endRuns(): void {
    this.#drainMark = this.tracker.stamps.lastGeneration;
  }

  /** Counts what is there at the end of a stretch of so many runs, and begins the next. */
  endStretch(runs: number): void {
    const stretch = this.looks.length;
    let cameInRuns = 0;
    const stayed = Array<number>(stretch + 1).fill(0);
    for (const key of this.#unstamped()) if (!this.#untracked.has(key)) this.#untracked.set(key, stretch);
    for (const key of this.tracker.native.keys()) {
      const came = this.stretchOf(key);
      if (came < 0) continue;
      stayed[came] = (stayed[came] as number) + 1;
      if (came === stretch && this.#generationOf(key) <= (this.#drainMark ?? Infinity)) cameInRuns += 1;
    }
    const size = this.tracker.native.size();
    if (stretch === 0) this.after = size;
    this.looks.push({ runs, size, low: Math.min(this.#low, size), stayed, cameInRuns });
    this.#low = size;
    this.#marks.push(this.tracker.stamps.lastGeneration);
  }

  /** 0 if an entry has no stamps yet. */
  #generationOf(key: unknown): number {
    const { stamps } = this.tracker;
    const slot = stamps.slotOf(key);
    return slot === undefined ? 0 : (stamps.generation[slot] as number);
  }

  #stretchOfGeneration(generation: number): number {
    let stretch = this.#marks.length - 1;
    while (stretch >= 0 && generation <= (this.#marks[stretch] as number)) stretch -= 1;
    return stretch;
  }

  *#unstamped(): Generator<unknown> {
    const { native, stamps } = this.tracker;
    for (const key of native.keys()) if (stamps.slotOf(key) === undefined) yield key;
  }
}

/** The ledgers of all maps of a registry, as far as they were tracked throughout a stretch. */
export class Ledger {
  readonly #subject: Subject;
  readonly #open = new Map<Tracker, MapLedger>();
  /** Every map that is tracked still, in the order in which they were first seen. */
  readonly maps: MapLedger[] = [];
  /** Maps that were given back in a stretch with more entries in them than before it. Nobody can say which. */
  readonly released: Array<{ readonly name: string; readonly before: number; readonly after: number }> = [];

  #stretches = 0;

  constructor(subject: Subject) {
    this.#subject = subject;
    this.#takeUp(false);
  }

  of(tracker: Tracker): MapLedger | undefined {
    return this.#open.get(tracker);
  }

  /** A run is over. */
  sample(): void {
    for (const ledger of this.#open.values()) ledger.sample();
  }

  /** The runs of a stretch are over, and its drain begins. */
  endRuns(): void {
    for (const ledger of this.#open.values()) ledger.endRuns();
  }

  /** Ends a stretch of so many runs, and begins the next. */
  endStretch(runs: number): void {
    const present = new Set(this.#subject.trackers());
    for (const [tracker, ledger] of this.#open) {
      if (present.has(tracker)) ledger.endStretch(runs);
      else this.#closeLedger(tracker, ledger);
    }
    this.#stretches += 1;
    this.#takeUp(this.#stretches === 1);
  }

  #takeUp(isLate: boolean): void {
    for (const tracker of this.#subject.trackers()) {
      if (this.#open.has(tracker)) continue;
      const ledger = new MapLedger(tracker, isLate);
      this.#open.set(tracker, ledger);
      this.maps.push(ledger);
    }
  }

  #closeLedger(tracker: Tracker, ledger: MapLedger): void {
    this.#open.delete(tracker);
    const after = tracker.native.size();
    if (after > ledger.size) this.released.push({ name: tracker.name, before: ledger.size, after });
    this.maps.splice(this.maps.indexOf(ledger), 1);
  }
}
