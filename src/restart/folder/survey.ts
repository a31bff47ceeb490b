import { frameHeaderBytes } from './frame.js';
import { type SegmentFile, withSegment } from './segment-files.js';
import { hasFrameFrom, readFrames, SegmentDamage } from './segment-frames.js';
import { decodeHead, type SegmentExtent, type SegmentHead } from './segment-head.js';
import type { Steps } from './steps.js';
import { read } from './system-calls.js';

/** What a folder holds. */
export interface Survey {
  /** The segments that make up the journal, in order, each with the length that counts. */
  readonly live: readonly SegmentExtent[];
  /** The files that do not: superseded by a checkpoint, or cut before their first frame was whole. */
  readonly obsolete: readonly SegmentFile[];
  /** What was cut at the end of the last segment, if anything was. */
  readonly tornTail: TornTail | undefined;
}

/** Bytes at the end of the journal that are no whole frame: a write that was cut short, by a full disk or since its owner was killed. */
export interface TornTail {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Finds out which segments make up the journal, and checks every byte of them.
 *
 * @throws SegmentDamage
 * @throws MapsweepError `ERR_JOURNAL_VERSION`
 */
export function* survey(files: readonly SegmentFile[]): Steps<Survey> {
  const byName = new Map(files.map((file) => [file.name, file]));
  const last = yield* findLast(files);
  if (last === undefined) return { live: [], obsolete: files, tornTail: undefined };
  const live: SegmentExtent[] = [];
  for (const { name, bytes } of last.head.before) {
    const file = byName.get(name);
    if (file === undefined)
      throw new SegmentDamage(last.file.path, 0, `it needs '${name}', which is missing`);
    if (file.bytes < bytes)
      throw new SegmentDamage(file.path, file.bytes, `the file is cut: it had ${bytes} bytes`);
    yield* check(file, bytes, false);
    live.push({ name, bytes });
  }
  const wholeBytes = yield* check(last.file, last.file.bytes, true);
  live.push({ name: last.file.name, bytes: wholeBytes });
  const isLive = new Set(live.map(({ name }) => name));
  const cutBytes = last.file.bytes - wholeBytes;
  return {
    live,
    obsolete: files.filter(({ name }) => !isLive.has(name)),
    tornTail: cutBytes === 0 ? undefined : { path: last.file.path, offset: wholeBytes, bytes: cutBytes },
  };
}

/** Finds the last segment whose head is whole: an owner may have been killed before it had written one. */
function* findLast(
  files: readonly SegmentFile[],
): Steps<{ readonly file: SegmentFile; readonly head: SegmentHead } | undefined> {
  for (const file of files.toReversed()) {
    const head = yield* readHead(file);
    if (head !== undefined) return { file, head };
  }
  return undefined;
}

/** Reads the first frame of a segment. `undefined` if it is cut, and nothing comes behind it. @throws SegmentDamage */
export function* readHead(file: SegmentFile): Steps<SegmentHead | undefined> {
  return yield* withSegment(file.path, function* (descriptor) {
    const start = Buffer.alloc(frameHeaderBytes);
    // Only as much as the head: what is wrong behind it is told with its own offset, once the rest is read.
    const length = file.bytes < frameHeaderBytes ? 0 : yield* read(descriptor, start, 0, frameHeaderBytes, 0);
    const bytes = Math.min(file.bytes, frameHeaderBytes + (length === 0 ? 0 : start.readUInt32LE(4)));
    let head: SegmentHead | undefined;
    yield* readFrames({ path: file.path, descriptor, bytes, mayBeCut: true }, (_kind, payload) => {
      const decoded = decodeHead(payload.toString(), file.name);
      if (typeof decoded === 'string') throw new SegmentDamage(file.path, 0, decoded);
      head = decoded;
    });
    // It was begun, and more was written: somebody may have been told that it is there.
    if (
      head === undefined &&
      bytes < file.bytes &&
      (yield* hasFrameFrom({ descriptor, bytes: file.bytes }, bytes))
    )
      throw new SegmentDamage(file.path, 0, 'its head has a hole, and there are frames behind it');
    return head;
  });
}

function* check(file: SegmentFile, bytes: number, mayBeCut: boolean): Steps<number> {
  return yield* withSegment(file.path, (descriptor) =>
    readFrames({ path: file.path, descriptor, bytes, mayBeCut }, (_kind, payload, offset) => {
      if (offset > 0) return;
      const head = decodeHead(payload.toString(), file.name);
      if (typeof head === 'string') throw new SegmentDamage(file.path, 0, head);
    }),
  );
}
