/** Draws from a seeded generator. */
export interface Random {
  /** Uniform in [from, to). */
  between(from: number, to: number): number;
  normal(): number;
  exponential(mean: number): number;
  poisson(mean: number): number;
}

/** mulberry32, a public-domain generator of 32 bits by Tommy Ettinger. */
export function randomOf(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b1);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const poisson = (mean: number) => {
    if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal()));
    let count = 0;
    for (let product = next(); product > Math.exp(-mean); product *= next()) count++;
    return count;
  };
  return {
    between: (from, to) => from + (to - from) * next(),
    normal,
    exponential: (mean) => -mean * Math.log(1 - next()),
    poisson,
  };
}
