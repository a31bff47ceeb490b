/** What a life is told when it begins. */
export interface Begin {
  folder: string;
  /** 0 is the first. */
  life: number;
  /** It goes on until everybody has been told, and ends by itself. */
  isLast: boolean;
  /** Keys of earlier lives that the owner sets again. */
  comingBack: string[];
}

/** What a life tells of itself. Batches are counted from its beginning; each holds what those before hold. */
export interface Word {
  /** Registered. */
  batches: number;
  /** Acknowledged by `flushed()`. */
  flushed: number;
  /** Registered 100 ms ago, in which the machine had time. */
  promised: number;
  /** Endings whose delivery `flushed()` has acknowledged since the last word. */
  settled: string[];
}

/** A run, and what its owner does with it right after its registration. */
export interface RunPlan {
  key: string;
  /** Its end is said. */
  ends: boolean;
  /** Its entry is deleted. */
  leaves: boolean;
}

const runsPerBatch = 3;

/** The runs that a life registers in one batch. */
export function runsOfBatch(life: number, batch: number): RunPlan[] {
  return Array.from({ length: runsPerBatch }, (_, index) => {
    const number = batch * runsPerBatch + index + 1;
    return { key: `life-${life}-run-${number}`, ends: number % 3 === 0, leaves: number % 5 === 0 };
  });
}
