/**
 * Two distribution-free statistics of a short series: whether it rises, and how steeply.
 *
 * Sources: H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945) 245-259, and M. G. Kendall, "Rank
 * Correlation Methods" (1975), for S; H. Theil, "A rank-invariant method of linear and polynomial regression analysis"
 * (1950), and P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", J. Am. Stat. Assoc. 63 (1968)
 * 1379-1389, for the slope. Both look at all pairs, so they are for a handful of values.
 */

/**
 * Mann-Kendall's S: pairs in which the later value is greater, less those in which it is smaller. Ties count nothing.
 * Between `-n(n-1)/2` (always falls) and `n(n-1)/2` (always rises).
 */
export function mannKendallS(values: readonly number[]): number {
  let s = 0;
  for (let later = 1; later < values.length; later++) {
    for (let earlier = 0; earlier < later; earlier++) s += Math.sign(values[later]! - values[earlier]!);
  }
  return s;
}

/**
 * Theil-Sen slope: the median of the slopes between all pairs of points, in `y` per `x`. Up to 29 % of the points may be
 * arbitrarily wrong without moving it far. Pairs with equal `x` are left out; 0 when no pair is left.
 */
export function theilSenSlope(x: readonly number[], y: readonly number[]): number {
  const slopes: number[] = [];
  for (let later = 1; later < x.length; later++) {
    for (let earlier = 0; earlier < later; earlier++) {
      const run = x[later]! - x[earlier]!;
      if (run !== 0) slopes.push((y[later]! - y[earlier]!) / run);
    }
  }
  if (slopes.length === 0) return 0;
  slopes.sort((a, b) => a - b);
  const middle = slopes.length >> 1;
  return slopes.length % 2 === 1 ? slopes[middle]! : (slopes[middle - 1]! + slopes[middle]!) / 2;
}
