/** The last screen of the kills: what two of them left behind, and what was heard of it all. */
import type { Crash, CrashFigures, Times } from './crash-figures.ts';
import { type Cell, type Paint, paragraphs, type Row, renderTable } from './table.ts';
import { counted, gatewayTime, grouped } from './units.ts';

/** What is done to the gateway. */
export const renderKills = (): string =>
  paragraphs(
    'It is killed twice, each time with a request under way, and started again on what is on disk: the journal of ' +
      'mapsweep, and the store that the gateway has of its runs, which loses a few on purpose.',
  );

/** The figures of both kills. */
export function renderCrashes(figures: CrashFigures, paint: Paint): string {
  const { crashes, heard, heardById, deliveries, endedAsLost, knownToNobody } = figures;
  const ofEach = (label: string, cell: (crash: Crash) => string): Row => {
    const [first = '', second = ''] = crashes.map(cell);
    return [label, first, second];
  };
  const noneIsGood = (value: number): Cell => ({
    text: grouped(value),
    mark: value === 0 ? paint.good : paint.bad,
  });
  const moreThanOnce = ({ twice, moreOften }: Times) => twice + moreOften;

  const table = renderTable(
    ['mapsweep and kill -9', 'first kill', 'second kill'],
    [
      [
        ofEach('killed at, by the clock of the gateway', ({ killedAtMs }) => gatewayTime(killedAtMs)),
        ofEach('requests answered by then', ({ answered }) => grouped(answered)),
        ofEach('ends heard of, and not yet in the journal', (crash) => grouped(crash.heardUnwritten)),
        ofEach('ends still to be told: in journal and store', ({ open }) => grouped(open.inBoth)),
        ofEach('  in the store alone', ({ open }) => grouped(open.inStoreAlone)),
        ofEach('  in the journal alone', ({ open }) => grouped(open.inJournalAlone)),
        ofEach('  in neither', ({ open }) => grouped(open.inNeither)),
      ],
      [
        [paint.strong('ended runs, as they were heard of'.padEnd(46)), 'all', 'each id once'],
        ['  never', noneIsGood(heard.never), noneIsGood(heardById.never)],
        ['  once', grouped(heard.once), grouped(heardById.once)],
        ['  more than once', grouped(moreThanOnce(heard)), noneIsGood(moreThanOnce(heardById))],
      ],
    ],
    paint,
  );
  const words = paragraphs(
    `${counted(deliveries.repeats, 'end was', 'ends were')} told again, heard of right before a kill: under the same id, which a ` +
      `recipient that knows it drops. ${counted(endedAsLost, 'run')} that the store had lost ended as lost; ` +
      `${grouped(knownToNobody)} that no journal had either nobody knows of.`,
  );
  return `${table}\n${words}`;
}
