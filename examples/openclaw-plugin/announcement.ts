import type { MapReport } from 'mapsweep';
import type { JsonLifetimes, JsonPolicy } from 'mapsweep/discover';

/** A tracked map, as the log tells it. */
export interface AnnouncedMap {
  readonly path: string;
  readonly size: number;
  readonly policy: JsonPolicy;
  readonly isListed: boolean;
  readonly waitsFor: string | undefined;
  /** Where work keeps its entries. */
  readonly workIn?: { readonly map: string } | undefined;
}

const MOST_NAMED = 5;

/** What the log says once, after the first look: what is tracked, and what is, or would be, swept. One line each. */
export function announcement(
  maps: readonly AnnouncedMap[],
  { mode, sweepEvery }: { readonly mode: string; readonly sweepEvery: number | string },
): string[] {
  const listed = maps.filter(({ isListed }) => isListed);
  const observed = maps.filter(({ isListed }) => !isListed).sort((a, b) => b.size - a.size);
  const names = observed.slice(0, MOST_NAMED).map(({ path, size }) => `${path} (${size})`);
  const more = observed.length > MOST_NAMED ? ', …' : '';
  return [
    `tracks ${count(maps.length, 'map')}, every ${sweepEvery}, mode ${mode}: ${listed.length} by a policy, ${observed.length} observed`,
    ...listed.map((map) => listedLine(map, mode)),
    ...(observed.length > 0 ? [`only observes, largest first: ${names.join(', ')}${more}`] : []),
  ];
}

function listedLine({ path, size, policy, waitsFor, workIn }: AnnouncedMap, mode: string): string {
  const where = `${path} (${count(size, 'entry', 'entries')})`;
  const words = policyInWords(policy);
  const work = workIn === undefined ? '' : `, kept while ${workIn.map} has work for its session`;
  const leader = waitsFor === undefined ? '' : `, until ${waitsFor} is tracked, which it follows`;
  if (!removesSomething(policy)) return `only observes ${where}${words === '' ? '' : `: ${words}`}${leader}`;
  return `${(policy.mode ?? mode) === 'sweep' ? 'sweeps' : 'would sweep'} ${where}: ${words}${work}${leader}`;
}

/** Whether any entry ever leaves by a policy. */
function removesSomething({ follows, maxEntries, maxPerOwner, rules = [], ...own }: JsonPolicy): boolean {
  const isSet = (option: unknown): boolean => option !== undefined && option !== false;
  if ([follows, maxEntries, maxPerOwner].some(isSet)) return true;
  return [own, ...rules].some(({ ttl, expiresAt, maxIdle, maxAge }) =>
    [ttl, expiresAt, maxIdle, maxAge].some(isSet),
  );
}

/** `maxIdle 30m, for keys like ^cron: ttl 24h, kept while queue.length or draining`: a policy without its mode. */
export function policyInWords({ mode: _, rules = [], keepWhile, maxPerOwner, ...rest }: JsonPolicy): string {
  return [
    ...optionsInWords(rest),
    ...rules.map(({ match, ...lifetimes }) => ruleInWords(match, lifetimes)),
    ...(keepWhile === undefined ? [] : [`kept while ${[keepWhile].flat().join(' or ')}`]),
    ...(maxPerOwner === undefined
      ? []
      : [`at most ${maxPerOwner.max} for each ${[maxPerOwner.owner].flat()}`]),
  ].join(', ');
}

function ruleInWords(match: string, lifetimes: JsonLifetimes): string {
  return `for keys like ${match} ${optionsInWords(lifetimes).join(', ') || 'never'}`;
}

const optionsInWords = (options: object): string[] =>
  Object.entries(options).map(([name, value]) => `${name} ${[value].flat().join(' or ')}`);

/** What changed after the first look, on one line; `undefined` where nothing did. */
export function changesInWords(adopted: readonly string[], released: readonly string[]): string | undefined {
  const replaced = released.filter((path) => adopted.includes(path));
  const parts = [
    ['now tracks', adopted.filter((path) => !replaced.includes(path))],
    ['follows to a new object', replaced],
    ['no longer there', released.filter((path) => !replaced.includes(path))],
  ] as const;
  const told = parts
    .filter(([, paths]) => paths.length > 0)
    .map(([what, paths]) => `${what}: ${named(paths)}`);
  return told.length === 0 ? undefined : told.join('; ');
}

/** Of an observed map with a policy: what would be gone by now. */
export function wouldSweep({ name, overdue, size }: Pick<MapReport, 'name' | 'overdue' | 'size'>): string {
  return `would have swept ${overdue} of ${count(size, 'entry', 'entries')} of ${name} by now`;
}

/** The first few of these paths, and how many more there are. */
export function named(paths: readonly string[]): string {
  const rest = paths.length - MOST_NAMED;
  return paths.slice(0, MOST_NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
