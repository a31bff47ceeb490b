import { getHeapStatistics } from 'node:v8';
import type { LeakSuspectedEvent } from '../events/event-bus.js';
import type { SweepReport } from '../events/sweep-report.js';
import { type UsualStay, usualStay } from '../policy/policy.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { type CompiledLeakDetection, type LeakInstant, LeakJudge } from './leak-judge.js';
import { type LeakVerdict, okVerdict, worse } from './leak-verdict.js';
import { RecentSizes } from './recent-sizes.js';
import type { WatchedSize, WatchedSizes } from './watched-sizes.js';
import type { Weights } from './weights.js';

/** How many of the oldest keys a suspicion names. */
const oldestKeysTold = 5;

type Seen = Pick<LeakSuspectedEvent, 'size' | 'oldestKeys' | 'sites'>;

interface Judges {
  readonly entries: LeakJudge;
  /** Of a map that has a `weigh`. */
  readonly weight: LeakJudge | undefined;
  verdict: LeakVerdict;
  /** `undefined` as soon as the hours say enough. */
  recent: RecentSizes | undefined;
}

/** How many entries a map had. */
export interface SizesOverTime {
  /** When the first of them was taken, monotonic ms. */
  readonly sinceAt: number;
  /** The smallest of each step, oldest first. Steps are of the same length: an hour, or less in the first day. */
  readonly floors: readonly number[];
}

/** From so many hours on, sizes by the hour say enough. */
const enoughHours = 24;

/** Judges every map and every watched size after each pass, and tells when one leaks, and when it does no longer. */
export class LeakMonitor {
  readonly #engine: Engine;
  readonly #options: CompiledLeakDetection;
  readonly #weights: Weights;
  readonly #watched: WatchedSizes;
  readonly #sitesOf: (tracker: Tracker) => LeakSuspectedEvent['sites'];
  readonly #awaitedIn: (tracker: Tracker) => number;
  readonly #judges = new WeakMap<Tracker, Judges>();

  constructor(
    engine: Engine,
    options: CompiledLeakDetection,
    weights: Weights,
    watched: WatchedSizes,
    sitesOf: (tracker: Tracker) => LeakSuspectedEvent['sites'],
    awaitedIn: (tracker: Tracker) => number,
  ) {
    this.#engine = engine;
    this.#options = options;
    this.#weights = weights;
    this.#watched = watched;
    this.#sitesOf = sitesOf;
    this.#awaitedIn = awaitedIn;
    engine.afterPass.add((report) => this.#passFinished(report));
  }

  /** Returns the latest verdict about a map. */
  verdictOf(tracker: Tracker): LeakVerdict {
    return this.#judgesOf(tracker).verdict;
  }

  /** Returns how many entries a map had. */
  sizesOf(tracker: Tracker): SizesOverTime {
    const { entries, recent } = this.#judgesOf(tracker);
    const [first] = entries.sizes;
    if (recent !== undefined || first === undefined)
      return { sinceAt: tracker.ages.originAt, floors: recent?.floors ?? [] };
    return { sinceAt: first.startAt, floors: entries.sizes.map(({ floor }) => floor) };
  }

  /** What had this name is not watched any more: if it was suspected, that is over, and told. */
  ended(name: string, { state, by }: LeakVerdict, size: number): void {
    if (state !== 'leaking') return;
    const verdict = { ...okVerdict(by), reason: 'it is watched no more' };
    this.#tell(name, verdict, { size, oldestKeys: [], sites: [] });
  }

  #passFinished(report: SweepReport): void {
    if (report.skipped !== undefined) return;
    const at = this.#engine.timeline.now();
    for (const tracker of this.#engine.trackers.values()) {
      const judges = this.#judgesOf(tracker);
      const before = judges.verdict;
      judges.verdict = withKept(this.#judge(tracker, judges, at), tracker);
      if (judges.entries.sizes.length >= enoughHours) judges.recent = undefined;
      else judges.recent?.add(at, tracker.native.size());
      const isLeaking = judges.verdict.state === 'leaking';
      if (isLeaking !== (before.state === 'leaking')) {
        this.#tell(tracker.name, judges.verdict, {
          size: tracker.native.size(),
          oldestKeys: tracker.stamps.oldestKeys(oldestKeysTold),
          sites: this.#sitesOf(tracker),
        });
      }
    }
    for (const watched of this.#watched.all()) this.#judgeWatched(watched, at);
  }

  #judgeWatched(watched: WatchedSize, at: number): void {
    const before = watched.verdict;
    const bound = watched.max === Number.POSITIVE_INFINITY ? undefined : { max: watched.max, name: 'max' };
    const size = watched.ask();
    // Somebody who was asked or told may have ended it.
    if (!this.#watched.isWatching(watched)) return;
    const verdict = watched.judge.judge({ at, watchedMs: this.#engine.watched.ms, size, bound });
    if ((verdict.state === 'leaking') === (before.state === 'leaking')) return;
    this.#tell(watched.name, verdict, { size, oldestKeys: [], sites: [] });
  }

  #judge(tracker: Tracker, { entries, weight }: Judges, at: number): LeakVerdict {
    // What an earlier life left, and is not back yet, has not left the map.
    const count = tracker.native.size();
    const size = count + this.#awaitedIn(tracker);
    const bytes = this.#weights.estimatedBytes(tracker) ?? 0;
    const now = { at, watchedMs: this.#engine.watched.ms, stay: stayOf(tracker) };
    const bound = boundOf(tracker);
    const ofEntries = entries.judge({
      ...now,
      size,
      bound,
      // What an entry weighs is known where there is a `weigh`.
      heapRoom: () => (bytes > 0 ? (heapRoom() * count) / bytes : undefined),
    });
    if (weight === undefined) return ofEntries;
    // More entries weigh more, and where their number is bounded so is that: there the question is what as many as may be weigh.
    const weighed = bound === undefined ? bytes : count && (bytes / count) * bound.max;
    const ofWeight = weight.judge({ ...now, size: weighed, heapRoom });
    return ofEntries.state === 'filling' ? ofEntries : worse(ofEntries, ofWeight);
  }

  #tell(map: string, { state, reason, perHour, since }: LeakVerdict, seen: Seen): void {
    this.#engine.bus.emit('leak-suspected', {
      map,
      suspected: state === 'leaking',
      reason,
      perHour,
      since: since === undefined ? undefined : this.#engine.timeline.toEpoch(since),
      ...seen,
    });
  }

  #judgesOf(tracker: Tracker): Judges {
    let judges = this.#judges.get(tracker);
    if (judges === undefined) {
      const { ages, sizes, policy } = tracker;
      const subject = { ...this.#options, originAt: ages.originAt };
      const entries = new LeakJudge({ ...subject, ages, sizes });
      const weight = policy.weigh && new LeakJudge({ ...subject, by: 'weight' });
      const recent = new RecentSizes(ages.originAt, this.#engine.sweepEveryMs);
      judges = { entries, weight, verdict: entries.verdict, recent };
      this.#judges.set(tracker, judges);
    }
    return judges;
  }
}

/** Says beside the reason of a verdict what keeps entries, as far as that is known. */
function withKept(verdict: LeakVerdict, { native, due, holds }: Tracker): LeakVerdict {
  if (verdict.state === 'ok') return verdict;
  const kept = (keep: string, count = 0): string => (count ? `; ${keep} ${count} of ${native.size()}` : '');
  const by = kept('keepWhile keeps', due.guardedCount) + kept('holds keep', holds?.size);
  return { ...verdict, reason: verdict.reason + by };
}

const heapRoom = (): number => {
  const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
  return limit - used;
};

function boundOf({ policy: { maxEntries, expectedMax } }: Tracker): LeakInstant['bound'] {
  if (Math.min(maxEntries, expectedMax) === Number.POSITIVE_INFINITY) return undefined;
  return expectedMax < maxEntries
    ? { max: expectedMax, name: 'expectedMax' }
    : { max: maxEntries, name: 'maxEntries' };
}

/** For how long an entry stays: until its `expiresAt`, where that is what says so, and a companion with its leader. */
function stayOf({ policy, due, companions: { leader } }: Tracker): UsualStay {
  const own = usualStay(policy);
  const ofLeader = leader === undefined ? undefined : stayOf(leader);
  return {
    ttlMs: Math.max(own.ttlMs, due.judge.longestAheadMs, ofLeader?.ttlMs ?? 0),
    longestMs: Math.max(own.longestMs, due.judge.longestAheadMs, ofLeader?.longestMs ?? 0),
  };
}
