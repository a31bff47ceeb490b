import { expect, it } from 'vitest';
import { describeJournal, type Medium } from './journal-suite.js';
import { MemoryVolume } from './memory-journal.js';

const mediumIn = (volume: MemoryVolume): Medium => ({
  open: async () => volume.open(),
  copy: () => mediumIn(new MemoryVolume(volume.records)),
  fail: (isFailing) => {
    volume.beforeWrite = () => {
      if (isFailing) throw new Error('the disk is full');
    };
  },
  dispose: () => {},
});

describeJournal('a journal in memory', () => mediumIn(new MemoryVolume()));

it('says what is on its way while the medium hangs, of which a crash leaves any part', async () => {
  const volume = new MemoryVolume();
  const journal = volume.open();
  await journal.append(['["a"]']);
  volume.beforeWrite = () => new Promise(() => {});
  void journal.append(['["b"]', '["c"]']);
  await Promise.resolve();
  expect(volume.records).toEqual(['["a"]']);
  expect(volume.inFlight).toEqual(['["b"]', '["c"]']);
  const crashed = new MemoryVolume([...volume.records, ...volume.inFlight.slice(0, 1)]);
  expect([...crashed.open().takePast()]).toEqual([[['a'], ['b']]]);
});

it('tells an owner whose volume was taken away, at its next write', async () => {
  const volume = new MemoryVolume();
  const journal = volume.open();
  await journal.append(['["a"]']);
  volume.takeAway();
  const rival = volume.open();
  await expect(journal.append(['["b"]'])).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOST' });
  expect(() => journal.appendNow(['["b"]'])).toThrow(expect.objectContaining({ code: 'ERR_JOURNAL_LOST' }));
  journal.release();
  await rival.append(['["r"]']);
  expect(volume.records).toEqual(['["r"]']);
});
