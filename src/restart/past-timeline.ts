import type { Timeline } from '../time/timeline.js';
import { instant } from './record-fields.js';
import type { Life } from './records.js';

/** The clocks as they stand now, to be held against those of the last life. */
export type PresentClocks = Omit<Life, 'id' | 'everyMs'>;

/** Reads them. */
export function presentClocks({ clock }: Timeline): PresentClocks {
  const boot = clock.boot?.();
  return { wall: clock.now(), bootId: boot?.id ?? '', boot: boot?.at ?? 0 };
}

/**
 * The one line on which the instants of all lives stand, ms: each life counts them from one of its own. The time between
 * two lives is what the kernel's clock says if both saw the same boot, else what the wall clock says, and never less than
 * nothing.
 */
export class PastTimeline {
  #life: Life | undefined;
  #jumpedMs = 0;
  #origin = 0;
  #latest = 0;

  /** The life whose records are being played; `undefined` before the first. */
  get life(): Life | undefined {
    return this.#life;
  }

  /** Instant 0 of that life. */
  get origin(): number {
    return this.#origin;
  }

  /** How far the records have come. */
  get latest(): number {
    return this.#latest;
  }

  /** Another life begins. Returns how long none was there before it, ms. */
  begin(life: Life): number {
    const before = this.#latest;
    // Whole ms, as all instants of records: an entry keeps those for less. Later, so that nothing is older than it was.
    this.#origin = Math.ceil(this.presentAt(life));
    this.#latest = this.#origin;
    this.#life = life;
    this.#jumpedMs = 0;
    return this.#origin - before;
  }

  /** The wall clock has jumped so far since instant 0 of the life, all jumps together. */
  jumped(byMs: number): void {
    this.#jumpedMs = byMs;
  }

  /** The instant at which the clocks stand like this; never before the latest. 0 without any life. */
  presentAt(now: PresentClocks): number {
    if (this.#life === undefined) return 0;
    const { wall, bootId, boot } = this.#life;
    const lived = this.#latest - this.#origin;
    const isSameBoot = bootId !== '' && bootId === now.bootId;
    const elapsed = isSameBoot ? now.boot - boot : now.wall - wall - this.#jumpedMs;
    return this.#latest + Math.max(0, elapsed - lived);
  }

  /**
   * An instant of the life, which has come that far.
   *
   * @throws TypeError for what is no number of ms
   */
  at(given: unknown): number {
    const at = this.#origin + instant(given);
    if (at > this.#latest) this.#latest = at;
    return at;
  }

  /** An epoch instant by the wall clock of the life. */
  atEpoch(epoch: number): number {
    return this.#origin + epoch - (this.#life as Life).wall - this.#jumpedMs;
  }
}
