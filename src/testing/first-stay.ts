import type { Tracker } from '../sweeping/tracker.js';
import { leavesAt } from './leaves-at.js';
import type { MapLedger } from './ledger.js';
import type { Subject } from './subject.js';
import { type Survivor, survivorsOf } from './survivors.js';

/** An entry that would leave by itself, later than it had time to. */
interface DatedEntry {
  readonly key: unknown;
  readonly generation: number;
}

/**
 * What is there of a map at the end of the first stretch of which something stayed: the first of its entries, explained
 * as of then, and those that time alone would remove.
 */
export class FirstStay {
  readonly #subject: Subject;
  readonly #map: MapLedger;
  readonly #survivors: readonly Survivor[];
  readonly dated: readonly DatedEntry[];
  /** How much time the last of the dated ones needs from the end of the runs, ms. */
  readonly needMs: number;

  /** @param drainedMs how much time was let pass since the end of the runs */
  constructor(subject: Subject, map: MapLedger, drainedMs: number) {
    this.#subject = subject;
    this.#map = map;
    this.#survivors = survivorsOf(subject, map.tracker, this.#isOfIt);
    const { stamps, native } = map.tracker;
    const now = subject.engine.timeline.now();
    const dated: DatedEntry[] = [];
    let last = now;
    // A policy function that is asked may change the map.
    for (const key of [...native.keys()].filter(this.#isOfIt)) {
      const slot = stamps.slotOf(key);
      const at = leavesAt(map.tracker, key, now);
      if (slot === undefined || at <= now || at === Number.POSITIVE_INFINITY) continue;
      if (isKeptAlive(map.tracker, at, now - drainedMs)) continue;
      dated.push({ key, generation: stamps.generation[slot] as number });
      last = Math.max(last, at);
    }
    this.dated = dated;
    this.needMs = last - now + drainedMs;
  }

  /** The first of the entries that came then and stayed for good. */
  get survivors(): readonly Survivor[] {
    const { native } = this.#map.tracker;
    if (this.#survivors.every(({ key }) => native.has(key) && this.#isOfIt(key))) return this.#survivors;
    const lasting = survivorsOf(this.#subject, this.#map.tracker, this.#isOfIt);
    if (lasting.length > 0) return lasting;
    // Of a queue that grows all of them may have left, and others have come.
    const later = survivorsOf(this.#subject, this.#map.tracker, (key) => this.#map.stretchOf(key) >= 0);
    return later.length > 0 ? later : this.#survivors;
  }

  /** Returns whether any of the dated ones is there still, or was swept meanwhile and not removed by its owner. */
  waitedForTime(wasSwept: (generation: number) => boolean): boolean {
    const { stamps } = this.#map.tracker;
    return this.dated.some(({ key, generation }) => {
      const slot = stamps.slotOf(key);
      return (slot !== undefined && stamps.holds(slot, generation)) || wasSwept(generation);
    });
  }

  #isOfIt = (key: unknown): boolean => this.#map.stretchOf(key) === this.#map.firstStretch;
}

/**
 * Returns whether an entry had the time that it needs, and somebody keeps it alive, so that more of it would not do.
 *
 * @param at when it leaves, as it has just been judged: with its leader's entry, if that is due before
 */
function isKeptAlive(tracker: Tracker, at: number, drainedFrom: number): boolean {
  const { leader } = tracker.companions;
  if (tracker.due.judge.deadline.at !== at && leader !== undefined)
    return isKeptAlive(leader, at, drainedFrom);
  const idleMs = idleLifetimeOf(tracker);
  return idleMs !== undefined && at - idleMs >= drainedFrom + idleMs;
}

/** The lifetime behind the deadline that was judged last, ms, if activity moves it; else `undefined`. */
function idleLifetimeOf({ due, policy }: Tracker): number | undefined {
  const { deadline, lifetimes } = due.judge;
  switch (deadline.by) {
    case 'maxIdle':
      return lifetimes.maxIdleMs;
    case 'orphanAfter':
      return policy.orphanAfterMs;
    case 'ttl':
      return lifetimes.since === 'lastActiveAt' ? lifetimes.ttlMs : undefined;
    default:
      return undefined;
  }
}
