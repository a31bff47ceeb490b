import { MapsweepError } from '../errors.js';
import { detached } from '../time/async-context.js';
import type { Clock } from '../time/clock.js';
import { realSetImmediate } from '../time/real-timers.js';
import { Slices } from '../time/slices.js';
import type { TimerQueue, TimerTicket } from '../time/timer-queue.js';
import { FlushWaits } from './flush-waits.js';
import type { Journal } from './journal.js';
import { type Utterance, UtteranceQueue } from './utterance-queue.js';

/** So many characters are handed to the journal at once. */
const batchLength = 256 * 1024;
/** The default of `mostUnwrittenBytes`. */
const mostUnwritten = 16 * 1024 * 1024;
/** So long an append may take before the disk counts as one that does not answer, ms. */
const patienceMs = 250;
/** The pauses after a failure, ms: the first one, which doubles, and the longest. */
const firstPauseMs = 1_000;
const longestPauseMs = 30_000;

/** Where records come from, and who is told. */
export interface WriterHost {
  readonly clock: Clock;
  readonly timers: TimerQueue;
  readonly sliceBudgetMs: number;
  /** How long an append may be under way before the journal counts as one that takes nothing, ms. */
  readonly maxWaitMs: number;
  /**
   * Beyond this the records of a journal that takes nothing are dropped: its live state is written anew later. Default
   * 16 MB.
   */
  readonly mostUnwrittenBytes?: number | undefined;
  /** The JSON text of a record; `undefined` if there is nothing to write any more. Must not throw. */
  encode(said: Utterance, first: number, second: number): string | undefined;
  /** All that is live, as records, one a step; `undefined` for a step without one. Must not throw. */
  liveRecords(): Iterator<string | undefined>;
  /** Everything that was said before this count of utterances is in the journal. */
  written(count: number): void;
  /** An append has succeeded, after so many ms. */
  appended(durationMs: number): void;
  /** A checkpoint is complete: what was superseded is gone. */
  checkpointed(): void;
  /** An append failed, or nothing more can be appended ever (`isFinal`). */
  failed(error: unknown, isFinal: boolean): void;
}

/** What the writer is doing, for health and reports. */
export interface WriterState {
  /** The last failure, while nothing has been appended since. */
  readonly error: unknown;
  /** Since when something waits to be written that has not been, monotonic ms; `undefined` if nothing does. */
  readonly waitingSince: number | undefined;
  /** Records were dropped, and the live state is not written yet. */
  readonly isBehind: boolean;
  /** The journal belongs to somebody else now. */
  readonly isLost: boolean;
}

/** Something that is done to the journal between two of the writer's own calls. */
interface Errand {
  readonly run: () => Promise<void>;
  readonly refuse: (error: unknown) => void;
}

/**
 * Writes what is said into a journal, in order: what was said in one macrotask goes out together at its end, one append
 * at a time, made into records in slices. A checkpoint goes the same way, beside what is said meanwhile.
 *
 * A failed append is tried again after a pause. A journal that takes nothing while more and more waits is fallen behind
 * of: what waits is dropped, and once it takes something again a checkpoint writes what is live by then.
 */
export class JournalWriter {
  readonly #journal: Journal;
  readonly #host: WriterHost;
  readonly #queue = new UtteranceQueue();
  readonly #waits = new FlushWaits();
  #queueNumber = 0;
  readonly #mostUnwritten: number;
  #said = 0;
  #live: Iterator<string | undefined> | undefined;
  #wantsCheckpoint = false;
  #isRunning = false;
  // Made into records, and not in the journal yet; and whether that is writing it.
  #batch: string[] = [];
  #isHandedOver = false;
  #appendingSince: number | undefined;
  #waitingSince: number | undefined;
  #unwrittenLength = 0;
  #isBehind = false;
  // A checkpoint writes what was dropped: until its end, nothing said before its beginning counts as written.
  #isCatchingUp = false;
  // Something is live that was never said: nothing counts as written until a checkpoint has ended that began after that.
  #hasUnsaid = false;
  #isLost = false;
  #isReleased = false;
  #error: unknown;
  #pauseMs = firstPauseMs;
  #retry: TimerTicket | undefined;
  #wake: (() => void) | undefined;
  #writtenCount = 0;
  #abandonedMs: number | undefined;
  readonly #errands: Errand[] = [];
  failuresTotal = 0;

  constructor(journal: Journal, host: WriterHost) {
    this.#journal = journal;
    this.#host = host;
    this.#mostUnwritten = host.mostUnwrittenBytes ?? mostUnwritten;
  }

  get state(): WriterState {
    return {
      error: this.#error,
      waitingSince: this.#waitingSince,
      isBehind: this.#isBehind,
      isLost: this.#isLost,
    };
  }

  /** Whether the journal has let its caller wait for longer than a disk takes that is not ill. */
  get isStuck(): boolean {
    const since = this.#appendingSince;
    return since !== undefined && this.#host.clock.monotonic() - since > patienceMs;
  }

  /** How many utterances there have been. */
  get saidCount(): number {
    return this.#said;
  }

  /** Another one after what waited was dropped. */
  get queueNumber(): number {
    return this.#queueNumber;
  }

  /** Whether a checkpoint is under way that goes before what is said meanwhile. */
  get isCatchingUp(): boolean {
    return this.#isCatchingUp && this.#live !== undefined && !this.#isLost;
  }

  /** Whether a checkpoint is wanted or under way. */
  get isCheckpointing(): boolean {
    return this.#wantsCheckpoint || this.#live !== undefined;
  }

  /** How long something had waited that was not written when the journal was given back, ms; `undefined` if all was. */
  get abandonedMs(): number | undefined {
    return this.#abandonedMs;
  }

  /** Has something written, after all that was said before. Never throws. */
  say(what: Utterance, first = 0, second = 0): void {
    this.#said += 1;
    if (this.#isBehind || this.#isLost || this.#isReleased) return;
    this.#queue.push(what, first, second);
    this.#start();
    if (this.#queue.bytes > this.#mostUnwritten) this.#fallBehindIfStuck();
  }

  /** Has everything that is live written anew, so that the journal can forget the rest. */
  checkpoint(): void {
    if (this.isCheckpointing || this.#isLost || this.#isReleased) return;
    this.#wantsCheckpoint = true;
    this.#start();
  }

  /** The same where something is live that was never said: one that is under way may have passed it, and is begun anew. */
  checkpointUnsaid(): void {
    if (this.#isLost || this.#isReleased) return;
    this.#hasUnsaid = true;
    this.#wantsCheckpoint = true;
    this.#start();
  }

  /**
   * Has something done to the journal between two of the writer's own calls. Rejects as it does, or if the journal is
   * given back or lost before its turn.
   */
  between(act: () => Promise<void>): Promise<void> {
    if (this.#isLost || this.#isReleased) return Promise.reject(this.#givenBack());
    return new Promise((resolve, reject) => {
      this.#errands.push({ run: () => act().then(resolve, reject), refuse: reject });
      this.#startRunning();
    });
  }

  /** Resolves when all that has been said by now is written; rejects with the error if it cannot be at present. */
  flushed(): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#isWritten) return Promise.resolve();
    if (this.#isReleased) return Promise.reject(this.#givenBack());
    return this.#waits.until(this.#said);
  }

  /** The same, but a journal that has failed is asked once more, without the rest of its pause. */
  flushedAtLast(): Promise<void> {
    if (this.#error === undefined || this.#isLost || this.#isReleased) return this.flushed();
    const written = this.#waits.until(this.#said);
    this.tryAgain();
    return written;
  }

  /** Asks a journal that has failed once more, without the rest of its pause. */
  tryAgain(): void {
    this.#host.timers.cancel(this.#retry);
    this.#wake?.();
  }

  /** Whether the journal has failed and is not asked again before a pause is over. */
  get isPausing(): boolean {
    return this.#wake !== undefined;
  }

  /** The journal has failed, maybe for good: then nothing is written any more. */
  failed(error: unknown): void {
    if (this.#isLost) return;
    this.#error = error;
    if (this.#isReleased) return;
    this.failuresTotal += 1;
    this.#isLost = (error as Partial<MapsweepError>).code === 'ERR_JOURNAL_LOST';
    this.#host.failed(error, this.#isLost);
    this.#waits.reject(error);
    if (!this.#isLost) return;
    this.#queue.clear();
    this.#refuseErrands();
  }

  /** Writes what waits on the caller's time, and gives the journal back. Patience and throws as the journal's `appendNow`. */
  releaseNow(patienceMs?: number): void {
    if (this.#isReleased) return;
    try {
      if (!this.#isLost && !this.#isBehind) this.#appendNow(patienceMs);
    } finally {
      this.release();
    }
  }

  #appendNow(patienceMs?: number): void {
    // What the journal is writing at the moment it writes itself.
    const records = this.#isHandedOver ? [] : this.#batch;
    // What a checkpoint repeats is there already, but for what had been dropped, or was never said.
    if (this.#hasUnsaid && this.#wantsCheckpoint) this.#live = this.#host.liveRecords();
    else if (!this.#isCatchingUp && !this.#hasUnsaid) this.#live = undefined;
    for (let record = this.#next(); record !== done; record = this.#next()) {
      if (record !== undefined) records.push(record);
    }
    if (records.length > 0 || this.#isHandedOver) this.#journal.appendNow(records, patienceMs);
    this.#writtenCount = this.#said;
    this.#hasUnsaid = false;
  }

  /** Gives the journal back; what is not written stays unwritten. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.#waitingSince !== undefined && !this.#isLost && !this.#isWritten) {
      this.#abandonedMs = this.#host.clock.monotonic() - this.#waitingSince;
    }
    this.tryAgain();
    this.#queue.clear();
    this.#batch = [];
    this.#live = undefined;
    this.#waitingSince = undefined;
    this.#journal.release();
    if (!this.#hasUnsaid) this.#waits.written(this.#writtenCount);
    this.#waits.reject(this.#error ?? this.#givenBack());
    this.#refuseErrands();
  }

  /** Whether all that was said is in the journal. */
  get #isWritten(): boolean {
    return this.#writtenCount >= this.#said && !this.#hasUnsaid;
  }

  #refuseErrands(): void {
    for (const { refuse } of this.#errands.splice(0)) refuse(this.#givenBack());
  }

  #givenBack(): MapsweepError {
    const message = `the journal '${this.#journal.name}' was given back before that was written`;
    return new MapsweepError('ERR_CLOSED', message);
  }

  #start(): void {
    this.#waitingSince ??= this.#host.clock.monotonic();
    this.#startRunning();
  }

  #startRunning(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // In nobody's async context: the first to speak may be a request.
    detached(() => realSetImmediate(() => void this.#run()));
  }

  async #run(): Promise<void> {
    const { clock, sliceBudgetMs } = this.#host;
    const isStopped = () => this.#isReleased;
    const slices = new Slices({ clock, budgetMs: sliceBudgetMs, isStopped, stepsPerReading: 32 });
    while (!this.#isReleased && !this.#isLost) {
      const errand = this.#errands.shift();
      if (errand !== undefined) {
        await errand.run();
        continue;
      }
      if (!this.#hasWork) break;
      if (this.#wantsCheckpoint && !(await this.#begin())) continue;
      const batch: string[] = [];
      this.#batch = batch;
      let length = 0;
      let next: string | undefined | typeof done;
      for (next = this.#next(); next !== done; next = this.#next()) {
        if (next !== undefined) {
          batch.push(next);
          length += next.length;
        }
        if (length >= batchLength) break;
        if (slices.isOver() && !(await slices.giveWay())) return;
      }
      const count = this.#said - this.#queue.size;
      const isEnd = next === done && this.#live !== undefined;
      if (batch.length > 0 && !(await this.#append(batch, length))) continue;
      if (isEnd && !(await this.#end())) continue;
      this.#settle(count);
      // The append may have been over at once, and the next batch must not be made in the same turn.
      if (!(await slices.giveWay())) return;
    }
    this.#isRunning = false;
    if (!this.#isLost && !this.#isReleased && this.#hasWork) this.#startRunning();
  }

  get #hasWork(): boolean {
    return this.#queue.size > 0 || this.isCheckpointing || this.#errands.length > 0;
  }

  /**
   * The next record: first of what was said, then of the checkpoint. Where a checkpoint stands for what was dropped, that
   * comes first: else an entry could leave of which nobody knows yet that it has ended.
   */
  #next(): string | undefined | typeof done {
    if (this.#isCatchingUp) {
      const record = this.#nextLive();
      if (record !== done) return record;
    }
    if (this.#queue.size > 0)
      return this.#queue.take((said, first, second) => this.#host.encode(said, first, second));
    return this.#nextLive();
  }

  #nextLive(): string | undefined | typeof done {
    if (this.#live === undefined) return done;
    const { value, done: isDone } = this.#live.next();
    return isDone ? done : value;
  }

  #begin(): Promise<boolean> {
    return this.#attempt(async () => {
      await this.#journal.beginCheckpoint();
      this.#wantsCheckpoint = false;
      if (this.#isBehind) this.#queueNumber += 1;
      this.#isCatchingUp ||= this.#isBehind;
      this.#isBehind = false;
      this.#live = this.#host.liveRecords();
    });
  }

  #end(): Promise<boolean> {
    return this.#attempt(async () => {
      await this.#journal.endCheckpoint();
      this.#live = undefined;
      this.#isCatchingUp = false;
      // Unless it came after the beginning.
      if (!this.#wantsCheckpoint) this.#hasUnsaid = false;
      this.#host.checkpointed();
    });
  }

  async #append(batch: readonly string[], length: number): Promise<boolean> {
    this.#unwrittenLength = length;
    // Until it is taken, or so much waits that it has to be dropped with the rest.
    while (!this.#isReleased && !this.#isLost && !this.#isBehind) {
      const began = this.#host.clock.monotonic();
      this.#isHandedOver = true;
      const isDone = await this.#attempt(() => this.#journal.append(batch));
      if (!isDone) continue;
      this.#unwrittenLength = 0;
      this.#batch = [];
      this.#host.appended(this.#host.clock.monotonic() - began);
      return true;
    }
    return false;
  }

  /** Has the journal do something. `false` if it failed: then the pause is over already, and it can be tried again. */
  async #attempt(act: () => Promise<void>): Promise<boolean> {
    const { clock, timers, maxWaitMs } = this.#host;
    this.#appendingSince = clock.monotonic();
    const watchdog = timers.schedule(this.#appendingSince + maxWaitMs, () => this.#tellStuck());
    let failure: unknown;
    try {
      await act();
    } catch (error) {
      failure = error ?? new MapsweepError('ERR_JOURNAL_IO', `'${this.#journal.name}' failed`);
    } finally {
      timers.cancel(watchdog);
      this.#appendingSince = undefined;
      this.#isHandedOver = false;
    }
    if (failure === undefined) {
      if (!this.#isLost) this.#error = undefined;
      this.#pauseMs = firstPauseMs;
      return true;
    }
    this.failed(failure);
    if (!this.#isLost && !this.#isReleased) await this.#pause();
    return false;
  }

  /** The disk does not answer. Whether it ever will nobody knows: what was asked of it cannot be taken back. */
  #tellStuck(): void {
    if (this.#isLost) return;
    this.failuresTotal += 1;
    const message = `'${this.#journal.name}' has not answered for ${this.#host.maxWaitMs} ms. What waits is kept, and written when it answers`;
    this.#host.failed(new MapsweepError('ERR_JOURNAL_IO', message), false);
  }

  #pause(): Promise<void> {
    const { clock, timers } = this.#host;
    const at = clock.monotonic() + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, longestPauseMs);
    return new Promise((resolve) => {
      const wake = () => {
        this.#wake = undefined;
        resolve();
      };
      this.#wake = wake;
      this.#retry = timers.schedule(at, wake);
      this.#fallBehindIfStuck();
    });
  }

  #fallBehindIfStuck(): void {
    if (this.#isBehind || this.#unwrittenBytes <= this.#mostUnwritten) return;
    const { clock, maxWaitMs } = this.#host;
    const isHanging =
      this.#appendingSince !== undefined && clock.monotonic() - this.#appendingSince > maxWaitMs;
    if (this.#error === undefined && !isHanging) return;
    this.#isBehind = true;
    this.#queueNumber += 1;
    this.#queue.clear();
    this.#live = undefined;
    this.#wantsCheckpoint = true;
  }

  get #unwrittenBytes(): number {
    return this.#queue.bytes + this.#unwrittenLength;
  }

  #settle(count: number): void {
    if (this.#isBehind || this.#isCatchingUp || this.#hasUnsaid) return;
    this.#writtenCount = count;
    this.#waitingSince = this.#queue.size > 0 ? this.#host.clock.monotonic() : undefined;
    this.#host.written(count);
    this.#waits.written(count);
  }
}

const done = Symbol('done');
