import { performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import type { MemoryPressureEvent } from '../events/event-bus.js';
import { shownText } from '../events/shown.js';
import type { WatchedFigures } from './figures.js';
import type { RegistryInternals } from './internals.js';
import { type MapReport, type RegistryReport, reportOf } from './report.js';

/** So many of the largest maps and sizes are in it. */
const mostMaps = 100;

/** How fast something grows. */
interface Growing {
  /** How many more there are after each hour, from the last hour or since the registry was made. */
  readonly perHour: number;
}

/** One map: what `report()` says of it, and its part in the memory. */
interface MemoryMapReport extends MapReport, Growing {
  /** Of all entries of the registry, from 0 to 1. */
  readonly shareOfEntries: number;
  /** Of what the last major collection has left, from 0 to 1; `undefined` without `weigh`. */
  readonly shareOfHeap: number | undefined;
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
  readonly watched: readonly (WatchedFigures & Growing)[];
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

/** Takes stock of the memory of the process, and of who may have it, in words and as data. Costs a little for each map. */
export function memoryReportOf(
  parts: RegistryInternals,
  facts: ReportFacts,
): { readonly text: string; readonly data: MemoryReport } {
  const report = reportOf(parts);
  const data = memoryOf(report, parts, facts);
  return { data, text: printed(data, report) };
}

function memoryOf(report: RegistryReport, parts: RegistryInternals, facts: ReportFacts): MemoryReport {
  const entries = report.maps.reduce((sum, { size }) => sum + size, 0);
  const growing = <Of extends { readonly name: string; readonly size: number }>(of: Of): Of & Growing => ({
    ...of,
    name: shownText(of.name),
    perHour: Math.round(facts.perHour(of.name, of.size)),
  });
  const resources = countBy(process.getActiveResourcesInfo());
  return {
    at: new Date(report.at).toISOString(),
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
    maps: report.maps
      .toSorted((a, b) => (b.estimatedBytes ?? 0) - (a.estimatedBytes ?? 0) || b.size - a.size)
      .slice(0, mostMaps)
      .map((map) => ({
        ...growing(map),
        shareOfEntries: round(entries === 0 ? 0 : map.size / entries),
        shareOfHeap:
          map.estimatedBytes === undefined || !facts.heapBytes
            ? undefined
            : round(map.estimatedBytes / facts.heapBytes),
      })),
    watched: report.watched
      .toSorted((one, other) => other.size - one.size)
      .slice(0, mostMaps)
      .map(growing),
  };
}

/** For a person: what is full, which maps are large and how fast they grow, and what the registry reports of them. */
function printed(data: MemoryReport, report: RegistryReport): string {
  const { pressure, memory, eventLoop } = data;
  const lines = [
    `mapsweep memory report, ${data.at}, pid ${data.pid}, Node ${data.node}, registry ${data.registry}`,
    `${pressure.kind === 'heap' ? 'the heap' : 'the resident set'} is at ${percent(pressure.ratio)}: ` +
      `${megabytes(pressure.usedBytes)} of ${megabytes(pressure.limitBytes)}` +
      (pressure.kind === 'heap' ? ', as the last major collection left it' : ', the limit of the container'),
    `resident ${megabytes(memory.rss)}, heap used ${megabytes(memory.heapUsed)} with garbage, ` +
      `external ${megabytes(memory.external)}, array buffers ${megabytes(memory.arrayBuffers)}`,
    `heap spaces: ${listed(data.heapSpaces, megabytes)}`,
    `keeps the loop alive: ${listed(data.resources, String) || 'nothing'}; ` +
      `${data.childProcesses} child processes, ${data.workers} workers`,
    `event loop: a turn took ${eventLoop.delayMs} ms, busy ${percent(eventLoop.utilization)} of the time`,
    '',
    'the largest maps:',
  ];
  for (const map of data.maps.filter(({ size }) => size > 0)) {
    const weight = map.estimatedBytes === undefined ? '' : `, about ${megabytes(map.estimatedBytes)}`;
    const share = map.shareOfHeap === undefined ? '' : ` (${percent(map.shareOfHeap)} of the heap)`;
    lines.push(
      `  ${map.name}: ${map.size} entries, ${percent(map.shareOfEntries)} of all${weight}${share}, ` +
        `${signed(map.perHour)} an hour`,
    );
  }
  if (data.watched.length > 0) lines.push('', 'watched sizes:');
  for (const { name, size, max, perHour } of data.watched)
    lines.push(`  ${name}: ${size}${max === undefined ? '' : ` of ${max}`}, ${signed(perHour)} an hour`);
  return `${[...lines, '', String(report)].join('\n')}\n`;
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
