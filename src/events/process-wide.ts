/**
 * Returns what all copies of this package in the process share under a registered symbol of the global object. It is made at the
 * first use, since importing the package changes nothing, and no loop over the global object finds it.
 */
export function processWide<Shared extends object>(place: symbol, make: () => Shared): Shared {
  const holder = globalThis as { [place: symbol]: Shared | undefined };
  const known = holder[place];
  if (known !== undefined) return known;
  const value = make();
  Object.defineProperty(holder, place, { value, enumerable: false, configurable: true, writable: false });
  return value;
}
