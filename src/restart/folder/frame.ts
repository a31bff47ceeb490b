import { crc32 } from 'node:zlib';

// A frame is a header of 16 bytes and a payload of JSON text in UTF-8. The header:
//   0  'MS'                              4  length of the payload in bytes, little-endian
//   2  version of the format             8  checksum (CRC-32) of the payload
//   3  kind of the frame                12  checksum of the 12 bytes before
// The header has a checksum of its own: a flipped bit in a length would make a frame in the middle look like one that
// was cut at the end of the file. Later versions keep these 16 bytes, so that every version is told by name.

/** The version of the format that is written. */
export const formatVersion = 1;

/** How many bytes a frame has besides its payload. */
export const frameHeaderBytes = 16;

/** What a frame holds: what a segment says of itself, or an array of records. */
export const frameKind = { segment: 1, records: 2 } as const;

/** The bytes that each frame begins with. */
export const frameMark = Buffer.from('MS');
const magic = frameMark.readUInt16BE(0);

/** Makes a frame of a JSON text. */
export function encodeFrame(kind: number, text: string): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + Buffer.byteLength(text));
  frame.write(text, frameHeaderBytes, 'utf8');
  return finishFrame(frame, kind);
}

/** Writes the header of a frame whose payload is in its place, and returns the frame. */
export function finishFrame(frame: Buffer, kind: number): Buffer {
  const payload = frame.subarray(frameHeaderBytes);
  frame.writeUInt16BE(magic, 0);
  frame[2] = formatVersion;
  frame[3] = kind;
  frame.writeUInt32LE(payload.length, 4);
  frame.writeUInt32LE(crc32(payload), 8);
  frame.writeUInt32LE(crc32(frame.subarray(0, 12)), 12);
  return frame;
}

/** What a frame's header says; or why it is none. */
export type FrameHeader =
  | { readonly kind: number; readonly length: number; readonly checksum: number }
  | { readonly damage: string }
  | { readonly newerVersion: number };

/** Reads the header at `offset`; its 16 bytes have to be there. */
export function readFrameHeader(buffer: Buffer, offset: number): FrameHeader {
  if (crc32(buffer.subarray(offset, offset + 12)) !== buffer.readUInt32LE(offset + 12))
    return { damage: 'the checksum of a frame header is wrong' };
  if (buffer.readUInt16BE(offset) !== magic) return { damage: 'a frame does not begin as one' };
  const version = buffer[offset + 2] ?? 0;
  if (version > formatVersion) return { newerVersion: version };
  const kind = buffer[offset + 3] ?? 0;
  return { kind, length: buffer.readUInt32LE(offset + 4), checksum: buffer.readUInt32LE(offset + 8) };
}

/** Returns whether a payload is the one that was written. */
export const isIntact = (payload: Buffer, checksum: number): boolean => crc32(payload) === checksum;

/** As many zero bytes as no single fault makes, and no JSON text contains. */
const unwritten = Buffer.alloc(16);

/**
 * Returns whether bytes have a hole of zeros: after a power cut a file may be as long as it should be without all of
 * its content.
 */
export const hasHole = (bytes: Buffer): boolean => bytes.includes(unwritten);
