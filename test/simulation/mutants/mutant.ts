/** A planted bug: a small change to one file of a copy of the library. */
export interface Mutant {
  /** What is wrong then, in the present tense. */
  readonly name: string;
  /** Below `src/`. */
  readonly file: string;
  /** Has to be in the file exactly once, so that a mutant cannot rot. */
  readonly find: string;
  readonly replace: string;
  /** A seed that caught it once, to begin with: for what has to come about is too rare for the first few hundred. */
  readonly rareSeed?: number;
  /** Where the seeds begin that may catch it; 1 by default. */
  readonly firstSeed?: number;
}
