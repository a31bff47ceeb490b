import { type SegmentId, segmentIdOf, segmentName } from './segment-name.js';

/** A segment that is part of the journal, and how many of its bytes are: what stands behind them is void. */
export interface SegmentExtent {
  readonly name: string;
  readonly bytes: number;
}

/**
 * What a segment says of itself in its first frame.
 *
 * `before` names all that is to be read before it. So the head of the last segment alone tells what the journal is:
 * a torn write that was repeated elsewhere is void, what a checkpoint has superseded is not named, and a file that is
 * missing is missed.
 */
export interface SegmentHead extends SegmentId {
  readonly before: readonly SegmentExtent[];
}

/** The JSON text of a head. */
export const encodeHead = ({ epoch, sequence, before }: SegmentHead): string =>
  JSON.stringify({ epoch, sequence, before: before.map(({ name, bytes }) => [name, bytes]) });

/** Reads a head and checks that it is that of the file of this name. Returns what is wrong as a text. */
export function decodeHead(text: string, name: string): SegmentHead | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'its head is no JSON';
  }
  const { epoch, sequence, before } = (json ?? {}) as Record<string, unknown>;
  const id = segmentIdOf(name);
  if (id === undefined || epoch !== id.epoch || sequence !== id.sequence)
    return `it was written as ${segmentName({ epoch: Number(epoch), sequence: Number(sequence) })}`;
  if (!Array.isArray(before)) return 'its head does not say what comes before it';
  const extents: SegmentExtent[] = [];
  for (const item of before) {
    const [otherName, bytes] = Array.isArray(item) ? item : [];
    // Names sort as segments follow one another: what is not before it cannot be named.
    if (typeof otherName !== 'string' || segmentIdOf(otherName) === undefined || otherName >= name)
      return 'its head names what is no earlier segment';
    if (!Number.isSafeInteger(bytes) || bytes < 0) return 'its head names a segment without its length';
    extents.push({ name: otherName, bytes });
  }
  return { ...id, before: extents };
}
