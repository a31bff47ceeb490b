import { span } from '../diagnosis/explain.js';
import type { LeakVerdict } from '../diagnosis/leak-verdict.js';
import type { Deliveries, DeliveryOutcomes } from '../endings/deliveries.js';
import { shownError } from '../events/shown.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { RegistryInternals } from './internals.js';

/*
 * What a report and the page both say of a registry: a glance at each map and recipient, and a look at no entry.
 */

/** What is known of a map at a glance. */
export interface MapFigures {
  /** The name of the map. */
  readonly name: string;
  /** How many entries it has. */
  readonly size: number;
  /** The map it follows. */
  readonly follows: string | undefined;
  /** Whether anything is removed here. */
  readonly mode: 'sweep' | 'observe';
  /** Age of the entry that has been there longest, ms; `undefined` for an empty map. */
  readonly oldestAgeMs: number | undefined;
  /** How many entries there are beyond `maxEntries`: guarded and held ones, or such as are on their way out. */
  readonly excess: number;
  /** How many entries owners have beyond `maxPerOwner`, all owners together: such as these. */
  readonly excessOfOwners: number;
  /** Due and still there. */
  readonly overdue: number;
  /** Of those, the ones that `keepWhile` holds. */
  readonly guarded: number;
  /** Somebody uses them, who has taken a hold; due or not. */
  readonly held: number;
  /** Companions whose leader is tracked and has no such key. */
  readonly orphaned: number;
  /** Due, or to be evicted by a cap, and `beforeSweep` runs, is queued, or has failed and waits. */
  readonly waiting: number;
  /** Whether it leaks, as of the last sweep; its `since` is epoch ms. */
  readonly leak: LeakVerdict;
  /** Its class keeps entries where they cannot be seen. */
  readonly isKeptElsewhere: boolean;
  /** What a sample of its entries weighs, times their number; 0 before the first sweep, `undefined` without `weigh`. */
  readonly estimatedBytes: number | undefined;
}

/** Returns what is known of a map at a glance. */
export function mapFigures({ engine, leaks, weights }: RegistryInternals, tracker: Tracker): MapFigures {
  const { name, policy, due } = tracker;
  const { timeline, hooks } = engine;
  const oldestRegisteredAt = tracker.stamps.oldestRegisteredAt();
  const size = tracker.native.size();
  return {
    name,
    size,
    follows: policy.follows,
    mode: tracker.observing ? 'observe' : 'sweep',
    oldestAgeMs: oldestRegisteredAt === undefined ? undefined : timeline.now() - oldestRegisteredAt,
    excess: Math.max(0, size - policy.maxEntries),
    excessOfOwners: tracker.owners?.excess ?? 0,
    overdue: due.overdueCount,
    guarded: due.guardedCount,
    held: tracker.holds?.size ?? 0,
    orphaned: tracker.companions.orphanCount,
    waiting: hooks.countOf(tracker),
    leak: shownVerdict(engine, leaks.verdictOf(tracker)),
    isKeptElsewhere: tracker.isKeptElsewhere,
    estimatedBytes: weights.estimatedBytes(tracker),
  };
}

/** A size that is no Map's, as of the last sweep. */
export interface WatchedFigures {
  /** The name under which it is watched. */
  readonly name: string;
  /** What it was at the last sweep. */
  readonly size: number;
  /** To what its owner bounds it; `undefined`: to nothing. */
  readonly max: number | undefined;
  /** Whether it leaks; its `since` is epoch ms. */
  readonly leak: LeakVerdict;
}

/** Returns what is known of each watched size. */
export const watchedFigures = ({ engine, watched }: RegistryInternals): WatchedFigures[] =>
  watched.all().map(({ name, size, max, verdict }) => ({
    name,
    size,
    max: max === Number.POSITIVE_INFINITY ? undefined : max,
    leak: shownVerdict(engine, verdict),
  }));

const shownVerdict = ({ timeline }: Engine, leak: LeakVerdict): LeakVerdict => ({
  ...leak,
  since: leak.since === undefined ? undefined : timeline.toEpoch(leak.since),
});

/** How one recipient of the endings is doing. */
export interface RecipientReport {
  /** `default`, or the name that `ended.deliver` has for it. */
  readonly name: string;
  /** Endings that are queued, being delivered or waiting for a retry. */
  readonly pending: number;
  /** Endings that it has been told of. */
  readonly delivered: number;
  /** Attempts that failed, those that were tried again included. */
  readonly failedAttempts: number;
  /** Endings that are not tried again by themselves. */
  readonly deadLetters: number;
  /** Dead letters that were forgotten, because there were too many or their time was over. */
  readonly deadLettersDropped: number;
  /** What the last attempt for the ending failed with that has been pending longest, as it is shown; `undefined` if none has. */
  readonly error: string | undefined;
}

/** How often a callback of the owner's has thrown. */
export interface CallbackErrors {
  /** The map whose callback it is; empty if it belongs to no map. */
  readonly map: string;
  /** The option or function. */
  readonly callback: string;
  /** How often, since the registry was made. */
  readonly count: number;
}

/**
 * Returns how each recipient is doing.
 *
 * @param shown how an error is shown
 */
export const recipientReports = (
  deliveries: Deliveries | undefined,
  shown: (error: unknown) => string = shownError,
): RecipientReport[] =>
  (deliveries?.recipients ?? []).map(({ name, notifier, outcomes }) => {
    const error = notifier.oldestPending?.error;
    return {
      name,
      ...deliveryCounts(outcomes, notifier),
      error: error === undefined ? undefined : shown(error),
    };
  });

/** Says what has come of the deliveries, and with what the oldest that is pending failed last. */
export function deliveryWords(
  of: Omit<RecipientReport, 'name' | 'error'> & Partial<RecipientReport>,
): string {
  const error = of.error === undefined ? '' : ` (last error: ${of.error})`;
  const dropped = of.deadLettersDropped === 0 ? '' : `, ${of.deadLettersDropped} dropped`;
  return `${of.delivered} delivered, ${of.pending} pending${error}, ${of.failedAttempts} attempts failed, ${of.deadLetters} dead letters${dropped}`;
}

/** Returns what has come of the deliveries, of one recipient or of all. */
export function deliveryCounts(
  outcomes: DeliveryOutcomes | undefined,
  owed: { readonly pendingCount: number; readonly deadLetterCount: number } | undefined,
): Omit<RecipientReport, 'name' | 'error'> {
  return {
    pending: owed?.pendingCount ?? 0,
    delivered: outcomes?.delivered ?? 0,
    failedAttempts: outcomes?.failed ?? 0,
    deadLetters: owed?.deadLetterCount ?? 0,
    deadLettersDropped: outcomes?.dropped ?? 0,
  };
}

/** Returns what callbacks of the owner threw, by map and callback. */
export const callbackErrorsOf = ({ failures }: Engine): CallbackErrors[] =>
  [...failures.entries()].map(([map, callback, count]) => ({ map, callback, count }));

/** Writes a number of bytes. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = count < 1_000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1_000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/**
 * Says whether a map leaks and how fast it grows, or what else is to be known of it before all: of one that is observed, what its
 * caps would evict.
 */
export function verdictInWords(
  of: Pick<MapFigures, 'leak' | 'mode' | 'excess' | 'excessOfOwners' | 'isKeptElsewhere'>,
): string {
  if (of.leak.state !== 'ok') return leakInWords(of.leak);
  if (of.isKeptElsewhere) return 'keeps entries where they cannot be seen';
  const words = [
    of.mode === 'observe' ? 'observed' : '',
    of.excess > 0 ? `${of.excess} beyond maxEntries` : '',
    of.excessOfOwners > 0 ? `${of.excessOfOwners} beyond maxPerOwner` : '',
  ];
  return words.filter((word) => word !== '').join(', ') || 'ok';
}

/** Says whether something leaks, how fast it grows, and when it is full. */
export function leakInWords({ state, by, perHour, hoursToLimit }: LeakVerdict): string {
  if (state === 'ok') return 'ok';
  const rate = by === 'weight' ? bytes(perHour) : perHour.toFixed(1);
  const limit = hoursToLimit === undefined ? '' : `, full in ${span(hoursToLimit * 3_600_000)}`;
  return `${state}, +${rate} an hour${limit}`;
}
