import { span } from '../diagnosis/explain.js';
import { shownError, shownKey } from '../events/shown.js';
import type { RegistryInternals } from './internals.js';

/** How a registry is doing. */
export interface Health {
  /**
   * - `ok`: nothing to do
   * - `warning`: somebody should look: a map or a size leaks, a map cannot be tracked, a policy function or a `beforeSweep` keeps
   *   failing, endings wait for too long or have died, or sweeping was stopped by hand
   * - `failing`: it does not do its work: the sweeper stands still, or the journal takes nothing
   */
  readonly status: 'ok' | 'warning' | 'failing';
  /** One sentence for each thing that is wrong, the worst first. Names are escaped and cut. */
  readonly reasons: readonly string[];
}

/** So many intervals without a tick, and the sweeper stands still. */
const mostMissedTicks = 3;
/** A pass that has not come to its next slice for so long never will: between two slices lie but turns of the event loop. */
const longestRestMs = 600_000;
/** An entry for which a policy function has failed is looked at by every sweep: it was in one of the last two. */
const lookedAtWithin = 2;
/** A journal that has taken nothing for so long, though there was something, does not work. */
const longestSilenceMs = 30_000;
/** What is tried again for so long is not mended by itself. The alert `MapsweepEndingsWait` takes as long. */
const longestRetryMs = 900_000;

/**
 * Says how a registry is doing. Costs a little for each map. A leak never makes it fail: a restart would not mend it.
 *
 * @param shown how the failure of the journal is shown
 */
export function healthOf(parts: RegistryInternals, shown: (error: unknown) => string = shownError): Health {
  const failing = [...sweeperFailures(parts), ...journalFailures(parts, shown)];
  const warnings = warningsOf(parts, shown);
  const status = failing.length > 0 ? 'failing' : warnings.length > 0 ? 'warning' : 'ok';
  return { status, reasons: [...failing, ...warnings] };
}

/** Returns whether the sweeper stands still, though nobody has stopped it: what a restart of the process would mend. */
export const isSweeperSilent = (parts: RegistryInternals): boolean => [...sweeperFailures(parts)].length > 0;

function* sweeperFailures({ engine }: RegistryInternals): Generator<string> {
  if (engine.isStopped) return;
  const now = engine.timeline.now();
  const silentMs = now - engine.sweeper.lastTickAt;
  if (silentMs > mostMissedTicks * engine.sweepEveryMs)
    yield `the sweeper has not ticked for ${span(silentMs)}: the event loop is blocked, or a timer was lost`;
  const restingMs = now - Math.min(engine.sweeper.gotOnAt ?? now, engine.capacity.gotOnAt ?? now);
  if (restingMs > longestRestMs)
    yield `a sweep or an eviction has not got on for ${span(restingMs)}: the event loop is blocked, or yield() of the clock hangs`;
}

function* journalFailures(
  { engine, restart }: RegistryInternals,
  shown: (error: unknown) => string,
): Generator<string> {
  const { recorder } = restart;
  if (recorder === undefined) return;
  const { isLost, waitingSince, error } = recorder.writer.state;
  const why = error === undefined ? '' : `: ${shown(error)}`;
  if (isLost) {
    yield `the journal ${shownKey(recorder.journalName)} is no longer this process's, which writes and delivers nothing more${why}`;
    return;
  }
  const waitedMs = waitingSince === undefined ? 0 : engine.timeline.now() - waitingSince;
  const hasOverdue = recorder.gate.hasOverdue;
  if (waitedMs <= longestSilenceMs && !hasOverdue) return;
  const what = hasOverdue ? ', and endings are delivered before it has their claims' : '';
  yield `the journal ${shownKey(recorder.journalName)} has taken nothing for ${span(waitedMs)}${what}${why}`;
}

function warningsOf(
  { engine, leaks, watched, deliveries, isClosed }: RegistryInternals,
  shown: (error: unknown) => string,
): string[] {
  const warnings: string[] = [];
  for (const tracker of engine.trackers.values()) {
    const { state, reason } = leaks.verdictOf(tracker);
    if (state === 'leaking') warnings.push(`the map ${shownKey(tracker.name)} leaks: ${reason}`);
    if (tracker.isKeptElsewhere)
      warnings.push(
        `the map ${shownKey(tracker.name)} keeps entries where they cannot be seen: they are not tracked`,
      );
  }
  for (const { name, due, grid, companions } of engine.trackers.values()) {
    const unled = companions.keys?.failure;
    if (unled !== undefined) {
      const { count, error } = unled;
      const entries = count === 1 ? '1 entry, which follows' : `${count} entries, which follow`;
      warnings.push(
        `follows.key of the map ${shownKey(name)} has failed for ${entries} no leader: ${shown(error)}`,
      );
    }
    const { lastFailure: last } = due;
    if (last === undefined || engine.timeline.now() - last.at > lookedAtWithin * grid.everyMs) continue;
    warnings.push(
      `${last.callback} of the map ${shownKey(name)} fails, and what it fails for stays: ${shown(last.error)}`,
    );
  }
  for (const { name, verdict } of watched.all()) {
    if (verdict.state === 'leaking') warnings.push(`the size ${shownKey(name)} leaks: ${verdict.reason}`);
  }
  for (const tracker of engine.trackers.values()) {
    const failing = engine.hooks.failingCountOf(tracker, longestRetryMs);
    if (failing === 0) continue;
    const entries = `${failing} ${failing === 1 ? 'entry' : 'entries'}`;
    warnings.push(
      `beforeSweep of the map ${shownKey(tracker.name)} has failed for ${span(longestRetryMs)} or more for ${entries}, the last time with ${shown(engine.hooks.lastErrorOf(tracker))}`,
    );
  }
  for (const { name, notifier } of deliveries?.recipients ?? []) {
    const oldest = notifier.oldestPending;
    const waitedMs = oldest === undefined ? 0 : engine.timeline.now() - oldest.since;
    if (oldest === undefined || waitedMs <= longestRetryMs) continue;
    const count = notifier.pendingCount;
    const error = oldest.error === undefined ? '' : `; it failed with ${shown(oldest.error)}`;
    warnings.push(
      `${count} ${count === 1 ? 'ending waits' : 'endings wait'} for the recipient ${shownKey(name)}, the oldest for ${span(waitedMs)}${error}`,
    );
  }
  const letters = deliveries?.deadLetterCount ?? 0;
  if (letters > 0)
    warnings.push(`${letters} ${letters === 1 ? 'ending was' : 'endings were'} given up: see deadLetters()`);
  if (engine.isStopped) warnings.push(isClosed ? 'the registry is closed' : 'sweeping was stopped by hand');
  return warnings;
}
