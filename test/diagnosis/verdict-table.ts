/** The table of how the verdict does on the simulated maps, beside `deriv(entries[6h]) > 0`, as Markdown. */
import type { History } from './judged-history.ts';
import type { SimulatedMap } from './simulated-maps.ts';

/** @param rows a map and what was made of it, by seed; a map that comes again counts once */
export function tableOf(
  rows: ReadonlyArray<{ readonly map: SimulatedMap; readonly runs: readonly History[] }>,
): string {
  const lines = ['| map | verdict | `deriv` |', '| --- | --- | --- |'];
  for (const { map, runs } of new Map(rows.map((row) => [row.map.name, row])).values()) {
    lines.push(`| ${map.name} | ${told(map, runs, 'leakingAt')} | ${told(map, runs, 'derivAt')} |`);
  }
  return lines.join('\n');
}

function told(map: SimulatedMap, runs: readonly History[], at: 'leakingAt' | 'derivAt'): string {
  const { leaksFrom } = map;
  const hours = runs.flatMap((run) => run[at] ?? []);
  if (leaksFrom === undefined)
    return hours.length === 0 ? '-' : `false alarm in ${hours.length} of ${runs.length}`;
  const delays = hours.filter((hour) => hour >= leaksFrom).map((hour) => hour - leaksFrom);
  const early = hours.length - delays.length;
  const parts: string[] = [];
  if (early > 0) parts.push(`false alarm in ${early} of ${runs.length}`);
  if (delays.length > 0) {
    delays.sort((a, b) => a - b);
    parts.push(
      `${Math.round(delays[delays.length >> 1] as number)} h, at most ${Math.round(delays.at(-1) as number)}`,
    );
  }
  if (hours.length < runs.length) parts.push(`missed in ${runs.length - hours.length}`);
  return parts.join('; ');
}
