import { defaultRecipient } from '../endings/ended-policy.js';
import type { DeadLetter } from '../events/dead-letter.js';
import type { JournalRecord } from './journal.js';
import { obligationKey, type PastEnding, type PastLetter } from './left.js';
import type { PastTimeline } from './past-timeline.js';
import { count, flag, instant, knownKey, list, members, text } from './record-fields.js';
import type { EndMore, LetterMore } from './records.js';

/**
 * What earlier lives owed: each ending that was claimed, until a recipient was told of it. To play a record throws a
 * TypeError if a field of it is not what it should be.
 */
export class PastEndings {
  /** By {@link obligationKey}. */
  readonly byShare = new Map<string, PastEnding>();
  readonly #timeline: PastTimeline;

  constructor(timeline: PastTimeline) {
    this.#timeline = timeline;
  }

  /** Plays that a run has ended. Returns what all its recipients are told. */
  end(record: JournalRecord): Omit<PastEnding, 'recipient' | 'attempts' | 'triedAt' | 'letter'> {
    const [, given, json, reason, ended, age, idle, more] = record;
    const generation = count(given);
    const endedAt = instant(ended);
    const { i, v, d, n, k, t, r }: Partial<EndMore> = members(more);
    const ending = {
      id: text(i),
      key: knownKey(json),
      generation,
      reason: text(reason),
      registeredAt: endedAt - instant(age),
      lastActiveAt: endedAt - instant(idle),
      endedAt,
      value: v,
      detail: d,
      isOwnId: k === 1,
    };
    const attempts = n === undefined ? 0 : count(n);
    const triedAt = t === undefined ? undefined : this.#timeline.at(t);
    for (const recipient of r === undefined ? [defaultRecipient] : list(r).map(text)) {
      const share = obligationKey(ending.id, recipient);
      const before = this.byShare.get(share);
      // A checkpoint repeats it; what has become of it since stays. That of a later run takes the place of a dead letter, as it
      // does where it is told, but for one whose attempt may run: what else becomes of that is said.
      const isLater = before?.letter?.ambiguous === false && before.generation !== generation;
      const known = isLater ? undefined : before;
      this.byShare.set(share, {
        ...ending,
        recipient,
        attempts: Math.max(known?.attempts ?? 0, attempts),
        triedAt: known?.triedAt ?? triedAt,
        letter: known?.letter,
      });
    }
    return ending;
  }

  /** Plays what has become of it since. */
  goOn(kind: 'done' | 'failed' | 'dead' | 'late' | 'retry', record: JournalRecord): void {
    switch (kind) {
      case 'done':
        this.byShare.delete(obligationKey(text(record[1]), recipientOf(record[2])));
        return;
      case 'failed':
        this.#failed(record);
        return;
      case 'dead':
        this.#dead(record);
        return;
      case 'late': {
        const { error, recipient } = letterMore(record[2]);
        const ending = this.#of(record[1], recipient);
        if (ending?.letter !== undefined) ending.letter = { ...ending.letter, ambiguous: false, error };
        return;
      }
      case 'retry': {
        const ending = this.#of(record[1], record[2]);
        if (ending === undefined) return;
        ending.letter = undefined;
        ending.attempts = 0;
        ending.triedAt = undefined;
      }
    }
  }

  #failed([, id, attempts, triedAt, at, recipient]: JournalRecord): void {
    // The life has come that far, though nothing else may have happened since.
    this.#timeline.at(at);
    const ending = this.#of(id, recipient);
    const failed = { attempts: count(attempts), triedAt: this.#timeline.at(triedAt) };
    if (ending !== undefined) Object.assign(ending, failed);
  }

  #dead([, id, cause, attempts, ambiguous, at, diedAt, more]: JournalRecord): void {
    const { error, recipient } = letterMore(more);
    const ending = this.#of(id, recipient);
    const counted = count(attempts);
    const letter: PastLetter = {
      cause: text(cause) as DeadLetter['cause'],
      ambiguous: flag(ambiguous),
      at: instant(at),
      diedAt: this.#timeline.at(diedAt),
      error,
    };
    if (ending === undefined) return;
    ending.attempts = counted;
    ending.letter = letter;
  }

  #of(id: unknown, recipient: unknown): PastEnding | undefined {
    return this.byShare.get(obligationKey(text(id), recipientOf(recipient)));
  }
}

/** Who is meant by a record that names nobody is the only one there mostly is. */
const recipientOf = (name: unknown): string => (name === undefined ? defaultRecipient : text(name));

function letterMore(more: unknown): { readonly error: string | undefined; readonly recipient: unknown } {
  const { e, r }: LetterMore = more === undefined ? {} : members(more);
  return { error: e === undefined ? undefined : text(e), recipient: r };
}
