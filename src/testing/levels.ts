import { shownKey } from '../events/shown.js';
import type { Tracker } from '../sweeping/tracker.js';
import { type Course, courseOfLevel } from './course.js';
import { pendingOf } from './drained.js';
import type { Subject } from './subject.js';

/** A number beside the entries of the maps that grows where something leaks. */
export interface Level {
  /** For messages, such as `the number of tracked maps`. */
  readonly called: string;
  /** What to say of it where it grows. */
  readonly clause: string;
  /** What to do where it grows and is no leak. */
  readonly advice: string | undefined;
  readonly course: Course;
  /** What it was before the first stretch of runs, and after that. */
  readonly before: number;
  readonly after: number;
  /** It was seen to change: the scenario has to do with it. */
  readonly hasChanged: boolean;
  /** The stretch begins. */
  begin(runs: number): void;
  /** The stretch that has begun will not come to its end: what was seen of it does not count. */
  undoBegin(): void;
  /** A run of it is over. */
  sample(): void;
  /** The drain that follows is over. */
  end(): void;
}

/** The levels of a registry or a map: what the values weigh, and how many maps there are. */
export class Levels {
  readonly #subject: Subject;
  readonly #weights = new Map<Tracker, WeightLevel>();
  readonly #sizes: SizeLevel[] = [];
  /** How many notifications wait. */
  readonly pending: SizeLevel;

  constructor(subject: Subject) {
    this.#subject = subject;
    const { registry } = subject;
    this.pending = new SizeLevel('pending notifications', () => pendingOf(subject), {
      clause: 'notifications piled up',
    });
    this.#sizes.push(this.pending);
    if (registry === undefined) return;
    this.#sizes.push(new SizeLevel('the number of tracked maps', () => subject.trackers().length));
    this.#sizes.push(new SizeLevel('the number of watched sizes', () => registry.watched.all().length));
    for (const watched of registry.watched.all()) {
      const called = `the watched size ${shownKey(watched.name)}`;
      this.#sizes.push(new SizeLevel(called, () => watched.ask(), { max: watched.max, advice: ifItFills }));
    }
  }

  get all(): Level[] {
    return [...this.#weights.values(), ...this.#sizes];
  }

  /** A stretch of so many runs begins. */
  begin(runs: number): void {
    for (const tracker of this.#subject.trackers()) {
      if (tracker.policy.weigh === undefined || this.#weights.has(tracker)) continue;
      this.#weights.set(tracker, new WeightLevel(tracker));
    }
    for (const level of this.all) level.begin(runs);
  }

  undoBegin(): void {
    for (const level of this.all) level.undoBegin();
  }

  sample(): void {
    for (const level of this.all) level.sample();
  }

  end(): void {
    for (const level of this.all) level.end();
  }
}

const ifItFills =
  'If this is a cache that fills, set warmup to as many runs as fill it, or watch it with its max; a number that rises ' +
  'and falls by itself, such as that of the heap, tells nothing here.';

interface SizeOptions {
  readonly clause?: string;
  readonly advice?: string;
  /** Up to that it may grow. */
  readonly max?: number;
}

/** A size that is asked for: what counts is the lowest that it was in each stretch. */
class SizeLevel implements Level {
  readonly called: string;
  readonly clause: string;
  readonly advice: string | undefined;
  readonly #max: number;
  readonly #read: () => number;
  readonly #lows: number[] = [];
  #now: number;
  #after: number | undefined;
  hasChanged = false;

  constructor(
    called: string,
    read: () => number,
    { clause = `${called} grew`, advice, max = Number.POSITIVE_INFINITY }: SizeOptions = {},
  ) {
    this.called = called;
    this.clause = clause;
    this.advice = advice;
    this.#max = max;
    this.#read = read;
    this.#now = read();
  }

  get course(): Course {
    const course = courseOfLevel(this.#lows, this.#now);
    const isBounded = this.#max < Number.POSITIVE_INFINITY && this.#now <= this.#max;
    return isBounded && course !== 'back' ? 'bounded' : course;
  }

  get before(): number {
    return this.#lows[0] ?? this.#now;
  }

  get after(): number {
    return this.#after ?? this.#now;
  }

  begin(): void {
    this.#lows.push(this.#now);
  }

  undoBegin(): void {
    this.#lows.pop();
  }

  sample(): void {
    const size = this.#read();
    if (size !== this.#now) this.hasChanged = true;
    // Of the first stretch its beginning is enough: it only says whether there is anything to look at.
    if (this.#lows.length > 1) this.#lows.push(Math.min(this.#lows.pop() as number, size));
  }

  end(): void {
    const size = this.#read();
    if (size !== this.#now) this.hasChanged = true;
    this.#now = size;
    this.#after ??= this.#now;
  }
}

interface Weighed {
  /** The first stretch that began while it was there. */
  readonly since: number;
  readonly lows: number[];
  now: number;
}

/** So many calls of `weigh` at most are made in a stretch beside those at its ends. */
const mostWeighings = 20_000;

/**
 * What the values of a map weigh, of keys that stay. Each is compared with itself, so that entries that come and go
 * are none of its business; one that is registered anew under its key, as where a cache notes its use, is the same.
 */
class WeightLevel implements Level {
  readonly advice = undefined;
  readonly called: string;
  readonly clause: string;
  readonly #tracker: Tracker;
  readonly #entries = new Map<unknown, Weighed>();
  #stretch = -1;
  #runs = 0;
  #runsBetween = 1;
  #first: { before: number; after: number } | undefined;

  constructor(tracker: Tracker) {
    this.#tracker = tracker;
    this.called = `the weight of the values in '${tracker.name}'`;
    this.clause = `${this.called} grew`;
  }

  /** Of all of them together, or of one by itself where that is worse: others that shrink must not hide it. */
  get course(): Course {
    const cohorts = new Map<number, Weighed>();
    for (const { since, lows, now } of this.#entries.values()) {
      const cohort = cohorts.get(since) ?? { since, lows: lows.map(() => 0), now: 0 };
      cohorts.set(since, cohort);
      for (const [at, low] of lows.entries()) cohort.lows[at] = (cohort.lows[at] as number) + low;
      cohort.now += now;
    }
    let worst: Course = 'back';
    for (const { lows, now } of [...cohorts.values(), ...this.#entries.values()]) {
      const course = courseOfLevel(lows, now);
      if (course === 'grows') return course;
      if (course === 'doubtful' || worst === 'back') worst = course;
    }
    return worst;
  }

  get before(): number {
    return this.#first?.before ?? 0;
  }

  get after(): number {
    return this.#first?.after ?? 0;
  }

  get hasChanged(): boolean {
    return this.before !== this.after;
  }

  begin(runs: number): void {
    this.#stretch += 1;
    for (const key of this.#tracker.native.keys()) {
      const known = this.#entries.get(key);
      const now = known?.now ?? this.#weigh(key);
      if (now === undefined) continue;
      if (known !== undefined) known.lows.push(now);
      else this.#entries.set(key, { since: this.#stretch, lows: [now], now });
    }
    this.#runs = 0;
    this.#runsBetween = Math.max(1, Math.ceil((this.#entries.size * runs) / mostWeighings));
  }

  undoBegin(): void {
    for (const [key, { lows }] of this.#entries) {
      lows.pop();
      if (lows.length === 0) this.#entries.delete(key);
    }
  }

  sample(): void {
    this.#runs += 1;
    if (this.#stretch === 0 || this.#runs % this.#runsBetween !== 0) return;
    for (const [key, { lows }] of this.#entries) {
      const now = this.#tracker.native.has(key) ? this.#weigh(key) : 0;
      if (now !== undefined) lows.push(Math.min(lows.pop() as number, now));
    }
  }

  end(): void {
    for (const [key, weighed] of this.#entries) {
      const now = this.#tracker.native.has(key) ? this.#weigh(key) : undefined;
      if (now === undefined) this.#entries.delete(key);
      else weighed.now = now;
    }
    if (this.#first !== undefined) return;
    this.#first = { before: 0, after: 0 };
    for (const { lows, now } of this.#entries.values()) {
      this.#first.before += lows[0] as number;
      this.#first.after += now;
    }
  }

  #weigh(key: unknown): number | undefined {
    try {
      const weight: unknown = this.#tracker.policy.weigh?.(this.#tracker.native.get(key), key);
      return typeof weight === 'number' && weight >= 0 && weight < Infinity ? weight : undefined;
    } catch {
      // The weighing after each sweep reports it.
      return undefined;
    }
  }
}
