import { types } from 'node:util';
import { NativeMap, NativeSet } from '../stamps/native-collection.js';
import { realMonotonic } from '../time/clock.js';
import { testFromStart } from './patterns.js';

/** A Map or Set that `discover` found. */
export interface Discovered {
  /**
   * The symbol's description, then the property names, joined by `/`: `openclaw.agentEvents.state/seqByRun`. A singleton
   * that is itself a Map is `openclaw.agentEvents.state`; what was put into the registries by name is
   * `mapsweep.registries/` and the name. Nothing is escaped.
   */
  readonly path: string;
  /** What it is. */
  readonly kind: 'map' | 'set';
  /** How many entries it really has, whatever its own `size` says. */
  readonly size: number;
  /** The very object, to be adopted. */
  readonly ref: Map<unknown, unknown> | Set<unknown>;
}

/** How much a search looks at. */
export interface SearchLimits {
  /** Objects looked into. */
  readonly objects: number;
  /** Properties looked at of each object. */
  readonly properties: number;
  /** After so many ms of work no further object is looked into. */
  readonly timeMs: number;
}

/** Something that may be, or hold, a collection. */
export interface Place {
  readonly path: string;
  readonly value: object;
}

/** Under this symbol of the root modules put what nobody else could reach, by name into a Map. */
const registriesKey = 'mapsweep.registries';
const registriesSymbol = Symbol.for(registriesKey);

/** How many paths of what was left out are kept. */
const mostLeftOut = 100;

/** An object with so many times the properties that are looked at is not worth being listed for them. */
const tooManyTimes = 20;

/**
 * How long it takes to go through one property, ms: measured 45 ns on a slow machine. To list the names takes twenty
 * times as long, in one piece, and nothing tells how many there are but to list them.
 */
const timeAPropertyMs = 0.000_05;

/** So much of its time a search may take to find out that objects are too wide. */
const shareOfWaste = 0.25;

/** An object that was too wide is tried again after so many searches at the latest. */
const longestPause = 64;

/** What was too wide for which limit, and for how many more searches it is passed over without a look. */
const tooWide = new WeakMap<object, { properties: number; left: number }>();

/** One search for collections, level by level, within its limits. It runs no code of what it looks at. */
export class Search {
  readonly found: Discovered[] = [];
  /** Paths of objects that were not looked into, or only at some of their properties; the first hundred. */
  readonly leftOut: string[] = [];
  readonly #limits: SearchLimits;
  readonly #beganAt = realMonotonic();
  readonly #cpuTimeBefore = process.cpuUsage();
  readonly #seen = new Set<object>();
  #objects = 0;
  #wastedMs = 0;

  constructor(limits: SearchLimits) {
    this.#limits = limits;
  }

  /** The values under the symbols of the root that match. */
  singletons(root: object, match: RegExp): Place[] {
    const named = Object.getOwnPropertySymbols(root)
      .filter((symbol) => symbol !== registriesSymbol)
      .map((symbol) => ({ symbol, path: Symbol.keyFor(symbol) ?? symbol.description ?? '' }))
      .filter(({ symbol, path }) => symbol.description !== undefined && testFromStart(match, path));
    return this.#atMost('', named).flatMap(({ symbol, path }) => placed(path, dataOf(root, symbol)));
  }

  /** What modules have put into the registries by name. */
  registries(root: object): Place[] {
    const registries = dataOf(root, registriesSymbol);
    if (!types.isMap(registries)) return [];
    const named: Place[] = [];
    let looked = 0;
    for (const [name, value] of new NativeMap<unknown, unknown>(registries).entries()) {
      looked += 1;
      if (looked > this.#limits.properties) {
        this.#leaveOut(registriesKey);
        break;
      }
      if (typeof name === 'string') named.push(...placed(`${registriesKey}/${name}`, value));
    }
    return named;
  }

  /**
   * Adds the collections among these places to what was found, and returns the places one level below the objects.
   *
   * @param isWalked returns whether an object is looked into
   * @param isKept returns the same for the objects that are found in it
   */
  collect(places: readonly Place[], isWalked: Walk, isKept: Walk): Place[] {
    const below: Place[] = [];
    for (const { path, value } of places) {
      if (this.#seen.has(value)) continue;
      this.#seen.add(value);
      if (types.isMap(value)) {
        this.found.push({ path, kind: 'map', size: new NativeMap(value).size(), ref: value });
      } else if (types.isSet(value)) {
        this.found.push({ path, kind: 'set', size: new NativeSet(value).size(), ref: value });
      } else if (isWalked(value)) {
        for (const place of this.#propertiesOf(path, value)) {
          if (isCollection(place.value) || isKept(place.value)) below.push(place);
        }
      }
    }
    return below;
  }

  #propertiesOf(path: string, value: object): Place[] {
    const { objects, properties } = this.#limits;
    if (this.#objects >= objects || this.#isTimeUp() || isPassedOver(value, properties)) {
      this.#leaveOut(path);
      return [];
    }
    this.#objects += 1;
    const names = this.#namesOf(value);
    if (names === undefined) {
      this.#leaveOut(path);
      return [];
    }
    tooWide.delete(value);
    return this.#atMost(path, names).flatMap((name) => placed(`${path}/${name}`, dataOf(value, name)));
  }

  // A busy machine takes the processor away for longer than a search may last, and what is found should not hang on that.
  #isTimeUp(): boolean {
    const { timeMs } = this.#limits;
    if (this.#wastedMs >= timeMs * shareOfWaste) return true;
    if (realMonotonic() - this.#beganAt < timeMs) return false;
    const { user, system } = process.cpuUsage(this.#cpuTimeBefore);
    return user + system >= timeMs * 1_000;
  }

  /** The names of the properties; `undefined` where there are too many. */
  #namesOf(value: object): string[] | undefined {
    const { properties } = this.#limits;
    const most = properties * tooManyTimes;
    const longestMs = Math.max(1, most * timeAPropertyMs);
    if (this.#goThrough(value) > longestMs) {
      // Twice, since a collection of garbage may come in between; unless the first time has used up all that there was.
      if (this.#isTimeUp()) return passOver(value, properties, 1);
      if (this.#goThrough(value) > longestMs) return passOver(value, properties, longestPause);
    }
    const names = Object.getOwnPropertyNames(value);
    // Where the names are numbers, only to list them tells.
    return names.length > most ? passOver(value, properties, longestPause) : names;
  }

  // How long it takes to go through all properties, ms: the symbols are not what is looked for, and may be any of them.
  #goThrough(value: object): number {
    const beganAt = realMonotonic();
    Object.getOwnPropertySymbols(value);
    const tookMs = realMonotonic() - beganAt;
    if (tookMs > 1) this.#wastedMs += tookMs;
    return tookMs;
  }

  #atMost<Item>(path: string, items: Item[]): Item[] {
    if (items.length <= this.#limits.properties) return items;
    this.#leaveOut(path);
    return items.slice(0, this.#limits.properties);
  }

  #leaveOut(path: string): void {
    if (this.leftOut.length < mostLeftOut) this.leftOut.push(path);
  }
}

type Walk = (value: object) => boolean;

/** Whether a singleton is looked into. Of lists the properties are the elements, which may be millions. */
export const isNoList: Walk = (value) =>
  !(Array.isArray(value) || ArrayBuffer.isView(value) || types.isBoxedPrimitive(value));

/** Whether an object's prototype is `null` or the `Object.prototype` of any realm, which is an end of the chain itself. */
export const isPlain: Walk = (value) => {
  if (!isNoList(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null) return true;
  return !types.isProxy(prototype) && Object.getPrototypeOf(prototype) === null;
};

/** Nothing is looked into any more. */
export const isNothing: Walk = () => false;

/** In code-unit order, whatever the order in which properties were made. */
export function byPath(a: Place, b: Place): number {
  if (a.path === b.path) return 0;
  return a.path < b.path ? -1 : 1;
}

const isCollection: Walk = (value) => types.isMap(value) || types.isSet(value);

function placed(path: string, value: unknown): Place[] {
  return typeof value === 'object' && value !== null && !types.isProxy(value) ? [{ path, value }] : [];
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

/** Whether an object was too wide at the last look, and is not due for another. */
function isPassedOver(value: object, properties: number): boolean {
  const known = tooWide.get(value);
  if (known === undefined || known.properties < properties || known.left === 0) return false;
  known.left -= 1;
  return true;
}

// One that is found too wide by two searches in a row is so for certain.
function passOver(value: object, properties: number, pause: number): undefined {
  tooWide.set(value, { properties, left: tooWide.has(value) ? longestPause : pause });
}
