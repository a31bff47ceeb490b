/**
 * Returns the items from `start` up to `end` of an order, as `items.toSorted(compare).slice(start, end)` does. Of those
 * that are not among them it finds out on which side they are, and no more.
 *
 * @param compare as of `Array.prototype.sort`; no two items are equal in it
 */
export function partInOrder<Item>(
  items: readonly Item[],
  compare: (one: Item, other: Item) => number,
  start: number,
  end: number,
): Item[] {
  const sorted = [...items];
  // Quicksort (Hoare), which leaves alone each part that has nothing of what is wanted.
  const parts = [[0, sorted.length - 1]];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const [low, high] = part as [number, number];
    if (low >= high || high < start || low >= end) continue;
    const pivot = sorted[(low + high) >> 1] as Item;
    let left = low;
    let right = high;
    while (left <= right) {
      while (compare(sorted[left] as Item, pivot) < 0) left += 1;
      while (compare(sorted[right] as Item, pivot) > 0) right -= 1;
      if (left > right) break;
      [sorted[left], sorted[right]] = [sorted[right] as Item, sorted[left] as Item];
      left += 1;
      right -= 1;
    }
    parts.push([low, right], [left, high]);
  }
  return sorted.slice(start, end);
}
