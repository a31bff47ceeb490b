/** Which segment of a folder it is: the epoch of the owner who wrote it, and its number among that owner's, from 1. */
export interface SegmentId {
  readonly epoch: number;
  readonly sequence: number;
}

const epochDigits = 15;
const sequenceDigits = 9;
const pattern = new RegExp(`^journal-(\\d{${epochDigits}})-(\\d{${sequenceDigits}})\\.log$`);

/** The greatest epoch that a name can bear. */
export const maxEpoch = 10 ** epochDigits - 1;

/** The name of a segment's file. Names sort as segments follow one another. */
export const segmentName = ({ epoch, sequence }: SegmentId): string =>
  `journal-${String(epoch).padStart(epochDigits, '0')}-${String(sequence).padStart(sequenceDigits, '0')}.log`;

/** Which segment a file is by its name; `undefined` if it is none. */
export function segmentIdOf(name: string): SegmentId | undefined {
  const [, epoch, sequence] = pattern.exec(name) ?? [];
  return epoch === undefined ? undefined : { epoch: Number(epoch), sequence: Number(sequence) };
}
