/** Returns how many slots to make room for, so that there is one for `slot`: twice as many as often as that takes. */
export function capacityFor(slot: number, capacity: number): number {
  let enough = capacity;
  while (enough <= slot) enough *= 2;
  return enough;
}

/** Copies what fits of `from` into `to`, and returns that. */
export function resized<A extends Float64Array | Int32Array | Uint32Array | Uint8Array>(from: A, to: A): A {
  to.set(from.length > to.length ? (from.subarray(0, to.length) as A) : from);
  return to;
}
