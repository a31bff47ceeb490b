import { types } from 'node:util';
import { invalidType, readInteger, readOptions } from '../policy/read-options.js';
import { NativeMap, NativeSet } from '../stamps/native-collection.js';

/** A Map or Set that {@link discover} found. */
export interface Discovered {
  /**
   * The symbol's description, then the property names, joined by `/`: `openclaw.agentEvents.state/seqByRun`. A singleton
   * that is itself a Map is `openclaw.agentEvents.state`. Nothing is escaped.
   */
  readonly path: string;
  readonly kind: 'map' | 'set';
  /** How many entries it really has, whatever its own `size` says. */
  readonly size: number;
  /** The very object, to be adopted. */
  readonly ref: Map<unknown, unknown> | Set<unknown>;
}

/** Where {@link discover} looks, and how far. */
export interface DiscoverOptions {
  /** The object whose symbol-keyed properties are the singletons. Default `globalThis`. Not a Proxy. */
  readonly root?: object;
  /**
   * Which singletons: tested against the key of a registered symbol (`Symbol.for`), else the description. Its
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
  /** Properties looked at of each object, in its own order; of the root, symbols that match. Default 1,000, at least 1. */
  readonly properties?: number;
}

/** What {@link discover} found, shortest path first. */
export type Discovery = Discovered[] & {
  /** Whether a limit cut the search, so that there may be more. Not enumerable: the list compares like any array. */
  readonly truncated: boolean;
};

interface Place {
  readonly path: string;
  readonly value: unknown;
}

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
      }),
  });
  const { root = globalThis, match = /^openclaw\./, depth = 2, limit } = read;
  const search = new Search(limit?.objects ?? 1_000, limit?.properties ?? 1_000);
  // Level by level, so that an object is reached by its shortest path first. Level 0 are the singletons themselves.
  let places = search.singletons(root, match);
  for (let level = 0; places.length > 0; level++) {
    places.sort(byPath);
    places = search.collect(places, level === 0 ? isNoList : level <= depth ? isPlain : isNothing);
  }
  return Object.defineProperty(search.found, 'truncated', { value: search.truncated }) as Discovery;
}

/** One pattern of {@link policyFor}. */
export interface PathPolicy<Policy> {
  /** A RegExp, whose `lastIndex` is ignored, or a whole path in which `*` stands for anything but `/`. */
  readonly match: RegExp | string;
  readonly policy: Policy;
}

/**
 * The policy of the first pattern that matches a path, or `undefined`: for collections that {@link discover} found and
 * whose names are not known beforehand. `'openclaw.*.state/seqByRun'` is that property of any such
 * singleton.
 *
 * @throws {MapsweepTypeError} `ERR_INVALID_OPTION`: a `match` that is neither a string nor a RegExp, unless a pattern before
 *   it matched
 */
export function policyFor<Policy>(
  path: string,
  patterns: ReadonlyArray<PathPolicy<Policy>>,
): Policy | undefined {
  return patterns.find(({ match }, index) => matches(path, match, `patterns[${index}].match`))?.policy;
}

function matches(path: string, match: unknown, option: string): boolean {
  if (typeof match !== 'string') return testFromStart(readRegExp(match, option), path);
  const literals = match.split('*').map((literal) => literal.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${literals.join('[^/]*')}$`, 'u').test(path);
}

class Search {
  readonly found: Discovered[] = [];
  truncated = false;
  readonly #seen = new Set<object>();
  readonly #mostProperties: number;
  #objectsLeft: number;

  constructor(mostObjects: number, mostProperties: number) {
    this.#objectsLeft = mostObjects;
    this.#mostProperties = mostProperties;
  }

  singletons(root: object, match: RegExp): Place[] {
    const named = Object.getOwnPropertySymbols(root)
      .map((symbol) => ({ symbol, path: Symbol.keyFor(symbol) ?? symbol.description ?? '' }))
      .filter(({ symbol, path }) => symbol.description !== undefined && testFromStart(match, path));
    return this.#atMost(named).map(({ symbol, path }) => ({ path, value: dataOf(root, symbol) }));
  }

  /** Adds the collections among these places to what was found, and returns the places one level below the objects. */
  collect(places: readonly Place[], isWalked: (value: object) => boolean): Place[] {
    const below: Place[] = [];
    for (const { path, value } of places) {
      if (typeof value !== 'object' || value === null || types.isProxy(value) || this.#seen.has(value))
        continue;
      this.#seen.add(value);
      if (types.isMap(value)) {
        this.found.push({ path, kind: 'map', size: new NativeMap(value).size(), ref: value });
      } else if (types.isSet(value)) {
        this.found.push({ path, kind: 'set', size: new NativeSet(value).size(), ref: value });
      } else if (isWalked(value)) {
        for (const place of this.#propertiesOf(path, value)) below.push(place);
      }
    }
    return below;
  }

  #propertiesOf(path: string, value: object): Place[] {
    if (this.#objectsLeft === 0) {
      this.truncated = true;
      return [];
    }
    this.#objectsLeft--;
    const names = this.#atMost(Object.getOwnPropertyNames(value));
    return names.map((name) => ({ path: `${path}/${name}`, value: dataOf(value, name) }));
  }

  #atMost<Item>(items: Item[]): Item[] {
    if (items.length <= this.#mostProperties) return items;
    this.truncated = true;
    return items.slice(0, this.#mostProperties);
  }
}

/** The value of an own property, unless it is a getter. */
function dataOf(object: object, name: PropertyKey): unknown {
  try {
    return Object.getOwnPropertyDescriptor(object, name)?.value;
  } catch {
    // The namespace of a module that is not evaluated yet: its exports are properties, and reading one throws.
    return undefined;
  }
}

/** An object whose prototype is `null` or the `Object.prototype` of any realm, which is an end of the chain itself. */
function isPlain(value: object): boolean {
  if (isList(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null) return true;
  return !types.isProxy(prototype) && Object.getPrototypeOf(prototype) === null;
}

// Of these the properties are the elements, which may be millions.
const isList = (value: object) =>
  Array.isArray(value) || ArrayBuffer.isView(value) || types.isBoxedPrimitive(value);
const isNoList = (value: object) => !isList(value);
const isNothing = () => false;

function byPath(a: Place, b: Place): number {
  if (a.path === b.path) return 0;
  return a.path < b.path ? -1 : 1;
}

function readRoot(value: unknown, option: string): object {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || types.isProxy(value)) {
    throw invalidType(option, 'an object that is not a Proxy', value);
  }
  return value;
}

function readRegExp(value: unknown, option: string): RegExp {
  if (!types.isRegExp(value)) throw invalidType(option, 'a RegExp', value);
  // A clone, so that the caller's lastIndex is neither read nor moved.
  return new RegExp(value);
}

function testFromStart(pattern: RegExp, text: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(text);
}
