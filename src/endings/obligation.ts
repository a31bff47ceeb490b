import type { DeadLetter } from '../events/dead-letter.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { WaitingItem } from './retry-waits.js';

/** An event that a recipient has to hear of, until it is delivered or its dead letter is gone. */
export interface Obligation<K, V> extends WaitingItem {
  /** Copied, for a handler may write to the event. */
  readonly id: string;
  readonly event: EndedEvent<K, V>;
  /** Since when it has been pending, monotonic ms. */
  since: number;
  /** Attempts of this round, counted before they start. */
  attempts: number;
  /** When the first attempt of the round began, monotonic ms; before this life if that was in an earlier one. */
  triedAt: number | undefined;
  /** What its last attempt threw, while it waits for the next one. */
  error: unknown;
  /** Attempts that have timed out and still run. Any of them may succeed yet. */
  unsettled: number;
  /** It waits for `Notifier.start`. */
  awaitsStart: boolean;
  /** It is of an earlier owner, which perhaps died of an attempt: those of this one are written down before they end. */
  readonly isInherited: boolean;
  /** It was delivered, or somebody else delivers it: what comes of its other attempts counts for nothing. */
  isSettled: boolean;
  /** Where it is among those that are pending, if it is one of them. */
  place: number;
  /** The dead letter that it has become. */
  record: LetterRecord<K, V> | undefined;
}

/** A dead letter as it is kept. */
export interface LetterRecord<K, V> {
  letter: DeadLetter<K, V>;
  /** When it became one, monotonic ms; before this life if that was in an earlier one. */
  readonly diedAt: number;
  /** What has become one; `undefined` in an earlier life. */
  readonly obligation: Obligation<K, V> | undefined;
  /** How many were added to those of its recipient before it. */
  readonly order: number;
  /** Not if it was taken back or dropped: its id may be that of another one since. */
  isKept: boolean;
  /** True while `DeadLetters.countedLosses` counts it. */
  isCounted: boolean;
  /** A new round of it has been asked for, and is to begin as soon as there is time. */
  isRedelivered: boolean;
}

/** An obligation as somebody else may know it. */
export type OpenObligation<K, V> = Pick<Obligation<K, V>, 'event' | 'attempts'> & {
  readonly triedAt?: number | undefined;
};

/** Makes an obligation that no attempt of this life has been made at. */
export function newObligation<K, V>(
  { event, attempts, triedAt }: OpenObligation<K, V>,
  since: number,
  awaitsStart: boolean,
  isInherited: boolean,
): Obligation<K, V> {
  return {
    id: event.id,
    event,
    since,
    attempts,
    triedAt,
    error: undefined,
    unsettled: 0,
    awaitsStart,
    isInherited,
    isSettled: false,
    place: 0,
    wait: undefined,
    record: undefined,
  };
}
