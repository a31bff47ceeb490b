import { isThenable } from '../events/unawaited.js';
import { take } from '../stamps/take.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { callSite } from './call-site.js';

/** A place where entries of a map were registered, and how many of the sampled ones are still there. */
export interface RegistrationSite {
  /** `startRun (/app/runs.ts:12:8)`; `other` for all sites beyond the first ones. */
  readonly site: string;
  readonly count: number;
}

/** How many groups are kept for a map, `other` included. */
const mostGroups = 100;
const otherSites = 'other';

/** Below this many, samples of entries that have left are not worth looking for. */
const fewSamples = 64;

interface Sampled {
  readonly generation: number;
  readonly site: string;
}

/**
 * Samples where entries are registered, and where holds are taken. A sample counts for as long as its entry is there, so that a site that leaks
 * stands out beside one that registers and deletes a thousand times as much.
 *
 * At a rate of 0 no map calls anything here.
 */
export class RegistrationSites {
  readonly #engine: Engine;
  readonly #rate: number;
  readonly #raised = new Set<{ readonly rate: number }>();
  // They are held weakly, so that a map's samples go with the map.
  readonly #samples = new WeakMap<Tracker, MapSamples>();
  #isPruning = false;

  /** @param rate the share of registrations that is sampled, from 0 to 1 */
  constructor(engine: Engine, rate: number) {
    this.#engine = engine;
    this.#rate = rate;
    engine.afterPass.add(() => void this.#prune());
  }

  /** The share of registrations that is sampled now. */
  get rate(): number {
    return Math.max(this.#rate, ...[...this.#raised].map((raised) => raised.rate));
  }

  /** Has the registrations in a map sampled, from now on. To be called for every map that is added. */
  watch(tracker: Tracker): void {
    this.#listen(tracker, this.rate);
  }

  /** Returns where the sampled entries of a map were registered that are still there, most first. */
  of(tracker: Tracker): RegistrationSite[] {
    return this.#samples.get(tracker)?.groups(tracker) ?? [];
  }

  /** Returns where the entry of a key was registered, if that was sampled. */
  siteOf(tracker: Tracker, key: unknown): string | undefined {
    const slot = tracker.stamps.slotOf(key);
    return slot === undefined ? undefined : this.#samples.get(tracker)?.siteOf(tracker, slot);
  }

  /** Returns where a registration was made that may just have left, if that was sampled. Looks through the samples of its map. */
  siteOfRegistration(tracker: Tracker, generation: number): string | undefined {
    return this.#samples.get(tracker)?.siteOfRegistration(generation);
  }

  /**
   * Samples at this rate, if it is higher than the present one, while `run` runs: until it returns or throws, or until
   * the promise that it returns is settled. Calls may overlap; the highest rate counts.
   */
  withRate<Result>(rate: number, run: () => Result): Result {
    const raised = { rate };
    this.#raised.add(raised);
    this.#listenAll();
    const restore = (): void => {
      this.#raised.delete(raised);
      this.#listenAll();
    };
    let isPending = false;
    try {
      const result = run();
      isPending = isThenable(result);
      if (isPending) Promise.resolve(result).then(restore, restore);
      return result;
    } finally {
      if (!isPending) restore();
    }
  }

  #listenAll(): void {
    const { rate } = this;
    for (const tracker of this.#engine.trackers.values()) this.#listen(tracker, rate);
  }

  #listen(tracker: Tracker, rate: number): void {
    if (!(rate > 0)) {
      tracker.onRegistered = undefined;
      tracker.siteOfHold = undefined;
      return;
    }
    const { clock } = this.#engine.timeline;
    const isSampled = (): boolean => rate >= 1 || (clock.random?.() ?? Math.random()) < rate;
    tracker.onRegistered = (slot) => {
      if (isSampled()) this.#sample(tracker, slot);
    };
    tracker.siteOfHold = () => (isSampled() ? callSite() : undefined);
  }

  #sample(tracker: Tracker, slot: number): void {
    let samples = this.#samples.get(tracker);
    if (samples === undefined) {
      samples = new MapSamples();
      this.#samples.set(tracker, samples);
    }
    samples.add(tracker, slot, callSite());
  }

  /** Drops, in slices, the samples of entries that have left, if these may be most of the samples of a map. */
  async #prune(): Promise<void> {
    if (this.#isPruning) return;
    this.#isPruning = true;
    try {
      const slices = this.#engine.newSlices({ stepsPerReading: 8 });
      for (const tracker of [...this.#engine.trackers.values()]) {
        const samples = this.#samples.get(tracker);
        if (samples === undefined || samples.size <= fewSamples + 2 * tracker.stamps.size) continue;
        for (const _ of samples.dropLeft(tracker)) if (slices.isOver()) await slices.giveWay();
      }
    } catch (error) {
      this.#engine.failures.report('', 'captureSites', undefined, error);
    } finally {
      this.#isPruning = false;
    }
  }
}

/** The samples of one map, by slot: a slot that was used again has another generation. */
class MapSamples {
  // No more than there are slots: a slot that is used again has its new sample.
  readonly #bySlot = new Map<number, Sampled>();
  #counts = new Map<string, number>();

  get size(): number {
    return this.#bySlot.size;
  }

  add(tracker: Tracker, slot: number, site: string): void {
    this.#remove(slot);
    const isKnown = this.#counts.has(site);
    // One group less without `other`, so that there is room for it.
    const mostNamed = this.#counts.has(otherSites) ? mostGroups : mostGroups - 1;
    const group = isKnown || this.#counts.size < mostNamed ? site : otherSites;
    this.#bySlot.set(slot, { generation: tracker.stamps.generation[slot] as number, site: group });
    this.#counts.set(group, (this.#counts.get(group) ?? 0) + 1);
  }

  siteOf({ stamps }: Tracker, slot: number): string | undefined {
    const sampled = this.#bySlot.get(slot);
    return sampled !== undefined && stamps.holds(slot, sampled.generation) ? sampled.site : undefined;
  }

  siteOfRegistration(generation: number): string | undefined {
    for (const sampled of this.#bySlot.values()) if (sampled.generation === generation) return sampled.site;
    return undefined;
  }

  groups(tracker: Tracker): RegistrationSite[] {
    for (const _ of this.dropLeft(tracker));
    return [...this.#counts].map(([site, count]) => ({ site, count })).sort((a, b) => b.count - a.count);
  }

  /** Drops the samples of entries that have left: looks at one sample a step. */
  *dropLeft({ stamps }: Tracker): Generator<void> {
    // What is sampled meanwhile has not left yet.
    for (const [slot, { generation }] of take(this.#bySlot, this.size)) {
      if (!stamps.holds(slot, generation)) this.#remove(slot);
      yield;
    }
  }

  #remove(slot: number): void {
    const sampled = this.#bySlot.get(slot);
    if (sampled === undefined) return;
    this.#bySlot.delete(slot);
    const left = (this.#counts.get(sampled.site) as number) - 1;
    if (left > 0) this.#counts.set(sampled.site, left);
    else this.#counts.delete(sampled.site);
  }
}
