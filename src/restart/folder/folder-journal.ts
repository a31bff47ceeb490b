import { MapsweepError } from '../../errors.js';
import type { Journal, JournalRecord } from '../journal.js';
import { type OpenFolder, openFolder } from './open-folder.js';
import type { Ownership, Warn } from './ownership.js';
import { readPast } from './past.js';
import { recordFrames } from './record-frames.js';
import { SegmentChain } from './segment-chain.js';
import type { SegmentExtent } from './segment-head.js';
import { run, runNow, type Steps } from './steps.js';
import type { TornTail } from './survey.js';

/** How a folder journal writes. */
export interface FolderJournalOptions {
  /**
   * When an append counts as done. `'kernel'`: once the kernel has it, which survives the death of the process.
   * `'disk'`: once the disk has it, which survives a power cut. Default `'kernel'`.
   */
  readonly sync?: 'kernel' | 'disk';
  /** Is told of what does not keep the journal from working. Default: a process warning. Must not throw. */
  readonly warn?: Warn;
  /** A segment that has this many bytes is followed by another one. Default 64 MB. */
  readonly segmentBytes?: number;
}

const defaultSegmentBytes = 64 * 1024 * 1024;

const warnProcess: Warn = (message, code) => process.emitWarning(message, { code });

/** Opens the journal in a folder, as `FolderJournal.open` does, and gives the event loop a turn at each read. */
export async function openFolderJournal(
  path: string,
  options: FolderJournalOptions = {},
): Promise<FolderJournal> {
  return new FolderJournal(await run(openFolder(path, options.warn ?? warnProcess)), options);
}

/** What is being written, until it is there or is overtaken by an `appendNow`, which writes it too. */
interface Work {
  readonly records: readonly string[];
  overtakenBy?: { error?: unknown };
}

/** A journal in a folder: segments of framed, checksummed records, which are only ever appended to. */
export class FolderJournal implements Journal {
  readonly name: string;
  /** What was cut at the end of the journal when it was opened: a write that an earlier owner did not finish. */
  readonly tornTail: TornTail | undefined;
  readonly #ownership: Ownership;
  readonly #chain: SegmentChain;
  #past: readonly SegmentExtent[];
  #preamble: () => readonly string[] = () => [];
  /** How many segments the running checkpoint supersedes. */
  #superseding: number | undefined;
  #work: Work | undefined;
  #isReleased = false;

  /**
   * Opens the journal in a folder, on the caller's time. The folder is made if it is missing.
   *
   * @throws MapsweepTypeError `ERR_INVALID_OPTION` if the path is no folder
   * @throws MapsweepError `ERR_JOURNAL_LOCKED`, `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_VERSION` or `ERR_JOURNAL_IO`; the
   *   folder is free then
   */
  static open(path: string, options: FolderJournalOptions = {}): FolderJournal {
    return new FolderJournal(runNow(openFolder(path, options.warn ?? warnProcess)), options);
  }

  /** Goes on with a folder that was opened. */
  constructor({ ownership, survey }: OpenFolder, { sync = 'kernel', segmentBytes }: FolderJournalOptions) {
    this.name = ownership.folder;
    this.tornTail = survey.tornTail;
    this.#ownership = ownership;
    this.#chain = new SegmentChain(ownership, survey, {
      isFlushed: sync === 'disk',
      segmentBytes: segmentBytes ?? defaultSegmentBytes,
      preamble: () => this.#preamble(),
    });
    this.#past = survey.live;
  }

  get size(): number {
    return this.#chain.bytes;
  }

  /** Reads the files as the records are asked for: all of them have to be, before the first checkpoint ends. */
  takePast(): Iterable<readonly JournalRecord[]> {
    const past = this.#past;
    this.#past = [];
    return readPast(this.name, past);
  }

  begin(preamble: () => readonly string[]): void {
    this.#preamble = preamble;
  }

  async append(records: readonly string[]): Promise<void> {
    await this.#do({ records }, (work) => this.#append(work));
  }

  appendNow(records: readonly string[]): void {
    this.#assertOpen();
    // What earlier last words have written too is there already.
    const isThere = this.#work?.overtakenBy !== undefined && this.#work.overtakenBy.error === undefined;
    const overtaken = isThere ? undefined : this.#work;
    if (overtaken !== undefined) {
      // Nobody can tell how much of it is there, or will be: it is written once more, in a segment of its own.
      overtaken.overtakenBy = {};
      this.#chain.leave();
    }
    try {
      runNow(this.#append({ records: [...(overtaken?.records ?? []), ...records] }));
    } catch (error) {
      if (overtaken !== undefined) overtaken.overtakenBy = { error };
      throw error;
    }
  }

  async beginCheckpoint(): Promise<void> {
    this.#assertOpen();
    this.#chain.leave();
    this.#superseding = this.#chain.leftCount;
  }

  /** Of one that is overtaken by an `appendNow` nothing is lost, and nothing superseded. */
  async endCheckpoint(): Promise<void> {
    await this.#do({ records: [] }, (work) => this.#endCheckpoint(work));
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#ownership.release();
    this.#chain.close();
  }

  async #do(work: Work, write: (work: Work) => Steps<void>): Promise<void> {
    this.#assertOpen();
    if (this.#work !== undefined)
      throw new Error('one call of a journal must have ended before the next one');
    this.#work = work;
    try {
      await run(write(work));
    } catch (error) {
      if (work.overtakenBy === undefined) throw error;
    } finally {
      this.#work = undefined;
    }
    // Whoever has the folder now may have read it before the write came to its end.
    if (work.overtakenBy === undefined) this.#assertOpen();
    else if (work.overtakenBy.error !== undefined) throw work.overtakenBy.error;
  }

  *#append(work: Work): Steps<void> {
    yield* this.#check();
    yield* this.#chain.append(recordFrames(work.records), () => this.#isOver(work));
  }

  *#endCheckpoint(work: Work): Steps<void> {
    if (this.#superseding === undefined) throw new Error('endCheckpoint() without beginCheckpoint()');
    yield* this.#check();
    if (this.#isOver(work)) return;
    if (yield* this.#chain.supersede(this.#superseding, () => this.#isOver(work)))
      this.#superseding = undefined;
  }

  *#check(): Steps<void> {
    yield* this.#ownership.check();
    // Whoever has the folder after a release may have removed what was superseded.
    if (!this.#isReleased) yield* this.#chain.check();
  }

  #isOver(work: Work): boolean {
    return work.overtakenBy !== undefined || this.#isReleased;
  }

  #assertOpen(): void {
    if (this.#isReleased)
      throw new MapsweepError('ERR_CLOSED', `the journal in '${this.name}' was given back`);
  }
}
