import { MapsweepError } from '../../src/errors.js';
import type { Journal, JournalRecord } from '../../src/restart/journal.js';

/** Records between two places where somebody may begin to read. */
interface Stretch {
  readonly records: string[];
  /** How many UTF-16 units they have. */
  length: number;
}

const stretchOf = (records: readonly string[]): Stretch => {
  const stretch: Stretch = { records: [], length: 0 };
  addTo(stretch, records);
  return stretch;
};

const addTo = (stretch: Stretch, records: readonly string[]): void => {
  for (const record of records) {
    stretch.records.push(record);
    stretch.length += record.length;
  }
};

/**
 * What a memory journal is kept in, as a folder is what a folder journal is kept in: it outlives its owners, one at a
 * time. A crash after any record is a new volume with as many records: `new MemoryVolume(volume.records.slice(0, 7))`.
 */
export class MemoryVolume {
  /**
   * Is asked before each write, and may throw or reject (a full disk), or take its time to resolve (a slow one), or
   * never do (one that hangs). `appendNow` waits for no promise. Default: nothing of that.
   */
  beforeWrite: () => void | Promise<void> = () => {};
  #stretches: Stretch[];
  #owner: MemoryJournal | undefined;

  /** Begins with records that an earlier owner has left, each a JSON text. */
  constructor(records: readonly string[] = []) {
    this.#stretches = [stretchOf(records)];
  }

  /**
   * Gives the volume to a new owner.
   *
   * @throws MapsweepError `ERR_JOURNAL_LOCKED` while another one has it
   */
  open(): MemoryJournal {
    if (this.#owner !== undefined)
      throw new MapsweepError('ERR_JOURNAL_LOCKED', 'the memory volume is owned by another journal');
    this.#owner = new MemoryJournal(this);
    return this.#owner;
  }

  /** Takes the volume from its owner, as if its folder had been removed: that one finds out at its next write. */
  takeAway(): void {
    this.#owner = undefined;
    this.#stretches = [];
  }

  /** All records in their order, each a JSON text. */
  get records(): readonly string[] {
    return this.#stretches.flatMap(({ records }) => records);
  }

  /** The records of an append that has begun and has not ended: a crash leaves any number of the first of them. */
  get inFlight(): readonly string[] {
    return this.#owner?.inFlight ?? [];
  }

  /** @internal Where its owner writes to. @throws MapsweepError `ERR_JOURNAL_LOST` to anybody else */
  stretchesOf(owner: MemoryJournal): Stretch[] {
    if (this.#owner !== owner)
      throw new MapsweepError('ERR_JOURNAL_LOST', "the memory volume is no longer this journal's");
    return this.#stretches;
  }

  /** @internal What is there when an owner begins. */
  get past(): readonly (readonly string[])[] {
    return this.#stretches.map(({ records }) => [...records]);
  }

  /** @internal How many UTF-16 units all records have. */
  get size(): number {
    return this.#stretches.reduce((size, { length }) => size + length, 0);
  }

  /** @internal Drops all stretches before one, which a checkpoint has superseded. */
  dropBefore(owner: MemoryJournal, stretch: Stretch): void {
    const stretches = this.stretchesOf(owner);
    stretches.splice(0, stretches.indexOf(stretch));
  }

  /** @internal Is free for the next owner. */
  free(owner: MemoryJournal): void {
    if (this.#owner === owner) this.#owner = undefined;
  }
}

/** A journal that is gone with the process: for tests, which can make it fail, hang and crash at will. */
class MemoryJournal implements Journal {
  readonly name = 'a memory volume';
  readonly #volume: MemoryVolume;
  #past: readonly (readonly string[])[];
  #preamble: () => readonly string[] = () => [];
  /** Where the next record goes; `undefined` before the first one of a stretch. */
  #stretch: Stretch | undefined;
  #checkpoint: Stretch | 'next' | undefined;
  #inFlight: { readonly records: readonly string[]; isOvertaken: boolean } | undefined;
  #isReleased = false;

  /** @internal Is made by `MemoryVolume.open`. */
  constructor(volume: MemoryVolume) {
    this.#volume = volume;
    this.#past = volume.past;
  }

  get size(): number {
    return this.#volume.size;
  }

  get inFlight(): readonly string[] {
    return this.#inFlight?.records ?? [];
  }

  *takePast(): Generator<readonly JournalRecord[]> {
    const past = this.#past;
    this.#past = [];
    for (const records of past)
      if (records.length > 0) yield records.map((record) => JSON.parse(record) as JournalRecord);
  }

  begin(preamble: () => readonly string[]): void {
    this.#preamble = preamble;
  }

  async append(records: readonly string[]): Promise<void> {
    await this.#do(records, () => this.#write(records));
  }

  appendNow(records: readonly string[]): void {
    this.#assertOpen();
    // What earlier last words have written too is there already.
    const overtaken = this.#inFlight?.isOvertaken ? undefined : this.#inFlight;
    void Promise.resolve(this.#volume.beforeWrite()).catch(() => {});
    this.#write([...(overtaken?.records ?? []), ...records]);
    if (overtaken !== undefined) overtaken.isOvertaken = true;
  }

  async beginCheckpoint(): Promise<void> {
    this.#assertOpen();
    this.#stretch = undefined;
    this.#checkpoint = 'next';
  }

  async endCheckpoint(): Promise<void> {
    await this.#do([], () => {
      const checkpoint = this.#checkpoint;
      if (checkpoint === undefined) throw new Error('endCheckpoint() without beginCheckpoint()');
      this.#stretch = undefined;
      const next = this.#stretchToWrite();
      this.#volume.dropBefore(this, checkpoint === 'next' ? next : checkpoint);
      this.#checkpoint = undefined;
    });
  }

  release(): void {
    this.#isReleased = true;
    this.#volume.free(this);
  }

  async #do(records: readonly string[], write: () => void): Promise<void> {
    this.#assertOpen();
    if (this.#inFlight !== undefined)
      throw new Error('one call of a journal must have ended before the next one');
    const work = { records, isOvertaken: false };
    this.#inFlight = work;
    try {
      this.#volume.stretchesOf(this);
      await this.#volume.beforeWrite();
      if (work.isOvertaken) return;
      this.#assertOpen();
      write();
    } catch (error) {
      if (!work.isOvertaken) throw error;
    } finally {
      this.#inFlight = undefined;
    }
  }

  #write(records: readonly string[]): void {
    if (records.length > 0) addTo(this.#stretchToWrite(), records);
  }

  #stretchToWrite(): Stretch {
    const stretches = this.#volume.stretchesOf(this);
    if (this.#stretch === undefined) {
      this.#stretch = stretchOf(this.#preamble());
      if (this.#checkpoint === 'next') this.#checkpoint = this.#stretch;
      stretches.push(this.#stretch);
    }
    return this.#stretch;
  }

  #assertOpen(): void {
    if (this.#isReleased) throw new MapsweepError('ERR_CLOSED', 'the memory journal was given back');
  }
}
