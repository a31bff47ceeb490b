import { inspect } from 'node:util';
import { type Explanation, exactSpan, explain, span } from '../diagnosis/explain.js';
import type { LeavingReason } from '../events/reasons.js';
import { counted, shownKey, shownText } from '../events/shown.js';
import type { Tracker } from '../sweeping/tracker.js';
import {
  bytes,
  type CallbackErrors,
  callbackErrorsOf,
  deliveryCounts,
  deliveryWords,
  leakInWords,
  type MapFigures,
  mapFigures,
  type RecipientReport,
  recipientReports,
  verdictInWords,
  type WatchedFigures,
  watchedFigures,
} from './figures.js';
import type { RegistryInternals } from './internals.js';
import { type JournalFigures, journalFigures, journalWords } from './journal-figures.js';

/** How many of the oldest entries of each map a report explains, and how many holds it shows. */
const oldestExplained = 3;

/** A hold that is not released. */
export interface HeldReport {
  /** The key of its entry, as it is shown: escaped and cut. */
  readonly key: string;
  /** How long ago it was taken, ms. */
  readonly forMs: number;
  /** Where it was taken, if that was sampled: see `captureSites`. */
  readonly site: string | undefined;
}

/** The state of one map. */
export interface MapReport extends MapFigures {
  /** The holds that were taken first and are not released. */
  readonly longestHeld: readonly HeldReport[];
  /** How many entries have been registered, since the registry was made. */
  readonly registered: number;
  /** How many entries have left, by the way in which they did. */
  readonly removed: Readonly<Record<LeavingReason, number>>;
  /** Where the sampled ones of its entries were registered, most first; empty without `captureSites`. */
  readonly sites: ReadonlyArray<{
    /** The place in the code. */
    readonly site: string;
    /** How many of the sampled ones that are still there. */
    readonly count: number;
  }>;
  /** The entries that have been there longest, and why they still are. */
  readonly oldest: readonly Explanation[];
}

/** The state of the endings. */
export interface EndingsReport {
  /** The map of `ended`. */
  readonly map: string;
  /** How many runs have ended, by reason; reasons of your own count as `other`. */
  readonly ended: Readonly<Record<string, number>>;
  /** Second ends of runs that had ended, which told nobody. */
  readonly duplicates: number;
  /** Endings that are queued, being delivered or waiting for a retry; this and what follows of all recipients together. */
  readonly pending: number;
  /** Endings that a recipient has been told of. */
  readonly delivered: number;
  /** Attempts that failed, those that were tried again included. */
  readonly failedAttempts: number;
  /** Endings that are not tried again by themselves. */
  readonly deadLetters: number;
  /** Dead letters that were dropped, because there were too many or their time was over. */
  readonly deadLettersDropped: number;
  /** The same five of each recipient, and with what it fails. */
  readonly recipients: readonly RecipientReport[];
  /** Ends that are remembered, so that a second one is a duplicate. */
  readonly tombstones: number;
  /** Ends that had to be forgotten before their time. */
  readonly tombstonesEvicted: number;
}

/** The state of a registry. Plain data; `String(report)` and `console.log(report)` print it for a person. */
export interface RegistryReport {
  /** Epoch ms. */
  readonly at: number;
  /** Whether anything is removed. */
  readonly mode: 'sweep' | 'observe';
  /** The time between two sweeps. */
  readonly sweepEveryMs: number;
  /** When the last sweep went through, epoch ms. */
  readonly lastSweepAt: number | undefined;
  /** Nothing sweeps by itself: `stop()` was called, or `close()`. */
  readonly stopped: boolean;
  /** The maps, in the order in which they were registered. */
  readonly maps: readonly MapReport[];
  /** Sizes that are no Map's. */
  readonly watched: readonly WatchedFigures[];
  /** `undefined` without `ended`. */
  readonly endings: EndingsReport | undefined;
  /** What callbacks of the owner threw, by map and callback. */
  readonly callbackErrors: readonly CallbackErrors[];
  /** Prints it for a person. */
  toString(): string;
}

/** Takes stock of a registry. Costs a little for each map, whatever its size. */
export function reportOf(parts: RegistryInternals): RegistryReport {
  const { engine, endings, deliveries, tombstones } = parts;
  const data = {
    at: engine.timeline.clock.now(),
    mode: engine.observing ? ('observe' as const) : ('sweep' as const),
    sweepEveryMs: engine.sweepEveryMs,
    lastSweepAt: engine.sweeper.lastFinishedAt,
    stopped: engine.isStopped,
    maps: [...engine.trackers.values()].map((tracker) => mapReport(parts, tracker)),
    watched: watchedFigures(parts),
    endings: endings && {
      map: endings.tracker.name,
      ended: { ...endings.endedTotal },
      duplicates: endings.duplicatesTotal,
      ...deliveryCounts(deliveries?.outcomes, deliveries),
      recipients: recipientReports(deliveries),
      tombstones: tombstones?.size ?? 0,
      tombstonesEvicted: tombstones?.evictedTotal ?? 0,
    },
    callbackErrors: callbackErrorsOf(engine),
  };
  const journal = journalFigures(parts);
  const awaited = Array.from(parts.restart.restoration.shares(), ({ words }) => words);
  const print = (): string => printed(data, journal, awaited);
  // Not enumerable, so that a report is plain data to JSON and to a test.
  return Object.defineProperties(data, {
    toString: { value: print },
    [inspect.custom]: { value: print },
  }) as RegistryReport;
}

function mapReport(parts: RegistryInternals, tracker: Tracker): MapReport {
  const { engine, sites } = parts;
  const now = engine.timeline.now();
  return {
    ...mapFigures(parts, tracker),
    longestHeld: (tracker.holds?.longest(oldestExplained) ?? []).map(({ key, takenAt, site }) => ({
      key: shownKey(key),
      forMs: now - takenAt,
      site,
    })),
    registered: tracker.registeredTotal,
    removed: { ...tracker.removedTotal },
    sites: sites.of(tracker),
    oldest: tracker.stamps.oldestKeys(oldestExplained).map((key) => explain(engine, tracker, key)),
  };
}

type ReportData = Omit<RegistryReport, 'toString'>;

function printed(
  report: ReportData,
  journal: JournalFigures | undefined,
  awaited: readonly string[],
): string {
  const lastSweep =
    report.lastSweepAt === undefined ? 'none yet' : `${span(report.at - report.lastSweepAt)} ago`;
  const state = report.stopped ? 'stopped' : `every ${exactSpan(report.sweepEveryMs)}`;
  const lines = [
    `mapsweep report, ${new Date(report.at).toISOString()}`,
    `mode ${report.mode}, sweeping ${state}, last sweep ${lastSweep}`,
    '',
    ...table([
      ['map', 'entries', 'oldest', 'overdue', 'guarded', 'added', 'swept', 'other', 'verdict'],
      ...report.maps.map(mapRow),
    ]),
  ];
  lines.push(...watchedLines(report.watched));
  lines.push(...leakLines([...report.maps, ...report.watched]));
  lines.push(...weightLines(report.maps));
  lines.push(...holdLines(report.maps));
  if (report.endings !== undefined) lines.push('', ...endingLines(report.endings));
  for (const { map, callback, count } of report.callbackErrors) {
    // The deliveries above say that already.
    if (callback === 'deliver') continue;
    const of = map === '' ? callback : `${shownText(map)}.${callback}`;
    lines.push(`callback errors: ${of} failed ${times(count)}`);
  }
  if (journal !== undefined && (journal.isLost || journal.isBehind || journal.error !== undefined))
    lines.push('', `journal ${journal.name}: ${journalWords(journal)}`);
  if (awaited.length > 0) lines.push('', ...awaited);
  const explained = report.maps.filter((map) => map.oldest.length > 0);
  if (explained.length > 0) lines.push('', 'longest there, and why:');
  for (const map of explained) {
    const name = shownText(map.name);
    for (const { key, state, why } of map.oldest) {
      lines.push(`  ${name} ${shownKey(key)}`, `    ${state}: ${why}`);
    }
    for (const { site, count } of map.sites.slice(0, oldestExplained)) {
      lines.push(`  ${name} registered ${times(count)} (sampled) at ${site}`);
    }
  }
  return lines.join('\n');
}

function mapRow(map: MapReport): string[] {
  const { swept, ...others } = map.removed;
  const otherwise = Object.values(others).reduce((sum, count) => sum + count, 0);
  return [
    shownText(map.name),
    String(map.size),
    map.oldestAgeMs === undefined ? '-' : span(map.oldestAgeMs),
    String(map.overdue),
    String(map.guarded),
    String(map.registered),
    String(swept),
    String(otherwise),
    loud(verdictInWords(map)),
  ];
}

function watchedLines(watched: readonly WatchedFigures[]): string[] {
  if (watched.length === 0) return [];
  const max = (of: WatchedFigures): string => (of.max === undefined ? '-' : String(of.max));
  const rows = watched.map((of) => [
    shownText(of.name),
    String(of.size),
    max(of),
    loud(leakInWords(of.leak)),
  ]);
  return ['', ...table([['watched', 'size', 'max', 'verdict'], ...rows])];
}

function leakLines(maps: readonly Pick<MapReport, 'name' | 'leak'>[]): string[] {
  const lines = maps
    .filter(({ leak }) => leak.state !== 'ok')
    .map(({ name, leak }) => `${shownText(name)} is ${leak.state}: ${leak.reason}`);
  return lines.length === 0 ? [] : ['', ...lines];
}

/** Writes the verdict that somebody has to see first so that it is. */
const loud = (verdict: string): string => verdict.replace(/^leaking/, 'LEAKING');

function weightLines(maps: readonly MapReport[]): string[] {
  const weights = maps.flatMap(({ name, estimatedBytes }) =>
    estimatedBytes === undefined ? [] : `${shownText(name)} ${bytes(estimatedBytes)}`,
  );
  return weights.length === 0 ? [] : ['', `estimated weight: ${weights.join(', ')}`];
}

function holdLines(maps: readonly MapReport[]): string[] {
  const lines = maps.flatMap(({ name, held, longestHeld }) => [
    ...(held === 0 ? [] : [`${shownText(name)} has ${counted(held, 'held entry', 'held entries')}`]),
    ...longestHeld.map(
      ({ key, forMs, site }) =>
        `  ${shownText(name)} ${key} held for ${span(forMs)}${site === undefined ? '' : ` at ${site}`}`,
    ),
  ]);
  return lines.length === 0 ? [] : ['', ...lines];
}

function endingLines(endings: EndingsReport): string[] {
  const reasons = Object.entries(endings.ended)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${count} ${reason}`);
  return [
    `endings of ${shownText(endings.map)}: ${reasons.join(', ') || 'none'}; ${endings.duplicates} duplicates turned away`,
    `deliveries: ${deliveryWords(endings)}; ${endings.tombstones} tombstones, ${endings.tombstonesEvicted} evicted early`,
    ...endings.recipients.map((to) => `  to ${shownText(to.name)}: ${deliveryWords(to)}`),
  ];
}

/** Columns as wide as their widest cell; numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const isNumeric = widths.map((_, column) =>
    rows.slice(1).every((row) => /^[\d.,]+[a-z]*$|^-$/.test(row[column] ?? '')),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] as number;
        return isNumeric[column] ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);
