import {
  actionForm,
  endingsSection,
  failuresSection,
  journalSection,
  watchedSection,
} from './endings-html.js';
import { filterForm, mapsSection } from './maps-html.js';
import { html, type Markup, type Part } from './markup.js';
import { findForm, openedSection } from './opened-html.js';
import { type PageQuery, searchOf } from './query.js';
import type { PageView } from './view.js';
import { noSuchMap, sweepingWords } from './words.js';

/** How the page is served. */
export interface Frame {
  /** The folder of the page, relative to the address of the request. */
  readonly base: string;
  /** How often the script asks again, ms. */
  readonly refreshMs: number;
  /** Whether it has buttons that change something. */
  readonly mayAct: boolean;
}

/** What is said of what has just been done. */
const doneWords: Readonly<Record<string, string>> = {
  swept: 'Swept.',
  observed: 'A sweep went through, which only observes: nothing was removed.',
  'not-swept': 'The sweep was broken off.',
  redelivered: 'Given a new round of attempts.',
  'partly-redelivered':
    'Some were given a new round of attempts; the others are being tried, or there is no room.',
  'not-redelivered': 'Nothing was redelivered: it is gone, it is being tried, or there is no room.',
  closed: 'The registry is closed: nothing is swept or delivered any more.',
  absent: 'There is no such key, or it is not tracked yet.',
};

/** Renders the page. It works as it is; the script only keeps it live. */
export function pageHtml(view: PageView, query: PageQuery, frame: Frame): Markup {
  const { base, refreshMs } = frame;
  const mayAct = frame.mayAct && !view.closed;
  const { sentence, opened, endings, journal } = view;
  const done = query.done !== undefined && Object.hasOwn(doneWords, query.done) && doneWords[query.done];
  const same = searchOf({ ...query, done: undefined });
  return framed(
    base,
    `${sentence.tone === 'good' ? '' : `${sentence.tone}: `}mapsweep ${view.registry}`,
    html`
<header><h1>mapsweep <bdi>${view.registry}</bdi></h1>
<p><a href="${base}report.json${same}">JSON</a> <a href="${base}report.txt${same}">Text</a></p>
${mayAct && actionForm(`${base}sweep${same}`, 'sweep', 'now', 'Sweep now')}
<p id="live" role="status"></p></header>
<main data-refresh="${refreshMs}">
<section id="sentence" aria-label="In one sentence"><p class="sentence ${sentence.tone}" data-tone="${sentence.tone}">${sentence.text}</p>
<p class="sweeping">${sweepingWords(view)}</p>
${view.health.reasons.length > 0 && html`<ul>${view.health.reasons.map((reason) => html`<li>${reason}</li>`)}</ul>`}</section>
${done && html`<p class="done">${done}</p>`}
${opened && findForm(base, opened.name, query)}
${opened ? openedSection(base, view.at, opened, query) : query.map !== undefined && html`<section id="opened" aria-label="The map that was asked for"><p>${noSuchMap}</p></section>`}
${filterForm(base, query)}
${mapsSection(base, view, query)}
${view.watched.length > 0 && watchedSection(view)}
${endings && endingsSection(view.at, endings, mayAct ? `${base}redeliver${same}` : undefined)}
${failuresSection(view)}
${journal && journalSection(journal)}
</main>
<script src="${base}page.js"></script>`,
  );
}

/** Renders the form into which the token is typed. */
export const tokenHtml = (base: string, isWrong: boolean): Markup =>
  framed(
    base,
    'mapsweep: token',
    html`
<main><h1>mapsweep</h1>
${isWrong && html`<p class="sentence bad" role="alert">That is not the token.</p>`}
<form method="post" action="${base}" enctype="text/plain">
<label>Token <input type="password" name="token" required autocomplete="current-password"></label>
<button>Enter</button>
</form></main>`,
  );

const framed = (base: string, title: string, body: Part): Markup => html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${base}page.css"></head>
<body>${body}
</body></html>
`;
