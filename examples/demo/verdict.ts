/** What is played, and the last screen: both sides next to each other, on 24 lines with the prompt below them. */
import type { Batch } from './batch.ts';
import type { Figures } from './figures.ts';
import { MAP_NAMES } from './gateway.ts';
import { type Cell, type Paint, paragraphs, type Row, renderTable } from './table.ts';
import { counted, grouped, hoursAndMinutes, megabytes, milliseconds, seconds } from './units.ts';

export interface Comparison {
  plain: Figures;
  mapsweep: Figures;
}

/** What the batch is, and how its time passes. */
export function renderIntroduction(batch: Batch): string {
  const over = (kind: string) => grouped(batch.runs.filter((run) => run.kind === kind && !run.active).length);
  const working = batch.runs.filter((run) => run.active).length;
  return paragraphs(
    `${grouped(batch.tickets)} tickets x 2 session-mode runs, ${over('run')} one-shot helpers, ${over('cron')} cron ` +
      `runs, and ${working} runs that work all day: ${grouped(batch.operations.length)} HTTP requests to a gateway, ` +
      `the same each time (seed ${batch.seed}).`,
    `The gateway lives on a stepped clock: ${hoursAndMinutes(batch.requestsEndMs)} of requests, then the hours until ` +
      `every lifetime is over, ${hoursAndMinutes(batch.endMs)} in all.`,
  );
}

/** The figures of both sides. */
export function renderComparison({ plain, mapsweep }: Comparison, batch: Batch, paint: Paint): string {
  const row = (label: string, cell: (side: Figures) => Cell | string): Row => [
    label,
    cell(plain),
    cell(mapsweep),
  ];
  const wanted = (value: number, target: number): Cell => ({
    text: grouped(value),
    mark: value === target ? paint.good : paint.bad,
  });
  const overIn = ({ entries }: Figures) => MAP_NAMES.reduce((sum, name) => sum + entries[name].over, 0);
  const { none, once, moreThanOnce } = plain.notified;
  const speed = batch.endMs / Math.max(plain.wallMs, mapsweep.wallMs);

  const table = renderTable(
    ['after one day', 'plain Maps', 'mapsweep'],
    [
      [
        row('entries left of runs that are over', (side) => wanted(overIn(side), 0)),
        ...MAP_NAMES.map((name) => row(`  ${name}`, (side) => wanted(side.entries[name].over, 0))),
        row('heap in use since the start, after GC', ({ heapBytes: { before, after } }) => {
          const grown = after - before;
          return `${grown < 0 ? '-' : '+'}${megabytes(Math.abs(grown))}`;
        }),
        row(`ends of ${grouped(none + once + moreThanOnce)} runs: never told`, (side) =>
          wanted(side.notified.none, 0),
        ),
        row('  told twice or more', (side) => wanted(side.notified.moreThanOnce, 0)),
        row(`second ends, of ${grouped(plain.secondEnds.reported)}: turned away`, ({ secondEnds }) =>
          wanted(secondEnds.turnedAway, secondEnds.reported),
        ),
        row('runs at work killed by mistake', (side) => wanted(side.killed, 0)),
      ],
      [
        row('longest block of the event loop', (side) => milliseconds(side.longestBlockMs)),
        row('wall time', (side) => seconds(side.wallMs)),
      ],
    ],
    paint,
  );
  const costs = paragraphs(
    'Blocks as monitorEventLoopDelay saw them: client, gateway and GC are one process, ' +
      `${grouped(Math.round(speed / 1_000) * 1_000)} times as fast as life. The wall time of mapsweep has ` +
      `${counted(mapsweep.sweeps, 'sweep')} in it, and each end told until it was heard.`,
  );
  return `${table}\n${costs}`;
}
