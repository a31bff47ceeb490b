import { type Clock, createRegistry, type MapHandle, type Registry } from 'mapsweep';
import { discover } from 'mapsweep/discover';
import { type AnnouncedMap, announcement, changesInWords, wouldSweep } from './announcement.ts';
import type { MapPolicy, PluginConfig } from './config.ts';
import type { Logger } from './gateway-api.ts';
import { type Adoption, planAdoptions, type TrackedMap } from './plan.ts';

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
  readonly #problems = new Set<string>();
  readonly #wouldSweep = new Set<string>();

  /** Starts at once: what is there is adopted and told when this returns. */
  constructor(config: PluginConfig, log: Logger, { root = globalThis, clock }: Surroundings = {}) {
    this.#config = config;
    this.#log = log;
    this.#root = root;
    const { mode, sweepEvery, leakCycle } = config;
    this.registry = createRegistry({ mode, sweepEvery, leakDetection: { cycle: leakCycle }, clock });
    this.registry.on('sweep-finished', () => this.#afterSweep());
    this.registry.on('leak-suspected', ({ map, suspected, size, entriesPerMinute }) => {
      if (suspected)
        log.warn(`${map} looks like a leak: ${size} entries, ${entriesPerMinute.toFixed(1)} more a minute`);
      else log.info(`${map} no longer looks like a leak: ${size} entries`);
    });
    this.#follow();
    for (const line of announcement([...this.#followed.values()], config)) log.info(line);
  }

  /** Releases every map without a trace, and ends the timer. */
  async close(): Promise<void> {
    this.#followed.clear();
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
    if (discovered.truncated)
      this.#problem('there are more objects than it looks at; some maps are not tracked');
    const plan = planAdoptions(discovered, this.#followed, this.#config.maps, MOST_MAPS);
    if (plan.leftOut > 0) this.#problem(`there are more than ${MOST_MAPS} maps; the rest is not tracked`);
    for (const path of plan.release) {
      this.#followed.get(path)?.handle.release();
      this.#followed.delete(path);
    }
    const adopted = plan.adopt.filter((adoption) => this.#adopt(adoption)).map(({ path }) => path);
    return changesInWords(adopted, plan.release);
  }

  #adopt({ path, ref, size, policy, isListed, lacks }: Adoption): boolean {
    // Its leader is there, but is to be left alone or cannot be tracked: whose entries are orphans is not known then.
    const isBlind = policy.follows !== undefined && !this.#followed.has(policy.follows);
    const inForce: MapPolicy = isBlind ? { mode: 'observe' } : policy;
    const waitsFor = isBlind ? policy.follows : lacks;
    try {
      const handle = this.registry.adopt(path, ref as Map<unknown, unknown>, inForce);
      this.#followed.set(path, { path, ref, handle, size, policy: inForce, isListed, waitsFor });
      return true;
    } catch (error) {
      // A frozen Map, a name that is too long, or a copy of this plugin that has not let go yet: tried again later.
      this.#problem(`${path} cannot be tracked: ${messageOf(error)}`);
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

  /** Said once, and not for ever more of them. */
  #problem(message: string): void {
    if (this.#problems.has(message) || this.#problems.size >= MOST_PROBLEMS) return;
    this.#problems.add(message);
    this.#log.warn(message);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
