/** The second table of the output: what two kills left behind, what was heard of it all, and what to see in that. */
import type { Crash, CrashFigures, Times } from './crash-figures.ts';
import { createTable, indented, type Paint, paragraphs } from './table.ts';
import { counted, gatewayTime, grouped } from './units.ts';

type Cells = readonly [string, string];

/** The table; as wide as the first one. */
export function renderCrashTable(figures: CrashFigures, paint: Paint): string {
  const { crashes, heard, heardById, knownToNobody } = figures;
  const table = createTable(['mapsweep and kill -9', 'first kill', 'second kill'], paint);
  const section = (rows: [label: string, cells: Cells][]) =>
    table.push([
      rows.map(([label]) => label).join('\n'),
      rows.map(([, [first]]) => first).join('\n'),
      rows.map(([, [, second]]) => second).join('\n'),
    ]);
  const ofEach = (cell: (crash: Crash) => string): Cells => {
    const [first = '', second = ''] = crashes.map(cell);
    return [first, second];
  };
  const ofBoth = (cell: (times: Times) => string): Cells => [cell(heard), cell(heardById)];
  const noneIsGood = (value: number) => (value === 0 ? paint.good('0') : paint.bad(grouped(value)));

  section([
    ['killed at (gateway clock)', ofEach(({ killedAtMs }) => gatewayTime(killedAtMs))],
    ['requests answered by then', ofEach((crash) => grouped(crash.answered))],
    ['endings heard of, and not written', ofEach((crash) => grouped(crash.heardUnwritten))],
  ]);
  section([
    [paint.strong('runs whose end was still to be told'), ['', '']],
    ["  in journal and gateway's store", ofEach(({ open }) => grouped(open.inBoth))],
    ["  in the gateway's store alone", ofEach(({ open }) => grouped(open.inStoreAlone))],
    ['  in the journal alone', ofEach(({ open }) => grouped(open.inJournalAlone))],
    ['  in neither, so known to nobody', ofEach(({ open }) => grouped(open.inNeither))],
  ]);
  section([
    [paint.strong('ended runs, heard by the context engine'), ['all', 'each id once']],
    ['  never', ofBoth(({ never }) => noneIsGood(never))],
    ['  once', ofBoth(({ once }) => grouped(once))],
    ['  twice', [grouped(heard.twice), noneIsGood(heardById.twice)]],
    ['  more often', [grouped(heard.moreOften), noneIsGood(heardById.moreOften)]],
    ['  never, being known to nobody', [grouped(knownToNobody), grouped(knownToNobody)]],
  ]);
  return indented(table.toString());
}

/** Sentences that say what to see; made from the figures. */
export function renderCrashSummary(figures: CrashFigures): string {
  const { tickets, crashes, deliveries, heardById, endedAsLost, knownToNobody, broken } = figures;
  const heardUnwritten = crashes.reduce((sum, crash) => sum + crash.heardUnwritten, 0);
  return paragraphs(
    `${grouped(tickets)} tickets, killed twice, each time with a request under way, and started again on what was ` +
      "on disk: mapsweep's journal, and the gateway's own store of its runs, which loses a few on purpose.",
    ...(broken.length === 0
      ? [
          `${counted(heardUnwritten, 'ending was', 'endings were')} heard of in the last moment before a kill, when the ` +
            `journal had not been told yet. ${counted(deliveries.repeats, 'ending was', 'endings were')} told again, with ` +
            'the same id and at most once more for each kill. A recipient that drops what bears a known id heard of each of ' +
            `the ${grouped(heardById.once)} runs exactly once.`,
          `${counted(endedAsLost, 'run')} that the store had lost did not come back, and ended as lost. ` +
            `${counted(knownToNobody, 'run')} began in the last moment and ${knownToNobody === 1 ? 'was' : 'were'} lost by ` +
            'the store too: nobody is left who could tell.',
        ]
      : ['This did not hold:', ...broken.map((sentence) => `- ${sentence}`)]),
  );
}
