/**
 * What is compared: mapsweep, a plain Map, and what one would pick instead. All keep an entry for a time after its last
 * activity, and none is asked for more than that.
 */
import { turn } from './event-loop.js';
import type { Scenario } from './job.js';
import { LeastStampedMap } from './least.js';
import { stopwatch } from './shifted-time.js';
import type { RunRecord } from './workload.js';

/** What is called in the measured loops: the collection itself wherever its methods have these names. */
export interface Subject {
  get(key: string): unknown;
  has(key: string): boolean;
  set(key: string, value: unknown): unknown;
  delete(key: string): unknown;
}

/** One collection of one kind, made for a measurement. */
export interface Contender {
  readonly subject: Subject;
  /** Refreshes an entry without a new value; `undefined` where a plain Map has nothing to refresh. */
  readonly touchable: { touch(key: string): unknown } | undefined;
  /** Goes through all keys and values, and gives something that depends on each. */
  readonly iterate: () => number;
  /** Sets an entry with a lifetime of its own, where every entry has a timer. */
  readonly setFor?: (key: string, value: unknown, ttlMs: number) => void;
  /** Removes what is due, the way its own timer does; `undefined` where nothing does. */
  readonly sweep: (() => unknown) | undefined;
  readonly size: () => number;
  /** Ends its timers. */
  readonly close: () => void;
}

/** How a contender is made. */
export interface ContenderOptions {
  /** How long an entry stays after its last activity, ms. */
  readonly ttlMs: number;
  /** How many entries will be in it. */
  readonly capacity: number;
  /** Is called for each entry that leaves, however it does. */
  readonly dispose?: () => void;
}

/** One kind of contender. */
export interface ContenderKind {
  /** For `--only`. */
  readonly name: string;
  /** For tables. */
  readonly label: string;
  /** Entries leave by timers of the event loop, which no clock can be shifted for. */
  readonly hasTimerPerEntry?: boolean;
  /** Somebody would use it in place of mapsweep. */
  readonly isPeer?: boolean;
  /** Only measured by these scenarios. */
  readonly only?: readonly Scenario[];
  /** Loads its package, and nothing of the others'. */
  readonly load: () => Promise<(options: ContenderOptions) => Contender>;
}

type Mapsweep = typeof import('mapsweep');

const nothingToClose = (): void => {};

function iterateMap(map: Map<string, unknown>): number {
  let sum = 0;
  for (const [key, value] of map) sum += key.length + ((value as RunRecord).startedAt & 1);
  return sum;
}

function plainMap({ dispose }: Partial<ContenderOptions> = {}): Contender {
  const map = new Map<string, unknown>();
  const subject = disposing(map, dispose);
  const sweep = (): void => {
    for (const [key] of map) subject.delete(key);
  };
  return {
    subject,
    touchable: undefined,
    iterate: () => iterateMap(map),
    sweep,
    size: () => map.size,
    close: nothingToClose,
  };
}

/** The map itself, unless somebody has to be told of what is deleted. */
function disposing(map: Map<string, unknown>, dispose: (() => void) | undefined): Subject {
  if (dispose === undefined) return map;
  return {
    get: (key) => map.get(key),
    has: (key) => map.has(key),
    set: (key, value) => map.set(key, value),
    delete: (key) => {
      if (map.delete(key)) dispose();
    },
  };
}

/** How long a bare Map, emptied in slices, holds the event loop: its own rehash is in no slice's hand. */
function slicedMap({ dispose }: ContenderOptions): Contender {
  const map = new Map<string, unknown>();
  const subject = disposing(map, dispose);
  return {
    ...plainMap(),
    subject,
    iterate: () => iterateMap(map),
    sweep: () => emptyInSlices(map, subject),
    size: () => map.size,
  };
}

/** Deletes all keys by somebody who need not look for what is due, 5 ms in a turn of the event loop. */
async function emptyInSlices(map: Map<string, unknown>, subject: Subject): Promise<void> {
  let sliceBegan = stopwatch();
  let steps = 0;
  for (const key of map.keys()) {
    subject.delete(key);
    steps += 1;
    if (steps % 8 !== 0 || stopwatch() - sliceBegan < 5) continue;
    await turn();
    sliceBegan = stopwatch();
  }
}

function leastStampedMap({ dispose }: ContenderOptions): Contender {
  const map = new LeastStampedMap<string, unknown>();
  const subject = disposing(map, dispose);
  return {
    subject,
    touchable: map,
    iterate: () => iterateMap(map),
    sweep: () => emptyInSlices(map, subject),
    size: () => map.size,
    close: nothingToClose,
  };
}

/** A Map whose values carry their stamp, looked through from end to end every 60 s. */
function scannedMap({ ttlMs, dispose }: ContenderOptions): Contender {
  const map = new Map<string, unknown>();
  const stamp = (value: unknown): void => {
    if (typeof value === 'object' && value !== null) (value as RunRecord).lastActiveAt = Date.now();
  };
  const sweep = (): void => {
    const now = Date.now();
    for (const [key, value] of map) {
      if (now - (value as RunRecord).lastActiveAt < ttlMs) continue;
      map.delete(key);
      dispose?.();
    }
  };
  const timer = setInterval(sweep, 60_000).unref();
  return {
    subject: {
      get: (key) => map.get(key),
      has: (key) => map.has(key),
      set: (key, value) => {
        stamp(value);
        return map.set(key, value);
      },
      delete: (key) => {
        if (map.delete(key)) dispose?.();
      },
    },
    touchable: { touch: (key) => stamp(map.get(key)) },
    iterate: () => iterateMap(map),
    sweep,
    size: () => map.size,
    close: () => clearInterval(timer),
  };
}

/** A Map, and a timer for every entry. */
function timedMap({ ttlMs }: ContenderOptions): Contender {
  const map = new Map<string, { value: unknown; timer: NodeJS.Timeout }>();
  const add = (key: string, value: unknown, ms: number): void => {
    map.set(key, { value, timer: setTimeout(() => map.delete(key), ms).unref() });
  };
  return {
    subject: {
      get: (key) => map.get(key)?.value,
      has: (key) => map.has(key),
      set: (key, value) => {
        const entry = map.get(key);
        if (entry === undefined) {
          add(key, value, ttlMs);
          return;
        }
        entry.value = value;
        entry.timer.refresh();
      },
      delete: (key) => {
        const entry = map.get(key);
        if (entry !== undefined) clearTimeout(entry.timer);
        return map.delete(key);
      },
    },
    setFor: add,
    touchable: { touch: (key) => map.get(key)?.timer.refresh() },
    iterate: () => {
      let sum = 0;
      for (const [key, { value }] of map) sum += key.length + ((value as RunRecord).startedAt & 1);
      return sum;
    },
    sweep: undefined,
    size: () => map.size,
    close: () => {
      for (const { timer } of map.values()) clearTimeout(timer);
    },
  };
}

async function loadLruCache(): Promise<(options: ContenderOptions) => Contender> {
  const { LRUCache } = await import('lru-cache');
  return ({ ttlMs, capacity, dispose }) => {
    const cache = new LRUCache<string, NonNullable<unknown>>({ max: capacity, ttl: ttlMs, dispose });
    const refreshing = { updateAgeOnGet: true };
    return {
      subject: cache as Subject,
      touchable: { touch: (key) => cache.get(key, refreshing) },
      iterate: () => {
        let sum = 0;
        for (const [key, value] of cache) sum += key.length + ((value as RunRecord).startedAt & 1);
        return sum;
      },
      sweep: () => cache.purgeStale(),
      size: () => cache.size,
      close: nothingToClose,
    };
  };
}

async function loadTtlCache(): Promise<(options: ContenderOptions) => Contender> {
  const { TTLCache } = await import('@isaacs/ttlcache');
  return ({ ttlMs, dispose }) => {
    const cache = new TTLCache<string, unknown>({ ttl: ttlMs, ...(dispose && { dispose }) });
    return {
      subject: cache,
      touchable: { touch: (key) => cache.setTTL(key) },
      iterate: () => {
        let sum = 0;
        for (const [key, value] of cache) sum += key.length + ((value as RunRecord).startedAt & 1);
        return sum;
      },
      sweep: () => cache.purgeStale(),
      size: () => cache.size,
      close: () => cache.cancelTimer(),
    };
  };
}

async function loadNodeCache(): Promise<(options: ContenderOptions) => Contender> {
  const { default: NodeCache } = await import('node-cache');
  return ({ ttlMs, dispose }) => {
    const ttlSeconds = ttlMs / 1_000;
    // Without clones, which would be copies of every value: that would be no comparison.
    const cache = new NodeCache({ stdTTL: ttlSeconds, checkperiod: 0, useClones: false });
    if (dispose !== undefined) cache.on('del', dispose);
    // What its timer calls.
    const purge = cache as unknown as { _checkData(startPeriod: boolean): void };
    return {
      subject: {
        get: (key) => cache.get(key),
        has: (key) => cache.has(key),
        set: (key, value) => cache.set(key, value),
        delete: (key) => cache.del(key),
      },
      touchable: { touch: (key) => cache.ttl(key, ttlSeconds) },
      iterate: () => {
        let sum = 0;
        for (const key of cache.keys()) {
          sum += key.length + ((cache.get(key) as RunRecord).startedAt & 1);
        }
        return sum;
      },
      sweep: () => purge._checkData(false),
      size: () => cache.keys().length,
      close: () => cache.close(),
    };
  };
}

async function loadCacheable(): Promise<(options: ContenderOptions) => Contender> {
  const { CacheableMemory } = await import('@cacheable/memory');
  return ({ ttlMs }) => {
    const cache = new CacheableMemory({ ttl: ttlMs, useClone: false });
    return {
      subject: cache,
      // It has no way to refresh an entry but to set it.
      touchable: { touch: (key) => cache.set(key, cache.get(key)) },
      iterate: () => {
        let sum = 0;
        for (const { key, value } of cache.items) sum += key.length + ((value as RunRecord).startedAt & 1);
        return sum;
      },
      sweep: () => cache.checkExpiration(),
      size: () => cache.size,
      close: () => cache.stopIntervalCheck(),
    };
  };
}

interface SweptRegistry {
  sweep(): unknown;
  stop(): void;
}

/** A map that a registry sweeps, and what refreshes its entries. */
function inRegistry(
  registry: SweptRegistry,
  map: Map<string, unknown>,
  touchable: NonNullable<Contender['touchable']>,
): Contender {
  return {
    subject: map,
    touchable,
    iterate: () => iterateMap(map),
    sweep: () => registry.sweep(),
    size: () => map.size,
    close: () => registry.stop(),
  };
}

async function loadTracked(packageName: string): Promise<(options: ContenderOptions) => Contender> {
  const { createRegistry } = (await import(packageName)) as Mapsweep;
  return ({ ttlMs, dispose }) => {
    const runs = { maxIdle: ttlMs, ...(dispose && { dispose }) };
    const registry = createRegistry<{ runs: Map<string, unknown> }>({ maps: { runs } });
    const map = registry.maps.runs as import('mapsweep').TrackedMap<string, unknown>;
    return inRegistry(registry, map, map);
  };
}

/** A lifetime asks the value for an end that has not come: every entry is looked at by every sweep. */
async function loadAsking(packageName: string): Promise<(options: ContenderOptions) => Contender> {
  const { createRegistry } = (await import(packageName)) as Mapsweep;
  return ({ ttlMs }) => {
    const registry = createRegistry<{ runs: Map<string, RunRecord> }>({
      maps: { runs: { maxIdle: ttlMs, ttl: ttlMs, since: (run) => run.endedAt } },
    });
    const map = registry.maps.runs as import('mapsweep').TrackedMap<string, RunRecord>;
    return inRegistry(registry, map as Map<string, unknown>, map);
  };
}

async function loadAdopted(packageName: string): Promise<(options: ContenderOptions) => Contender> {
  const { createRegistry } = (await import(packageName)) as Mapsweep;
  return ({ ttlMs, dispose }) => {
    const map = new Map<string, unknown>();
    const runs = { adopt: map, maxIdle: ttlMs, ...(dispose && { dispose }) };
    const registry = createRegistry({ maps: { runs } });
    return inRegistry(registry, map, { touch: (key) => registry.touch('runs', key) });
  };
}

const ours: ContenderKind[] = [
  { name: 'tracked', label: 'TrackedMap', load: () => loadTracked('mapsweep') },
  {
    name: 'journaled',
    label: 'TrackedMap with a journal',
    only: ['journal'],
    load: () => loadTracked('mapsweep'),
  },
  { name: 'adopted', label: 'adopted Map', load: () => loadAdopted('mapsweep') },
  { name: 'asking', label: 'TrackedMap, no answer yet', load: () => loadAsking('mapsweep') },
];

/** The package name under which `--compare` puts another build. */
export const comparedPackage = 'mapsweep-compared';

const compared: ContenderKind[] = [
  { name: 'tracked-compared', label: 'TrackedMap, other build', load: () => loadTracked(comparedPackage) },
  { name: 'adopted-compared', label: 'adopted Map, other build', load: () => loadAdopted(comparedPackage) },
];

const others: ContenderKind[] = [
  { name: 'map', label: 'plain Map', load: async () => plainMap },
  {
    name: 'map-sliced',
    label: 'plain Map, deletes in slices of 5 ms',
    only: ['sweeps', 'life'],
    load: async () => slicedMap,
  },
  {
    name: 'map-least',
    label: 'Map, and the least of stamps',
    only: ['life', 'operations', 'memory', 'gateway', 'batch'],
    load: async () => leastStampedMap,
  },
  { name: 'map-scan', label: 'Map, full scan every 60 s', isPeer: true, load: async () => scannedMap },
  {
    name: 'map-timeouts',
    label: 'Map, one setTimeout per entry',
    isPeer: true,
    hasTimerPerEntry: true,
    load: async () => timedMap,
  },
  { name: 'lru-cache', label: 'lru-cache', isPeer: true, load: loadLruCache },
  { name: 'ttlcache', label: '@isaacs/ttlcache', isPeer: true, load: loadTtlCache },
  { name: 'node-cache', label: 'node-cache', isPeer: true, load: loadNodeCache },
  { name: 'cacheable', label: '@cacheable/memory', isPeer: true, load: loadCacheable },
];

/** Everything that is compared, the plain Map first. */
export const contenderKinds: readonly ContenderKind[] = [
  others[0] as ContenderKind,
  ...ours,
  ...others.slice(1),
];

/** Those of another build of mapsweep, where one is given. */
export const comparedKinds: readonly ContenderKind[] = compared;

/** The kind of a name, of either list. */
export function kindOf(name: string): ContenderKind {
  const kind = [...contenderKinds, ...comparedKinds].find((known) => known.name === name);
  if (kind === undefined) throw new Error(`there is no contender '${name}'`);
  return kind;
}
