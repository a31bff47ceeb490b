import type { Subject } from './subject.js';

/** The last check that failed, or still runs, of each map that it was about. */
const latest = new WeakMap<object, RunNumbers>();

/**
 * The numbers of the runs of a check. They go on from those of a check of the same maps that failed, or was given up: what its
 * runs have set is there still, and a retry that sets the same keys once more would register nothing, and pass.
 */
export class RunNumbers {
  /** That of the first run. */
  readonly first: number;
  /** That of the next run. */
  next: number;

  /** Begins a check. */
  constructor(subject: Subject) {
    const maps = mapsOf(subject);
    this.first = Math.max(0, ...maps.map((map) => latest.get(map)?.next ?? 0));
    this.next = this.first;
    for (const map of maps) latest.set(map, this);
  }

  /** The check is over. @param isClean its runs have left nothing behind that could be taken for what later ones set */
  end(subject: Subject, isClean: boolean): void {
    for (const map of mapsOf(subject)) {
      if (isClean && this.first === 0) {
        if (latest.get(map) === this) latest.delete(map);
      } else if ((latest.get(map)?.next ?? 0) < this.next) latest.set(map, this);
    }
  }
}

const mapsOf = (subject: Subject): object[] => subject.trackers().map(({ native }) => native.target);
