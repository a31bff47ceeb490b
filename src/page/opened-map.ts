import { explain } from '../diagnosis/explain.js';
import type { LeavingReason } from '../events/reasons.js';
import type { RegistryInternals } from '../registry/internals.js';
import type { Tracker } from '../sweeping/tracker.js';
import { type KeyWords, keysTyped } from './keys.js';
import { type MapRow, mapRow } from './map-rows.js';
import { policyInWords } from './policy-words.js';

/** So many of the oldest entries are explained. */
const oldestExplained = 10;
/** So many registration sites are named. */
const mostSites = 10;
/** So many holds are shown. */
const mostHolds = 10;

/** An entry, and why it is still there. Of its value nothing is shown. */
export interface EntryLine {
  /** As it is shown: escaped and cut, or masked. */
  readonly key: string;
  /** What addresses it: the key may be a secret. `undefined` of what is not tracked. */
  readonly generation: number | undefined;
  readonly state: string;
  readonly why: string;
}

/** A hold that is not released. */
export interface HeldLine {
  readonly key: string;
  /** How long ago it was taken, ms. */
  readonly forMs: number;
  /** Where it was taken, if that was sampled. */
  readonly site: string | undefined;
}

/** One map with all that is known of it. */
export interface OpenedMap extends MapRow {
  /** Sentences. */
  readonly policy: readonly string[];
  readonly registered: number;
  readonly removed: Readonly<Record<LeavingReason, number>>;
  /** What has come of the calls of `beforeSweep`. */
  readonly beforeSweep: Readonly<Record<string, number>>;
  /** The holds that were taken first. */
  readonly longestHeld: readonly HeldLine[];
  /** Where sampled entries were registered, most first, with their share from 0 to 1; empty without `captureSites`. */
  readonly sites: ReadonlyArray<{ readonly site: string; readonly count: number; readonly share: number }>;
  /** The entries that have been there longest. */
  readonly oldest: readonly EntryLine[];
  /** The entry that was asked for; `undefined` if none was, or if it has left. */
  readonly entry: EntryLine | undefined;
}

/** Describes a map with its oldest entries, and with one that is asked for. Calls policy functions of those. */
export function openMap(
  parts: RegistryInternals,
  tracker: Tracker,
  keys: KeyWords,
  generation: number | undefined,
): OpenedMap {
  const line = (key: unknown): EntryLine => entryLine(parts, tracker, keys, key);
  const sites = parts.sites.of(tracker);
  const sampled = sites.reduce((sum, { count }) => sum + count, 0);
  const asked = generation === undefined ? undefined : keyOf(tracker, generation);
  return {
    ...mapRow(parts, tracker),
    policy: policyInWords(tracker),
    registered: tracker.registeredTotal,
    removed: { ...tracker.removedTotal },
    beforeSweep: { ...tracker.beforeSweepTotal },
    longestHeld: (tracker.holds?.longest(mostHolds) ?? []).map(({ key, takenAt, site }) => ({
      key: keys.key(key),
      forMs: parts.engine.timeline.now() - takenAt,
      site,
    })),
    sites: sites.slice(0, mostSites).map(({ site, count }) => ({ site, count, share: count / sampled })),
    oldest: tracker.stamps.oldestKeys(oldestExplained).map(line),
    entry: asked && line(asked.key),
  };
}

/**
 * Finds the entry whose key somebody has typed.
 *
 * @returns its generation; `undefined` if there is none, or if it is not tracked yet
 */
export function findEntry({ stamps }: Tracker, typed: string): number | undefined {
  for (const key of keysTyped(typed)) {
    const slot = stamps.slotOf(key);
    if (slot !== undefined) return stamps.generation[slot];
  }
  return undefined;
}

function entryLine({ engine }: RegistryInternals, tracker: Tracker, keys: KeyWords, key: unknown): EntryLine {
  const { state, why } = explain(engine, tracker, key, keys.key);
  const slot = tracker.stamps.slotOf(key);
  const generation = slot === undefined ? undefined : tracker.stamps.generation[slot];
  return { key: keys.key(key), generation, state, why };
}

/** In a box, for the key may be `undefined` itself. By a scan, which takes 0.4 ms in a million entries. */
function keyOf({ stamps }: Tracker, generation: number): { readonly key: unknown } | undefined {
  const slot = stamps.generation.indexOf(generation);
  return slot < 0 ? undefined : { key: stamps.keyOf(slot) };
}
