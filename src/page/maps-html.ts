import { span } from '../diagnosis/explain.js';
import { shownText } from '../events/shown.js';
import { bytes } from '../registry/figures.js';
import { lineOf } from './line.js';
import type { MapRow } from './map-rows.js';
import { html, type Markup, type Part } from './markup.js';
import { nameInQuery, orders, type PageQuery, searchOf, states } from './query.js';
import type { PageView } from './view.js';
import { ago, spanOr, verdictWords } from './words.js';

/** The form with which maps are filtered and sorted. It stands outside of what is kept live: somebody may be typing. */
export const filterForm = (base: string, query: PageQuery): Markup => html`
<form class="filter" method="get" action="${base}" role="search" aria-label="Maps">
<label>Name has <input name="filter" value="${shownText(query.filter)}" maxlength="128" autocomplete="off"></label>
<label>Verdict <select name="state">${states.map((state) => option(state, query.state))}</select></label>
<label>Sort by <select name="sort">${orders.map((order) => option(order, query.sort))}</select></label>
<button>Show</button>
</form>`;

const option = (name: string, chosen: string): Markup =>
  html`<option${name === chosen ? html` selected` : ''}>${name}</option>`;

/** The maps, and the way to those that are not shown. */
export function mapsSection(base: string, { at, maps }: PageView, query: PageQuery): Markup {
  const rows = maps.rows.map((row) => mapLine(base, at, row, query));
  const shown = maps.matching === maps.total ? `${maps.total}` : `${maps.matching} of ${maps.total}`;
  return html`
<section id="maps" aria-labelledby="maps-title">
<h2 id="maps-title">Maps (${shown})</h2>
${
  rows.length === 0
    ? html`<p>There is no such map.</p>`
    : html`<div class="wide" tabindex="0" role="region" aria-label="Table of maps"><table>
<thead><tr><th scope="col">Map</th><th scope="col">Verdict</th><th scope="col">Since</th><th scope="col" class="number">Entries</th><th scope="col">Over time</th><th scope="col" class="number">Oldest</th><th scope="col" class="number">Overdue</th><th scope="col" class="number">Orphaned</th><th scope="col" class="number">Guarded</th><th scope="col" class="number">Held</th><th scope="col" class="number">Waiting</th><th scope="col" class="number">Weight</th></tr></thead>
<tbody>${rows}</tbody></table></div>`
}
${maps.pages > 1 && pager(base, query, maps.page, maps.pages)}
</section>`;
}

function mapLine(base: string, at: number, row: MapRow, query: PageQuery): Markup {
  const { name, leak, size, oldestAgeMs, overdue, orphaned, guarded, held, waiting, estimatedBytes } = row;
  const address = `${base}${searchOf({ ...query, map: nameInQuery(name), entry: undefined, done: undefined })}`;
  return html`<tr class="${leak.state}"><th scope="row"><a href="${address}"><bdi>${shownText(name)}</bdi></a></th><td class="verdict">${verdictWords(row)}</td><td>${leak.since === undefined ? '' : ago(at, leak.since)}</td>${number(size)}<td>${sizesOverTime(row)}</td>${number(spanOr(oldestAgeMs, '–'))}${number(overdue)}${number(orphaned)}${number(guarded)}${number(held)}${number(waiting)}${number(estimatedBytes === undefined ? '' : bytes(estimatedBytes))}</tr>
`;
}

const sizesOverTime = ({ sizes, sizesOverMs }: MapRow): Part =>
  sizes.length > 1 && html`${lineOf(sizes)}<small>${span(sizesOverMs)}</small>`;

const number = (value: Part): Markup => html`<td class="number">${value}</td>`;

function pager(base: string, query: PageQuery, page: number, pages: number): Markup {
  const link = (to: number, words: string): Part =>
    to >= 1 &&
    to <= pages &&
    html` <a href="${base}${searchOf({ ...query, page: to, done: undefined })}">${words}</a>`;
  return html`<nav aria-label="Pages of maps">Page ${page} of ${pages}${link(page - 1, 'Previous')}${link(page + 1, 'Next')}</nav>`;
}
