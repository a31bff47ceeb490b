import type { RegistryInternals } from '../registry/internals.js';
import type { Tracker } from '../sweeping/tracker.js';
import { version } from '../version.js';
import { isShown, nameLabel, only, type PulledMetric, type Sample } from './pulled.js';

/** Which mapsweep it is, when the sweeper last went through, and what the owner's functions got wrong. */
export const metricsOfEngine: readonly PulledMetric[] = [
  {
    type: 'gauge',
    name: 'info',
    help: '1; the label says which version of mapsweep this is.',
    labelNames: ['version'],
    aggregator: 'first',
    read: () => [{ labels: { version }, value: 1 }],
  },
  {
    type: 'gauge',
    name: 'last_sweep_timestamp_seconds',
    help: 'When the last sweep went through, Unix time; 0 before the first.',
    // Of several processes the one that has stalled is the one to hear of.
    aggregator: 'min',
    read: ({ engine }) => only((engine.sweeper.lastFinishedAt ?? 0) / 1_000),
  },
  {
    type: 'counter',
    name: 'sweeps_skipped_total',
    help: 'Ticks that came more than an interval late and removed nothing: the event loop was blocked, or the process stopped.',
    read: ({ engine }) => only(engine.sweeper.skippedTotal),
  },
  {
    type: 'counter',
    name: 'callback_errors_total',
    help: 'Callbacks that threw, rejected, timed out or gave an invalid answer, by map (empty for what belongs to none) and callback.',
    labelNames: ['map', 'callback'],
    read: callbackErrors,
  },
];

/**
 * There from the start, as zero, is what the policy of the map has, the `delete` of a map that was named in
 * `createRegistry`, and for the map of the endings `settled` and `deliver`; and under an empty map name the listeners of
 * the bus. Anything else, such as `persist.decode`, appears with its first failure.
 */
function callbackErrors(parts: RegistryInternals): Sample[] {
  const { engine } = parts;
  const counts = new Map<string, Map<string, number>>([['', new Map([['listener', 0]])]]);
  for (const tracker of engine.trackers.values()) {
    if (!isShown(parts, tracker)) continue;
    counts.set(tracker.name, new Map(callbacksOf(tracker, parts).map((callback) => [callback, 0])));
  }
  for (const { name } of parts.watched.all()) counts.set(name, new Map([['watch', 0]]));
  for (const [map, callback, count] of engine.failures.entries()) counts.get(map)?.set(callback, count);
  return [...counts].flatMap(([map, ofMap]) =>
    [...ofMap].map(([callback, value]) => ({ labels: { map: nameLabel(map), callback }, value })),
  );
}

function callbacksOf(tracker: Tracker, { named, endings, deliveries }: RegistryInternals): string[] {
  const { policy } = tracker;
  const lifetimes = [policy.own, ...policy.rules.map((rule) => rule.lifetimes)];
  const has: Record<string, boolean> = {
    since: lifetimes.some(({ since }) => typeof since === 'function'),
    expiresAt: lifetimes.some(({ expiresAt }) => expiresAt !== undefined),
    activeAt: policy.activeAt !== undefined,
    keepWhile: policy.keepWhile !== undefined,
    match: policy.rules.length > 0,
    unstamped: typeof policy.unstamped === 'function',
    beforeSweep: policy.beforeSweep !== undefined,
    dispose: policy.dispose !== undefined,
    replaced: policy.replaced !== undefined,
    owner: policy.maxPerOwner !== undefined,
    'follows.key': policy.leaderKey !== undefined,
    weigh: policy.weigh !== undefined,
    delete: named.has(tracker),
    settled: endings?.tracker === tracker,
    deliver: endings?.tracker === tracker && deliveries !== undefined,
  };
  return Object.keys(has).filter((callback) => has[callback]);
}
