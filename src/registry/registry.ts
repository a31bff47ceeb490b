import { type Explanation, explain } from '../diagnosis/explain.js';
import { LeakMonitor } from '../diagnosis/leak-monitor.js';
import { RegistrationSites } from '../diagnosis/registration-sites.js';
import { Weights } from '../diagnosis/weights.js';
import { Deliveries } from '../endings/deliveries.js';
import { Endings, type EndOptions, type EndResult, type TransferResult } from '../endings/endings.js';
import { Tombstones } from '../endings/tombstones.js';
import { MapsweepError, MapsweepTypeError } from '../errors.js';
import type { DeadLetter } from '../events/dead-letter.js';
import { eventNames, type RegistryEvents } from '../events/event-bus.js';
import type { SweepReport } from '../events/sweep-report.js';
import { type Adoption, adoptInto } from '../maps/adoption.js';
import type { AnyMap, CollectionOf, KeyOf, RegistryMaps } from '../maps/collection-types.js';
import { MapHandle } from '../maps/map-handle.js';
import { TrackedMap, TrackedMapSetup } from '../maps/tracked-map.js';
import { assertNotTracked } from '../maps/tracked-mark.js';
import { checkAdoptable } from '../policy/adoptable.js';
import { askWhether } from '../policy/ask.js';
import { compilePolicy } from '../policy/compile-policy.js';
import { type Duration, durationMs } from '../policy/duration.js';
import type { Policy } from '../policy/policy.js';
import { optionPath, readInteger, readName, readOneOf, readOptions } from '../policy/read-options.js';
import { Persistence } from '../restart/persistence.js';
import { Restoration } from '../restart/restoration.js';
import { takeSnapshot } from '../restart/snapshot.js';
import { SnapshotFile } from '../restart/snapshot-file.js';
import type { RegistrySnapshot } from '../restart/snapshot-format.js';
import { type EntryStamps, stampsOf } from '../stamps/entry-stamps.js';
import { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { checkFollows, compileRegistryOptions } from './compile-options.js';
import { registryCreated } from './created-hook.js';
import { internals, type RegistryInternals } from './internals.js';
import type { CompiledRegistryOptions, PolicyOf, RegistryOptions } from './registry-options.js';
import { type RegistryReport, reportOf } from './report.js';

/** What `close()` could not deliver. */
export interface CloseResult {
  /** How many endings were not delivered: still pending, which a snapshot holds, or made dead letters by the deadline. */
  readonly undelivered: number;
}

/** A map of the registry: one of those that it was made with, or one that was adopted later. */
export type MapName<M> = (keyof M & string) | (string & {});

const endSchema = {
  reason: readName,
  detail: (detail: unknown): unknown => detail,
  generation: (value: unknown, option: string) => readInteger(value, option, { min: 1 }),
};

/**
 * The maps of a service under one sweeper. Made by `createRegistry`; it sweeps from its creation on, and its one timer
 * does not keep the process alive.
 */
export class Registry<M extends RegistryMaps = Record<string, AnyMap>> {
  /** The maps by name: the `TrackedMap` that was made, or the very object that was adopted. */
  readonly maps: { readonly [Name in keyof M]: CollectionOf<M[Name]> };
  readonly #engine: Engine;
  readonly #leaks: LeakMonitor;
  readonly #sites: RegistrationSites;
  readonly #weights: Weights;
  readonly #adoptions = new Map<string, Adoption>();
  readonly #endings: Endings | undefined;
  readonly #tombstones: Tombstones | undefined;
  readonly #deliveries: Deliveries | undefined;
  readonly #restoration: Restoration;
  readonly #options: CompiledRegistryOptions;
  readonly #persistence: Persistence | undefined;
  #closed: Promise<CloseResult> | undefined;

  /** Use `createRegistry`. */
  constructor(options: CompiledRegistryOptions) {
    const { clock, sweepEveryMs, sliceBudgetMs, mode, ended } = options;
    for (const [name, { adopt }] of options.maps) {
      if (adopt !== undefined) assertNotTracked(optionPath(optionPath('maps', name), 'adopt'), adopt);
    }
    // Before anything is adopted: the path may be locked, or the file damaged.
    const { file, loaded } = openSnapshot(options.persistTo?.path, (error) => {
      this.#engine.failures.report('', 'persistTo', options.persistTo?.path, error);
    });
    this.#engine = new Engine({ clock, sweepEveryMs, sliceBudgetMs, observing: mode === 'observe' });
    this.#sites = new RegistrationSites(this.#engine, options.captureSites);
    this.#weights = new Weights(this.#engine);
    this.#leaks = new LeakMonitor(this.#engine, options.leakDetection, (tracker) => this.#sites.of(tracker));
    if (ended !== undefined) {
      this.#tombstones = new Tombstones(ended.tombstones, () => this.#engine.timeline.now());
      this.#engine.afterPass.add(() => this.#tombstones?.purge());
      this.#deliveries = ended.deliver && new Deliveries(this.#engine, ended, ended.deliver);
    }
    registryCreated(this.#engine);
    this.#options = options;
    this.#restoration = new Restoration({
      engine: this.#engine,
      endings: () => this.#endings,
      tombstones: this.#tombstones,
      keyCodec: options.keyCodec,
      restoreWindowMs: options.restoreWindowMs,
      isSettled: (value, key) => this.#isSettled(value, key),
      resume: (state) => this.#deliveries?.notifier.import(state),
    });
    const maps: Record<string, unknown> = Object.create(null);
    let endings: Endings | undefined;
    for (const [name, policy] of options.maps) {
      const prepare = (tracker: Tracker): void => {
        if (name === ended?.map) endings = this.#endingsFor(tracker);
      };
      if (policy.adopt === undefined) {
        maps[name] = new TrackedMap(undefined, new TrackedMapSetup(this.#engine, name, policy) as never);
        prepare(this.#engine.trackers.get(name) as Tracker);
      } else {
        const adoption = adoptInto(this.#engine, name, policy, policy.adopt, prepare);
        this.#adoptions.set(name, adoption);
        maps[name] = policy.adopt;
      }
      this.#sites.watch(this.#engine.trackers.get(name) as Tracker);
    }
    this.#endings = endings;
    if (ended?.settled !== undefined) this.#settleAnnounced();
    this.maps = maps as { readonly [Name in keyof M]: CollectionOf<M[Name]> };
    if (file !== undefined && options.persistTo !== undefined) {
      this.#persistence = this.#persist(file, loaded, options.persistTo.everyMs);
    }
    this.#engine.sweeper.start();
  }

  /**
   * Adopts a map that appeared later, under a name that is free, in place.
   *
   * @throws MapsweepTypeError where the name is taken, the map cannot be adopted or is tracked already, the policy is
   *   wrong, or it follows a map that is not there; nothing has changed then
   */
  adopt<A extends AnyMap>(name: string, map: A, policy: PolicyOf<A> = {}): MapHandle<A, KeyOf<A>> {
    this.#assertOpen('adopt');
    readName(name, 'name');
    const path = optionPath('maps', name);
    const target = checkAdoptable('map', map);
    if (this.#engine.trackers.has(name)) {
      throw new MapsweepTypeError('ERR_DUPLICATE_NAME', `name: there is a map '${name}' already`);
    }
    assertNotTracked('map', target);
    const compiled = compilePolicy(path, policy as Policy<unknown, unknown>);
    if (compiled.adopt !== undefined) {
      const message = `${optionPath(path, 'adopt')}: the map to adopt is the second argument already`;
      throw new MapsweepTypeError('ERR_INVALID_OPTION', message);
    }
    const policies = [...this.#engine.trackers].map(([of, tracker]) => [of, tracker.policy] as const);
    checkFollows(new Map([...policies.filter(([of]) => of !== name), [name, compiled]]), name);
    const adoption = adoptInto(this.#engine, name, compiled, target);
    this.#adoptions.set(name, adoption);
    this.#sites.watch(adoption.tracker);
    this.#restoration.greet(adoption.tracker);
    const release = (): void => {
      adoption.release();
      if (this.#adoptions.get(name) === adoption) this.#adoptions.delete(name);
    };
    return new MapHandle<A, KeyOf<A>>(this.#engine, { tracker: adoption.tracker, release });
  }

  /**
   * Says that the run of a key has ended. The first who says so claims the ending, whichever path that is; then it is
   * emitted as `subagent-ended` and delivered. The entry stays until its lifetime is over.
   *
   * @returns `claimed`; `duplicate` where it was claimed before; `unknown` where no such run was ever registered, or
   *   its tombstone is forgotten, or the registry has no `ended`. A duplicate and an unknown key notify nobody
   */
  end(key: unknown, options?: EndOptions): EndResult {
    return this.#endings?.end(key, options && readOptions('', options, endSchema)) ?? 'unknown';
  }

  /**
   * Says that a run goes on under another key. Call it after `set(to)` and before `delete(from)`: `from` then counts as
   * ended without anybody being told, and the end of `to` is the end of both. Both entries stay; `to` keeps its own
   * stamps and id.
   *
   * @returns `duplicate` where `from` has ended before; `unknown` where either is not registered
   */
  transfer(fromKey: unknown, toKey: unknown): TransferResult {
    return this.#endings?.transfer(fromKey, toKey) ?? 'unknown';
  }

  /** Counts as activity of the entry, as a `set` does. False where there is no such entry. */
  touch(map: MapName<M>, key: unknown): boolean {
    return this.#tracker(map).touch(key);
  }

  /** When an entry was registered and last active; `undefined` where there is no such entry. */
  stamps(map: MapName<M>, key: unknown): EntryStamps | undefined {
    return stampsOf(this.#tracker(map), this.#engine.timeline, key);
  }

  /** Says whether an entry is due, by which lifetime, and why it is still there. */
  explain(map: MapName<M>, key: unknown): Explanation {
    return explain(this.#engine, this.#tracker(map), key);
  }

  /**
   * Removes everything that is due now, to the millisecond. While a sweep is under way, gives that sweep. Never rejects.
   */
  sweep(): Promise<SweepReport> {
    return this.#engine.sweeper.sweep();
  }

  /**
   * Calls a handler for every event of a type, after state has changed. What it throws is counted, and goes no further.
   *
   * @returns takes the handler away again
   */
  on<Name extends keyof RegistryEvents>(
    type: Name,
    handler: (event: RegistryEvents[Name]) => unknown,
  ): () => void {
    readOneOf(type, 'type', eventNames);
    if (typeof handler !== 'function') {
      throw new MapsweepTypeError(
        'ERR_INVALID_OPTION',
        `handler: expected a function, received ${typeof handler}`,
      );
    }
    return this.#engine.bus.on(type, handler);
  }

  /** What is in every map, how old it is, what is overdue and why, and how the endings are doing. */
  report(): RegistryReport {
    return reportOf(this[internals]);
  }

  /**
   * What has to survive a restart, as plain JSON: stamps, generations, claims, tombstones, pending endings with their
   * attempts, dead letters. Values are in it only with `encodeValue`. Taking it changes nothing. After `close()` adopted
   * maps are released and no longer in it; `persistTo` writes before that.
   *
   * @throws MapsweepError `ERR_SNAPSHOT_KEY` for a key that JSON cannot carry, without a `keyCodec`
   */
  snapshot(): RegistrySnapshot {
    return takeSnapshot(this[internals], this.#options);
  }

  /**
   * Takes over what an earlier life of the process left, before or after the maps are filled again. The first `set` of
   * a key takes the stamps, id and claim that the snapshot holds for it; within `restoreWindow` a run that was announced
   * and comes back is not announced again, and after it a run that has not come back ends as `lost`. Ages go on by the
   * wall clock. Restoring the same snapshot again changes nothing.
   *
   * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, saying where it is damaged; nothing was restored then
   */
  restore(snapshot: RegistrySnapshot): void {
    this.#assertOpen('restore');
    this.#restoration.restore(snapshot);
  }

  /** The endings that will not be delivered by themselves any more, the oldest first. */
  deadLetters(): DeadLetter[] {
    return this.#deliveries?.notifier.deadLetters() ?? [];
  }

  /** Gives a dead letter a new round of attempts. False where it is unknown, or an attempt still runs. */
  redeliver(id: string): boolean {
    return this.#deliveries?.notifier.redeliver(id) ?? false;
  }

  /**
   * Ends sweeping and the retries of deliveries, and with them the timer. The maps go on being maps, `end` goes on
   * claiming, and `sweep()` still sweeps when it is called. Idempotent.
   */
  stop(): void {
    this.#deliveries?.notifier.pauseRetries();
    this.#engine.stop();
  }

  /**
   * Stops, delivers what is pending, and releases adopted maps. Ends no live entry. Idempotent: a second call gives the
   * result of the first.
   */
  close(options: { deadline?: Duration } = {}): Promise<CloseResult> {
    const read = readOptions('', options, {
      deadline: (value, option) => durationMs(value, option, { max: 2 ** 31 - 1 }),
    });
    this.#closed ??= this.#close(read.deadline ?? 10_000);
    return this.#closed;
  }

  /** For the other entry points of this package. Not part of the contract. */
  get [internals](): RegistryInternals {
    return {
      engine: this.#engine,
      leaks: this.#leaks,
      sites: this.#sites,
      weights: this.#weights,
      endings: this.#endings,
      tombstones: this.#tombstones,
      deliveries: this.#deliveries,
      restoration: this.#restoration,
    };
  }

  async #close(deadlineMs: number): Promise<CloseResult> {
    this.stop();
    // A run that has not come back is no ending: this life's end must not make it one.
    this.#restoration.stop();
    const { timers, timeline } = this.#engine;
    // The notifier needs it for its time-outs and for the deadline.
    timers.resume();
    const undelivered = (await this.#deliveries?.notifier.settleAll(timeline.now() + deadlineMs)) ?? 0;
    timers.pause();
    timers.clear();
    await this.#persistence?.close();
    for (const adoption of this.#adoptions.values()) adoption.release();
    this.#adoptions.clear();
    return { undelivered };
  }

  #persist(file: SnapshotFile, loaded: RegistrySnapshot | undefined, everyMs: number): Persistence {
    try {
      if (loaded !== undefined) this.#restoration.restore(loaded);
    } catch (error) {
      this.#engine.stop();
      for (const adoption of this.#adoptions.values()) adoption.release();
      file.abandon();
      throw error;
    }
    return new Persistence(this.#engine, file, everyMs, () => this.snapshot());
  }

  #assertOpen(method: string): void {
    if (this.#closed === undefined) return;
    throw new MapsweepError('ERR_CLOSED', `${method}: the registry is closed`);
  }

  #tracker(map: unknown): Tracker {
    const tracker = this.#engine.trackers.get(map as string);
    if (tracker !== undefined) return tracker;
    const known = [...this.#engine.trackers.keys()];
    readName(map, 'map');
    throw new MapsweepTypeError(
      'ERR_UNKNOWN_MAP',
      `map: there is no map '${String(map)}'. There are: ${known.join(', ') || 'none'}`,
    );
  }

  #endingsFor(tracker: Tracker): Endings {
    return new Endings(tracker, {
      timeline: this.#engine.timeline,
      tombstones: this.#tombstones as Tombstones,
      obliged: (event) => this.#deliveries?.notifier.push(event),
      announce: (event) => this.#engine.bus.emit('subagent-ended', event),
      absent: this.#restoration,
    });
  }

  #settleAnnounced(): void {
    const endings = this.#endings as Endings;
    const { tracker } = endings;
    const { stamps } = tracker;
    const found = [...stamps.entries()].map(
      ([key, slot]) => [key, slot, stamps.generation[slot] as number] as const,
    );
    for (const [key, slot, generation] of found) {
      // `settled` may change the map, before it is asked about an entry and while it is.
      if (!stamps.holds(slot, generation)) continue;
      const isSettled = this.#isSettled(tracker.native.get(key), key);
      if (isSettled && stamps.holds(slot, generation)) endings.settleSilently(slot, key);
    }
  }

  #isSettled(value: unknown, key: unknown): boolean {
    const { ended } = this.#options;
    const settled = ended?.settled;
    if (ended === undefined || settled === undefined) return false;
    const failed = (error: unknown): void => this.#engine.failures.report(ended.map, 'settled', key, error);
    return askWhether('settled', settled, value, key, failed) === true;
  }
}

function openSnapshot(
  path: string | undefined,
  lockLost: (error: Error) => void,
): { file?: SnapshotFile; loaded?: RegistrySnapshot | undefined } {
  if (path === undefined) return {};
  const file = new SnapshotFile(path, lockLost);
  try {
    return { file, loaded: file.read() };
  } catch (error) {
    file.abandon();
    throw error;
  }
}

/**
 * Makes a registry: tracks the maps, and sweeps them from now on.
 *
 * @throws MapsweepTypeError or MapsweepRangeError where an option is wrong; nothing has been made or adopted then
 */
export function createRegistry<M extends RegistryMaps>(options: RegistryOptions<M>): Registry<M> {
  return new Registry<M>(compileRegistryOptions(options));
}
