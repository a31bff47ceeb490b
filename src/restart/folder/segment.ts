import type { Steps } from './steps.js';
import { closeQuietly, flushData, writeAll } from './system-calls.js';

/** A segment that is being written to, by one append at a time. */
export class Segment {
  readonly name: string;
  readonly #descriptor: number;
  readonly #isFlushed: boolean;
  #headBytes = 0;
  #bytes = 0;
  #isWriting = false;
  #isClosed = false;

  /** `isFlushed`: whether what is written has to be on the disk before it counts. */
  constructor(name: string, descriptor: number, isFlushed: boolean) {
    this.name = name;
    this.#descriptor = descriptor;
    this.#isFlushed = isFlushed;
  }

  /** How many bytes count: those of frames that were written to the end. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns whether anything was appended behind the head. */
  get hasRecords(): boolean {
    return this.#bytes > this.#headBytes;
  }

  /** Writes what stands at the head of the segment. */
  *writeHead(frames: Buffer): Steps<void> {
    yield* this.write(frames);
    this.#headBytes = this.#bytes;
  }

  /** Writes a frame. After it threw, or was not awaited, nothing may be written behind it. */
  *write(frame: Buffer): Steps<void> {
    this.#isWriting = true;
    try {
      yield* writeAll(this.#descriptor, frame);
      if (this.#isFlushed) yield* flushData(this.#descriptor);
      this.#bytes += frame.length;
    } finally {
      this.#isWriting = false;
      if (this.#isClosed) closeQuietly(this.#descriptor);
    }
  }

  /** Ends the segment. A write that is under way comes to its end; how many bytes count is as it was before. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // A descriptor that the thread pool is using could become another file's under its hands.
    if (!this.#isWriting) closeQuietly(this.#descriptor);
  }
}
