import { badness, type LeakVerdict } from '../diagnosis/leak-verdict.js';
import { shownText } from '../events/shown.js';
import { type MapFigures, mapFigures } from '../registry/figures.js';
import type { RegistryInternals } from '../registry/internals.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { PageQuery } from './query.js';
import { hoursToLimit } from './room.js';
import type { Verdicts } from './sentence.js';

/** So many maps are shown at once. */
const mapsOnPage = 200;
/** So many points of a size are shown. */
const mostPoints = 48;

/** One map in the list. */
export interface MapRow extends MapFigures {
  /** The hours until its cap or the heap is full, also of a map that leaks; `undefined` if nobody knows. */
  readonly hoursToLimit: number | undefined;
  /** Its smallest size in each of even steps, oldest first; the last is that of now. */
  readonly sizes: readonly number[];
  /** The time from the first of them until now, ms. */
  readonly sizesOverMs: number;
}

/** The part of the list that is shown. */
export interface MapList extends Verdicts {
  /** How many are not as the filter wants them are left out of this. */
  readonly matching: number;
  readonly page: number;
  readonly pages: number;
  readonly rows: readonly MapRow[];
}

/** Lists the maps that a query asks for: a glance at each, and a look at those that are shown. */
export function listMaps(parts: RegistryInternals, query: PageQuery): MapList {
  const all = [...parts.engine.trackers.values()];
  const wanted = query.filter.toLowerCase();
  let leaking = 0;
  let growing = 0;
  const matching: Ranked[] = [];
  for (const tracker of all) {
    const { state } = parts.leaks.verdictOf(tracker);
    if (state === 'leaking') leaking += 1;
    if (state === 'growing') growing += 1;
    if (query.state !== 'any' && query.state !== state) continue;
    // As it is, and as it is shown here, from where it may have been copied.
    const hasWanted = (name: string): boolean => name.toLowerCase().includes(wanted);
    if (!hasWanted(tracker.name) && !hasWanted(shownText(tracker.name))) continue;
    matching.push({ tracker, ranks: ranksOf(query.sort, tracker, state) });
  }
  const pages = Math.max(1, Math.ceil(matching.length / mapsOnPage));
  const page = Math.min(query.page, pages);
  const order = query.sort === 'name' ? byName : byRanks;
  const shown = matching.sort(order).slice((page - 1) * mapsOnPage, page * mapsOnPage);
  const rows = shown.map(({ tracker }) => mapRow(parts, tracker));
  return { total: all.length, leaking, growing, matching: matching.length, page, pages, rows };
}

/** Describes one map. */
export function mapRow(parts: RegistryInternals, tracker: Tracker): MapRow {
  const figures = mapFigures(parts, tracker);
  const { sinceAt, floors } = parts.leaks.sizesOf(tracker);
  return {
    ...figures,
    hoursToLimit: hoursToLimit(tracker.policy, figures),
    sizes: [...thinned(floors), figures.size],
    sizesOverMs: Math.max(0, parts.engine.timeline.now() - sinceAt),
  };
}

interface Ranked {
  readonly tracker: Tracker;
  /** The greater the further up, the first one first. */
  readonly ranks: readonly number[];
}

function ranksOf(sort: PageQuery['sort'], tracker: Tracker, state: LeakVerdict['state']): readonly number[] {
  const size = tracker.native.size();
  const { overdueCount } = tracker.due;
  switch (sort) {
    case 'size':
      return [size];
    case 'oldest':
      return [-(tracker.stamps.oldestRegisteredAt() ?? Number.POSITIVE_INFINITY)];
    case 'overdue':
      return [overdueCount, size];
    case 'name':
      return [];
    default:
      return [badness[state], Number(tracker.isKeptElsewhere), overdueCount, size];
  }
}

function byRanks(one: Ranked, other: Ranked): number {
  // Of ten thousand maps this is asked tens of thousands of times: an iterator would take twice as long.
  for (let index = 0; index < one.ranks.length; index += 1) {
    const rank = one.ranks[index] as number;
    const otherRank = other.ranks[index] as number;
    if (rank !== otherRank) return rank < otherRank ? 1 : -1;
  }
  return byName(one, other);
}

const byName = (one: Ranked, other: Ranked): number =>
  one.tracker.name < other.tracker.name ? -1 : one.tracker.name === other.tracker.name ? 0 : 1;

/** The smallest of each of as many even steps as are shown; only the first may be shorter. */
function thinned(floors: readonly number[]): number[] {
  const step = Math.ceil(floors.length / mostPoints);
  const smallest: number[] = [];
  for (let end = floors.length; end > 0; end -= step)
    smallest.unshift(Math.min(...floors.slice(Math.max(0, end - step), end)));
  return smallest;
}
