import { shownText } from '../events/shown.js';
import { bytes, deliveryWords } from '../registry/figures.js';
import { journalWords } from '../registry/journal-figures.js';
import type { EntryLine, OpenedMap } from './opened-map.js';
import type { PageQuery } from './query.js';
import type { PageView } from './view.js';
import {
  ago,
  countsWords,
  hasLeft,
  holdWords,
  lettersLeftOut,
  letterWords,
  noSuchMap,
  percent,
  spanOr,
  sweepingWords,
  verdictWords,
  watchedWords,
} from './words.js';

/** Writes what the page shows as plain text, for a terminal. */
export function textOf(view: PageView, query: PageQuery): string {
  const { at, sentence, health, maps, watched, opened, endings, callbackErrors, leftOut, journal } = view;
  const lines = [`mapsweep ${view.registry}`, sentence.text, sweepingWords(view)];
  lines.push(...health.reasons.map((reason) => `  ${reason}`), '');
  if (opened !== undefined) lines.push(...openedLines(opened, query), '');
  else if (query.map !== undefined) lines.push(noSuchMap, '');
  lines.push(`maps: ${maps.matching} of ${maps.total}, page ${maps.page} of ${maps.pages}`);
  for (const row of maps.rows) {
    const since = row.leak.since === undefined ? '' : ` since ${ago(at, row.leak.since)}`;
    const weight = row.estimatedBytes === undefined ? '' : `, ${bytes(row.estimatedBytes)}`;
    lines.push(
      `  ${shownText(row.name)}: ${verdictWords(row)}${since}; ${row.size} entries${weight}, oldest ${spanOr(row.oldestAgeMs, '-')}, ` +
        `${row.overdue} overdue, ${row.orphaned} orphaned, ${row.guarded} guarded, ${row.held} held, ${row.waiting} waiting`,
    );
  }
  for (const of of watched) lines.push(`  ${shownText(of.name)} (watched): ${watchedWords(of)}`);
  if (leftOut.watched > 0) lines.push(`  and ${leftOut.watched} more watched`);
  if (endings !== undefined) {
    lines.push(
      '',
      `endings of ${shownText(endings.map)}: ${countsWords(endings.ended)}; ${endings.duplicates} duplicates turned away`,
    );
    lines.push(`  ${endings.pending} pending, the oldest for ${spanOr(endings.oldestPendingMs, 'no time')}`);
    for (const to of endings.recipients) {
      lines.push(`  to ${shownText(to.name)}: ${deliveryWords(to)}`);
    }
    for (const letter of endings.letters) {
      lines.push(
        `  dead letter of ${letter.key} to ${shownText(letter.recipient)}, ${ago(at, letter.at)}, id ${letter.id}: ` +
          `${letterWords(letter)}${letter.error === '' ? '' : `: ${letter.error}`}`,
      );
    }
    const lettersNotShown = lettersLeftOut(endings);
    if (lettersNotShown !== undefined)
      lines.push(`  ${endings.deadLetters} dead letters. ${lettersNotShown}`);
  }
  for (const { map, callback, count } of callbackErrors) {
    lines.push(`callback failures: ${map === '' ? '' : `${shownText(map)}.`}${callback}: ${count}`);
  }
  if (leftOut.callbackErrors > 0) lines.push(`callback failures: and ${leftOut.callbackErrors} more`);
  if (journal !== undefined) {
    lines.push(`journal ${journal.name}: ${journalWords(journal)}`);
  }
  return `${lines.join('\n')}\n`;
}

function openedLines(opened: OpenedMap, query: PageQuery): string[] {
  const held = opened.longestHeld.map((hold) => `    ${hold.key} ${holdWords(hold)}`);
  const calls = countsWords(opened.beforeSweep);
  return [
    `the map ${shownText(opened.name)}: ${opened.leak.reason}`,
    ...opened.policy.map((words) => `  ${words}`),
    `  ${opened.registered} registered; left: ${countsWords(opened.removed)}`,
    ...(calls === 'none' ? [] : [`  calls of beforeSweep: ${calls}`]),
    ...opened.sites.map(({ site, share }) => `  ${percent(share)} registered at ${shownText(site)}`),
    ...(opened.entry === undefined ? [] : ['  asked for:', ...entryLines(opened.entry)]),
    ...(query.entry !== undefined && opened.entry === undefined ? [`  ${hasLeft}`] : []),
    ...(held.length === 0 ? [] : ['  held longest:', ...held]),
    '  longest there, and why:',
    ...opened.oldest.flatMap(entryLines),
  ];
}

const entryLines = ({ key, state, why }: EntryLine): string[] => [`    ${key}`, `      ${state}: ${why}`];
