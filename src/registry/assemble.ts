import { LeakMonitor } from '../diagnosis/leak-monitor.js';
import { RegistrationSites } from '../diagnosis/registration-sites.js';
import { WatchedSizes } from '../diagnosis/watched-sizes.js';
import { Weights } from '../diagnosis/weights.js';
import { Deliveries } from '../endings/deliveries.js';
import { readEnded } from '../endings/ended-policy.js';
import { Endings } from '../endings/endings.js';
import { askingOwner } from '../endings/own-id.js';
import { Tombstones } from '../endings/tombstones.js';
import { publishEnded } from '../events/diagnostics-channels.js';
import { type Adoption, adoptInto } from '../maps/adoption.js';
import { TrackedMap, TrackedMapSetup } from '../maps/tracked-map.js';
import { assertNotTracked } from '../maps/tracked-mark.js';
import { askWhether } from '../policy/ask.js';
import { optionPath } from '../policy/read-options.js';
import { openPersistTo } from '../restart/persist-to.js';
import { Restart } from '../restart/restart.js';
import { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import { registryCreated } from './created-hook.js';
import type { RegistryInternals } from './internals.js';
import { startLogging } from './logging.js';
import { prepareReportFolder } from './memory-report-files.js';
import { startMemoryWatch } from './memory-watch.js';
import type { CompiledRegistryOptions } from './registry-options.js';

/** What a registry is made of. */
export interface Assembly {
  readonly parts: RegistryInternals;
  /** The maps by name: the `TrackedMap` that was made, or the very object that was adopted. */
  readonly maps: Readonly<Record<string, unknown>>;
  /** The adoptions by the name of their map, to be released when the registry closes. */
  readonly adoptions: Map<string, Adoption>;
}

/**
 * Makes the parts of a registry, in the order in which they need each other, and starts its sweeper.
 *
 * @throws MapsweepTypeError `ERR_ALREADY_TRACKED` for a map that another registry tracks, and whatever opening and
 *   reading the journal throws; nothing is adopted then, and the journal is free
 */
export function assemble(options: CompiledRegistryOptions): Assembly {
  for (const [name, { adopt }] of options.maps) {
    if (adopt !== undefined) assertNotTracked(optionPath(optionPath('maps', name), 'adopt'), adopt);
  }
  const undo: (() => void)[] = [];
  try {
    return assembleParts(options, undo);
  } catch (error) {
    for (const step of undo.reverse()) step();
    throw error;
  }
}

/** @param undo gets what has to be done if a later part cannot be made */
function assembleParts(options: CompiledRegistryOptions, undo: (() => void)[]): Assembly {
  const { name, clock, sweepEveryMs, sliceBudgetMs, mode, persistTo, leakDetection } = options;
  // Before anything is adopted: somebody else may have the journal, or it is damaged.
  const journal = persistTo && openPersistTo(persistTo);
  undo.push(() => journal?.close());
  if (options.memory?.reportTo !== undefined) prepareReportFolder(options.memory.reportTo);
  const ended = options.ended ?? endedOfBefore(journal?.endedMap, options);
  const { hourMs: cohortMs } = leakDetection;
  const observing = mode === 'observe';
  const engine = new Engine({ name, clock, sweepEveryMs, sliceBudgetMs, observing, cohortMs });
  undo.push(() => engine.stop());
  const sites = new RegistrationSites(engine, options.captureSites);
  const weights = new Weights(engine);
  const watched = new WatchedSizes(engine, leakDetection);
  const leaks = new LeakMonitor(
    engine,
    leakDetection,
    weights,
    watched,
    (tracker) => sites.of(tracker),
    ({ name: map }) => restart.restoration.absences.of(map)?.size ?? 0,
  );
  const tombstones = ended && new Tombstones(ended.tombstones, () => engine.timeline.now());
  const ownIdOf =
    ended?.id &&
    askingOwner(ended.id, (key, error) => engine.failures.reportOnce(ended.map, 'id', key, error));
  if (tombstones !== undefined) engine.chores.add(() => tombstones.purgeSome());
  if (ended !== undefined) engine.bus.on('ended', (event) => publishEnded(name, ended.map, event));
  const { logger, audit } = options;
  const lines = logger && startLogging(engine, { logger, audit, endedMap: ended?.map });
  registryCreated(engine);
  const isSettled = settledBy(options, engine);
  const restart = new Restart(
    {
      engine,
      restoreWindowMs: options.restoreWindowMs,
      endedMap: ended?.map,
      tombstones,
      hasOwnIds: ownIdOf !== undefined,
      endings: () => parts.endings,
      deliveries: () => parts.deliveries,
      asksSettled: ended?.settled !== undefined,
      isSettled,
    },
    journal,
  );
  undo.push(() => restart.recorder?.release());
  const parts: { -readonly [Part in keyof RegistryInternals]: RegistryInternals[Part] } = {
    name,
    named: new WeakSet(),
    engine,
    leaks,
    watched,
    sites,
    weights,
    endings: undefined,
    tombstones,
    deliveries:
      ended && ended.deliver.size > 0 ? new Deliveries(engine, ended, restart.recorder?.endings) : undefined,
    restart,
    lines,
    memory: undefined,
    isClosed: false,
  };
  /** Runs for each map before its entries are stamped. */
  const prepare = (tracker: Tracker): void => {
    if (tracker.name === ended?.map) {
      parts.endings = new Endings(tracker, {
        timeline: engine.timeline,
        tombstones: tombstones as Tombstones,
        lifeId: restart.lifeId,
        ownIdOf,
        obliged: (event) => restart.obliged(event),
        settledSilently: (run) => restart.recorder?.endings.quiet(run),
        announce: (event) => engine.bus.emit('ended', event),
        owedOf: (id) => parts.deliveries?.owedOf(id) ?? [],
        absent: restart.restoration.absences,
      });
    }
    restart.watch(tracker);
  };
  const adoptions = new Map<string, Adoption>();
  undo.push(() => {
    for (const adoption of adoptions.values()) adoption.release();
  });
  const maps = trackMaps(options, parts, adoptions, prepare);
  parts.named = new WeakSet(engine.trackers.values());
  restart.resume();
  if (ended?.settled !== undefined) settleAnnounced(parts.endings as Endings, isSettled);
  if (options.memory !== undefined) parts.memory = startMemoryWatch(parts, options.memory);
  engine.sweeper.start();
  return { parts, maps, adoptions };
}

/**
 * Without `ended`, the runs that an earlier life has left are those of its map all the same: what is claimed stays so, what is open
 * ends with its entry, and nobody is told.
 */
function endedOfBefore(
  map: string | undefined,
  { maps }: CompiledRegistryOptions,
): CompiledRegistryOptions['ended'] {
  const policy = map === undefined ? undefined : maps.get(map);
  return policy === undefined || policy.follows !== undefined ? undefined : readEnded({ map }, 'ended');
}

/** Makes the maps or adopts them, in the order of the options. */
function trackMaps(
  options: CompiledRegistryOptions,
  { engine, sites }: RegistryInternals,
  adoptions: Map<string, Adoption>,
  prepare: (tracker: Tracker) => void,
): Assembly['maps'] {
  const maps: Record<string, unknown> = Object.create(null);
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
  return maps;
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
    // `settled` may change the map, past the wrapper too.
    if (!native.has(key)) continue;
    if (isSettled(native.get(key), key) && stamps.holds(slot, generation)) endings.settleSilently(slot, key);
  }
}
