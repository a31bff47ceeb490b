import type { Deliveries } from '../endings/deliveries.js';
import type { EndedRun, Endings } from '../endings/endings.js';
import type { ObligationLog } from '../endings/notifier-options.js';
import type { DeadLetter } from '../events/dead-letter.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { Engine } from '../sweeping/engine.js';
import type { DeliveryGate } from './delivery-gate.js';
import type { JournalWriter } from './journal-writer.js';
import type { RecordEncoder } from './record-encoder.js';
import * as records from './records.js';

/** What the records of endings go through. */
export interface EndingRecorderHost {
  readonly engine: Engine;
  readonly encoder: RecordEncoder;
  endings(): Endings | undefined;
  deliveries(): Deliveries | undefined;
}

/** Writes down which runs have ended, and what becomes of each ending until nobody has to be told any more. */
export class EndingRecorder implements ObligationLog {
  readonly #host: EndingRecorderHost;
  readonly #writer: JournalWriter;
  readonly #gate: DeliveryGate;
  // Claimed endings that were written before their entry, and have not been handed over yet.
  readonly #concluded = new Set<EndedEvent>();
  readonly #claimedMeanwhile = new Set<number>();

  constructor(host: EndingRecorderHost, writer: JournalWriter, gate: DeliveryGate) {
    this.#host = host;
    this.#writer = writer;
    this.#gate = gate;
  }

  /**
   * Whether the claim of a registration was said while a checkpoint is written that goes before what is said: its own record
   * is to come, and says who has to be told.
   */
  isToCome(generation: number): boolean {
    return this.#claimedMeanwhile.has(generation);
  }

  /** The record of a claim has come. */
  hasCome(generation: number): void {
    this.#claimedMeanwhile.delete(generation);
  }

  /** What is to come of claims is written now, or dropped. */
  nothingToCome(): void {
    this.#claimedMeanwhile.clear();
  }

  /** Writes down a claimed ending before its entry leaves, if it does. */
  conclude(event: EndedEvent): void {
    this.#concluded.add(event);
    this.#say(event);
  }

  /** A run has ended: it is delivered once that is written, if anybody is to be told. */
  ended(event: EndedEvent): void {
    if (!this.#concluded.delete(event)) this.#say(event);
    if (this.#host.deliveries() !== undefined) this.#gate.hold(event.id, this.#writer.saidCount);
  }

  /** A run has ended, and nobody has to be told. */
  quiet({ key, id, generation }: EndedRun): void {
    this.settled(generation);
    if (!this.#host.endings()?.tombstones.hasRun(id)) return;
    const at = this.#host.engine.timeline.now();
    const tombstone = this.#host.encoder.tombstone(id, { key, generation, at });
    if (tombstone !== undefined) this.#writer.say(tombstone);
  }

  /** A registration is no run of its own any more, and there is nothing else to be known of it. */
  settled(generation: number): void {
    this.#claimed(generation);
    this.#writer.say(records.quietRecord(generation));
  }

  attempted(id: string, recipient: string, attempts: number, triedAt: number): void {
    const since = this.#host.encoder.instant(triedAt);
    const at = this.#host.encoder.instant(this.#host.engine.timeline.now());
    this.#writer.say(records.failedRecord(id, recipient, attempts, since, at));
  }

  done(id: string, recipient: string): void {
    this.#writer.say(records.doneRecord(id, recipient));
  }

  dead(letter: DeadLetter, diedAt: number): void {
    this.#writer.say(records.deadRecord(letter, this.#host.encoder.instant(diedAt)));
  }

  failedLate(letter: DeadLetter): void {
    this.#writer.say(records.lateRecord(letter));
  }

  replaced(id: string, recipient: string): void {
    // The later ending was said just before, to all recipients.
    this.#writer.say(records.retryRecord(id, recipient));
  }

  retried(event: EndedEvent, recipient: string): void {
    const endings = this.#host.endings();
    // A checkpoint under way may miss it, as a dead letter and as one that is pending again. At once, since it says who
    // has to be told of it still: some may have been.
    const recipients = [...new Set([recipient, ...(this.#host.deliveries()?.owing(event) ?? [])])];
    const again = endings && this.#host.encoder.ending(endings.tracker, event, { recipients });
    if (again !== undefined) this.#writer.say(again);
    this.#writer.say(records.retryRecord(event.id, recipient));
  }

  #say(event: EndedEvent): void {
    if (this.#host.deliveries() === undefined) {
      this.quiet(event);
      return;
    }
    this.#claimed(event.generation);
    this.#writer.say(event);
  }

  #claimed(generation: number): void {
    if (this.#writer.isCatchingUp) this.#claimedMeanwhile.add(generation);
  }
}
