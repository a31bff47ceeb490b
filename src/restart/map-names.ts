import { mapRecord } from './records.js';

/** What maps are called in records. */
export interface MapNamesHost {
  /** The map whose runs end. */
  readonly endedMap: string | undefined;
  /** The highest generation that was ever given out in a map. */
  lastGenerationOf(map: string): number;
  /** A map has a name that no record has told of. */
  named(record: string): void;
}

/** Gives each map a number, which stands for its name in records. */
export class MapNames {
  readonly #host: MapNamesHost;
  readonly #indices = new Map<string, number>();
  #last = -1;
  #areTold = false;

  constructor(host: MapNamesHost) {
    this.#host = host;
  }

  indexOf(map: string): number {
    let index = this.#indices.get(map);
    if (index === undefined) {
      this.#last += 1;
      index = this.#last;
      this.#indices.set(map, index);
      // Before the first file, its head will say so.
      if (this.#areTold) this.#host.named(this.#record(map, index));
    }
    return index;
  }

  /** There will be no more records of a map. */
  forget(map: string): void {
    this.#indices.delete(map);
  }

  /** The records of all names, which stand before all others in each file. */
  records(): string[] {
    this.#areTold = true;
    return [...this.#indices].map(([map, index]) => this.#record(map, index));
  }

  #record(map: string, index: number): string {
    const { endedMap, lastGenerationOf } = this.#host;
    return mapRecord(index, map, map === endedMap, lastGenerationOf(map));
  }
}
