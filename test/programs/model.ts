/** A value of the programs. Each is another object, so that it says of which registration it is. */
export interface Value {
  readonly serial: number;
  endedAt: unknown;
  expiresAt: unknown;
  activeAt: unknown;
  kept: boolean;
  announced: boolean;
}

/** What a callback has last answered about an entry. */
export interface Answers {
  since?: unknown;
  expiresAt?: unknown;
  activeAt?: unknown;
  isGuarded?: boolean;
}

/** One registration: a key and its value, from the first `set` until it leaves. */
export interface Entry {
  readonly map: string;
  readonly key: unknown;
  value: unknown;
  readonly registeredAt: number;
  activeAt: number;
  /** When a companion was last active that is not foretold. */
  mayBeActiveAt: number;
  generation: number | undefined;
  disposals: number;
  told: number;
  hasEnded: boolean;
  /** Nobody is to be told of its end. */
  isSilent: boolean;
  /** What becomes of it is not foretold: it was written past the wrapper, or its map is tracked no more. */
  isLoose: boolean;
  /** It was set or used by a method of the owner's class, which may then remove it natively. */
  isOfMethod: boolean;
  /** Whether it is told of depends on what no model knows. */
  isUnclear: boolean;
  /** Its owner is being asked which run it is. */
  isBeingAsked: boolean;
  hasLeft: boolean;
  shownRegisteredAt: number | undefined;
  holds: number;
  readonly answers: Answers;
}

/** One map as a plain Map of records, and those that have left it. */
export class ModelMap {
  readonly name: string;
  readonly entries = new Map<unknown, Entry>();
  /** They have left, and `dispose` has not been told. */
  readonly undisposed = new Set<Entry>();
  /** Values that were overwritten, of which nobody has been told yet. */
  readonly replaced = new Set<unknown>();
  readonly mayBeReplaced = new Set<unknown>();
  readonly generations = new Map<unknown, number>();
  readonly all: Entry[] = [];
  readonly disposes: boolean;
  isTracked: boolean;
  /** What becomes of its entries is not foretold. */
  isLoose = false;

  constructor(name: string, disposes: boolean, isTracked: boolean) {
    this.name = name;
    this.disposes = disposes;
    this.isTracked = isTracked;
  }

  register(key: unknown, value: unknown, now: number): Entry {
    const kept = key === 0 ? 0 : key;
    const entry: Entry = {
      map: this.name,
      key: kept,
      value,
      registeredAt: now,
      activeAt: now,
      mayBeActiveAt: Number.NEGATIVE_INFINITY,
      generation: undefined,
      disposals: 0,
      told: 0,
      hasEnded: false,
      isSilent: false,
      isLoose: !this.isTracked,
      isOfMethod: false,
      isUnclear: false,
      isBeingAsked: false,
      hasLeft: false,
      shownRegisteredAt: undefined,
      holds: 0,
      answers: {},
    };
    this.entries.set(kept, entry);
    this.all.push(entry);
    return entry;
  }

  leave(entry: Entry): void {
    this.entries.delete(entry.key);
    if (this.disposes && !entry.isLoose && entry.disposals === 0) this.undisposed.add(entry);
  }
}
