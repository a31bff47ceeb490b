/** Sets an element of an array, behind fillers if it is shorter than that: one with a hole in it would be slow for good. */
export function setAt<T>(array: T[], index: number, value: T, filler: T): void {
  while (array.length < index) array.push(filler);
  array[index] = value;
}
