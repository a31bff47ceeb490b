import type { Aggregator } from 'prom-client';
import { shownText } from '../events/shown.js';
import type { RegistryInternals } from '../registry/internals.js';
import type { Tracker } from '../sweeping/tracker.js';

/** One series at the moment of a scrape. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric whose values the registry keeps anyway, so that a scrape reads them and nothing is counted twice. */
export interface PulledMetric {
  readonly type: 'gauge' | 'counter';
  /** Without the prefix. */
  readonly name: string;
  readonly help: string;
  /** Default: none. */
  readonly labelNames?: readonly string[];
  /** How the workers of a cluster become one process. Default `'sum'`. */
  readonly aggregator?: Aggregator;
  /** What the registry must have to have this metric. Default: nothing. */
  readonly needs?: 'journal';
  /** Returns every series there is now. Costs a little for each map, whatever its size. */
  read(parts: RegistryInternals): Sample[];
}

/**
 * The label of a map: its name, in which nothing can move a cursor or reverse a line, whatever the name is. A line break
 * stays: of that one character the format has an escape of its own, which prom-client writes.
 */
export const mapLabel = (name: string): string =>
  name
    .split('\n')
    .map((line) => shownText(line))
    .join('\n');

/** Returns one series for each map. */
export function eachMap(
  { engine }: RegistryInternals,
  value: (tracker: Tracker) => number,
  includes: (tracker: Tracker) => boolean = () => true,
): Sample[] {
  const samples: Sample[] = [];
  for (const tracker of engine.trackers.values()) {
    if (includes(tracker)) samples.push({ labels: { map: mapLabel(tracker.name) }, value: value(tracker) });
  }
  return samples;
}

/** Returns the one series of a metric without labels. */
export const only = (value: number): Sample[] => [{ labels: {}, value }];

/** Returns one series for each member of a closed set. */
export function eachOf(label: string, counts: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }));
}
