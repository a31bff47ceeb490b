// biome-ignore lint/suspicious/noExplicitAny: stands for a Map of whatever, for inference alone
export type AnyMap = Map<any, any> | Set<any>;

/** The collections of a registry by name, as an object type: `{ sessions: Map<string, Session> }`. */
export type RegistryMaps = object;

/** A collection of which only the name is known, since it is neither adopted nor in a type argument. */
// biome-ignore lint/suspicious/noExplicitAny: the caller's keys and values, which nothing tells
type Untyped = Map<any, any>;

/** The collection behind a name: what is adopted or what the type argument says. */
export type CollectionOf<M> = unknown extends M ? Untyped : M;

/** The keys of a Map, the members of a Set. */
export type KeyOf<M> = CollectionOf<M> extends Map<infer K, unknown> ? K : M extends Set<infer K> ? K : never;

/** The values of a Map, the members of a Set. */
export type ValueOf<M> =
  CollectionOf<M> extends Map<unknown, infer V> ? V : M extends Set<infer V> ? V : never;
