import { randomBytes } from 'node:crypto';
import { explain } from '../diagnosis/explain.js';
import type { LeavingReason } from '../events/reasons.js';
import { shownText } from '../events/shown.js';
import { keptKey } from '../maps/kept-keys.js';
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
  /** What addresses it on the page: the key may be a secret. `undefined` of what is not tracked. */
  readonly handle: string | undefined;
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
  handle: string | undefined,
): OpenedMap {
  const line = (key: unknown): EntryLine => entryLine(parts, tracker, keys, key);
  const sites = parts.sites.of(tracker);
  const sampled = sites.reduce((sum, { count }) => sum + count, 0);
  const asked = handle === undefined ? undefined : keyOf(tracker, handle);
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

/** Finds the map that an address names: by its name, or as that is shown. */
export function findMap({ engine }: RegistryInternals, asked: string | undefined): Tracker | undefined {
  if (asked === undefined) return undefined;
  const { trackers } = engine;
  return trackers.get(asked) ?? [...trackers.values()].find(({ name }) => shownText(name) === asked);
}

/**
 * Finds the entry whose key somebody has typed.
 *
 * @returns its handle; `undefined` if there is none, or if it is not tracked yet
 */
export function findEntry(tracker: Tracker, typed: string): string | undefined {
  for (const key of keysTyped(typed)) {
    const handle = handleOf(tracker, keptKey(tracker, key));
    if (handle !== undefined) return handle;
  }
  return undefined;
}

function entryLine({ engine }: RegistryInternals, tracker: Tracker, keys: KeyWords, key: unknown): EntryLine {
  const { state, why } = explain(engine, tracker, key, keys);
  return { key: keys.key(key), handle: handleOf(tracker, key), state, why };
}

// A map that is adopted anew, and that of the next process, counts its generations from 1 again.
const tags = new WeakMap<Tracker, string>();

/** What addresses the entry of a key, of this tracking of its map alone; `undefined` if it is not tracked. */
function handleOf(tracker: Tracker, key: unknown): string | undefined {
  const slot = tracker.stamps.slotOf(key);
  if (slot === undefined) return undefined;
  const tag = tags.get(tracker) ?? randomBytes(6).toString('base64url');
  tags.set(tracker, tag);
  return `${tracker.stamps.generation[slot]}-${tag}`;
}

/** In a box, for the key may be `undefined` itself. By a scan, which takes 0.4 ms in a million entries. */
function keyOf(tracker: Tracker, handle: string): { readonly key: unknown } | undefined {
  const { stamps } = tracker;
  const slot = stamps.generation.indexOf(Number.parseInt(handle, 10));
  if (slot < 0) return undefined;
  const key = stamps.keyOf(slot);
  return handleOf(tracker, key) === handle ? { key } : undefined;
}
