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

/** Returns an array of the same kind with this many elements: those of `from` that fit, and `filler` for what is new. */
export function resized<A extends Float64Array | Int32Array | Uint32Array | Uint8Array>(
  from: A,
  capacity: number,
  filler = 0,
): A {
  const to = new (from.constructor as new (length: number) => A)(capacity);
  to.set(from.length > capacity ? from.subarray(0, capacity) : from);
  if (filler !== 0) to.fill(filler, from.length);
  return to;
}
