/** The output: what is played, the two sides next to each other, and what there is to see in them. */
import Table from 'cli-table3';
import type { Batch } from './batch.ts';
import { brokenPromises, type Figures } from './figures.ts';
import { MAP_NAMES, type MapName } from './gateway.ts';
import { counted, grouped, hoursAndMinutes, megabytes, milliseconds, seconds } from './units.ts';

const TEXT_WIDTH = 78;
const INDENT = '  ';
const COLUMN_WIDTHS = [42, 15, 15];

/** Marks text for a terminal. */
export interface Paint {
  good(text: string): string;
  bad(text: string): string;
  strong(text: string): string;
  /** Of the lines of a table, as cli-table3 names colours. */
  borders: string[];
}

/** Colours and weights, or plain text. */
export function createPaint(colours: boolean): Paint {
  const style = (on: number, off: number) => (text: string) =>
    colours ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return { good: style(32, 39), bad: style(31, 39), strong: style(1, 22), borders: colours ? ['gray'] : [] };
}

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
      `the same for each side (seed ${batch.seed}).`,
    `Both sides live on a stepped clock: ${hoursAndMinutes(batch.requestsEndMs)} of requests, then the hours until ` +
      `every lifetime is over, ${hoursAndMinutes(batch.endMs)} in all.`,
  );
}

/** A table of 76 columns: a text, and two figures. */
export const createTable = (head: [string, string, string], paint: Paint) =>
  new Table({
    head: head.map(paint.strong),
    colWidths: COLUMN_WIDTHS,
    colAligns: ['left', 'right', 'right'],
    style: { head: [], border: paint.borders },
  });

/** The table of both sides. */
export function renderTable({ plain, mapsweep }: Comparison, paint: Paint): string {
  const table = createTable(['', 'plain Maps', 'mapsweep'], paint);
  const section = (title: string, rows: [label: string, cell: (side: Figures) => string][]) => {
    const column = (cells: string[]) => ['', ...cells].join('\n');
    table.push([
      [paint.strong(title), ...rows.map(([label]) => `  ${label}`)].join('\n'),
      column(rows.map(([, cell]) => cell(plain))),
      column(rows.map(([, cell]) => cell(mapsweep))),
    ]);
  };
  const mark = (value: string, isGood: boolean) => (isGood ? paint.good(value) : paint.bad(value));
  const noneIsGood = (value: number) => mark(grouped(value), value === 0);
  const left = (name: MapName) => (side: Figures) =>
    mark(grouped(side.entries[name].left), side.entries[name].over === 0);

  section(
    'entries left (in brackets: runs at work)',
    MAP_NAMES.map((name) => [`${name} (${mapsweep.entries[name].working})`, left(name)]),
  );
  section('heap in use after GC', [
    ['before the batch', (side) => megabytes(side.heapBytes.before)],
    ['when every lifetime is over', (side) => megabytes(side.heapBytes.after)],
  ]);
  section('ended runs, told to the context engine', [
    ['never', (side) => noneIsGood(side.notified.none)],
    ['once', (side) => grouped(side.notified.once)],
    ['more than once', (side) => noneIsGood(side.notified.moreThanOnce)],
  ]);
  section('cost', [
    ['runs at work killed by mistake', (side) => noneIsGood(side.killed)],
    ['longest event-loop block', (side) => milliseconds(side.blockMs.longest)],
    ['event-loop delay, 99th percentile', (side) => milliseconds(side.blockMs.p99)],
    ['wall time', (side) => seconds(side.wallMs)],
  ]);
  return indented(table.toString());
}

/** Two or three sentences that say what to see; made from the figures. */
export function renderSummary(comparison: Comparison, batch: Batch): string {
  const { plain, mapsweep } = comparison;
  const over = MAP_NAMES.reduce((sum, name) => sum + plain.entries[name].over, 0);
  const runs = grouped(plain.notified.none + plain.notified.once + plain.notified.moreThanOnce);
  const keptBytes = plain.heapBytes.after - plain.heapBytes.before;
  // In a small batch, what the process keeps for itself is more than what leaks.
  const weight = keptBytes > 1e6 ? `, and ${megabytes(keptBytes)} with them` : '';
  const speed = batch.endMs / Math.max(plain.wallMs, mapsweep.wallMs);
  const broken = brokenPromises(mapsweep);
  return paragraphs(
    `Plain Maps keep ${counted(over, 'entry', 'entries')} of runs that are over${weight}, for as long as the process ` +
      `lives. Of ${runs} ended runs the context engine never heard of ${grouped(plain.notified.none)}, and heard more ` +
      `than once of ${grouped(plain.notified.moreThanOnce)}.`,
    ...(broken.length === 0
      ? [
          'On mapsweep the same gateway code leaves nothing but the runs that still work, and the end of each of the ' +
            `${runs} was told exactly once: one successful delivery for each run, within this process.`,
        ]
      : ['On mapsweep the sweep did not hold:', ...broken.map((sentence) => `- ${sentence}`)]),
    `Gateway time went ${grouped(Math.round(speed / 1_000) * 1_000)} times as fast as wall time. Blocks and delays are ` +
      'what monitorEventLoopDelay saw at a resolution of 1 ms, in a process that is client and gateway at once, and ' +
      'include what else the machine did.',
  );
}

/**
 * A titled block of somebody else's text, not set in, since it is wide. What is too wide for the terminal is set closer
 * where that is enough, and folded where it is not.
 */
export function renderBlock(title: string, text: string, paint: Paint, width: number): string {
  const fits = (part: string) => part.split('\n').every((line) => line.length <= width);
  const parts = text.split('\n\n').map((part) => {
    const closer = setCloser(part);
    const lines = (fits(closer) && !fits(part) ? closer : part).split('\n');
    return lines.map((line) => folded(line, width)).join('\n');
  });
  return [paint.strong(title), parts.join('\n\n')].join('\n');
}

/** Columns that are two spaces apart in every line come to be one apart. */
function setCloser(table: string): string {
  const lines = table.split('\n');
  const isBlank = (column: number) => lines.every((line) => (line[column] ?? ' ') === ' ');
  return lines
    .map((line) => [...line].filter((_, column) => !(isBlank(column) && isBlank(column + 1))).join(''))
    .join('\n');
}

/** Paragraphs of words, folded and set in. */
export const paragraphs = (...texts: string[]): string =>
  texts.map((text) => indented(folded(text, TEXT_WIDTH - INDENT.length, ''))).join('\n');

/** Breaks a line at spaces; what goes on starts as far in as the line did, and `hang`. */
function folded(line: string, width: number, hang = '    '): string {
  const start = `${/^ */.exec(line)?.[0]}${hang}`;
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    if (space <= start.length) break;
    lines.push(rest.slice(0, space).trimEnd());
    rest = start + rest.slice(space).trimStart();
  }
  return [...lines, rest].join('\n');
}

/** Set in from the left edge. */
export const indented = (text: string): string => text.replace(/^(?=.)/gm, INDENT);
