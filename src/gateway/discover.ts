import { types } from 'node:util';
import { type Duration, durationMs } from '../policy/duration.js';
import { invalidType, readInteger, readOptions } from '../policy/read-options.js';
import { readRegExp } from './patterns.js';
import { byPath, type Discovered, isNoList, isNothing, isPlain, type Place, Search } from './search.js';

/** Where {@link discover} looks, and how far. */
export interface DiscoverOptions {
  /** The object whose symbol-keyed properties are the singletons. Default `globalThis`. Not a Proxy. */
  readonly root?: object;
  /**
   * Which singletons, the registries aside: tested against the key of a registered symbol (`Symbol.for`), else the description. Its
   * `lastIndex` is ignored. Default `/^openclaw\./`.
   */
  readonly match?: RegExp;
  /**
   * Levels of plain objects below a singleton that are looked into. Default 2, from 0 to 32; 0 leaves the singletons' own
   * properties.
   */
  readonly depth?: number;
  /** Bounds of the work. What they cut off is missing from the answer, which is `truncated` then. */
  readonly limit?: DiscoverLimit;
}

/** How much {@link discover} looks at. */
export interface DiscoverLimit {
  /** Objects looked into, the singletons among them. Default 1,000, at least 1. */
  readonly objects?: number;
  /**
   * Properties looked at of each object, in its own order; of the root, symbols that match. Default 1,000, at least 1. An
   * object with some 20 times as many is not looked into at all, since to list them would take too long, and is tried
   * again by later searches.
   */
  readonly properties?: number;
  /**
   * How long the search may take, a quarter of that on objects that turn out to be too wide: then no further object is
   * looked into. Default 100 ms, from 1 ms to 1 h.
   */
  readonly time?: Duration;
}

/** What {@link discover} found, shortest path first; at the end what modules have put into the registries by name. */
export type Discovery = Discovered[] & {
  /** Whether a limit cut the search, so that there may be more. Not enumerable: the list compares like any array. */
  readonly truncated: boolean;
  /**
   * Paths of the objects that were not looked into, or only at some of their properties, in the order of the search; at
   * most a hundred. An empty path is the root, of whose symbols too many match. Not enumerable either.
   */
  readonly leftOut: readonly string[];
};

/**
 * Lists the Maps and Sets that a program keeps in singletons under symbols of the global object, the way modules do of
 * which several copies may be loaded.
 *
 * It looks at the singletons, which may be of any class, at their own properties, and at plain objects below them
 * (prototype `null`, or an `Object.prototype` of any realm). It runs no code of what it looks at: getters are not called
 * and Proxies are passed over. Arrays, functions, instances of classes below a singleton and what Maps contain
 * are not looked into, nor are symbol-keyed properties below the root: a path could not name them, and libraries
 * keep what is not for others there. Properties that are not enumerable count.
 *
 * A module whose Maps hang from nothing puts them by name, without importing anything, into the Map under
 * `Symbol.for('mapsweep.registries')` of the root, which it makes if there is none. They are listed whatever `match` is, and
 * what is put there that is no Map or Set is looked into like a singleton.
 *
 * However many objects and properties there are, it takes little more than its limit of time; what was left out is named.
 *
 * Each collection is listed once, under its shortest path, of several the first in code-unit order; so is the list as a
 * whole, whatever the order in which properties were made. Two symbols with one description make equal paths.
 *
 * @throws {MapsweepTypeError | MapsweepRangeError} an option that is unknown, of a wrong type or out of range; the `code`
 *   is `ERR_UNKNOWN_OPTION` or `ERR_INVALID_OPTION`. Nothing that it finds makes it throw.
 */
export function discover(options: DiscoverOptions = {}): Discovery {
  const read = readOptions('', options, {
    root: readRoot,
    match: readRegExp,
    depth: (value, option) => readInteger(value, option, { max: 32 }),
    limit: (value, option) =>
      readOptions(option, value, {
        objects: (most, name) => readInteger(most, name, { min: 1 }),
        properties: (most, name) => readInteger(most, name, { min: 1 }),
        time: (longest, name) => durationMs(longest, name, { min: 1, max: 3_600_000 }),
      }),
  });
  const { root = globalThis, match = /^openclaw\./, depth = 2, limit } = read;
  const search = new Search({
    objects: limit?.objects ?? 1_000,
    properties: limit?.properties ?? 1_000,
    timeMs: limit?.time ?? 100,
  });
  // Level by level, so that an object is reached by its shortest path first. Level 0 are the singletons themselves.
  const walkAt = (level: number) => (level === 0 ? isNoList : level <= depth ? isPlain : isNothing);
  const searchFrom = (singletons: Place[]): void => {
    let places = singletons;
    for (let level = 0; places.length > 0; level++) {
      places.sort(byPath);
      places = search.collect(places, walkAt(level), walkAt(level + 1));
    }
  };
  searchFrom(search.singletons(root, match));
  searchFrom(search.registries(root));
  const { found, leftOut } = search;
  return Object.defineProperties(found, {
    truncated: { value: leftOut.length > 0 },
    leftOut: { value: leftOut },
  }) as Discovery;
}

function readRoot(value: unknown, option: string): object {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || types.isProxy(value)) {
    throw invalidType(option, 'an object that is not a Proxy', value);
  }
  return value;
}
