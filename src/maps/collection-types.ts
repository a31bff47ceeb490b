/** A Map or Set of whatever. */
export type AnyMap = Map<unknown, unknown> | Set<unknown>;

/** The collections of a registry by name, as an object type: `{ sessions: Map<string, Session> }`. */
export type RegistryMaps = object;

/** The collection behind a name: what is adopted or what the type argument says. One of which nothing is known is no `any`. */
export type CollectionOf<M> = unknown extends M ? Map<unknown, unknown> : M;

/** The keys of a Map, the members of a Set. */
export type KeyOf<M> = CollectionOf<M> extends Map<infer K, unknown> ? K : M extends Set<infer K> ? K : never;

/** The values of a Map, the members of a Set. */
export type ValueOf<M> =
  CollectionOf<M> extends Map<unknown, infer V> ? V : M extends Set<infer V> ? V : never;

/** The name of a map: one of those that a registry was made with, or a string that only run time knows. */
export type MapName<M> = (keyof M & string) | (string & {});

/**
 * `Name` if there may be a map of that name: it is one of those that the registry was made with, or only run time knows.
 * A misspelt literal is refused.
 */
export type Existing<M, Name extends string> =
  IsKnown<M, Name> extends true ? (Name extends keyof M ? Name : NoSuchMap<keyof M & string>) : Name;

/** What a name would have to be that is no map of the registry: shown by the compiler. */
interface NoSuchMap<Known extends string> {
  readonly mapsThatThereAre: Known;
}

/** `Given` if it may be a key in the map of a name, the keys of that map if not. */
export type KeyIn<M, Name extends string, Given> =
  IsKnown<M, Name> extends true ? (Name extends keyof M ? Accepted<Given, KeyOf<M[Name]>> : never) : Given;

/** `Given` if it may be the key of a run, which one of the maps that the registry was made with holds. */
export type RunKey<M, Given> = [keyof M & string] extends [never] ? Given : Accepted<Given, KeyOfAny<M>>;

// Of each by itself: a Map and a Set together are neither.
type KeyOfAny<M> = { [Name in keyof M & string]: KeyOf<M[Name]> }[keyof M & string];

/** `Given`, if that is `unknown`: only run time knows then whether it is a key, as of the key in an event. */
type Accepted<Given, Key> = unknown extends Given ? Given : Key;

/** Whether the types can tell if there is a map of that name: it is a literal, and the registry was made with maps. */
type IsKnown<M, Name extends string> = [keyof M & string] extends [never]
  ? false
  : // An index signature can be left out of an object, a property cannot: so it is with strings, patterns and literals.
    // biome-ignore lint/complexity/noBannedTypes: an object without properties is what is meant
    {} extends Record<Name, true>
    ? false
    : true;
