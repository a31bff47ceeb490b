import { LeakMonitor } from '../diagnosis/leak-monitor.js';
import { RegistrationSites } from '../diagnosis/registration-sites.js';
import { Weights } from '../diagnosis/weights.js';
import { Deliveries } from '../endings/deliveries.js';
import { Endings } from '../endings/endings.js';
import { Tombstones } from '../endings/tombstones.js';
import { type Adoption, adoptInto } from '../maps/adoption.js';
import { TrackedMap, TrackedMapSetup } from '../maps/tracked-map.js';
import { assertNotTracked } from '../maps/tracked-mark.js';
import { askWhether } from '../policy/ask.js';
import { optionPath } from '../policy/read-options.js';
import { Persistence } from '../restart/persistence.js';
import { Restoration } from '../restart/restoration.js';
import { takeSnapshot } from '../restart/snapshot.js';
import { SnapshotFile } from '../restart/snapshot-file.js';
import type { RegistrySnapshot } from '../restart/snapshot-format.js';
import { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { registryCreated } from './created-hook.js';
import type { RegistryInternals } from './internals.js';
import type { CompiledRegistryOptions } from './registry-options.js';

/** What a registry is made of. */
export interface Assembly {
  readonly parts: RegistryInternals;
  /** The maps by name: the `TrackedMap` that was made, or the very object that was adopted. */
  readonly maps: Readonly<Record<string, unknown>>;
  /** The adoptions by the name of their map, to be released when the registry closes. */
  readonly adoptions: Map<string, Adoption>;
  readonly persistence: Persistence | undefined;
  readonly takeSnapshot: () => RegistrySnapshot;
}

/**
 * Makes the parts of a registry, in the order in which they need each other, and starts its sweeper.
 *
 * @throws MapsweepTypeError `ERR_ALREADY_TRACKED` for a map that another registry tracks, and whatever opening and
 *   restoring the snapshot throws; nothing is adopted then
 */
export function assemble(options: CompiledRegistryOptions): Assembly {
  const { clock, sweepEveryMs, sliceBudgetMs, mode, ended, persistTo } = options;
  for (const [name, { adopt }] of options.maps) {
    if (adopt !== undefined) assertNotTracked(optionPath(optionPath('maps', name), 'adopt'), adopt);
  }
  // Before anything is adopted: the path may be locked, or the file damaged.
  const { file, loaded } = openSnapshot(persistTo?.path, (error) =>
    engine.failures.report('', 'persistTo', persistTo?.path, error),
  );
  const engine = new Engine({ clock, sweepEveryMs, sliceBudgetMs, observing: mode === 'observe' });
  const sites = new RegistrationSites(engine, options.captureSites);
  const weights = new Weights(engine);
  const leaks = new LeakMonitor(engine, options.leakDetection, (tracker) => sites.of(tracker));
  const tombstones = ended && new Tombstones(ended.tombstones, () => engine.timeline.now());
  if (tombstones !== undefined) engine.afterPass.add(() => tombstones.purge());
  const deliveries = ended?.deliver && new Deliveries(engine, ended, ended.deliver);
  registryCreated(engine);
  const isSettled = settledBy(options, engine);
  const restoration = new Restoration({
    engine,
    endings: () => parts.endings,
    tombstones,
    keyCodec: options.keyCodec,
    restoreWindowMs: options.restoreWindowMs,
    isSettled,
    resume: (state) => deliveries?.notifier.import(state),
  });
  const parts: { -readonly [Part in keyof RegistryInternals]: RegistryInternals[Part] } = {
    engine,
    leaks,
    sites,
    weights,
    endings: undefined,
    tombstones,
    deliveries,
    restoration,
    isClosed: false,
  };
  /** Runs for each map before its entries are stamped. */
  const prepare = (tracker: Tracker): void => {
    if (tracker.name !== ended?.map) return;
    parts.endings = new Endings(tracker, {
      timeline: engine.timeline,
      tombstones: tombstones as Tombstones,
      obliged: (event) => deliveries?.notifier.push(event),
      announce: (event) => engine.bus.emit('subagent-ended', event),
      absent: restoration,
    });
  };
  const { maps, adoptions } = trackMaps(options, parts, prepare);
  if (ended?.settled !== undefined) settleAnnounced(parts.endings as Endings, isSettled);
  const assembly = { parts, maps, adoptions, takeSnapshot: () => takeSnapshot(parts, options) };
  const persistence = file && persist(assembly, file, loaded, persistTo?.everyMs as number);
  engine.sweeper.start();
  return { ...assembly, persistence };
}

/** Makes the maps or adopts them, in the order of the options. */
function trackMaps(
  options: CompiledRegistryOptions,
  { engine, sites }: RegistryInternals,
  prepare: (tracker: Tracker) => void,
): Pick<Assembly, 'maps' | 'adoptions'> {
  const maps: Record<string, unknown> = Object.create(null);
  const adoptions = new Map<string, Adoption>();
  for (const [name, policy] of options.maps) {
    if (policy.adopt === undefined) {
      maps[name] = new TrackedMap(undefined, new TrackedMapSetup(engine, name, policy) as never);
      prepare(engine.trackers.get(name) as Tracker);
    } else {
      adoptions.set(name, adoptInto(engine, name, policy, policy.adopt, prepare));
      maps[name] = policy.adopt;
    }
    sites.watch(engine.trackers.get(name) as Tracker);
  }
  return { maps, adoptions };
}

/** Returns the question whether the end of an entry was announced before, by its value; a failure counts as no. */
function settledBy({ ended }: CompiledRegistryOptions, { failures }: Engine) {
  return (value: unknown, key: unknown): boolean => {
    if (ended?.settled === undefined) return false;
    const answer = askWhether('settled', ended.settled, value, key, (error) =>
      failures.report(ended.map, 'settled', key, error),
    );
    return answer === true;
  };
}

/** Marks the runs as ended that were in the map before and that were announced then. */
function settleAnnounced(endings: Endings, isSettled: (value: unknown, key: unknown) => boolean): void {
  const { native, stamps } = endings.tracker;
  for (const [key, slot, generation] of stamps.present()) {
    // `settled` may change the map.
    if (isSettled(native.get(key), key) && stamps.holds(slot, generation)) endings.settleSilently(slot, key);
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

/** Restores what an earlier life of the process left, and keeps the snapshot on disk from now on. */
function persist(
  { parts: { engine, restoration }, adoptions, takeSnapshot }: Omit<Assembly, 'persistence'>,
  file: SnapshotFile,
  loaded: RegistrySnapshot | undefined,
  everyMs: number,
): Persistence {
  try {
    if (loaded !== undefined) restoration.restore(loaded);
  } catch (error) {
    engine.stop();
    for (const adoption of adoptions.values()) adoption.release();
    file.abandon();
    throw error;
  }
  return new Persistence(engine, file, everyMs, takeSnapshot);
}
