import { AssertionError } from 'node:assert';
import { MapsweepError, MapsweepTypeError } from '../errors.js';
import { counted, shownText } from '../events/shown.js';
import type { Tracker } from '../sweeping/tracker.js';
import { openAbsentees } from './ended-runs.js';
import { assertCheckable } from './running-check.js';
import { notASubject, type Subject, subjectOf } from './subject.js';
import { survivorLines, survivorsOf } from './survivors.js';

/** What keeps a registry or a map from being drained. */
interface Remainder {
  /** The maps that should be empty and are not. */
  readonly trackers: readonly Tracker[];
  /** Endings that are queued, being delivered, or waiting for a retry; restored runs that have not come back. */
  readonly pending: number;
}

/**
 * What is left to drain. Of a registry: every map that has a lifetime or a leader, and notifications that are pending;
 * a map without either holds what its owner keeps, and does not count. Of a single map: whatever is in it, since
 * whoever names a map means that map.
 */
function remainderOf(subject: Subject): Remainder {
  const trackers = subject
    .trackers()
    .filter((tracker) => tracker.native.size() > 0 && (subject.registry === undefined || tracker.isManaged));
  return { trackers, pending: pendingOf(subject) };
}

/** Endings that somebody has yet to hear of: undelivered ones, and restored runs that may yet end as `lost`. */
export function pendingOf({ registry }: Subject): number {
  if (registry === undefined) return 0;
  return (registry.deliveries?.pendingCount ?? 0) + openAbsentees(registry).length;
}

/** Returns whether nothing is left to drain. */
export function isDrained(subject: Subject): boolean {
  const { trackers, pending } = remainderOf(subject);
  return trackers.length === 0 && pending === 0;
}

/** What is left to drain and why, for a person; a line for each map and each of its first keys. */
export function remainderLines(subject: Subject): string[] {
  const { trackers, pending } = remainderOf(subject);
  const lines = trackers.flatMap((tracker) => {
    const size = tracker.native.size();
    return [
      `  ${shownText(tracker.name)}: ${counted(size, 'entry', 'entries')}`,
      ...survivorLines(survivorsOf(subject, tracker), size),
      ...observedLines(tracker),
    ];
  });
  return pending === 0 ? lines : [...lines, `  ${counted(pending, 'notification')} pending`];
}

/** Says of a map that is only observed that nothing leaves it by itself. */
export function observedLines(tracker: Tracker): string[] {
  if (!tracker.observing) return [];
  return [`    '${tracker.name}' is only observed: nothing is removed from it, and time will not help`];
}

/**
 * Sees that a registry or map can be asked whether it is drained.
 *
 * @throws MapsweepError `ERR_CLOSED`, `ERR_NOT_AWAITED`, or `ERR_NOTHING_PROVED` if there is nothing that could drain
 */
export function assertDrainable(check: string, subject: Subject): void {
  assertCheckable(check, subject);
  const { registry } = subject;
  if (registry === undefined || registry.deliveries !== undefined) return;
  const trackers = subject.trackers();
  if (trackers.some(({ isManaged }) => isManaged)) return;
  const none = trackers.length === 0 ? 'has no maps (any more)' : 'has no map with a lifetime or a leader';
  throw new MapsweepError(
    'ERR_NOTHING_PROVED',
    `${check}: ${subject.called} ${none}, so that it would be drained whatever happens. Give the map itself`,
  );
}

/** Why a registry or a map is not drained, in full. */
export function undrainedMessage(subject: Subject): string {
  return [`expected ${subject.called} to be drained, but it holds:`, ...remainderLines(subject)].join('\n');
}

/** The error for a value that cannot be drained. */
export function notDrainable(check: string, value: unknown): MapsweepTypeError {
  return new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `${check} takes a registry, a TrackedMap, an adopted Map or Set, or its handle; ${notASubject(value)}`,
  );
}

/**
 * Asserts that a registry or a map is drained: every map that has a lifetime or a leader is empty, and no notification
 * is pending. A single map is drained when it is empty. Sweeps nothing.
 *
 * @throws AssertionError of `node:assert`, whose message names each map, its first keys, and why they are still there
 * @throws MapsweepTypeError if the value is neither a registry nor a map that something tracks
 * @throws MapsweepError `ERR_CLOSED` if the registry is closed, `ERR_NOTHING_PROVED` if it has no map that could
 *   drain, `ERR_NOT_AWAITED` if another check of it runs
 */
export function assertDrained(mapOrRegistry: unknown): void {
  const subject = subjectOf(mapOrRegistry);
  if (subject === undefined) throw notDrainable('assertDrained', mapOrRegistry);
  assertDrainable('assertDrained', subject);
  if (isDrained(subject)) return;
  throw new AssertionError({
    message: undrainedMessage(subject),
    operator: 'assertDrained',
    stackStartFn: assertDrained,
  });
}
