import type { WatchedSize } from '../diagnosis/watched-sizes.js';
import { shownText } from '../events/shown.js';
import type { RegistryInternals } from '../registry/internals.js';
import type { Tracker } from '../sweeping/tracker.js';

/** One series at the moment of a scrape. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What every metric of a registry has. */
export interface MetricDescription {
  /** Without the prefix. */
  readonly name: string;
  readonly help: string;
  /** Beside `registry`, which every metric has. Default: none. */
  readonly labelNames?: readonly string[];
  /** How the workers of a cluster become one process. Default `'sum'`. */
  readonly aggregator?: 'sum' | 'min' | 'max' | 'first';
}

/** A metric whose values the registry keeps anyway, so that a scrape reads them and nothing is counted twice. */
export interface PulledMetric extends MetricDescription {
  readonly type: 'gauge' | 'counter';
  /** Returns every series there is now. Costs a little for each map, whatever its size. */
  read(parts: RegistryInternals): Sample[];
}

/**
 * The label of whatever has a name: that name, in which nothing can move a cursor or reverse a line, whatever the name is.
 * A line break stays: of that one character the format has an escape of its own, which the client writes. No two names have
 * one label: what looks like an escape already has its backslash escaped.
 */
export const nameLabel = (name: string): string =>
  name
    .split('\n')
    .map((line) =>
      line
        .split('\\u{')
        .map((part) => shownText(part))
        .join('\\u{5c}u{'),
    )
    .join('\n');

const labelsOfMaps = new WeakMap<Tracker, string>();

/** Returns the label of a map: made once, since a scrape needs it for each of its series. */
export function mapLabel(tracker: Tracker): string {
  const known = labelsOfMaps.get(tracker);
  if (known !== undefined) return known;
  const label = nameLabel(tracker.name);
  labelsOfMaps.set(tracker, label);
  return label;
}

/**
 * Returns whether a map has series. One that was adopted later has none until it is first written to: whoever adopts all
 * that he discovers finds most of it empty for ever.
 */
export function isShown({ named }: RegistryInternals, tracker: Tracker): boolean {
  return named.has(tracker) || tracker.registeredTotal > 0 || tracker.native.size() > 0;
}

/** Returns one series for each map that has any. */
export function eachMap(
  parts: RegistryInternals,
  value: (tracker: Tracker) => number,
  includes: (tracker: Tracker) => boolean = () => true,
): Sample[] {
  const samples: Sample[] = [];
  for (const tracker of parts.engine.trackers.values()) {
    if (!isShown(parts, tracker) || !includes(tracker)) continue;
    samples.push({ labels: { map: mapLabel(tracker) }, value: value(tracker) });
  }
  return samples;
}

/** Returns one series for each size that is watched beside the maps. */
export function eachWatched(
  { watched }: RegistryInternals,
  value: (watched: WatchedSize) => number | undefined,
): Sample[] {
  return watched.all().flatMap((of) => {
    const read = value(of);
    return read === undefined ? [] : { labels: { map: nameLabel(of.name) }, value: read };
  });
}

/** Returns the one series of a metric without labels. */
export const only = (value: number): Sample[] => [{ labels: {}, value }];

/** Returns one series for each member of a closed set, to which the owner may have added. */
export function eachOf(label: string, counts: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(counts).map(([name, value]) => ({ labels: { [label]: nameLabel(name) }, value }));
}
