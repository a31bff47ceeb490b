import { span } from '../diagnosis/explain.js';
import { type Endings, endingsOf } from '../endings/endings.js';
import type { Return, Tracker } from '../sweeping/tracker.js';
import { Absences } from './absences.js';
import { agesNow, type PastAges } from './age-records.js';
import { type AwaitedShare, pastEntries, whyStuck } from './awaited-words.js';
import type { RestartContext } from './context.js';
import { decoded } from './decode.js';
import type { Left, PastEntry, PastTombstone, Taking } from './left.js';
import { RestoreWindow } from './restore-window.js';

/** What the owner says about entries of earlier lives. */
export interface RestorationOptions {
  readonly restoreWindowMs: number;
  /** Whether the owner says which runs were announced before. */
  readonly asksSettled: boolean;
  /** Whether the end of an entry was announced before, by its value. */
  isSettled(value: unknown, key: unknown): boolean;
}

/**
 * The entries of earlier lives until they come back: until their key is set again.
 *
 * The first `set` of a key takes the stamps, the id and the claim of its entry. A run that has not come back when its
 * window closes ends as `lost`; any other entry is forgotten then.
 */
export class Restoration {
  /** What has not come back. */
  readonly absences: Absences;
  readonly #context: RestartContext;
  readonly #options: RestorationOptions;
  readonly #lastGenerations = new Map<string, number>();
  /** What was counted in maps that are not there yet. */
  readonly #ages = new Map<string, PastAges>();
  /** Maps that were filled before anybody knew of earlier generations. */
  readonly #unnumbered = new Set<string>();
  readonly #window: RestoreWindow;
  #settlesUntil = Number.NEGATIVE_INFINITY;
  /** The entry that is being set by what `decode` made of its value, and that value as JSON. */
  #filling: { readonly entry: PastEntry; readonly json: string } | undefined;

  constructor(context: RestartContext, options: RestorationOptions) {
    this.#context = context;
    this.#options = options;
    this.absences = new Absences(context, (map) => this.#allBack(map));
    this.#window = new RestoreWindow(context.engine, options.restoreWindowMs, this.absences);
    context.engine.isAwaited = (map, key) => {
      const entry = this.absences.of(map)?.at(key);
      return entry !== undefined && !this.#window.isOverFor(entry);
    };
  }

  /**
   * How long this life has waited, ms of running time; `undefined` if nothing is awaited. A life in which nothing can end
   * as lost leaves the next one the time that it found.
   */
  get windowMs(): number | undefined {
    return this.#context.mayConclude() ? this.#window.elapsedMs : undefined;
  }

  /** The names of the maps that have ever had an entry. */
  get mapNames(): Iterable<string> {
    return this.#lastGenerations.keys();
  }

  /** Takes over the entries that earlier lives left. To be called before the maps are filled, or after. */
  take(left: Left, taking: Taking): void {
    const { engine } = this.#context;
    const isKnown = taking.isRecorded ? () => false : this.#knownEntries();
    const waitedMs = Math.ceil(this.#window.runningMs);
    const seconds: PastEntry[] = [];
    for (const [map, { lastGeneration, ages, entries }] of left.maps) {
      const tracker = engine.trackers.get(map);
      const stamped = tracker?.stamps.lastGeneration ?? 0;
      // What was taken over before has generations of its own.
      const known = this.lastGenerationOf(map);
      const offset = known === 0 ? 0 : Math.max(known, stamped);
      if (known === 0 && stamped > 0) this.#unnumbered.add(map);
      this.#lastGenerations.set(map, offset + lastGeneration);
      if (ages !== undefined) this.#ages.set(map, agesNow(ages, taking));
      if (this.#context.hasOwnIds)
        for (const second of claimSeconds(entries.values(), left.tombstones)) seconds.push(second);
      for (const entry of entries.values()) {
        if (isKnown(map, entry)) continue;
        entry.take(taking, offset);
        entry.absentMs -= waitedMs;
        this.absences.add(map, entry);
      }
      entries.clear();
    }
    if (taking.isRecorded)
      for (const { generation } of seconds) this.#context.recorder()?.endings.settled(generation);
    this.#settlesUntil = taking.at + this.#options.restoreWindowMs;
    this.#window.open();
  }

  /** The highest generation that was ever given out in a map, as far as earlier lives say. */
  lastGenerationOf(map: string): number {
    return this.#lastGenerations.get(map) ?? 0;
  }

  /** A map is there: its generations go on where an earlier life left off. To be called before its entries are stamped. */
  number(tracker: Tracker): void {
    tracker.stamps.raiseGeneration(this.lastGenerationOf(tracker.name));
  }

  /** Has what is in a map compared with what is awaited there, and what is set in it from now on. */
  expect(tracker: Tracker): void {
    const { stamps, native } = tracker;
    this.number(tracker);
    this.#goOnCounting(tracker);
    if (this.#unnumbered.delete(tracker.name)) this.#renumber(tracker);
    if (!this.#isExpecting(tracker)) return;
    tracker.onReturn = (slot, key, value) => this.#comeBack(tracker, slot, key, value, true);
    for (const [key, slot] of [...stamps.entries()]) {
      // What has left, or was deleted past the wrapper, which nobody has noticed yet.
      if (stamps.slotOf(key) !== slot || !native.has(key)) continue;
      if (this.#comeBack(tracker, slot, key, native.get(key), false) === 'back') tracker.due.refile(slot);
    }
  }

  /** Sets the entries of a map whose policy can decode them. To be called when all maps are there. */
  fill(tracker: Tracker): void {
    const decode = tracker.policy.persist?.decode;
    const awaited = this.absences.of(tracker.name);
    if (decode === undefined || awaited === undefined) return;
    const { failures } = this.#context.engine;
    for (const entry of awaited) {
      const { key, value } = entry;
      if (value === undefined || awaited.at(key) !== entry || tracker.native.has(key)) continue;
      // Which `decode` may change in place, and a journal says whether it was another one.
      const json = JSON.stringify(value);
      const result = decoded(decode, value, key);
      this.#filling = { entry, json };
      const error = result.error ?? setThrough(tracker, key, result.value);
      this.#filling = undefined;
      if (error === undefined) continue;
      // As the journal has it, whatever became of it.
      entry.value = JSON.parse(json);
      awaited.undecoded.add(entry);
      awaited.decodeError = error;
      failures.reportOnce(tracker.name, 'persist.decode', key, error);
    }
  }

  /**
   * What is awaited in each map, until it is dropped: what cannot come back, and the rest. Costs a little for each map.
   *
   * @param shown how an error is shown
   */
  *shares(shown?: (error: unknown) => string): Generator<AwaitedShare> {
    const { engine, endedMap, mayConclude } = this.#context;
    for (const [map, awaited] of this.absences.byMap) {
      // What is left to a later life is nothing to hurry for.
      if (engine.isStopped || (map === endedMap() && !mayConclude())) continue;
      const what = `awaited, dropped in ${span(this.#window.leftMs(awaited))} unless set again`;
      const { size, undecoded, decodeError } = awaited;
      const isThere = engine.trackers.has(map);
      const stuck = isThere ? undecoded.size : size;
      const share = (count: number, stuckBy: AwaitedShare['stuckBy'], why: string) => ({
        map,
        count,
        stuckBy,
        words: pastEntries(map, count, what) + why,
      });
      if (stuck > 0) yield share(stuck, isThere ? 'decode' : 'map', whyStuck(decodeError, shown));
      if (stuck < size) yield share(size - stuck, undefined, '');
    }
  }

  /** Leaves the window open for good: what has not come back is for the next life to decide about. */
  stop(): void {
    this.#window.stop();
  }

  /** Returns the question whether an entry of a snapshot is known already: by an earlier take, or since its run has ended and left. */
  #knownEntries(): (map: string, entry: PastEntry) => boolean {
    const { engine, endings: current } = this.#context;
    const endings = current();
    let known: Set<string> | undefined;
    // The ids of what is awaited, or there: a million may be.
    const isKnown = (id: string): boolean => {
      if (known === undefined) {
        known = new Set();
        for (const [, entry] of this.absences.entries()) if (entry.id !== undefined) known.add(entry.id);
        for (const [, slot] of endings?.tracker.stamps.entries() ?? [])
          known.add((endings as Endings).ids.of(slot));
      }
      return known.has(id);
    };
    const hasEnded = (id: string, key: unknown): boolean =>
      endings !== undefined && (endings.tombstones.hasRun(id) || endings.tombstones.get(key)?.id === id);
    // What is there takes its stamps, though it has ended.
    if (this.#lastGenerations.size === 0)
      return (_map, { id, key }) => id !== undefined && hasEnded(id, key) && !isKnown(id);
    return (map, { id, key }) => {
      if (id !== undefined) return hasEnded(id, key) || isKnown(id);
      const isThere = engine.trackers.get(map)?.stamps.slotOf(key) !== undefined;
      return this.absences.of(map)?.at(key) !== undefined || (this.lastGenerationOf(map) > 0 && isThere);
    };
  }

  /** What earlier lives counted goes on: what may come back counts as there until it is lost. */
  #goOnCounting({ name, ages, sizes, shared }: Tracker): void {
    const kept = this.#ages.get(name);
    if (kept === undefined) return;
    this.#ages.delete(name);
    const awaited = [...(this.absences.of(name) ?? [])];
    const thereSince = awaited.map(({ registeredAt }) => registeredAt);
    if (ages.goOn(kept, shared.watched.ms, thereSince)) sizes.goOn(kept.sizes);
  }

  /** Whether entries of earlier lives may come back into a map. */
  #isExpecting(tracker: Tracker): boolean {
    if (this.absences.of(tracker.name) !== undefined) return true;
    return endingsOf(tracker) !== undefined && this.#isSettling();
  }

  /** Whether a run may be set again that had ended and left before. */
  #isSettling(): boolean {
    return this.#options.asksSettled && this.#context.engine.timeline.now() < this.#settlesUntil;
  }

  /**
   * Entries that were set before the restore are later registrations than any of an earlier life, while the counter
   * that numbered them knew nothing of those. Their ids stay.
   */
  #renumber(tracker: Tracker): void {
    const { stamps } = tracker;
    const lastGeneration = this.lastGenerationOf(tracker.name);
    const endings = endingsOf(tracker);
    for (const [, slot] of stamps.entries()) {
      const before = stamps.generation[slot] as number;
      if (before > lastGeneration) continue;
      endings?.ids.restore(slot, endings.ids.of(slot));
      stamps.renumber(slot);
      tracker.renumbered(slot, before);
      endings?.renumbered(slot);
      this.#context.recorder()?.renumbered(tracker, slot, before);
    }
  }

  /**
   * An entry is there: takes over what is awaited for it.
   *
   * @param isNew it is being registered; else it was found
   */
  #comeBack(tracker: Tracker, slot: number, key: unknown, value: unknown, isNew: boolean): Return {
    const ofEnded = endingsOf(tracker);
    const { stamps } = tracker;
    const generation = stamps.generation[slot] as number;
    let entry = this.absences.of(tracker.name)?.at(key);
    // Of what is filled in, the journal says which run it is: `encode` may have left out by what the owner would know it.
    if (entry === undefined || entry !== this.#filling?.entry || entry.id === undefined) {
      const id = ofEnded?.ids.ask(slot, key, value);
      // What the owner was asked may have removed the entry.
      if (!stamps.holds(slot, generation)) return 'gone';
      entry = this.absences.of(tracker.name)?.find(key, id);
    }
    // A run whose ends are not announced in this life stays as it is, for one in which they are.
    if (entry === undefined || (entry.id !== undefined && ofEnded === undefined)) {
      if (ofEnded !== undefined && this.#isSettling()) {
        // What is asked next may end it.
        if (isNew) ofEnded.registered(slot, key, value);
        this.#settle(ofEnded, slot, key, value);
      }
      if (!this.#isExpecting(tracker)) tracker.onReturn = undefined;
      return stamps.holds(slot, generation) ? 'new' : 'gone';
    }
    this.absences.remove(tracker.name, entry);
    this.#restamp(tracker, slot, entry);
    if (entry.id !== undefined) ofEnded?.ids.restore(slot, entry.id);
    ofEnded?.renumbered(slot);
    const json = entry === this.#filling?.entry ? this.#filling.json : undefined;
    const isClaimWritten = this.#context.recorder()?.cameBack(tracker, slot, generation, entry, json) ?? true;
    if (ofEnded === undefined) return 'back';
    if (entry.claimed) ofEnded.settleAgain(slot, key, isClaimWritten);
    else {
      ofEnded.isTheRun(slot);
      this.#settle(ofEnded, slot, key, value);
    }
    return stamps.holds(slot, entry.generation) ? 'back' : 'gone';
  }

  #restamp(tracker: Tracker, slot: number, entry: PastEntry): void {
    const { stamps } = tracker;
    const before = stamps.generation[slot] as number;
    stamps.renumber(slot, entry.generation);
    tracker.renumbered(slot, before);
    tracker.ages.cameBack(stamps.registeredAt(slot));
    const now = this.#context.engine.timeline.now();
    // It may have been active after that was written.
    const late = (at: number): number => Math.min(at + entry.lateMs, now);
    tracker.restamp(slot, entry.registeredAt, late(entry.lastActiveAt), late(entry.usedAt));
  }

  /** Marks a run as ended whose value says that its end was announced before. */
  #settle(endings: Endings, slot: number, key: unknown, value: unknown): void {
    const { stamps } = endings.tracker;
    const generation = stamps.generation[slot] as number;
    if (this.#options.isSettled(value, key) && stamps.holds(slot, generation))
      endings.settleSilently(slot, key);
  }

  #allBack(map: string): void {
    const tracker = this.#context.engine.trackers.get(map);
    if (tracker !== undefined && !this.#isExpecting(tracker)) tracker.onReturn = undefined;
  }
}

/**
 * A registration of a run that another one has is written as open, and then as ended. Where records end between the two,
 * the first of them is the run, unless that has ended since they were registered: claims the others, and yields them.
 */
function* claimSeconds(
  entries: Iterable<PastEntry>,
  ended: ReadonlyMap<string, PastTombstone>,
): Generator<PastEntry> {
  const runs = new Map<string, PastEntry>();
  for (const entry of entries) {
    if (entry.id === undefined || entry.claimed) continue;
    const end = ended.get(entry.id);
    if (end !== undefined && entry.registeredAt < end.at) {
      entry.claimed = true;
      yield entry;
      continue;
    }
    const known = runs.get(entry.id);
    const isFirst = known === undefined || entry.generation < known.generation;
    if (isFirst) runs.set(entry.id, entry);
    const second = isFirst ? known : entry;
    if (second === undefined) continue;
    second.claimed = true;
    yield second;
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
