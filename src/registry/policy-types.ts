import type { EndedPolicy } from '../endings/ended-policy.js';
import type { AnyMap, CollectionOf, KeyOf, MapName, ValueOf } from '../maps/collection-types.js';
import type { TrackedMap } from '../maps/tracked-map.js';
import type { Follows, Persist, Policy, Rule } from '../policy/policy.js';

/** The policy of one collection. `adopt` has to be there for what no `TrackedMap` is, such as a `Set`. */
export type PolicyOf<M, Leader = string> = AdoptedPolicyOf<M, Leader> & {
  /** A live `Map` or `Set` to instrument in place. Default: a new `TrackedMap` is made. */
  adopt?: M & AnyMap;
} & (TrackedMap<KeyOf<M>, ValueOf<M>> extends CollectionOf<M>
    ? unknown
    : {
        /** The live collection, which no `TrackedMap` can stand for. */
        adopt: M;
      });

/**
 * The policy of one collection that is adopted by a call.
 *
 * Of a collection of which nothing is known the functions take `unknown`, and may say by their annotations what it
 * holds.
 */
export type AdoptedPolicyOf<M, Leader = string> = (unknown extends M ? LoosePolicy : KnownPolicy<M>) & {
  /**
   * The name of the leader: the map whose entries those of this one accompany, by equal key or, with `{ map, key }`, by the
   * key that their value names. They leave in the same step as their leader's, whoever removed that, and activity here
   * counts as activity there. 1 to 128 characters. Default: no leader.
   */
  follows?: Leader | Follows<KeyOf<M>, ValueOf<M>, Leader>;
};

/** The policies of a registry by map name. */
export type PoliciesOf<M> = { readonly [Name in keyof M]: PolicyOf<M[Name], MapName<M>> };

/** The `ended` of a registry: for one of its maps. */
export type EndedOf<M> = {
  [Name in keyof M & string]: unknown extends KeyOf<M[Name]> | ValueOf<M[Name]>
    ? Loosely<EndedPolicy<KeyOf<M[Name]>, ValueOf<M[Name]>, Name>>
    : EndedPolicy<KeyOf<M[Name]>, ValueOf<M[Name]>, Name>;
}[keyof M & string];

/**
 * Stands beside {@link PoliciesOf} in the options of `createRegistry` to have the type of the policies inferred as they
 * are written, annotations included. It is `unknown` whatever `P` is, so that the options are checked as if it were not
 * there; only the inference looks into it.
 */
export type Written<P> = P extends typeof nobodyHasThis ? P : unknown;

declare const nobodyHasThis: unique symbol;

/**
 * The maps of a registry: those of which something is known, and for the others what the annotations of their policies'
 * functions say. What no policy adopts is a `TrackedMap`; where a type argument stands for the policies, it says what there is.
 *
 * @typeParam M what the type argument and `adopt` say
 * @typeParam P the policies as they are written
 */
export type KnownMaps<M, P> = unknown extends P
  ? M
  : {
      [Name in keyof M]: unknown extends M[Name]
        ? Name extends keyof P
          ? Made<P[Name], Annotated<CallsOf<P[Name]>, 'key'>, Annotated<CallsOf<P[Name]>, 'value'>>
          : Map<unknown, unknown>
        : M[Name];
    };

/** What there is by a policy. One that adopts what is `any` tells nothing of that. */
type Made<P, K, V> = 'adopt' extends keyof P ? Map<K, V> : TrackedMap<K, V>;

type KnownPolicy<M> = Omit<Policy<KeyOf<M>, ValueOf<M>>, 'adopt' | 'follows'>;

type LoosePolicy = Loosely<Omit<KnownPolicy<unknown>, 'rules' | 'persist'>> & {
  rules?: ReadonlyArray<Loosely<Rule<unknown, unknown>>>;
  persist?: boolean | Loosely<Persist<unknown, unknown>>;
};

/** The same options, whose functions may take less than they are called with: as methods they are compared both ways. */
type Loosely<Options> = { [Name in keyof Options]: Loose<Options[Name]> };
type Loose<Option> = Option extends (...parameters: infer Parameters) => infer Result
  ? { method(...parameters: Parameters): Result }['method']
  : Option;

/** What the functions of a policy, and of its rules, are called with. */
type CallsOf<P> =
  | { [Name in keyof P]: CallOf<P[Name]> }[keyof P]
  | (P extends { rules: ReadonlyArray<infer R> } ? CallsOf<Omit<R, 'match'>> : never)
  | (P extends { follows: { key: infer Key } } ? CallOf<Key> : never)
  | (P extends { persist: { encode: infer Encode } } ? CallOf<Encode> : never)
  | (P extends { beforeSweep: { run: (entries: [infer K, infer V][], ...more: never) => unknown } }
      ? { value: V; key: K }
      : never);
type CallOf<Option> = Option extends (...parameters: infer Parameters) => unknown
  ? Parameters extends [infer V, infer K, ...unknown[]]
    ? { value: V; key: K }
    : Parameters extends [infer V]
      ? { value: V; key: unknown }
      : never
  : never;

/** What all calls have in common: where one function takes less than another, it is called with no more than that. */
type Annotated<Call, Part extends 'value' | 'key'> = [Call] extends [never]
  ? unknown
  : (Call extends { [Name in Part]: infer Taken } ? (taken: { it: Taken }) => void : never) extends (
        taken: infer All,
      ) => void
    ? All extends { it: infer Taken }
      ? Taken
      : unknown
    : unknown;
