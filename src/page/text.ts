import { shownText } from '../events/shown.js';
import { bytes } from '../registry/figures.js';
import type { EntryLine, OpenedMap } from './opened-map.js';
import type { PageView } from './view.js';
import { ago, countsWords, percent, spanOr, verdictWords } from './words.js';

/** Writes what the page shows as plain text, for a terminal. */
export function textOf(view: PageView): string {
  const { at, sentence, health, maps, opened, endings, callbackErrors, journal } = view;
  const lines = [sentence.text, ...health.reasons.map((reason) => `  ${reason}`), ''];
  if (opened !== undefined) lines.push(...openedLines(opened), '');
  lines.push(`maps: ${maps.matching} of ${maps.total}, page ${maps.page} of ${maps.pages}`);
  for (const row of maps.rows) {
    const since = row.leak.since === undefined ? '' : ` since ${ago(at, row.leak.since)}`;
    const weight = row.estimatedBytes === undefined ? '' : `, ${bytes(row.estimatedBytes)}`;
    lines.push(
      `  ${shownText(row.name)}: ${verdictWords(row)}${since}; ${row.size} entries${weight}, oldest ${spanOr(row.oldestAgeMs, '-')}, ` +
        `${row.overdue} overdue, ${row.guarded} guarded, ${row.waiting} waiting`,
    );
  }
  if (endings !== undefined) {
    lines.push('', `endings of ${shownText(endings.map)}: ${countsWords(endings.ended)}`);
    lines.push(`  ${endings.pending} pending, the oldest for ${spanOr(endings.oldestPendingMs, 'no time')}`);
    for (const to of endings.recipients) {
      lines.push(`  to ${shownText(to.name)}: ${to.delivered} delivered, ${to.deadLetters} dead letters`);
    }
    for (const letter of endings.letters) {
      lines.push(
        `  dead letter of ${letter.key} to ${shownText(letter.recipient)}: ${letter.cause}: ${letter.error}`,
      );
    }
  }
  for (const { map, callback, count } of callbackErrors) {
    lines.push(`callback failures: ${map === '' ? '' : `${shownText(map)}.`}${callback}: ${count}`);
  }
  if (journal !== undefined) {
    const error = journal.error === undefined ? '' : `; ${journal.error}`;
    lines.push(`journal ${journal.name}: ${bytes(journal.bytes)}${journal.isLost ? ', lost' : ''}${error}`);
  }
  return `${lines.join('\n')}\n`;
}

function openedLines(opened: OpenedMap): string[] {
  return [
    `the map ${shownText(opened.name)}: ${opened.leak.reason}`,
    ...opened.policy.map((words) => `  ${words}`),
    `  ${opened.registered} registered; left: ${countsWords(opened.removed)}`,
    ...opened.sites.map(({ site, share }) => `  ${percent(share)} registered at ${shownText(site)}`),
    ...(opened.entry === undefined ? [] : ['  asked for:', ...entryLines(opened.entry)]),
    '  longest there, and why:',
    ...opened.oldest.flatMap(entryLines),
  ];
}

const entryLines = ({ key, state, why }: EntryLine): string[] => [`    ${key}`, `      ${state}: ${why}`];
