import type { PastTombstone } from '../../src/restart/left.js';
import type { Facts } from './facts.js';
import type { LeftEntry, Legacy } from './legacy.js';
import type { MapName } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

interface AwaitedMap {
  /** The latest of each key. */
  readonly byKey: Map<string, LeftEntry>;
  /** Runs whose key a later one had taken: only their own name could bring them back. */
  readonly others: Set<LeftEntry>;
}

/** That of a life and a generation. */
const madeUpId = /^[\da-f-]{36}:\d+$/;

/**
 * What earlier processes left and what has not come back, and for how long it is awaited: `windowMs` of running time
 * over all lives. The library counts that at its ticks, so the model knows bounds: `most`, and `least`.
 */
export class Awaited {
  readonly #maps = new Map<MapName, AwaitedMap>();
  readonly #byId = new Map<string, LeftEntry>();
  /** What has come back or was given up since the journal was last known to have everything. */
  readonly gone = new Set<LeftEntry>();
  readonly #time: SimulatedTime;
  readonly #windowMs: number;
  readonly #intervalMs: number;
  #openedAt = Number.POSITIVE_INFINITY;
  #spentBefore = 0;
  /** The owner has said of some of them which run they are. */
  #hasOwnId = false;
  #suspendedMs = 0;
  #uncountedMs = 0;
  #stopped: { readonly mostMs: number; readonly leastMs: number } | undefined;
  /** Until when the owner is asked whether what comes back was announced before. */
  settlesUntil = Number.NEGATIVE_INFINITY;
  /** Runs that are still open stay so: this process only observes, or has nobody to tell. */
  isLeftOpen = false;

  constructor(time: SimulatedTime, windowMs: number, intervalMs: number) {
    this.#time = time;
    this.#windowMs = windowMs;
    this.#intervalMs = intervalMs;
  }

  take({ entries, endedIds }: Legacy, hasOwnIds: boolean, facts: Facts): void {
    if (hasOwnIds) claimSeconds(entries.get('runs') ?? [], endedIds, facts);
    this.#hasOwnId = (entries.get('runs') ?? []).some(({ id }) => id !== undefined && !madeUpId.test(id));
    for (const [map, left] of entries) {
      const awaited: AwaitedMap = { byKey: new Map(), others: new Set() };
      for (const entry of left) {
        if (hasOwnIds && entry.id !== undefined && this.#byId.get(entry.id)?.claimed !== false)
          this.#byId.set(entry.id, entry);
        const before = awaited.byKey.get(entry.key);
        const [later, earlier] =
          before === undefined || entry.generation > before.generation ? [entry, before] : [before, entry];
        awaited.byKey.set(entry.key, later);
        if (earlier === undefined) continue;
        if (earlier.id !== undefined && !earlier.claimed) awaited.others.add(earlier);
        else {
          // It is given up, which the next process may not hear of.
          this.gone.add(earlier);
          if (earlier.id !== undefined && this.#byId.get(earlier.id) === earlier)
            this.#byId.delete(earlier.id);
        }
      }
      this.#maps.set(map, awaited);
    }
    this.#openedAt = this.#time.now;
    this.settlesUntil = this.#time.now + this.#windowMs;
    this.#spentBefore = this.#time.spent;
  }

  /** What is awaited under a key. */
  at(map: MapName, key: string): LeftEntry | undefined {
    return this.#maps.get(map)?.byKey.get(key);
  }

  /** What a registration is, if it has come back: by the owner's name for the run if there is one, else by its key. */
  find(map: MapName, key: string, ownId: string | undefined): LeftEntry | undefined {
    const ofKey = this.at(map, key);
    if (ownId === undefined || ofKey?.id === ownId || !this.#hasOwnId) return ofKey;
    const entry = this.#byId.get(ownId);
    return entry?.map === map ? entry : undefined;
  }

  /** It has come back, or was given up. */
  remove(entry: LeftEntry): void {
    this.gone.add(entry);
    const awaited = this.#maps.get(entry.map);
    if (awaited !== undefined && !awaited.others.delete(entry)) awaited.byKey.delete(entry.key);
    if (entry.id !== undefined && this.#byId.get(entry.id) === entry) this.#byId.delete(entry.id);
  }

  *of(map: MapName): Generator<LeftEntry> {
    const awaited = this.#maps.get(map);
    if (awaited === undefined) return;
    yield* awaited.byKey.values();
    yield* awaited.others;
  }

  *all(): Generator<LeftEntry> {
    for (const map of this.#maps.keys()) yield* this.of(map);
  }

  /** The run of an id, if it is awaited: of several entries the open one. */
  run(id: string): LeftEntry | undefined {
    const known = [...this.of('runs')].filter((entry) => entry.id === id);
    return known.find(({ claimed }) => !claimed) ?? known[0];
  }

  // --- the window ---------------------------------------------------------------------------------------------------

  /** The process was stopped for so long. */
  suspended(ms: number): void {
    this.#suspendedMs += ms;
    this.#uncountedMs += Math.max(0, ms - this.#intervalMs);
  }

  /** From here on nothing is counted, and nothing is given up. */
  stop(): void {
    const { mostMs, leastMs } = this;
    this.#stopped ??= { mostMs, leastMs };
  }

  /** How much the library may have counted in this process. */
  get mostMs(): number {
    if (this.#stopped !== undefined) return this.#stopped.mostMs;
    return Math.max(0, this.#time.now - this.#openedAt - this.#uncountedMs);
  }

  /** How much it must have. */
  get leastMs(): number {
    if (this.#stopped !== undefined) return this.#stopped.leastMs;
    const spentMs = this.#time.spent - this.#spentBefore;
    return Math.max(0, this.#time.now - this.#openedAt - this.#suspendedMs - spentMs);
  }

  /** Whether the library may have given an entry up by now. */
  mayBeClosed(entry: LeftEntry): boolean {
    return !this.#stays(entry) && this.#isOver(entry, this.mostMs);
  }

  /** Whether the window of an entry may be over by now: one that stays is left to a later process. */
  mayBeOver(entry: LeftEntry): boolean {
    return this.#isOver(entry, this.mostMs);
  }

  /** Whether it must have. */
  mustBeClosed(entry: LeftEntry): boolean {
    if (this.#stopped !== undefined) return false;
    return !this.#stays(entry) && this.#isOver(entry, this.leastMs - 3);
  }

  /** Whether somebody is perhaps being given up at this moment: who comes back now comes back or is new. */
  get isClosing(): boolean {
    if (this.#stopped !== undefined) return false;
    for (const entry of this.all()) {
      if (this.mayBeClosed(entry)) return true;
      if (this.#stays(entry) && this.#isOver(entry, this.mostMs) && !this.#isOver(entry, this.leastMs - 2))
        return true;
    }
    return false;
  }

  /** The end of a run is claimed before it has come back. One that was left open is awaited for good. */
  claim(entry: LeftEntry, fact: number): void {
    entry.isLeftOpen = this.#stays(entry) && this.#isOver(entry, this.mostMs);
    entry.claimed = true;
    entry.claimedBy = fact;
  }

  #stays({ map, claimed, isLeftOpen }: LeftEntry): boolean {
    return this.isLeftOpen && map === 'runs' && (!claimed || isLeftOpen === true);
  }

  #isOver({ absentMs }: LeftEntry, countedMs: number): boolean {
    return countedMs >= this.#windowMs - absentMs;
  }
}

/**
 * Of several registrations of one name the first is the run, unless that has ended since, also where a crash came before the
 * others were known as such.
 */
function claimSeconds(runs: readonly LeftEntry[], endedIds: readonly PastTombstone[], facts: Facts): void {
  const open = new Set<string | undefined>();
  for (const entry of runs.toSorted((one, other) => one.generation - other.generation)) {
    if (entry.claimed) continue;
    const hasEnded = endedIds.some(({ id, at }) => id === entry.id && entry.registeredAt < at);
    if (open.has(entry.id) || hasEnded) Object.assign(entry, { claimed: true, claimedBy: facts.next() });
    if (!entry.claimed) open.add(entry.id);
  }
}
