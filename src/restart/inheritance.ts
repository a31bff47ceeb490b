import { type LeftAttempt, takeAttempts } from '../endings/left-attempts.js';
import type { NotifierState } from '../endings/notifier.js';
import { MapsweepError } from '../errors.js';
import type { EndedEvent } from '../events/ended-event.js';
import { counted, shownKey } from '../events/shown.js';
import { detached } from '../time/async-context.js';
import type { Absences } from './absences.js';
import type { RestartContext } from './context.js';
import { obligationKey, type PastEnding, type PastLetter } from './left.js';

/**
 * Endings that an earlier life has claimed, or another owner. This life goes on telling of them, and keeps those that are
 * owed to a recipient whom it does not have.
 */
export class Inheritance {
  /**
   * Those that are owed to a recipient whom this life does not have, by {@link obligationKey}: it tells nobody of them, and
   * writes them anew with each checkpoint, for a life that has him.
   */
  readonly carried = new Map<string, PastEnding>();
  readonly #context: RestartContext;
  readonly #absences: Absences;

  constructor(context: RestartContext, absences: Absences) {
    this.#context = context;
    this.#absences = absences;
  }

  /** Goes on with them. @param shift what has to be added to their instants to have monotonic ms of this life */
  take(endings: Iterable<PastEnding>, shift: number): void {
    const deliveries = this.#context.mayConclude() ? this.#context.deliveries() : undefined;
    const states = new Map<string, NotifierState<unknown, unknown>>();
    const events = new Map<string, EndedEvent>();
    const journal = this.#context.recorder()?.journalName;
    const unknown = new Map<string, number>();
    const left = deliveries === undefined || journal === undefined ? [] : takeAttempts(journal);
    const leftOf = (of: string, owed: string): LeftAttempt | undefined =>
      left.find(({ recipient, id }) => recipient === of && id === owed);
    for (const ending of endings) {
      moveBy(shift, ending);
      const { id, recipient, attempts, endedAt } = ending;
      if (deliveries?.of(recipient) === undefined) {
        this.carried.set(obligationKey(id, recipient), ending);
        unknown.set(recipient, (unknown.get(recipient) ?? 0) + 1);
        continue;
      }
      const state = states.get(recipient) ?? { pending: [], deadLetters: [] };
      states.set(recipient, state);
      // One object for an ending, whoever is told of it; somebody may be owed that of an earlier run of its id.
      const run = `${endedAt} ${id}`;
      const event = events.get(run) ?? this.#eventOf(ending);
      if (deliveries.recipients.length > 1) events.set(run, event);
      if (ending.letter !== undefined) {
        state.deadLetters.push(letterOf(ending, ending.letter, event));
        continue;
      }
      const running = leftOf(recipient, id);
      const before = running === undefined ? attempts : running.attempt - 1;
      state.pending.push({ event, attempts: before, triedAt: ending.triedAt, left: running?.outcome });
    }
    for (const [recipient, state] of states) {
      // The oldest goes first when there are too many.
      state.deadLetters.sort((a, b) => a.diedAt - b.diedAt);
      deliveries?.of(recipient)?.import(state);
    }
    if (deliveries !== undefined) this.#sayUnknown(unknown);
  }

  /** Says who has to be told and is not there, and of how many that have just come. */
  #sayUnknown(counts: ReadonlyMap<string, number>): void {
    const { engine, endedMap } = this.#context;
    for (const [recipient, count] of counts) {
      const error = new MapsweepError(
        'ERR_UNKNOWN_RECIPIENT',
        `${counted(count, 'ending is', 'endings are')} owed to the recipient ${shownKey(recipient)}, ` +
          'which ended.deliver does not have: left open for a life that has it',
      );
      // Whoever listens does so when the registry is there.
      detached(() =>
        Promise.resolve().then(() => engine.failures.report(endedMap() ?? '', 'deliver', undefined, error)),
      );
    }
  }

  #eventOf(ending: PastEnding): EndedEvent {
    const { id, key, generation, reason, registeredAt, lastActiveAt, endedAt, value: json, detail } = ending;
    const tracker = this.#context.endings()?.tracker;
    const value = tracker === undefined ? json : this.#absences.valueOf(tracker, json, key);
    const event = { id, key, generation, reason, registeredAt, lastActiveAt, endedAt, value, detail };
    this.#context.keepPastValue(event, json);
    return event;
  }
}

function moveBy(ms: number, ending: PastEnding): void {
  const { letter } = ending;
  if (ending.triedAt !== undefined) ending.triedAt += ms;
  if (letter !== undefined) ending.letter = { ...letter, diedAt: letter.diedAt + ms };
}

function letterOf(
  { id, recipient, attempts }: PastEnding,
  { cause, ambiguous, at, diedAt, error: text }: PastLetter,
  event: EndedEvent,
): NotifierState<unknown, unknown>['deadLetters'][number] {
  const error = text === undefined ? undefined : new MapsweepError('ERR_RESTORED', text);
  return { letter: { id, recipient, event, attempts, error, ambiguous, at, cause }, diedAt };
}
