import type { DeadLetter } from '../events/dead-letter.js';

/** An entry that was in a map when an earlier life was last heard of. Instants are ms of the {@link Past}. */
export interface PastEntry {
  readonly key: unknown;
  generation: number;
  registeredAt: number;
  /** As it was written: the last activity may be one interval later. */
  lastActiveAt: number;
  /** The last activity of a companion; `-Infinity` without any. */
  usedAt: number;
  /** How much later than it was written its activity may have been, ms. Set by whoever takes it over. */
  lateMs: number;
  /** The id of the run; `undefined` in a map without endings. */
  readonly id: string | undefined;
  /** Its end is claimed. */
  claimed: boolean;
  /** What `encode` gave; `undefined` if nothing was written. */
  value: unknown;
  /** How long it has been awaited, over all lives since it was last there, ms of running time. */
  absentMs: number;
  /** The last life in which it was there. */
  life: number;
  /** It comes from a snapshot that was restored by hand: the journal knows nothing of it. */
  isUnrecorded?: true;
}

/** The end of a run that was claimed and has not been delivered. Instants are epoch ms. */
export interface PastEnding {
  readonly id: string;
  readonly key: unknown;
  readonly generation: number;
  readonly reason: string;
  readonly registeredAt: number;
  readonly lastActiveAt: number;
  readonly endedAt: number;
  /** What `encode` gave. */
  readonly value: unknown;
  readonly detail: unknown;
  attempts: number;
  /** Its id is the owner's own: the run is remembered by it. */
  readonly isOwnId: boolean;
  /** It is a dead letter. */
  letter: PastLetter | undefined;
}

/** What is known of a dead letter beside its ending. */
export interface PastLetter {
  readonly cause: DeadLetter['cause'];
  readonly ambiguous: boolean;
  /** Epoch ms. */
  readonly at: number;
  readonly error: string | undefined;
}

/** A run that has ended and left, and is remembered by its id. */
export interface PastTombstone {
  readonly key: unknown;
  readonly generation: number;
  readonly id: string;
  /** Ms of the past. */
  readonly at: number;
}

/** What earlier lives left in one map, by generation, in order of registration. */
export interface PastMap {
  lastGeneration: number;
  readonly entries: Map<number, PastEntry>;
}

/** What earlier lives left. */
export interface Left {
  /** The map whose runs end. */
  readonly endedMap: string | undefined;
  readonly maps: Map<string, PastMap>;
  readonly endings: Map<string, PastEnding>;
  readonly tombstones: Map<string, PastTombstone>;
}
