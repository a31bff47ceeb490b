import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { encodeFrame, frameKind } from './frame.js';
import { systemFailure } from './journal-failures.js';
import { ObsoleteFiles } from './obsolete-files.js';
import type { Ownership } from './ownership.js';
import { recordFrames } from './record-frames.js';
import { Segment } from './segment.js';
import type { SegmentFile } from './segment-files.js';
import { encodeHead, type SegmentExtent } from './segment-head.js';
import { segmentName } from './segment-name.js';
import type { Steps } from './steps.js';
import {
  closeQuietly,
  codeOf,
  flushData,
  flushFolder,
  openFile,
  openFor,
  removeFile,
  statOf,
} from './system-calls.js';

/** How a chain of segments grows. */
export interface SegmentChainOptions {
  /** True if what is written has to be on the disk before it counts. */
  readonly isFlushed: boolean;
  /** A segment that has this many bytes is followed by another one. */
  readonly segmentBytes: number;
  /** What stands at the head of each segment; must not throw. */
  readonly preamble: () => readonly string[];
}

/** Returns whether whatever is being written has meanwhile been given up, or been written by somebody else. */
export type IsOver = () => boolean;

/** How often it is looked whether files are still there, ms: each look costs half as much CPU as an append. */
const looksEveryMs = 1_000;

/** How many names that somebody else has laid in wait are passed over at once. */
const nameAttempts = 16;

/**
 * The segments that make up a journal: those that earlier owners have left, and those that are written now, of which
 * the last one may be appended to.
 *
 * Nothing is ever written behind a frame that may be torn. A segment in which a write has failed, or has not come to its
 * end, is left as it is: the head of the next one says how many of its bytes count.
 */
export class SegmentChain {
  readonly #ownership: Ownership;
  readonly #options: SegmentChainOptions;
  readonly #obsolete: ObsoleteFiles;
  /** What is to be read before the current segment, in order. */
  #before: readonly SegmentExtent[];
  #current: Segment | undefined;
  /** Segments without records that were left. The head of the last one may be the journal's until there is another. */
  #empty: SegmentExtent[] = [];
  #sequence = 0;
  #isFolderFlushed = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** What earlier lives left, which may be on its way to the disk only. */
  #unflushed: readonly SegmentExtent[];

  /** Goes on behind what was found in the folder. */
  constructor(
    ownership: Ownership,
    found: { readonly live: readonly SegmentExtent[]; readonly obsolete: readonly SegmentFile[] },
    options: SegmentChainOptions,
  ) {
    this.#ownership = ownership;
    this.#options = options;
    this.#before = found.live;
    this.#unflushed = options.isFlushed ? found.live : [];
    this.#obsolete = new ObsoleteFiles(ownership, () => this.#flushAll());
    this.#obsolete.add(found.obsolete);
  }

  /** How many bytes there are, files that are no part of the journal any more included. */
  get bytes(): number {
    let bytes = this.#obsolete.bytes + (this.#current?.bytes ?? 0);
    for (const extent of this.#before) bytes += extent.bytes;
    for (const extent of this.#empty) bytes += extent.bytes;
    return bytes;
  }

  /** How many segments have been left. */
  get leftCount(): number {
    return this.#before.length;
  }

  /**
   * Makes sure, once a second, that what was written is there: a job that cleans up after `*.log` takes it, or what is old of it.
   *
   * @throws MapsweepError `ERR_JOURNAL_LOST` if it was removed or cut; `ERR_JOURNAL_IO` if it cannot be told
   */
  *check(): Steps<void> {
    const segments = this.#current === undefined ? this.#before : [...this.#before, this.#current];
    const now = performance.now();
    if (segments.length === 0 || now - this.#lookedAt < looksEveryMs) return;
    this.#lookedAt = now;
    for (const { name, bytes } of segments) {
      const path = this.#pathOf(name);
      let why = 'cut';
      try {
        if (Number((yield* statOf(path)).size) >= bytes) continue;
      } catch (cause) {
        if (codeOf(cause) !== 'ENOENT') throw systemFailure(`cannot look at '${path}'`, cause);
        why = 'removed';
      }
      throw this.#ownership.lose(`'${name}' was ${why}`);
    }
  }

  /** Appends frames one after the other, until it is over. @throws MapsweepError `ERR_JOURNAL_IO` */
  *append(frames: Iterable<Buffer>, isOver: IsOver): Steps<void> {
    for (const frame of frames) {
      if (isOver()) return;
      if (this.#current !== undefined && this.#current.bytes >= this.#options.segmentBytes) this.leave();
      const segment = this.#current ?? (yield* this.#begin(this.#before, isOver));
      if (segment === undefined || isOver()) return;
      try {
        yield* segment.write(frame);
      } catch (cause) {
        if (!isOver()) this.leave();
        throw systemFailure(`cannot write '${this.#pathOf(segment.name)}'`, cause);
      }
    }
  }

  /** Leaves the current segment as it is: what is appended next goes to another one. */
  leave(): void {
    const segment = this.#current;
    if (segment === undefined) return;
    this.#current = undefined;
    segment.close();
    const extent = { name: segment.name, bytes: segment.bytes };
    if (segment.hasRecords) this.#before = [...this.#before, extent];
    else this.#empty.push(extent);
  }

  /** Drops the first `count` segments, unless it is over meanwhile. Returns whether it has. @throws MapsweepError `ERR_JOURNAL_IO` */
  *supersede(count: number, isOver: IsOver): Steps<boolean> {
    this.leave();
    const superseded = this.#before.slice(0, count);
    const kept = this.#before.slice(count);
    if ((yield* this.#begin(kept, isOver)) === undefined) return false;
    this.#before = kept;
    this.#obsolete.add(superseded);
    this.#obsolete.remove();
    return true;
  }

  /** Ends writing; a write that is under way comes to its end. */
  close(): void {
    this.#obsolete.stop();
    this.#current?.close();
    this.#current = undefined;
  }

  /** Begins a segment that comes after others, and makes it the current one. `undefined` if it is over meanwhile. */
  *#begin(before: readonly SegmentExtent[], isOver: IsOver): Steps<Segment | undefined> {
    const { isFlushed, preamble } = this.#options;
    const { sequence, name, descriptor } = yield* this.#createFile();
    const segment = new Segment(name, descriptor, isFlushed);
    if (!isOver()) {
      try {
        // The head says how much of them counts.
        for (const { name: earlier } of this.#unflushed) yield* this.#flush(earlier);
        this.#unflushed = [];
        const head = encodeHead({ epoch: this.#ownership.epoch, sequence, before });
        yield* segment.writeHead(
          Buffer.concat([encodeFrame(frameKind.segment, head), ...recordFrames(preamble())]),
        );
        if (isFlushed) yield* this.#flushNames();
      } catch (cause) {
        segment.close();
        this.#empty.push({ name, bytes: segment.bytes });
        yield* this.#discard(name);
        throw systemFailure(`cannot begin '${this.#pathOf(name)}'`, cause);
      }
    }
    if (isOver()) {
      segment.close();
      this.#empty.push({ name, bytes: segment.bytes });
      return undefined;
    }
    this.#current = segment;
    // Only now is there a head that does not need them.
    this.#obsolete.add(this.#empty);
    this.#empty = [];
    this.#obsolete.remove();
    return segment;
  }

  *#createFile(): Steps<{ readonly sequence: number; readonly name: string; readonly descriptor: number }> {
    for (let attempt = 1; ; attempt += 1) {
      this.#sequence += 1;
      const sequence = this.#sequence;
      const name = segmentName({ epoch: this.#ownership.epoch, sequence });
      try {
        return { sequence, name, descriptor: yield* openFile(this.#pathOf(name), openFor.creating) };
      } catch (cause) {
        // A file or link that somebody has laid in wait is never written to.
        if (codeOf(cause) !== 'EEXIST' || attempt === nameAttempts)
          throw systemFailure(`cannot make '${this.#pathOf(name)}'`, cause);
      }
    }
  }

  /** Removes what is left of a segment that could not be begun, so that on a full disk attempts do not add up. */
  *#discard(name: string): Steps<void> {
    try {
      yield* removeFile(this.#pathOf(name));
      this.#empty = this.#empty.filter((extent) => extent.name !== name);
    } catch {
      // It stays an empty one, which is removed later.
    }
  }

  *#flushAll(): Steps<void> {
    if (this.#options.isFlushed) return;
    for (const { name } of this.#before) yield* this.#flush(name);
    if (this.#current !== undefined) yield* this.#flush(this.#current.name);
    yield* flushFolder(this.#ownership.folder);
  }

  *#flushNames(): Steps<void> {
    const { folder } = this.#ownership;
    yield* flushFolder(folder);
    if (this.#isFolderFlushed) return;
    // The folder itself may be new.
    yield* flushFolder(dirname(folder));
    this.#isFolderFlushed = true;
  }

  *#flush(name: string): Steps<void> {
    const descriptor = yield* openFile(this.#pathOf(name), openFor.flushing);
    try {
      yield* flushData(descriptor);
    } finally {
      closeQuietly(descriptor);
    }
  }

  #pathOf(name: string): string {
    return join(this.#ownership.folder, name);
  }
}
