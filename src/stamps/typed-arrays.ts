/** Up to this an array is doubled when it is full: what would be saved by less is not worth the copying. */
const mostDoubled = 8_192;

/**
 * Returns how many slots to make room for, so that there is one for `slot`: twice as many as often as that takes, and from
 * 8,192 on an eighth more. So at most an eighth of a large array is room that nobody uses.
 */
export function capacityFor(slot: number, capacity: number): number {
  let enough = capacity;
  while (enough <= slot) enough += enough < mostDoubled ? enough : enough >> 3;
  return enough;
}

/** Copies what fits of `from` into `to`, and returns that. */
export function resized<A extends Float64Array | Int32Array | Uint32Array | Uint8Array>(from: A, to: A): A {
  to.set(from.length > to.length ? (from.subarray(0, to.length) as A) : from);
  return to;
}
