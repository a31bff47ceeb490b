import { shownText } from '../events/shown.js';
import { deliveryWords } from '../registry/figures.js';
import { journalWords } from '../registry/journal-figures.js';
import type { EndingsView, LetterLine } from './endings.js';
import { html, type Markup, type Part } from './markup.js';
import type { PageView } from './view.js';
import { ago, countsWords, lettersLeftOut, letterWords, spanOr, watchedWords } from './words.js';

/** A form of one button that changes something. */
export const actionForm = (address: string, name: string, value: string, words: string): Markup =>
  html`<form method="post" action="${address}" enctype="text/plain"><button name="${name}" value="${value}">${words}</button></form>`;

/**
 * The endings, and the dead letters.
 *
 * @param redeliver where dead letters are redelivered; `undefined` if nobody may
 */
export function endingsSection(at: number, endings: EndingsView, redeliver: string | undefined): Markup {
  const { map, ended, duplicates, pending, oldestPendingMs, deadLetters, recipients, letters } = endings;
  const leftOut = lettersLeftOut(endings);
  return html`
<section id="endings" aria-labelledby="endings-title">
<h2 id="endings-title">Endings of <bdi>${shownText(map)}</bdi></h2>
<p>Ended: ${countsWords(ended)}; ${duplicates} duplicates turned away. ${pending} pending, the oldest for ${spanOr(oldestPendingMs, 'no time')}.</p>
<ul>${recipients.map((to) => html`<li><bdi>${shownText(to.name)}</bdi>: ${deliveryWords(to)}</li>`)}</ul>
<h3>Dead letters (${deadLetters})</h3>
${letters.length === 0 ? html`<p>There are none.</p>` : html`<dl>${letters.map((letter) => letterLine(at, letter, redeliver))}</dl>`}
${leftOut !== undefined && html`<p>${leftOut}</p>`}
${redeliver !== undefined && deadLetters > 0 && actionForm(redeliver, 'letter', 'all', 'Redeliver all')}
</section>`;
}

function letterLine(at: number, letter: LetterLine, redeliver: string | undefined): Markup {
  return html`<dt><bdi>${letter.key}</bdi> to <bdi>${shownText(letter.recipient)}</bdi>, ${ago(at, letter.at)}</dt>
<dd>${letterWords(letter)}${letter.error !== '' && html`: <bdi>${letter.error}</bdi>`} <small>id <bdi>${letter.id}</bdi></small>
${redeliver !== undefined && actionForm(redeliver, 'letter', letter.handle, 'Redeliver')}</dd>`;
}

/** What callbacks of the owner threw. */
export const failuresSection = ({ callbackErrors, leftOut }: PageView): Markup => html`
<section id="failures" aria-labelledby="failures-title">
<h2 id="failures-title">Callback failures</h2>
${
  callbackErrors.length === 0
    ? html`<p>There are none.</p>`
    : html`<ul>${callbackErrors.map(({ map, callback, count }) => html`<li><bdi>${shownText(map)}</bdi>${map !== '' && '.'}${callback}: ${count}</li>`)}${more(leftOut.callbackErrors)}</ul>`
}
</section>`;

/** Sizes that are no Map's. */
export const watchedSection = ({ watched, leftOut }: PageView): Markup => html`
<section id="watched" aria-labelledby="watched-title">
<h2 id="watched-title">Watched sizes</h2>
<ul>${watched.map((of) => html`<li><bdi>${shownText(of.name)}</bdi>: ${watchedWords(of)}</li>`)}${more(leftOut.watched)}</ul>
</section>`;

const more = (count: number): Part => count > 0 && html`<li>and ${count} more</li>`;

/** How the journal is doing. */
export const journalSection = (journal: NonNullable<PageView['journal']>): Markup => html`
<section id="journal" aria-labelledby="journal-title">
<h2 id="journal-title">Journal</h2>
<p><code>${journal.name}</code>: ${journalWords(journal)}</p>
</section>`;
