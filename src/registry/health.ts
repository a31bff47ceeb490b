import { span } from '../diagnosis/explain.js';
import { counted, shownError, shownKey, shownText } from '../events/shown.js';
import type { RegistryInternals } from './internals.js';

/** How a registry is doing. */
export interface Health {
  /**
   * - `ok`: nothing to do
   * - `warning`: somebody should look: entries of an earlier life cannot come back, a map or a size leaks, a map cannot be tracked, a
   *   policy function or a `beforeSweep` keeps failing, endings wait for too long or have died, or sweeping was stopped by hand
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
  const why = because(error, shown);
  if (isLost) {
    yield `the journal ${shownText(recorder.journalName)} is no longer this process's, which writes and delivers nothing more${why}`;
    return;
  }
  const waitedMs = waitingSince === undefined ? 0 : engine.timeline.now() - waitingSince;
  const hasOverdue = recorder.gate.hasOverdue;
  if (waitedMs <= longestSilenceMs && !hasOverdue) return;
  const what = hasOverdue ? ', and endings are delivered before it has their claims' : '';
  yield `the journal ${shownText(recorder.journalName)} has taken nothing for ${span(waitedMs)}${what}${why}`;
}

function warningsOf(
  { engine, leaks, watched, deliveries, restart, isClosed }: RegistryInternals,
  shown: (error: unknown) => string,
): string[] {
  const warnings: string[] = [];
  for (const { stuckBy, words } of restart.restoration.shares(shown)) if (stuckBy) warnings.push(words);
  const now = engine.timeline.now();
  for (const tracker of engine.trackers.values()) {
    // Of ten thousand maps most have nothing to be told, and to show a name takes longer than to see that.
    const map = (): string => `the map ${shownKey(tracker.name)}`;
    const { state, reason } = leaks.verdictOf(tracker);
    if (state === 'leaking') warnings.push(`${map()} leaks: ${reason}`);
    if (tracker.isKeptElsewhere)
      warnings.push(`${map()} keeps entries where they cannot be seen: they are not tracked`);
    const fails = (callback: string, what: string, error: unknown) =>
      warnings.push(`${callback} of ${map()} fails, and what it fails for ${what}: ${shown(error)}`);
    const { lastFailure: last } = tracker.due;
    if (last && now - last.at <= lookedAtWithin * tracker.grid.everyMs)
      fails(last.callback, 'stays', last.error);
    const { keys } = tracker.companions;
    if (keys?.failed.size) fails('follows.key', 'follows no leader', keys.lastError);
    const waiting = engine.hooks.failingCountOf(tracker, longestRetryMs);
    if (waiting > 0) fails('beforeSweep', `stays (${waiting})`, tracker.beforeSweepError);
  }
  for (const { name, verdict } of watched.all()) {
    if (verdict.state === 'leaking') warnings.push(`the size ${shownKey(name)} leaks: ${verdict.reason}`);
  }
  for (const { name, notifier } of deliveries?.recipients ?? []) {
    const recipient = `for recipient ${shownKey(name)}`;
    const oldest = notifier.oldestPending;
    if (oldest && now - oldest.since > longestRetryMs) {
      const waits = `${notifier.pendingCount} pending ${recipient}, the oldest for ${span(now - oldest.since)}`;
      warnings.push(waits + because(oldest.error, shown));
    }
    const last = notifier.youngestDeadLetter;
    if (last === undefined) continue;
    const letters = counted(notifier.deadLetterCount, 'ending', 'endings');
    const givenUp = `${letters} given up ${recipient} (see deadLetters()), the last one ${last.cause}`;
    warnings.push(givenUp + because(last.error, shown));
  }
  if (engine.isStopped) warnings.push(isClosed ? 'the registry is closed' : 'sweeping was stopped by hand');
  return warnings;
}

/** What ends a sentence about something that has failed. */
const because = (error: unknown, shown: (error: unknown) => string): string =>
  error === undefined ? '' : `: ${shown(error)}`;
