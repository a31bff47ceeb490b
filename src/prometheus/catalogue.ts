import type { RegistryInternals } from '../registry/internals.js';
import type { Tracker } from '../sweeping/tracker.js';
import {
  type DistributionMetric,
  distributionsOfEndings,
  distributionsOfEngine,
  distributionsOfHooks,
  distributionsOfJournal,
  distributionsOfMaps,
} from './distributions.js';
import { metricsOfEndings } from './endings.js';
import { metricsOfEngine } from './engine.js';
import { metricsOfJournal } from './journal.js';
import {
  countsHolds,
  hasGuard,
  hasHook,
  hasLeader,
  hasLimit,
  hasWeigh,
  metricsOfCompanions,
  metricsOfGuards,
  metricsOfHolds,
  metricsOfHooks,
  metricsOfLimits,
  metricsOfMaps,
  metricsOfWeights,
} from './maps.js';
import type { PulledMetric } from './pulled.js';

/** A metric of the catalogue. */
export type RegistryMetric = PulledMetric | DistributionMetric;

/** Metrics that a registry has together. */
interface MetricGroup {
  readonly metrics: readonly RegistryMetric[];
  /** Returns whether a registry has them. */
  isHad(parts: RegistryInternals): boolean;
}

const always = () => true;
const withMap =
  (has: (tracker: Tracker, parts: RegistryInternals) => boolean) => (parts: RegistryInternals) =>
    [...parts.engine.trackers.values()].some((tracker) => has(tracker, parts));

/** All metrics, and which registries have them: a name that nothing stands behind is a line that says nothing. */
const groups: readonly MetricGroup[] = [
  { metrics: metricsOfMaps, isHad: always },
  { metrics: metricsOfCompanions, isHad: withMap(hasLeader) },
  { metrics: metricsOfGuards, isHad: withMap(hasGuard) },
  { metrics: metricsOfHolds, isHad: withMap(countsHolds) },
  { metrics: [...metricsOfHooks, ...distributionsOfHooks], isHad: withMap(hasHook) },
  { metrics: metricsOfWeights, isHad: withMap(hasWeigh) },
  { metrics: metricsOfLimits, isHad: withMap(hasLimit) },
  { metrics: [...distributionsOfMaps, ...metricsOfEngine, ...distributionsOfEngine], isHad: always },
  {
    metrics: [...metricsOfEndings, ...distributionsOfEndings],
    isHad: ({ endings }) => endings !== undefined,
  },
  {
    metrics: [...metricsOfJournal, ...distributionsOfJournal],
    isHad: ({ restart }) => restart.recorder !== undefined,
  },
];

/** The names of all metrics, without the prefix. */
export const metricNames: readonly string[] = groups
  .flatMap(({ metrics }) => metrics)
  .map(({ name }) => name);

/** Returns the metrics that a registry has, as it is now: a map that is adopted later may bring more. */
export function metricsOf(parts: RegistryInternals): RegistryMetric[] {
  return groups.flatMap(({ metrics, isHad }) => (isHad(parts) ? metrics : []));
}
