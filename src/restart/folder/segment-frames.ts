import { MapsweepError } from '../../errors.js';
import {
  formatVersion,
  frameHeaderBytes,
  frameKind,
  frameMark,
  hasHole,
  isIntact,
  readFrameHeader,
} from './frame.js';
import type { Steps } from './steps.js';
import { read } from './system-calls.js';

/** How much of a file is read at once: little enough to be checked in a millisecond, however small its frames are. */
const windowBytes = 256 * 1024;

/** An open segment, of which the first `bytes` bytes are read. */
export interface FrameSource {
  /** The file's path, for messages. */
  readonly path: string;
  readonly descriptor: number;
  readonly bytes: number;
  /** True if the last frame may be cut: so it is at the end of the journal, where a write may not have ended. */
  readonly mayBeCut: boolean;
}

/** Is given a frame that is whole. The payload is only lent: it is overwritten later. */
export type TakeFrame = (kind: number, payload: Buffer, offset: number) => void;

/**
 * Reads the frames of a segment in order, and returns up to which byte they are whole. Takes the frames in the bytes
 * that were read before it reads on.
 *
 * @throws SegmentDamage
 * @throws MapsweepError `ERR_JOURNAL_VERSION`
 */
export function* readFrames(source: FrameSource, take: TakeFrame): Steps<number> {
  let window = Buffer.allocUnsafe(Math.min(windowBytes, Math.max(source.bytes, frameHeaderBytes)));
  // What the window holds: the bytes of the file from `windowAt`, `filled` of them.
  let windowAt = 0;
  let filled = 0;
  let offset = 0;
  while (offset < source.bytes) {
    let start = offset - windowAt;
    const header = filled - start < frameHeaderBytes ? undefined : readFrameHeader(window, start);
    if (header !== undefined && !('length' in header)) {
      if (source.mayBeCut && (yield* isUnwrittenFrom(source, offset))) return offset;
      if ('newerVersion' in header) throw newerVersion(source.path, header.newerVersion);
      throw new SegmentDamage(source.path, offset, header.damage);
    }
    const needed = frameHeaderBytes + (header?.length ?? 0);
    if (filled - start >= needed) {
      const payload = window.subarray(start + frameHeaderBytes, start + needed);
      if (!isIntact(payload, header?.checksum ?? 0)) {
        const isLast = offset + needed === source.bytes;
        // After a power cut a file may have got its length before its content.
        if (source.mayBeCut && isLast && hasHole(payload)) return offset;
        throw new SegmentDamage(source.path, offset, 'the checksum of a frame is wrong');
      }
      const isHead = offset === 0;
      if ((header?.kind === frameKind.segment) !== isHead || (!isHead && header?.kind !== frameKind.records))
        throw new SegmentDamage(source.path, offset, `a frame of kind ${header?.kind} does not belong there`);
      take(header?.kind ?? 0, payload, offset);
      offset += needed;
      continue;
    }
    if (offset + needed > source.bytes) {
      if (source.mayBeCut) return offset;
      throw new SegmentDamage(source.path, offset, 'a frame is cut that is not the last of the journal');
    }
    // The frame goes on behind the window: what there is of it moves to the front, in a larger window if need be.
    const next = needed > window.length ? Buffer.allocUnsafe(needed) : window;
    window.copy(next, 0, start, filled);
    window = next;
    windowAt = offset;
    filled -= start;
    start = 0;
    const wanted = Math.min(window.length, source.bytes - windowAt) - filled;
    const count = yield* read(source.descriptor, window, filled, wanted, windowAt + filled);
    if (count === 0)
      throw new SegmentDamage(source.path, windowAt + filled, 'the file became shorter while it was read');
    filled += count;
  }
  return offset;
}

/** Damage at a byte of a segment, before it is known what can be done about it. */
export class SegmentDamage extends Error {
  readonly path: string;
  readonly offset: number;

  constructor(path: string, offset: number, what: string) {
    super(what);
    this.path = path;
    this.offset = offset;
  }
}

/** Returns whether the file has a hole at `offset` and no frame behind it: it got its length before its content. */
function* isUnwrittenFrom(source: FrameSource, offset: number): Steps<boolean> {
  const header = Buffer.alloc(frameHeaderBytes, 1);
  yield* read(source.descriptor, header, 0, Math.min(frameHeaderBytes, source.bytes - offset), offset);
  return hasHole(header) && !(yield* hasFrameFrom(source, offset));
}

/** Returns whether a frame begins at `offset` or anywhere behind it; also if the file became shorter meanwhile. */
export function* hasFrameFrom(
  { descriptor, bytes }: Pick<FrameSource, 'descriptor' | 'bytes'>,
  offset: number,
): Steps<boolean> {
  const rest = Buffer.alloc(bytes - offset);
  for (let filled = 0; filled < rest.length; ) {
    const count = yield* read(descriptor, rest, filled, rest.length - filled, offset + filled);
    if (count === 0) return true;
    filled += count;
  }
  for (let start = rest.indexOf(frameMark); start !== -1; start = rest.indexOf(frameMark, start + 1))
    if (start + frameHeaderBytes <= rest.length && 'length' in readFrameHeader(rest, start)) return true;
  return false;
}

const newerVersion = (path: string, version: number): MapsweepError =>
  new MapsweepError(
    'ERR_JOURNAL_VERSION',
    `persistTo: '${path}' has version ${version} of the format, and this mapsweep knows ${formatVersion}. Use the ` +
      'mapsweep that wrote it, or a newer one, or give persistTo another path',
  );
