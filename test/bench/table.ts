/**
 * Prints results as Markdown tables, which a terminal shows well enough and a README takes as they are.
 */
import { type ContenderKind, kindOf } from './contenders.js';
import { figure, type Goal } from './goals.js';
import type { Scenario } from './job.js';
import type { Results } from './results.js';

/** One column: its heading, and the cell of a contender. */
interface Column {
  readonly heading: string;
  cell(kind: ContenderKind): string;
}

/** Every table of what was measured, the goals last. */
export function renderResults(
  results: Results,
  goals: readonly Goal[],
  contenders: readonly string[],
): string {
  const kinds = contenders.map(kindOf);
  const sections: string[] = [];
  for (const size of results.sizes('life')) {
    const column = (heading: string, name: string) => plain(results, 'life', size, heading, name);
    sections.push(
      section(`A whole life at ${entries(size)}: set, active three times, gone`, kinds, [
        column('CPU an entry, us', 'lifeUs'),
        ratioTo(results, size, 'times lru-cache', 'lru-cache'),
        column('longest turn, ms', 'lifeTurnMs'),
        column('without GC', 'lifeTurnWithoutGcMs'),
      ]),
    );
  }
  for (const size of results.sizes('operations')) {
    sections.push(
      section(
        `Calls at ${entries(size)}: times the plain Map (its ns a call)`,
        kinds,
        callColumns(results, size),
      ),
      section(
        `Longest burst of 1,000 calls at ${entries(size)}, ms`,
        kinds,
        callNames.map(([name, heading]) => plain(results, 'operations', size, heading, `${name}BurstMs`)),
      ),
    );
  }
  for (const size of results.sizes('sweeps')) {
    sections.push(section(`Sweeps at ${entries(size)}, ms`, kinds, sweepColumns(results, size)));
  }
  const memorySizes = results.sizes('memory');
  if (memorySizes.length > 0) {
    const columns = memorySizes.map((size) => plain(results, 'memory', size, entries(size), 'bytesPerEntry'));
    sections.push(section('Bytes an entry, besides key and value', kinds, columns));
  }
  if (results.sizes('batch').length > 0) {
    const column = (heading: string, name: string) => plain(results, 'batch', 0, heading, name);
    sections.push(
      section('The batch: 1,400 tickets of 2 runs, 4 maps; 2 h later', kinds, [
        column('took, ms', 'batchMs'),
        column('heap at its end, KB more', 'batchPeakKb'),
        column('heap afterwards, KB more', 'batchLeftKb'),
        column('entries left', 'batchLeftEntries'),
      ]),
    );
  }
  for (const size of results.sizes('gateway')) {
    const column = (heading: string, name: string) => plain(results, 'gateway', size, heading, name);
    sections.push(
      section(`A run in the gateway's maps, beside ${entries(size)}: us of CPU`, kinds, [
        column('registered in 3 maps', 'gatewayRegisterUs'),
        column('says something', 'gatewaySaidUs'),
        column('end() and delivery', 'gatewayEndUs'),
        column('swept', 'gatewaySweepUs'),
      ]),
    );
  }
  for (const size of results.sizes('endings')) {
    const column = (heading: string, name: string) => plain(results, 'endings', size, heading, name);
    sections.push(
      section(`${size.toLocaleString('en')} calls of end() in one go, an async handler`, kinds, [
        column('delivered a second', 'endingsPerSecond'),
        column('end(), ns', 'claimNs'),
        column('heap at most, B a run more', 'endingsPeakBytes'),
        column('heap afterwards, KB more', 'endingsLeftKb'),
      ]),
    );
  }
  const scrapeSizes = results.sizes('scrape');
  if (scrapeSizes.length > 0) {
    const columns = scrapeSizes.map((size) =>
      plain(results, 'scrape', size, `4 x ${entries(size)}`, 'scrapeMs'),
    );
    sections.push(section('A scrape, ms', kinds, columns));
  }
  for (const size of results.sizes('journal')) {
    const column = (heading: string, name: string) => plain(results, 'journal', size, heading, name);
    sections.push(
      section(`2,000 runs a second beside ${entries(size)}, with a journal and without`, kinds, [
        column('longest turn, ms', 'journalTurnMs'),
        column('without GC', 'journalTurnWithoutGcMs'),
        column('p99.9', 'journalTurnP999Ms'),
        column('CPU a record, us', 'journalRecordUs'),
        column('bytes a life', 'journalLifeBytes'),
        column('loads in, ms', 'journalLoadMs'),
        column('longest turn', 'journalLoadTurnMs'),
        column('bytes a run', 'journalLoadBytes'),
      ]),
    );
  }
  if (goals.length > 0) sections.push(renderGoals(goals));
  return sections.filter((text) => text !== '').join('\n\n');
}

const callNames = [
  ['get', 'get'],
  ['has', 'has'],
  ['iterate', 'iterate'],
  ['setNew', 'set new'],
  ['setAgain', 'set again'],
  ['touch', 'touch'],
  ['delete', 'delete'],
] as const;

function callColumns(results: Results, size: number): Column[] {
  return callNames.map(([name, heading]) => {
    // A plain Map has no touch: its set is what one would use for it.
    const base = name === 'touch' ? 'setAgain' : name;
    const of = (contender: string, figureName: string) =>
      ({ scenario: 'operations', contender, size, figure: `${figureName}Ns` }) as const;
    return {
      heading,
      cell: (kind) => {
        if (kind.name === 'map') {
          const ns = results.median(of('map', name));
          return ns === undefined ? '' : `(${figure(ns)})`;
        }
        return shown(results.ratio(of(kind.name, name), of('map', base)));
      },
    };
  });
}

function sweepColumns(results: Results, size: number): Column[] {
  const column = (heading: string, name: string) => plain(results, 'sweeps', size, heading, name);
  return [
    column('none due', 'sweepNoneMs'),
    column('1% due', 'sweepSomeMs'),
    column('all due but one', 'sweepMostMs'),
    column('all due', 'sweepAllMs'),
    column('all due, passed', 'sweepAllWallMs'),
    column('none due, all set again', 'sweepRefreshedMs'),
    column('longest block, 1% due', 'sweepSomeBlockMs'),
    column('all due', 'sweepAllBlockMs'),
    column('timer late p99, all due', 'sweepAllLatenessP99Ms'),
    column('longest block, idle', 'idleBlockMs'),
  ];
}

function plain(results: Results, scenario: Scenario, size: number, heading: string, name: string): Column {
  const cell = (kind: ContenderKind): string =>
    shown(results.median({ scenario, contender: kind.name, size, figure: name }));
  return { heading, cell };
}

function ratioTo(results: Results, size: number, heading: string, base: string): Column {
  const of = (contender: string) => ({ scenario: 'life', contender, size, figure: 'lifeUs' }) as const;
  return { heading, cell: ({ name }) => shown(results.ratio(of(name), of(base))) };
}

function shown(value: number | undefined): string {
  return value === undefined ? '' : figure(value);
}

function entries(size: number): string {
  return `${size.toLocaleString('en')} entries`;
}

function section(title: string, kinds: readonly ContenderKind[], columns: readonly Column[]): string {
  const cells = kinds.map((kind) => [kind.label, ...columns.map((column) => column.cell(kind))]);
  const rows = cells.filter((row) => row.slice(1).some((cell) => cell !== ''));
  if (rows.length === 0) return '';
  const isUsed = (index: number) => index === 0 || rows.some((row) => row[index] !== '');
  const table = [['', ...columns.map(({ heading }) => heading)], ...rows];
  return `### ${title}\n\n${renderTable(table.map((row) => row.filter((_, index) => isUsed(index))))}`;
}

function renderGoals(goals: readonly Goal[]): string {
  const rows = goals.map(({ what, size, goal, measured, isMet }) => [
    what,
    size.toLocaleString('en'),
    goal,
    measured,
    isMet ? 'met' : 'MISSED',
  ]);
  return `### Goals\n\n${renderTable([['what', 'entries', 'goal', 'measured', ''], ...rows])}`;
}

function renderTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] as readonly string[]).map((_, column) =>
    Math.max(3, ...rows.map((row) => (row[column] as string).length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => pad(cell, widths[column] as number, column)).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  const [head, ...body] = rows as [readonly string[], ...(readonly string[])[]];
  return [line(head), rule, ...body.map(line)].join('\n');
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}
