import { defaultRecipient } from '../endings/ended-policy.js';
import type { DeadLetter } from '../events/dead-letter.js';
import type { PastAges } from './age-records.js';

/** How the entries of earlier lives are taken over. */
export interface Taking {
  /** When, monotonic ms. */
  readonly at: number;
  /** What has to be added to their instants to have them in the monotonic time of this life, ms. */
  readonly shift: number;
  /** How much later than it was written the last activity may have been, ms. */
  readonly lateMs: number;
  /** Whether the journal of this registry has them. */
  readonly isRecorded: boolean;
}

/** What an entry is made of, as its records say. Instants are ms of the past, whole ones. */
export interface PastEntryFields {
  readonly key: unknown;
  readonly generation: number;
  readonly registeredAt: number;
  readonly lastActiveAt: number;
  /** `undefined` without any activity of a companion. */
  readonly usedAt: number | undefined;
  /** The life that gave it its id; `undefined` in a map without endings. */
  readonly lifeId: string | undefined;
  /** Its id, if that is not made of the id of the life and the generation. */
  readonly ownId: string | undefined;
  readonly claimed: boolean;
  readonly value: unknown;
  readonly absentMs: number;
  readonly life: number;
}

const madeUpId = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}:\d+$/;

/**
 * An entry that was in a map when an earlier life was last heard of. There may be a million of them until they come back,
 * so an entry keeps small integers, which take no memory of their own, and what they stand for is computed when it is asked
 * for.
 */
export class PastEntry {
  readonly key: unknown;
  generation: number;
  /** Its end is claimed. */
  claimed: boolean;
  /** What `encode` gave; `undefined` if nothing was written. */
  value: unknown;
  /** How long it has been awaited, over all lives since it was last there, ms of running time. */
  absentMs: number;
  /** The last life in which it was there. */
  life: number;
  readonly #registeredAt: number;
  #lastActiveAt: number;
  #usedAt: number | undefined;
  #taking: Taking | undefined;
  readonly #lifeId: string | undefined;
  #ownId: string | undefined;

  constructor(fields: PastEntryFields) {
    this.key = fields.key;
    this.generation = fields.generation;
    this.claimed = fields.claimed;
    this.value = fields.value;
    this.absentMs = fields.absentMs;
    this.life = fields.life;
    this.#registeredAt = fields.registeredAt;
    this.#lastActiveAt = fields.lastActiveAt;
    this.#usedAt = fields.usedAt;
    this.#lifeId = fields.lifeId;
    this.#ownId = fields.ownId;
  }

  /** The id of the run; `undefined` in a map without endings. */
  get id(): string | undefined {
    return this.#ownId ?? (this.#lifeId && `${this.#lifeId}:${this.generation}`);
  }

  /** Whether its id is none of the owner's: that of a life, which is a UUID, and a generation. */
  get hasMadeUpId(): boolean {
    return this.#ownId === undefined || madeUpId.test(this.#ownId);
  }

  /** Ms of the past; once it is taken over, monotonic ms of this life. The same of the two below. */
  get registeredAt(): number {
    return this.#present(this.#registeredAt);
  }

  /** As it was written: the last activity may be {@link lateMs} later. */
  get lastActiveAt(): number {
    return this.#present(this.#lastActiveAt);
  }

  /** The last activity of a companion; `-Infinity` without any. */
  get usedAt(): number {
    return this.#usedAt === undefined ? Number.NEGATIVE_INFINITY : this.#present(this.#usedAt);
  }

  /** How much later than it was written its activity may have been, ms. */
  get lateMs(): number {
    return this.#taking?.lateMs ?? 0;
  }

  /** It comes from a snapshot that was restored by hand: the journal knows nothing of it. */
  get isUnrecorded(): boolean {
    return this.#taking?.isRecorded === false;
  }

  /** Plays activity of it, or of a companion; ms of the past. */
  wasActive(kind: 'active' | 'used', at: number): void {
    if (kind === 'active') this.#lastActiveAt = Math.max(this.#lastActiveAt, at);
    else this.#usedAt = Math.max(this.#usedAt ?? at, at);
  }

  /** This life takes it over. @param offset what its generation has to be raised by to be one of this life's */
  take(taking: Taking, offset: number): void {
    this.#taking = taking;
    if (offset === 0) return;
    // The id goes by the generation that it had.
    this.#ownId = this.id;
    this.generation += offset;
  }

  #present(at: number): number {
    return this.#taking === undefined ? at : Math.min(at + this.#taking.shift, this.#taking.at);
  }
}

/** The end of a run that was claimed and has not been delivered to a recipient. Instants are epoch ms. */
export interface PastEnding {
  readonly id: string;
  readonly recipient: string;
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
  /**
   * When the first attempt of the round began, ms of the past, as if no time had passed between two lives; monotonic ms of
   * this life, once it is taken over. `undefined` without any.
   */
  triedAt: number | undefined;
  /** Its id is the owner's own: the run is remembered by it. */
  readonly isOwnId: boolean;
  /** It is a dead letter. */
  letter: PastLetter | undefined;
}

/** Tells what is owed to one recipient from what is owed of the same ending to another. For the usual one it is the id. */
export function obligationKey(id: string, recipient: string): string {
  if (recipient === defaultRecipient && !id.startsWith('\0')) return id;
  return `\0${recipient.length}:${recipient}${id}`;
}

/** What is known of a dead letter beside its ending. */
export interface PastLetter {
  readonly cause: DeadLetter['cause'];
  readonly ambiguous: boolean;
  /** Epoch ms. */
  readonly at: number;
  /** The same, ms of the past; monotonic ms of this life, once it is taken over. */
  readonly diedAt: number;
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
  /** For its leak verdict; `undefined` if nothing was counted. */
  ages: PastAges | undefined;
  readonly entries: Map<number, PastEntry>;
}

/** What earlier lives left. */
export interface Left {
  /** The map whose runs end. */
  readonly endedMap: string | undefined;
  readonly maps: Map<string, PastMap>;
  /** By {@link obligationKey}. */
  readonly endings: Map<string, PastEnding>;
  readonly tombstones: Map<string, PastTombstone>;
}
