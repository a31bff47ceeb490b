/** What one look has found of a peer whose lock nobody holds. */
export interface Absentee {
  readonly instance: string;
  /** Another one whenever it was there in between. */
  readonly epoch: number;
}

interface Watched {
  readonly epoch: number;
  readonly since: number;
  isOver: boolean;
}

/**
 * Tells who is dead: whose lock was found free at every look for long enough, by the database's clock. Looks too far
 * apart prove nothing, since this process was stopped, the database was, or its clock has jumped: all are watched anew.
 */
export class Vigil {
  readonly #afterMs: number;
  readonly #longestGapMs: number;
  readonly #absent = new Map<string, Watched>();
  #lookedAt = Number.NaN;

  /** @param everyMs how far two looks are apart if nothing is wrong */
  constructor(afterMs: number, everyMs: number) {
    this.#afterMs = afterMs;
    this.#longestGapMs = 3 * everyMs;
  }

  /**
   * Takes down what a look has found.
   *
   * @param now by the database's clock, ms
   * @returns those that are dead, each until {@link done} or {@link leave}
   */
  look(now: number, absentees: readonly Absentee[]): Absentee[] {
    const gap = now - this.#lookedAt;
    this.#lookedAt = now;
    if (!(gap >= 0 && gap <= this.#longestGapMs)) this.forget();
    const names = new Set(absentees.map(({ instance }) => instance));
    for (const name of this.#absent.keys()) if (!names.has(name)) this.#absent.delete(name);
    const dead: Absentee[] = [];
    for (const absentee of absentees) {
      const { instance, epoch } = absentee;
      const known = this.#absent.get(instance);
      if (known?.epoch !== epoch) this.#absent.set(instance, { epoch, since: now, isOver: false });
      else if (!known.isOver && now - known.since >= this.#afterMs) dead.push(absentee);
    }
    return dead;
  }

  /** Has nothing more to do with a dead one as long as it stays so. */
  leave({ instance, epoch }: Absentee): void {
    this.#absent.set(instance, { epoch, since: this.#lookedAt, isOver: true });
  }

  /** Begins anew: the looks before were of another connection, or too long ago. */
  forget(): void {
    // What is over is no question of time.
    for (const [name, { isOver }] of this.#absent) if (!isOver) this.#absent.delete(name);
  }
}
