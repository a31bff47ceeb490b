import { shownText } from '../events/shown.js';

/** What a map may be sorted by; the first is the default. */
export const orders = ['worst', 'size', 'oldest', 'overdue', 'name'] as const;
/** Which verdicts are shown; the first is the default. */
export const states = ['any', 'leaking', 'growing', 'filling', 'ok'] as const;

/** What a page is asked for. */
export interface PageQuery {
  /** Part of a map's name, in any case. */
  readonly filter: string;
  readonly state: (typeof states)[number];
  readonly sort: (typeof orders)[number];
  /** From 1 on. */
  readonly page: number;
  /** The map that is opened: its name, or as {@link nameInQuery} has it. */
  readonly map: string | undefined;
  /** The entry of it that is explained, by its handle. */
  readonly entry: string | undefined;
  /** What has just been done: the name of a sentence. */
  readonly done: string | undefined;
}

const longestFilter = 128;
const longestHandle = 32;

/** Reads the query of an address. What makes no sense in it counts as left out: it may be anybody's. */
export function readQuery(search: string): PageQuery {
  const given = new URLSearchParams(search);
  return {
    filter: (given.get('filter') ?? '').trim().slice(0, longestFilter),
    state: oneOf(states, given.get('state')),
    sort: oneOf(orders, given.get('sort')),
    page: positive(given.get('page')) ?? 1,
    map: given.get('map') ?? undefined,
    entry: given.get('entry')?.slice(0, longestHandle),
    done: given.get('done') ?? undefined,
  };
}

/** Writes a query as it is read, without what is the default; empty if all is. */
export function searchOf(query: Partial<PageQuery>): string {
  const written = new URLSearchParams();
  const byDefault: Partial<PageQuery> = { filter: '', page: 1, sort: orders[0], state: states[0] };
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === byDefault[name as keyof PageQuery]) continue;
    written.set(name, String(value));
  }
  return written.size === 0 ? '' : `?${written}`;
}

/** The name of a map as an address has it, which cannot carry a half of a pair: such a name is written as it is shown. */
export const nameInQuery = (name: string): string => (/\p{Cs}/u.test(name) ? shownText(name) : name);

function positive(text: string | null): number | undefined {
  const number = text === null || !/^\d{1,15}$/.test(text) ? 0 : Number(text);
  return number > 0 ? number : undefined;
}

const oneOf = <const Choice extends string>(choices: readonly Choice[], text: string | null): Choice =>
  choices.find((choice) => choice === text) ?? (choices[0] as Choice);
