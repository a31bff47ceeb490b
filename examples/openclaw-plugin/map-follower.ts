import { type Clock, createRegistry, type MapHandle, type Registry } from 'mapsweep';
import { type Discovery, discover, type JsonPolicy, policyFor, policyFromJson } from 'mapsweep/discover';
import { type AnnouncedMap, announcement, changesInWords, named, wouldSweep } from './announcement.ts';
import type { PluginConfig } from './config.ts';
import type { Logger } from './gateway-api.ts';
import { forValuesWith, keptForWork } from './known-maps.ts';
import { cut } from './one-line.ts';
import { type Adoption, dictionariesIn, isBelow, planAdoptions, type TrackedMap } from './plan.ts';

interface Followed extends TrackedMap, AnnouncedMap {
  readonly handle: MapHandle<unknown, unknown>;
}

/** The surroundings of a {@link MapFollower}; by default those of the process. */
export interface Surroundings {
  /** Where the singletons hang. Default `globalThis`. */
  readonly root?: object;
  readonly clock?: Clock;
}

// Every tracked map is a series in each metric; a gateway has some fifty.
const MOST_MAPS = 1_000;
// Each is a line in the log.
const MOST_PROBLEMS = 100;
// As long as a name may be in mapsweep.
const LONGEST_PATH = 128;
// Objects are left out of one look that found the machine busy, and out of all when they have become too wide.
const MOST_LOOKS_UNSEEN = 10;
const MOST_DICTIONARIES = 1_000;

/**
 * Keeps a mapsweep registry in step with the maps that hang from `globalThis[Symbol.for('openclaw.…')]`: adopts what is
 * there, and after every sweep what has come since; follows a map whose property holds another object by now; releases
 * what is gone.
 */
export class MapFollower {
  readonly registry: Registry;
  readonly #config: PluginConfig;
  readonly #log: Logger;
  readonly #root: object;
  readonly #followed = new Map<string, Followed>();
  /** What the last look found, tracked or not, by path. */
  #found: ReadonlyMap<string, object> = new Map();
  readonly #problems = new Set<string>();
  readonly #wouldSweep = new Set<string>();
  /** For how many looks in a row a map has not been seen, because what holds it was left out. */
  #unseen = new Map<string, number>();
  /** One that was a dictionary once stays one: its maps are not to come and go with the number of sessions. */
  readonly #dictionaries = new Set<string>();

  /** Starts at once: what is there is adopted and told when this returns. */
  constructor(config: PluginConfig, log: Logger, { root = globalThis, clock }: Surroundings = {}) {
    this.#config = config;
    this.#log = log;
    this.#root = root;
    const { mode, sweepEvery, leakCycle } = config;
    this.registry = createRegistry({ mode, sweepEvery, leakDetection: { cycle: leakCycle }, clock });
    this.registry.on('sweep-finished', () => this.#afterSweep());
    this.registry.on('leak-suspected', ({ map, suspected, size, perHour, reason }) => {
      if (suspected) log.warn(`${map} leaks: ${size} entries, ${perHour.toFixed(1)} more an hour; ${reason}`);
      else log.info(`${map} leaks no longer: ${size} entries`);
    });
    this.#follow();
    for (const line of announcement([...this.#followed.values()], config)) log.info(line);
    // What is misspelt looks like what the gateway has not made yet.
    const paths = [...this.#found.keys()];
    const missing = config.own.filter(({ match, policy }) =>
      paths.every((path) => !policyFor(path, [{ match, policy: { policy } }])),
    );
    if (missing.length > 0)
      log.info(`no map is there yet for ${named(missing.map(({ match }) => cut(match, LONGEST_PATH)))}`);
  }

  /** Releases every map without a trace, and ends the timer. */
  async close(): Promise<void> {
    this.#followed.clear();
    this.#found = new Map();
    await this.registry.close();
  }

  #afterSweep(): void {
    try {
      const changes = this.#follow();
      if (changes !== undefined) this.#log.info(changes);
      this.#tellWouldSweep();
    } catch (error) {
      this.#problem(`looking for maps failed: ${messageOf(error)}`);
    }
  }

  #follow(): string | undefined {
    const discovered = discover({ root: this.#root });
    // Of two maps of one path the first, as the plan has it.
    this.#found = new Map(discovered.toReversed().map(({ path, ref }) => [path, ref]));
    const { maps } = this.#config;
    const isUnseen = this.#unseenIn(discovered);
    this.#noteDictionaries(discovered);
    const blind = { isUnseen, dictionaries: this.#dictionaries };
    const plan = planAdoptions(discovered, this.#followed, maps, MOST_MAPS, blind);
    if (plan.leftOut > 0) this.#problem(`there are more than ${MOST_MAPS} maps; the rest is not tracked`);
    for (const path of plan.release) {
      this.#followed.get(path)?.handle.release();
      this.#followed.delete(path);
    }
    const adopted = plan.adopt.filter((adoption) => this.#adopt(adoption)).map(({ path }) => path);
    return changesInWords(adopted, plan.release);
  }

  /** Tells what was left out, and whether a tracked map may be there all the same: for a few looks it may. */
  #unseenIn({ truncated, leftOut }: Discovery): (path: string) => boolean {
    if (truncated) {
      const where = named(
        leftOut.map((path) => (path === '' ? 'symbols of the gateway' : cut(path, LONGEST_PATH))),
      );
      const what = `there is more than it looks at: ${where}; maps in there are not tracked`;
      this.#problem(what, 'there is more than it looks at');
    }
    const unseen = new Map<string, number>();
    // Where the list of what was left out is as long as it gets, any map may be missing for that.
    const isLeftOut = (path: string): boolean =>
      truncated && (leftOut.length >= 100 || isBelow(path, leftOut));
    for (const path of this.#followed.keys()) {
      if (isLeftOut(path)) unseen.set(path, (this.#unseen.get(path) ?? 0) + 1);
    }
    this.#unseen = unseen;
    return (path) => (unseen.get(path) ?? Number.POSITIVE_INFINITY) <= MOST_LOOKS_UNSEEN;
  }

  #noteDictionaries(discovered: Discovery): void {
    for (const path of dictionariesIn(discovered, this.#config.maps)) {
      if (this.#dictionaries.size >= MOST_DICTIONARIES || this.#dictionaries.has(path)) continue;
      this.#dictionaries.add(path);
      this.#problem(
        `${cut(path, LONGEST_PATH)} holds maps by session, user or the like: of these only what you list is tracked`,
      );
    }
  }

  #adopt({ path, ref, size, policy, fields, workIn, isListed }: Adoption): boolean {
    const { follows } = policy;
    // Its leader is not there (another release keeps it elsewhere), is to be left alone or cannot be tracked: which of its entries
    // are orphans is not known then, and to sweep by a guess could take from a run that lives.
    const waitsFor = follows === undefined || this.#followed.has(follows) ? undefined : follows;
    const inForce: JsonPolicy = waitsFor === undefined ? policy : { mode: 'observe' };
    try {
      const made = policyFromJson(inForce);
      const checked = fields === undefined ? made : forValuesWith(fields, made);
      // What one look leaves out of a gateway that is busy may be there all the same.
      const find = (map: string) => this.#found.get(map) ?? this.#followed.get(map)?.ref;
      const kept = workIn === undefined ? checked : keptForWork(workIn, checked, find);
      const handle = this.registry.adopt(path, ref as Map<unknown, unknown>, kept);
      this.#followed.set(path, { path, ref, handle, size, policy: inForce, workIn, isListed, waitsFor });
      return true;
    } catch (error) {
      // A frozen Map, a name that is too long, or a copy of this plugin that has not let go yet: tried again later.
      this.#problem(`${cut(path, LONGEST_PATH)} cannot be tracked: ${messageOf(error)}`);
      return false;
    }
  }

  #tellWouldSweep(): void {
    for (const map of this.registry.report().maps) {
      if (map.mode !== 'observe' || map.overdue === 0 || this.#wouldSweep.has(map.name)) continue;
      this.#wouldSweep.add(map.name);
      this.#log.info(wouldSweep(map));
    }
  }

  /** Said once, by its key, and not for ever more of them. */
  #problem(message: string, key = message): void {
    if (this.#problems.has(key) || this.#problems.size >= MOST_PROBLEMS) return;
    this.#problems.add(key);
    this.#log.warn(message);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
