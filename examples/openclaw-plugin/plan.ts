import { type Discovered, type JsonPolicy, policyFor } from 'mapsweep/discover';
import type { ListedMap, WorkElsewhere } from './config.ts';

/** What is done about one discovered map. */
export interface Treatment {
  readonly policy: JsonPolicy;
  /** What values have, if that is known: those without it are left alone. */
  readonly fields?: readonly string[] | undefined;
  /** Where work for an entry waits. */
  readonly workIn?: WorkElsewhere | undefined;
  /** Whether the operator or the defaults name it. What nobody names is observed and never swept. */
  readonly isListed: boolean;
}

/** A map that is tracked already. */
export interface TrackedMap {
  readonly ref: object;
  /** The leader that was not tracked when it was adopted. */
  readonly waitsFor: string | undefined;
}

/** A map to adopt. */
export interface Adoption extends Treatment {
  readonly path: string;
  readonly ref: Discovered['ref'];
  readonly size: number;
}

/** What has to be done for the tracked maps to be those that are there. */
export interface Plan {
  /** To be done first: a map may have moved to another path. */
  readonly release: readonly string[];
  /** Leaders before what follows them. */
  readonly adopt: readonly Adoption[];
  /** Paths beyond the limit. */
  readonly leftOut: number;
}

/** More children than this that hold maps, and an object is a dictionary: its keys are sessions or users, not registries. */
const MOST_CHILDREN = 32;

const OBSERVED: Treatment = { policy: { mode: 'observe' }, isListed: false };
const LONGEST_CHAIN = 32;

/** The treatment of the map at a path; `undefined` where it is to be left alone. */
export function treatmentOf(path: string, maps: readonly ListedMap[]): Treatment | undefined {
  const listed = maps.find((map) => policyFor(path, [map]) !== undefined);
  if (listed === undefined) return OBSERVED;
  const { policy, fields, workIn } = listed;
  return policy === false ? undefined : { policy, fields, workIn, isListed: true };
}

/** The paths of objects that hold maps by session, user or the like, of which nobody lists more than a few. */
export function dictionariesIn(discovered: readonly Discovered[], maps: readonly ListedMap[]): string[] {
  const children = new Map<string, Set<string>>();
  for (const { path } of discovered) {
    if (treatmentOf(path, maps) !== OBSERVED) continue;
    // At each `/`, since a name may have one in it too.
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      const holder = path.slice(0, end);
      const next = path.indexOf('/', end + 1);
      const child = path.slice(end + 1, next < 0 ? undefined : next);
      children.set(holder, (children.get(holder) ?? new Set()).add(child));
    }
  }
  // Into the registries maps were put by name, on purpose.
  children.delete('mapsweep.registries');
  return [...children].filter(([, names]) => names.size > MOST_CHILDREN).map(([holder]) => holder);
}

/** Whether a path is below one of these. */
export function isBelow(path: string, holders: Iterable<string>): boolean {
  for (const holder of holders) if (holder === '' || path.startsWith(`${holder}/`)) return true;
  return false;
}

/** What the last look could not see, and what it saw that is not to be tracked. */
export interface Blind {
  /** Whether a tracked map that was not found may be there all the same. */
  isUnseen(path: string): boolean;
  /** Objects that hold maps by session or user: what nobody lists there is not tracked, and no label names it. */
  readonly dictionaries: ReadonlySet<string>;
}

const SEES_ALL: Blind = { isUnseen: () => false, dictionaries: new Set() };

/**
 * Compares what was discovered with what is tracked. A map is released where its path is gone, where another object is
 * there now, and where it waited for a leader that is tracked by now; what is there and not tracked is adopted.
 *
 * @param limit how many maps may be tracked at once; listed ones come first
 */
export function planAdoptions(
  discovered: readonly Discovered[],
  tracked: ReadonlyMap<string, TrackedMap>,
  maps: readonly ListedMap[],
  limit: number,
  { isUnseen, dictionaries }: Blind = SEES_ALL,
): Plan {
  const there = new Map<string, Discovered>();
  // Two symbols of one description make two maps of one path; a name can stand for one of them.
  for (const map of discovered) {
    const isLeftAlone = treatmentOf(map.path, maps) === OBSERVED && isBelow(map.path, dictionaries);
    if (!isLeftAlone && !there.has(map.path)) there.set(map.path, map);
  }

  const isKept = (path: string, ref: object): boolean => {
    const found = there.get(path);
    return found === undefined ? isUnseen(path) && !isBelow(path, dictionaries) : found.ref === ref;
  };
  const release = [...tracked]
    .filter(
      ([path, { ref, waitsFor }]) => !isKept(path, ref) || (waitsFor !== undefined && tracked.has(waitsFor)),
    )
    .map(([path]) => path);
  const kept = new Set([...tracked.keys()].filter((path) => !release.includes(path)));

  const wanted: Adoption[] = [];
  for (const [path, { ref, size }] of there) {
    const treatment = kept.has(path) ? undefined : treatmentOf(path, maps);
    if (treatment === undefined) continue;
    wanted.push({ path, ref, size, ...treatment });
  }
  const rank = ({ path, isListed }: Adoption): number =>
    isListed ? chainLength(path, maps) : LONGEST_CHAIN + 1;
  wanted.sort((a, b) => rank(a) - rank(b));
  const adopt = wanted.slice(0, Math.max(0, limit - kept.size));
  return { release, adopt, leftOut: wanted.length - adopt.length };
}

/** How many leaders stand above a map. Patterns can make circles; the registry refuses those with an error of its own. */
function chainLength(path: string, maps: readonly ListedMap[]): number {
  let length = 0;
  for (let leader: string | undefined = path; length < LONGEST_CHAIN; length += 1) {
    leader = treatmentOf(leader, maps)?.policy.follows;
    if (leader === undefined) break;
  }
  return length;
}
