/** What a map held at the end of one stretch of runs and of the drain after it. */
export interface Look {
  /** How many runs the stretch had. */
  readonly runs: number;
  /** How many entries the map had. */
  readonly size: number;
  /** How few it had at any time since the stretch began. */
  readonly low: number;
  /** How many of them came in each stretch so far, that one included. */
  readonly stayed: readonly number[];
  /** How many of those that came in this stretch came while the scenario ran, and not in the drain. */
  readonly cameInRuns: number;
}

/**
 * How a map or a level fares from one stretch of runs to the next.
 *
 * - `back`: nothing that came has stayed
 * - `bounded`: below a bound that its policy names
 * - `stopped`: something stayed, and no more of it: made once
 * - `turns-over`: what stays are others each time
 * - `paced`: as few come however often the scenario runs: they go by time
 * - `doubtful`: another stretch will tell
 * - `sparse`: a longer stretch will tell
 * - `grows`: it goes on and on
 */
export type Course =
  | 'back'
  | 'bounded'
  | 'stopped'
  | 'turns-over'
  | 'paced'
  | 'doubtful'
  | 'sparse'
  | 'grows';

/** After so many stretches whatever still grows is taken to go on. */
export const mostStretches = 6;

/** So many stretches show that a growth is no coincidence: of two, one may have been the time that fills a cache. */
const fewestStretches = 3;

/** So few a stretch may be one for each time that passes, such as the counter of an hour, and none for a run. */
const few = 3;

/** How many times longer a stretch has to be for a leak to show that it goes by runs. */
export const longStretch = 4;

/**
 * Judges the entries of a map by those that stayed, not by its size, in which what leaves makes room for what leaks.
 *
 * @param looks one for each stretch so far
 * @param bound how many entries its policy allows; `Infinity` if it names no bound
 */
export function courseOfEntries(looks: readonly Look[], bound = Number.POSITIVE_INFINITY): Course {
  // A stretch of which nothing stayed at its own end tells nothing about a leak that is rarer than that.
  const first = looks.findIndex(({ stayed }, stretch) => (stayed[stretch] as number) > 0);
  if (first < 0) return 'back';
  const seen = looks.slice(first).map((look) => ({ ...look, stayed: look.stayed.slice(first) }));
  const now = seen.at(-1) as Look;
  const total = sum(now.stayed);
  if (total === 0) return 'back';
  if (now.size <= bound && bound < Number.POSITIVE_INFINITY) return 'bounded';
  const before = seen.at(-2);
  if (before === undefined) return 'doubtful';
  if (now.stayed.at(-1) === 0) return 'stopped';
  if (now.stayed[0] === 0) return courseOfQueue(seen);
  if (seen.length < fewestStretches) return 'doubtful';
  const isLeaving = (now.stayed[0] as number) < (before.stayed[0] as number);
  // A full cache that replaces entries at random keeps some of them for long, and its size all the time.
  if (isLeaving && now.low === now.size && now.size === before.size) return 'turns-over';
  if (looks.length < mostStretches && (isLeaving || !isSteady(now, before))) return 'doubtful';
  if (isLeaving) return courseOfQueue(seen);
  return mayGoByTime(now) ? courseOfFew(now, before, looks.length) : 'grows';
}

/** What comes leaves again, but perhaps not as fast: then the map is never again as small as it was. */
function courseOfQueue(seen: readonly Look[]): Course {
  const course = courseOfLevel(
    seen.map(({ low }) => low),
    (seen.at(-1) as Look).size,
  );
  return course === 'grows' || course === 'doubtful' ? course : 'turns-over';
}

/** Returns whether nothing speaks for an end of the growth: none of the last stretches has left fewer than the one before. */
function isSteady(now: Look, before: Look): boolean {
  const others = (look: Look): number => look.size - sum(look.stayed);
  // What fills a cache to its cap begins to drive out what was there before all stretches.
  if (others(now) < others(before)) return false;
  const [earlier, late, newest] = now.stayed.slice(-fewestStretches) as [number, number, number];
  return isNoLess(late, earlier) && isNoLess(newest, late);
}

/** One fewer is what a leak at every twelfth run may show by itself. */
function isNoLess(count: number, before: number): boolean {
  return count >= before * 0.95 - 1;
}

function mayGoByTime({ stayed, cameInRuns }: Look): boolean {
  const newest = stayed.at(-1) as number;
  // A timer that leaks in the drain leaks.
  return stayed.slice(0, -1).every((count) => count <= few) && cameInRuns === newest;
}

function courseOfFew(now: Look, before: Look, stretches: number): Course {
  if (now.runs < before.runs * longStretch) return stretches < mostStretches ? 'sparse' : 'grows';
  const most = Math.max(...now.stayed.slice(0, -1));
  return (now.stayed.at(-1) as number) >= 2 * most ? 'grows' : 'paced';
}

/**
 * Judges a number that is read again and again, such as the weight of the values in a map.
 *
 * @param lows the lowest it was in each stretch so far: what is filled and emptied again comes back to the same
 * @param now what it is at the end of the last stretch
 */
export function courseOfLevel(lows: readonly number[], now: number): Course {
  const steps = [...lows.slice(1), now].map((level, stretch) => level - (lows[stretch] as number));
  const last = steps.at(-1);
  if (last === undefined || steps.every((step) => step <= 0)) return 'back';
  if (last <= 0) return 'stopped';
  if (steps.slice(0, -1).some((step) => step <= 0)) return 'turns-over';
  if (steps.length < fewestStretches) return 'doubtful';
  const [earlier, late, newest] = steps.slice(-fewestStretches) as [number, number, number];
  const steady = late >= earlier * 0.95 && newest >= late * 0.95;
  return steps.length >= mostStretches || steady ? 'grows' : 'doubtful';
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
