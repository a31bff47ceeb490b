import { counted, shownText } from '../events/shown.js';
import { html, type Markup } from './markup.js';
import type { EntryLine, OpenedMap } from './opened-map.js';
import { type PageQuery, searchOf } from './query.js';
import { ago, countsWords, hasLeft, holdWords, percent, verdictWords } from './words.js';

/** The form with which an entry is found. By POST, for its key is not to be in an address, which is kept in many places. */
export const findForm = (base: string, map: string, query: PageQuery): Markup => html`
<form class="find" method="post" action="${base}find${searchOf({ ...query, entry: undefined, done: undefined })}" enctype="text/plain" role="search" aria-label="Entry">
<label>Key in <bdi>${shownText(map)}</bdi> <input name="key" required autocomplete="off"></label>
<button>Explain</button>
</form>`;

/** A map that is opened. */
export function openedSection(base: string, at: number, opened: OpenedMap, query: PageQuery): Markup {
  const { name, size, leak, policy, registered, removed, beforeSweep, sites, longestHeld, oldest, entry } =
    opened;
  const close = `${base}${searchOf({ ...query, map: undefined, entry: undefined, done: undefined })}`;
  return html`
<section id="opened" aria-labelledby="opened-title">
<h2 id="opened-title">The map <bdi>${shownText(name)}</bdi></h2>
<p><span class="verdict ${leak.state}">${verdictWords(opened)}</span>${leak.since !== undefined && ` since ${ago(at, leak.since)}`}: ${leak.reason}. ${counted(size, 'entry', 'entries')}. <a href="${close}">Close</a></p>
${entry && html`<h3>The entry that was asked for</h3>${entries(base, [entry], query)}`}
${query.entry !== undefined && entry === undefined && html`<p>${hasLeft}</p>`}
<h3>Policy</h3>
<ul>${policy.map((words) => html`<li>${words}</li>`)}</ul>
<p>${registered} registered; left: ${countsWords(removed)}.${countsWords(beforeSweep) !== 'none' && ` Calls of beforeSweep: ${countsWords(beforeSweep)}.`}</p>
${
  sites.length > 0 &&
  html`<h3>Registered at</h3>
<ul>${sites.map(({ site, count, share }) => html`<li>${percent(share)} (${count} sampled): <code>${shownText(site)}</code></li>`)}</ul>`
}
${
  longestHeld.length > 0 &&
  html`<h3>Held longest</h3>
<dl>${longestHeld.map((hold) => html`<dt><bdi>${hold.key}</bdi></dt><dd>${holdWords(hold)}</dd>`)}</dl>`
}
<h3>Longest there, and why</h3>
${oldest.length === 0 ? html`<p>It is empty.</p>` : entries(base, oldest, query)}
</section>`;
}

const entries = (base: string, lines: readonly EntryLine[], query: PageQuery): Markup =>
  html`<dl>${lines.map((line) => entryLine(base, line, query))}</dl>`;

function entryLine(base: string, { key, handle, state, why }: EntryLine, query: PageQuery): Markup {
  const address = `${base}${searchOf({ ...query, entry: handle, done: undefined })}`;
  const shown = html`<bdi>${key}</bdi>`;
  return html`<dt>${handle === undefined ? shown : html`<a href="${address}">${shown}</a>`}</dt><dd>${state}: ${why}</dd>`;
}
