import { performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import { span } from '../diagnosis/explain.js';
import type { MemoryPressureEvent } from '../events/event-bus.js';
import { plainKey, shownText } from '../events/shown.js';
import { watchedFigures } from './figures.js';
import type { RegistryInternals } from './internals.js';
import { reportOf } from './report.js';

/** So many of the largest maps are told of in full, and with so many of their oldest keys and sites. */
const mostMaps = 100;
const mostKeys = 5;

/** One map in a report about the memory. */
interface MemoryMapReport {
  readonly name: string;
  readonly size: number;
  /** Of all entries of the registry, from 0 to 1. */
  readonly shareOfEntries: number;
  /** What `weigh` makes of it; `undefined` without one. */
  readonly estimatedBytes: number | undefined;
  /** Of what the last major collection has left, from 0 to 1; `undefined` without `weigh`. */
  readonly shareOfHeap: number | undefined;
  /** How many entries more there are after each hour, from the last hour or since the registry was made. */
  readonly perHour: number;
  readonly verdict: string;
  readonly oldestAgeMs: number | undefined;
  readonly oldestKeys: readonly unknown[];
  /** How many entries are due and kept by a guard. */
  readonly guarded: number;
  /** Where sampled entries of it were registered, most first. */
  readonly sites: readonly { readonly site: string; readonly count: number }[];
}

/** What the process looks like when the memory is about to be full: plain data, keys and names escaped and cut. */
export interface MemoryReport {
  /** ISO 8601. */
  readonly at: string;
  readonly pid: number;
  readonly node: string;
  readonly registry: string;
  readonly uptimeSeconds: number;
  readonly pressure: Omit<MemoryPressureEvent, 'report' | 'shedding'>;
  readonly memory: NodeJS.MemoryUsage;
  readonly heapSpaces: Readonly<Record<string, number>>;
  /** What keeps the event loop alive, by kind: `Timeout`, `TCPSocketWrap`. */
  readonly resources: Readonly<Record<string, number>>;
  readonly childProcesses: number;
  /** Worker threads that were started since the registry was made and still run. */
  readonly workers: number;
  /** How long a turn of the event loop took just now, and the share of its time in which it was busy since the start. */
  readonly eventLoop: { readonly delayMs: number; readonly utilization: number };
  /** The largest first: by weight where that is known, else by entries. */
  readonly maps: readonly MemoryMapReport[];
  /** Sizes that are no Map's, as of the last sweep; the largest first. */
  readonly watched: readonly MemorySizeReport[];
}

/** One watched size in a report about the memory. */
interface MemorySizeReport {
  readonly name: string;
  readonly size: number;
  /** To what its owner bounds it; `undefined`: to nothing. */
  readonly max: number | undefined;
  /** How much more there is after each hour, from the last hour or since the registry was made. */
  readonly perHour: number;
  readonly verdict: string;
}

/** What a report needs beside the registry. */
export interface ReportFacts {
  readonly pressure: MemoryReport['pressure'];
  /** The bytes that the last major collection has left. */
  readonly heapBytes: number | undefined;
  readonly perHour: (map: string, size: number) => number;
  readonly workers: number;
  readonly delayMs: number;
}

/** Takes stock of the memory of the process, and of who may have it. Costs a little for each map. */
export function memoryReportOf(parts: RegistryInternals, facts: ReportFacts): MemoryReport {
  const { engine, leaks, sites, weights } = parts;
  const trackers = [...engine.trackers.values()];
  const entries = trackers.reduce((sum, tracker) => sum + tracker.native.size(), 0);
  const sized = trackers.map((tracker) => {
    return { tracker, size: tracker.native.size(), bytes: weights.estimatedBytes(tracker) };
  });
  sized.sort((a, b) => (b.bytes ?? 0) - (a.bytes ?? 0) || b.size - a.size);
  const now = engine.timeline.now();
  const resources = countBy(process.getActiveResourcesInfo());
  return {
    at: new Date(engine.timeline.clock.now()).toISOString(),
    pid: process.pid,
    node: process.version,
    registry: shownText(parts.name),
    uptimeSeconds: Math.round(process.uptime()),
    pressure: facts.pressure,
    memory: process.memoryUsage(),
    heapSpaces: Object.fromEntries(
      getHeapSpaceStatistics().map(({ space_name, space_used_size }) => [space_name, space_used_size]),
    ),
    resources,
    childProcesses: resources.ProcessWrap ?? 0,
    workers: facts.workers,
    eventLoop: {
      delayMs: round(facts.delayMs),
      utilization: round(performance.eventLoopUtilization().utilization),
    },
    maps: sized.slice(0, mostMaps).map(({ tracker, size, bytes }) => {
      const oldestAt = tracker.stamps.oldestRegisteredAt();
      return {
        name: shownText(tracker.name),
        size,
        shareOfEntries: round(entries === 0 ? 0 : size / entries),
        estimatedBytes: bytes === undefined ? undefined : Math.round(bytes),
        shareOfHeap: bytes === undefined || !facts.heapBytes ? undefined : round(bytes / facts.heapBytes),
        perHour: Math.round(facts.perHour(tracker.name, size)),
        verdict: leaks.verdictOf(tracker).state,
        oldestAgeMs: oldestAt === undefined ? undefined : now - oldestAt,
        oldestKeys: tracker.stamps.oldestKeys(mostKeys).map(plainKey),
        guarded: tracker.due.guardedCount,
        sites: sites.of(tracker).map(({ site, count }) => ({ site: shownText(site), count })),
      };
    }),
    watched: watchedFigures(parts)
      .sort((one, other) => other.size - one.size)
      .slice(0, mostMaps)
      .map(({ name, size, max, leak }) => ({
        name: shownText(name),
        size,
        max,
        perHour: Math.round(facts.perHour(name, size)),
        verdict: leak.state,
      })),
  };
}

/** Returns it for a person: what is full, which maps are large and who fills them, and the report of the registry. */
export function printedMemoryReport(report: MemoryReport, parts: RegistryInternals): string {
  const { pressure, memory, heapSpaces, eventLoop } = report;
  const lines = [
    `mapsweep memory report, ${report.at}, pid ${report.pid}, Node ${report.node}, registry ${report.registry}`,
    `${pressure.kind === 'heap' ? 'the heap' : 'the resident set'} is at ${percent(pressure.ratio)}: ` +
      `${megabytes(pressure.usedBytes)} of ${megabytes(pressure.limitBytes)}` +
      (pressure.kind === 'heap' ? ', as the last major collection left it' : ', the limit of the container'),
    `resident ${megabytes(memory.rss)}, heap used ${megabytes(memory.heapUsed)} with garbage, ` +
      `external ${megabytes(memory.external)}, array buffers ${megabytes(memory.arrayBuffers)}`,
    `heap spaces: ${listed(heapSpaces, megabytes)}`,
    `keeps the loop alive: ${listed(report.resources, String) || 'nothing'}; ` +
      `${report.childProcesses} child processes, ${report.workers} workers`,
    `event loop: a turn took ${eventLoop.delayMs} ms, busy ${percent(eventLoop.utilization)} of the time`,
    '',
    'the largest maps:',
  ];
  for (const map of report.maps.filter(({ size }) => size > 0)) {
    const weight = map.estimatedBytes === undefined ? '' : `, about ${megabytes(map.estimatedBytes)}`;
    const share = map.shareOfHeap === undefined ? '' : ` (${percent(map.shareOfHeap)} of the heap)`;
    lines.push(
      `  ${map.name}: ${map.size} entries, ${percent(map.shareOfEntries)} of all${weight}${share}, ` +
        `${signed(map.perHour)} an hour, oldest ${span(map.oldestAgeMs ?? 0)}, ${map.guarded} guarded, ${map.verdict}`,
      `    oldest keys: ${map.oldestKeys.map(String).join(', ')}`,
      ...map.sites
        .slice(0, mostKeys)
        .map(({ site, count }) => `    ${count} (sampled) registered at ${site}`),
    );
  }
  if (report.watched.length > 0) lines.push('', 'watched sizes:');
  for (const { name, size, max, perHour, verdict } of report.watched) {
    lines.push(
      `  ${name}: ${size}${max === undefined ? '' : ` of ${max}`}, ${signed(perHour)} an hour, ${verdict}`,
    );
  }
  return `${[...lines, '', String(reportOf(parts))].join('\n')}\n`;
}

function countBy(kinds: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

const round = (number: number): number => Math.round(number * 1_000) / 1_000;
const signed = (number: number): string => (number < 0 ? String(number) : `+${number}`);
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;

function listed(counts: Readonly<Record<string, number>>, shown: (count: number) => string): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${shown(count)}`)
    .join(', ');
}
