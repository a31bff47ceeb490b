import type { LeftEntry, Legacy } from './legacy.js';
import type { MapName } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

interface AwaitedMap {
  /** The latest of each key. */
  readonly byKey: Map<string, LeftEntry>;
  /** Runs whose key a later one had taken: only their own name could bring them back. */
  readonly others: Set<LeftEntry>;
}

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
  #suspendedMs = 0;
  #uncountedMs = 0;
  #stoppedAt: { readonly most: number } | undefined;
  /** Runs that are still open stay so: this process only observes, or has nobody to tell. */
  isLeftOpen = false;

  constructor(time: SimulatedTime, windowMs: number, intervalMs: number) {
    this.#time = time;
    this.#windowMs = windowMs;
    this.#intervalMs = intervalMs;
  }

  take({ entries }: Legacy, hasOwnIds: boolean): void {
    for (const [map, left] of entries) {
      const awaited: AwaitedMap = { byKey: new Map(), others: new Set() };
      for (const entry of left) {
        if (hasOwnIds && entry.id !== undefined && this.#byId.get(entry.id)?.claimed !== false)
          this.#byId.set(entry.id, entry);
        if (entry.hasLeft) {
          awaited.others.add(entry);
          continue;
        }
        const before = awaited.byKey.get(entry.key);
        const [later, earlier] =
          before === undefined || entry.generation > before.generation ? [entry, before] : [before, entry];
        awaited.byKey.set(entry.key, later);
        if (earlier?.id !== undefined && !earlier.claimed) awaited.others.add(earlier);
      }
      this.#maps.set(map, awaited);
    }
    this.#openedAt = this.#time.now;
    this.#spentBefore = this.#time.spent;
  }

  /** What is awaited under a key. */
  at(map: MapName, key: string): LeftEntry | undefined {
    return this.#maps.get(map)?.byKey.get(key);
  }

  /** What a registration is, if it has come back: by the owner's name for the run if there is one, else by its key. */
  find(map: MapName, key: string, ownId: string | undefined): LeftEntry | undefined {
    const ofKey = this.at(map, key);
    if (ownId === undefined || ofKey?.id === ownId) return ofKey;
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

  /** The run of an id, if it is awaited. */
  run(id: string): LeftEntry | undefined {
    for (const entry of this.of('runs')) if (entry.id === id) return entry;
    return undefined;
  }

  // --- the window ---------------------------------------------------------------------------------------------------

  /** The process was stopped for so long. */
  suspended(ms: number): void {
    this.#suspendedMs += ms;
    this.#uncountedMs += Math.max(0, ms - this.#intervalMs);
  }

  /** From here on nothing is counted. */
  stop(): void {
    this.#stoppedAt ??= { most: this.mostMs };
  }

  /** How much the library may have counted in this process. */
  get mostMs(): number {
    if (this.#stoppedAt !== undefined) return this.#stoppedAt.most;
    return Math.max(0, this.#time.now - this.#openedAt - this.#uncountedMs);
  }

  /** How much it must have. */
  get leastMs(): number {
    if (this.#stoppedAt !== undefined) return 0;
    const spentMs = this.#time.spent - this.#spentBefore;
    return Math.max(0, this.#time.now - this.#openedAt - this.#suspendedMs - spentMs);
  }

  /** Whether the library may have given an entry up by now. */
  mayBeClosed(entry: LeftEntry): boolean {
    return this.#ends(entry) && this.mostMs >= this.#windowMs - entry.absentMs;
  }

  /** Whether it must have. */
  mustBeClosed(entry: LeftEntry): boolean {
    return this.#ends(entry) && this.leastMs > this.#windowMs - entry.absentMs + 2;
  }

  /** Whether somebody is perhaps being given up at this moment: who comes back now comes back or is new. */
  get isClosing(): boolean {
    if (this.#stoppedAt !== undefined) return false;
    for (const entry of this.all()) if (this.mayBeClosed(entry)) return true;
    return false;
  }

  #ends(entry: LeftEntry): boolean {
    return !(this.isLeftOpen && entry.map === 'runs' && !entry.claimed);
  }
}
