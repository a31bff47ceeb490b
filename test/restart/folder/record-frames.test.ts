import { expect, it } from 'vitest';
import { frameHeaderBytes, readFrameHeader } from '../../../src/restart/folder/frame.js';
import { recordFrames } from '../../../src/restart/folder/record-frames.js';

const recordsIn = (frame: Buffer): unknown[] =>
  JSON.parse(frame.toString('utf8', frameHeaderBytes)) as unknown[];

it('packs 100,000 records into frames of at most 128 kB and a record, in their order', () => {
  const records = Array.from({ length: 100_000 }, (_, index) => JSON.stringify(['run', index, 'é€😀']));
  const frames = [...recordFrames(records)];
  expect(frames.length).toBeGreaterThan(5);
  for (const frame of frames) {
    expect(frame.length).toBeLessThan(128 * 1024 + 100);
    expect(readFrameHeader(frame, 0)).toMatchObject({ length: frame.length - frameHeaderBytes });
  }
  expect(frames.flatMap(recordsIn)).toEqual(records.map((record) => JSON.parse(record)));
});

it('gives a record that is larger a frame, which may have small ones before it', () => {
  const large = JSON.stringify(['x'.repeat(1 << 20)]);
  const frames = [...recordFrames(['["a"]', large, '["b"]'])];
  expect(frames.map((frame) => recordsIn(frame).length)).toEqual([2, 1]);
});

it('makes no frame of nothing', () => {
  expect([...recordFrames([])]).toEqual([]);
});
