import type { Subject } from './subject.js';

/**
 * Where a check has left off that failed, by the maps that it was about. What its runs have set is there still: a retry that
 * sets the same keys once more would register nothing, and pass.
 */
const leftOff = new WeakMap<object, number>();

/** The number of the first run of a check. */
export function firstRunOf(subject: Subject): number {
  return Math.max(0, ...mapsOf(subject).map((map) => leftOff.get(map) ?? 0));
}

/** Has later checks of these maps go on with a number. */
export function leaveOff(subject: Subject, nextRun: number): void {
  for (const map of mapsOf(subject)) leftOff.set(map, nextRun);
}

const mapsOf = (subject: Subject): object[] => subject.trackers().map(({ native }) => native.target);
