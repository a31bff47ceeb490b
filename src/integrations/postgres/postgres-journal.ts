import { MapsweepError } from '../../errors.js';
import { counted } from '../../events/shown.js';
import type { Journal, JournalRecord, Successor } from '../../restart/journal.js';
import type { InstanceLock } from './instance-lock.js';
import { bodyOf, type InstanceRows, type InstanceState, type RecordRow, recordsIn } from './instance-rows.js';
import { askNow } from './last-words.js';
import { isRefusal } from './refusal.js';
import { type ExpectedRows, WrittenRows } from './written-rows.js';

/** What a journal is opened with. */
export interface PostgresJournalParts {
  readonly name: string;
  readonly instance: string;
  /** Of this life of the process. */
  readonly owner: string;
  readonly rows: InstanceRows;
  /** Held. */
  readonly lock: InstanceLock;
  /** Is begun by `join`, and ended by `release`. */
  readonly watch: (journal: PostgresJournal) => { begin(successor: Successor): void; end(): void };
}

/** What is being written, until it is there or last words have written it too. */
interface Work {
  readonly records: readonly string[];
  row?: { readonly number: number; readonly body: Buffer };
  /** Whether last words have written it. */
  isThere: boolean;
}

/**
 * A journal in PostgreSQL: rows of records, which one owner appends.
 *
 * Its owner is who raised the epoch of its instance last. Each statement commits only in its owner's epoch, so that one
 * that was cut off, or arrives late, changes nothing. Each row has a number, given before it is sent: sent twice, it is
 * there once.
 */
export class PostgresJournal implements Journal {
  readonly name: string;
  readonly instance: string;
  readonly hasOtherWay = true;
  readonly #parts: PostgresJournalParts;
  readonly #watch: { begin(successor: Successor): void; end(): void };
  #past: readonly RecordRow[];
  #epoch: number;
  #lastNumber: number;
  readonly #written: WrittenRows;
  #bytes: number;
  /** Of those, what was written since the last checkpoint began. */
  #bytesSinceCheckpoint = 0;
  #preamble: () => readonly string[] = () => [];
  /** The next row is where somebody may begin to read. */
  #isAtStart = true;
  #checkpointFrom: number | 'next' | undefined;
  /** The row that was tried last, and of which nobody knows whether it is there. */
  #unsure: { readonly number: number; readonly records: string } | undefined;
  #work: Work | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #successor: Successor | undefined;
  /** What peers have settled before there was anybody to tell. */
  #untold: JournalRecord[] = [];
  #isDeleting = false;
  #hasToldUndeleted = false;
  #loss: MapsweepError | undefined;
  #isReleased = false;

  private constructor(parts: PostgresJournalParts, epoch: number, firstNumber: number, past: RecordRow[]) {
    this.name = parts.name;
    this.instance = parts.instance;
    this.#parts = parts;
    this.#watch = parts.watch(this);
    this.#epoch = epoch;
    this.#past = past;
    this.#lastNumber = past.at(-1)?.number ?? firstNumber - 1;
    this.#written = new WrittenRows(firstNumber, this.#lastNumber);
    this.#bytes = past.reduce((bytes, { body }) => bytes + Buffer.byteLength(body, 'base64'), 0);
  }

  /** Begins an owner's epoch, and reads what earlier ones have left. */
  static async open(parts: PostgresJournalParts, lockKey: string): Promise<PostgresJournal> {
    const { rows, instance, owner } = parts;
    const { epoch, firstNumber } = await rows.own(instance, owner, lockKey);
    const past: RecordRow[] = [];
    for await (const some of rows.rows(instance, firstNumber)) past.push(...some);
    const journal = new PostgresJournal(parts, epoch, firstNumber, past);
    journal.#deleteSuperseded();
    return journal;
  }

  get size(): number {
    return this.#bytes;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** The rows that a look has to find. */
  get expected(): ExpectedRows {
    return this.#written.expected;
  }

  takePast(): Iterable<readonly JournalRecord[]> {
    const past = this.#past;
    this.#past = [];
    return recordsIn(this.name, past);
  }

  begin(preamble: () => readonly string[]): void {
    this.#preamble = preamble;
  }

  async append(records: readonly string[]): Promise<void> {
    await this.#do(records, (work) => this.#put(work));
  }

  appendNow(records: readonly string[], patienceMs?: number): void {
    this.#assertOpen();
    const { rows, instance, lock } = this.#parts;
    const work = this.#work?.isThere ? undefined : this.#work;
    const given: { number: number; body: Buffer }[] = [];
    // Under the number that it has already, so that it is there once, whichever of the two comes first.
    if (work !== undefined && work.records.length > 0) given.push(this.#rowOf(work));
    if (records.length > 0) given.push(this.#newRow(records, given.length === 0));
    if (given.length === 0) return;
    const statement = rows.putAll(instance, this.#epoch, given);
    const answer = askNow(rows.database.pool, lock.client, ...statement, patienceMs);
    if (Number(answer[0]?.mine) !== 1) throw this.#cutOff();
    if (work !== undefined) work.isThere = true;
    for (const row of given) this.#isThere(row);
  }

  async beginCheckpoint(): Promise<void> {
    this.#assertOpen();
    this.#isAtStart = true;
    this.#checkpointFrom = 'next';
    this.#bytesSinceCheckpoint = 0;
    this.#written.beginCheckpoint();
    // A row from before the checkpoint is no place for what comes after it.
    this.#unsure = undefined;
  }

  async endCheckpoint(): Promise<void> {
    await this.#do([], async () => {
      if (this.#checkpointFrom === undefined) throw new Error('endCheckpoint() without beginCheckpoint()');
      const { rows, instance } = this.#parts;
      // Nothing is live: what stands before all records has to stand there all the same.
      if (this.#checkpointFrom === 'next' && this.#preamble().length > 0)
        await this.#put({ records: [], isThere: false });
      const first = this.#checkpointFrom === 'next' ? this.#lastNumber + 1 : this.#checkpointFrom;
      while (!(await rows.supersede(instance, this.#epoch, first))) await this.#regain();
      this.#checkpointFrom = undefined;
      this.#written.supersede(first);
      this.#bytes = this.#bytesSinceCheckpoint;
      this.#deleteSuperseded();
    });
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#watch.end();
    this.#parts.lock.release();
  }

  join(successor: Successor): void {
    this.#successor = successor;
    if (this.#loss !== undefined) {
      successor.lost(this.#loss);
      return;
    }
    const untold = this.#untold.splice(0);
    if (untold.length > 0) void successor.forfeit(untold).catch((error) => successor.failed(error));
    this.#watch.begin(successor);
  }

  /** Looks whether a peer has taken over from this owner, as if it had been cut off; goes on in a new epoch then. */
  async regain(): Promise<void> {
    await this.#exclusively(() => this.#regain());
  }

  /**
   * So many of the rows are there that had to be. If some are missing, PostgreSQL has come back without what it had confirmed
   * last, whatever was written after that: what is live is written anew.
   */
  wereFound(count: number, expected: ExpectedRows): void {
    // Somebody has to be there to be told.
    if (this.#successor === undefined) return;
    const missing = this.#written.missing(count, expected);
    if (missing === 0) return;
    const { from, to } = expected;
    this.#successor.rowsLost(
      new MapsweepError(
        'ERR_JOURNAL_IO',
        `persistTo: ${counted(missing, 'row', 'rows')} of ${this.name} (of ${from} to ${to}) had been written and have gone, as after a failover to a ` +
          'replica that was behind, or a crash with synchronous_commit=off. All that is live is written anew',
      ),
    );
  }

  /** The row that more records of this journal would be, for somebody who writes it in another transaction. */
  newRow(records: readonly string[]): { readonly number: number; readonly body: Buffer } {
    return this.#newRow(records, true);
  }

  /** Such a row is there. */
  wasWritten(row: { readonly number: number; readonly body: Buffer }): void {
    this.#isThere(row);
  }

  async #do(records: readonly string[], act: (work: Work) => Promise<void>): Promise<void> {
    this.#assertOpen();
    if (this.#work !== undefined)
      throw new Error('one call of a journal must have ended before the next one');
    const work: Work = { records, isThere: false };
    this.#work = work;
    try {
      await this.#exclusively(() => act(work));
    } catch (error) {
      if (!work.isThere) throw error;
    } finally {
      this.#work = undefined;
    }
    // Whoever is the owner now may have read the rows before.
    if (!work.isThere) this.#assertOpen();
  }

  /** One thing at a time: an epoch must not change in the midst of a call. */
  #exclusively<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(act);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #put(work: Work): Promise<void> {
    const { rows, instance } = this.#parts;
    const isEmpty = work.records.length === 0 && this.#checkpointFrom !== 'next';
    while (!isEmpty && !work.isThere) {
      const row = this.#rowOf(work);
      const text = work.records.join('\n');
      this.#unsure = { number: row.number, records: text };
      const epoch = this.#epoch;
      const isDone =
        (await rows.put(instance, epoch, row.number, row.body)) || (await this.#regain(epoch, row.number));
      if (isDone) {
        this.#unsure = undefined;
        if (!work.isThere) this.#isThere(row);
        return;
      }
      work.row = undefined;
    }
  }

  /** The row of what is being written, the same at each call. */
  #rowOf(work: Work): { readonly number: number; readonly body: Buffer } {
    work.row ??= this.#newRow(work.records, true);
    return work.row;
  }

  #newRow(records: readonly string[], mayBegin: boolean): { readonly number: number; readonly body: Buffer } {
    const body = bodyOf(mayBegin && this.#isAtStart ? [...this.#preamble(), ...records] : records);
    if (this.#unsure !== undefined && this.#unsure.records === records.join('\n'))
      return { number: this.#unsure.number, body };
    this.#lastNumber += 1;
    return { number: this.#lastNumber, body };
  }

  #isThere({ number, body }: { readonly number: number; readonly body: Buffer }): void {
    this.#isAtStart = false;
    this.#written.add(number);
    if (this.#checkpointFrom === 'next') this.#checkpointFrom = number;
    this.#bytes += body.length;
    this.#bytesSinceCheckpoint += body.length;
  }

  /**
   * Finds out why a statement has found another epoch, and goes on in a new one if a peer has taken over.
   *
   * @returns whether the row that was tried was written before
   * @throws MapsweepError `ERR_JOURNAL_LOST` if somebody else is the owner; `ERR_JOURNAL_IO` if it cannot go on yet
   */
  async #regain(tried = this.#epoch, number?: number): Promise<boolean> {
    this.#assertOpen();
    const { rows, instance, lock } = this.#parts;
    const state = await rows.state(instance);
    this.#assertOwner(state);
    if (state.epoch === this.#epoch) return false;
    if (!(await lock.take(0))) throw this.#cutOff();
    const epoch = await rows.ownAgain(instance, state);
    if (epoch === undefined) throw this.#cutOff();
    const { first, last } = await rows.extent(instance);
    const settled: JournalRecord[] = [];
    for await (const some of rows.rows(instance, first)) {
      const foreign = some.filter((row) => row.epoch > this.#epoch);
      for (const records of recordsIn(this.name, foreign)) settled.push(...records);
    }
    const wasWritten = number !== undefined && (await rows.has(instance, tried, number));
    if (this.#successor === undefined) this.#untold.push(...settled);
    else if (settled.length > 0) await this.#successor.forfeit(settled);
    this.#lastNumber = Math.max(last, first - 1);
    this.#written.readTo(this.#lastNumber);
    this.#unsure = undefined;
    this.#epoch = epoch;
    return wasWritten;
  }

  #assertOwner(state: InstanceState | undefined): asserts state is InstanceState {
    if (state?.owner === this.#parts.owner) return;
    const why = state === undefined ? 'its row was removed' : 'another process has opened it';
    this.#loss = new MapsweepError(
      'ERR_JOURNAL_LOST',
      `persistTo: ${this.name} is no longer this process's: ${why}. Nothing is written there any more; restart the ` +
        'process, each with an instance name of its own',
    );
    // Held by this process, the lock would say that the owner of today lives.
    this.#watch.end();
    this.#parts.lock.release();
    this.#successor?.lost(this.#loss);
    throw this.#loss;
  }

  #cutOff(): MapsweepError {
    return new MapsweepError(
      'ERR_JOURNAL_IO',
      `persistTo: ${this.name} was taken over while this process was cut off, and cannot be had again yet`,
    );
  }

  /** Beside everything else: what is superseded does not count, whether it is still there or not. */
  #deleteSuperseded(): void {
    if (this.#isDeleting) return;
    this.#isDeleting = true;
    const { rows, instance } = this.#parts;
    const run = async (): Promise<void> => {
      while (!this.#isReleased && (await rows.deleteSome(instance, this.#written.first)));
    };
    // What is left is deleted after the next checkpoint.
    void run()
      .catch((error) => this.#tellUndeleted(error))
      .finally(() => {
        this.#isDeleting = false;
      });
  }

  /** Once. That PostgreSQL is away is told by who writes. */
  #tellUndeleted(cause: unknown): void {
    if (this.#hasToldUndeleted || this.#successor === undefined || !isRefusal(cause)) return;
    this.#hasToldUndeleted = true;
    const message = `${this.name} grows, since nothing is deleted there: ${(cause as Error).message}`;
    this.#successor.failed(new MapsweepError('ERR_JOURNAL_IO', message, { cause }));
  }

  #assertOpen(): void {
    if (this.#loss !== undefined) throw this.#loss;
    if (this.#isReleased) throw new MapsweepError('ERR_CLOSED', `${this.name} was given back`);
  }
}
