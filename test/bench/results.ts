import type { Job, Scenario } from './job.js';
import type { Figures } from './operations.js';
import { median, medianRatio } from './statistics.js';

/** What one child measured. */
export interface Measurement extends Omit<Job, 'isShort'> {
  readonly round: number;
  readonly figures: Figures;
}

/** Names one figure of one contender at one size. */
export interface FigureOf {
  readonly scenario: Scenario;
  readonly contender: string;
  readonly size: number;
  readonly figure: string;
}

/** All that was measured, and the medians of it. */
export class Results {
  readonly measurements: Measurement[] = [];

  /** The figure of every round, by round. */
  rounds({ scenario, contender, size, figure }: FigureOf): Map<number, number> {
    const byRound = new Map<number, number>();
    for (const measured of this.measurements) {
      if (measured.scenario !== scenario || measured.contender !== contender || measured.size !== size)
        continue;
      const value = measured.figures[figure];
      if (value !== undefined) byRound.set(measured.round, value);
    }
    return byRound;
  }

  /** The median over all rounds; `undefined` where it was not measured. */
  median(of: FigureOf): number | undefined {
    const values = [...this.rounds(of).values()];
    return values.length === 0 ? undefined : median(values);
  }

  /** The median of the ratios within the rounds; `undefined` where either was not measured. */
  ratio(of: FigureOf, against: FigureOf): number | undefined {
    const ratio = medianRatio(this.rounds(of), this.rounds(against));
    return Number.isNaN(ratio) ? undefined : ratio;
  }

  /** The sizes that a scenario was measured at, ascending. */
  sizes(scenario: Scenario): number[] {
    const sizes = this.measurements
      .filter((measured) => measured.scenario === scenario)
      .map(({ size }) => size);
    return [...new Set(sizes)].sort((a, b) => a - b);
  }
}
