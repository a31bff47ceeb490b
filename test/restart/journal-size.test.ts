import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { FolderJournal } from '../../src/restart/folder/folder-journal.js';
import type { Journal, JournalRecord } from '../../src/restart/journal.js';
import { type Life, type LifeOptions, Machine, minutes, type Run } from './lives.js';

let folder: string;
let machine: Machine;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mapsweep-size-'));
  machine = new Machine();
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bytesInFolder = (): number =>
  readdirSync(folder).reduce((bytes, name) => {
    // It may just have been removed.
    const file = statSync(join(folder, name), { throwIfNoEntry: false });
    return bytes + (file?.size ?? 0);
  }, 0);

/** The key of a run as gateways have them: 55 characters. */
const keyOf = (n: number): string => `agent:main:subagent:${String(n).padStart(35, '0')}`;

/** Counts what goes through it. */
class CountedJournal implements Journal {
  readonly #journal: Journal;
  appendedBytes = 0;
  checkpoints = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  get name(): string {
    return this.#journal.name;
  }

  get size(): number {
    return this.#journal.size;
  }

  takePast(): Iterable<readonly JournalRecord[]> {
    return this.#journal.takePast();
  }

  begin(preamble: () => readonly string[]): void {
    this.#journal.begin(preamble);
  }

  append(records: readonly string[]): Promise<void> {
    this.#count(records);
    return this.#journal.append(records);
  }

  appendNow(records: readonly string[]): void {
    this.#count(records);
    this.#journal.appendNow(records);
  }

  beginCheckpoint(): Promise<void> {
    this.checkpoints += 1;
    return this.#journal.beginCheckpoint();
  }

  endCheckpoint(): Promise<void> {
    return this.#journal.endCheckpoint();
  }

  release(): void {
    this.#journal.release();
  }

  #count(records: readonly string[]): void {
    // A frame has 16 bytes, and each record a comma.
    this.appendedBytes += records.reduce((sum, record) => sum + Buffer.byteLength(record) + 1, 17);
  }
}

function start(options?: LifeOptions): { life: Life; journal: CountedJournal } {
  const journal = new CountedJournal(FolderJournal.open(folder));
  return { journal, life: machine.start({ ...options, journal }) };
}

describe('what is appended', () => {
  it('is at most 400 bytes for the life of a run, be each of its steps an append of its own', async () => {
    const { life, journal } = start();
    life.runs.set('the first', {});
    await life.registry.flushed();
    const before = journal.appendedBytes;
    const lives = 50;
    for (let n = 0; n < lives; n += 1) {
      const key = keyOf(n);
      life.runs.set(key, {});
      await life.registry.flushed();
      await machine.clock.advance(3_000);
      life.registry.end(key);
      await life.registry.flushed();
      await machine.clock.advance(1);
      await life.registry.flushed();
      life.runs.delete(key);
      await life.registry.flushed();
    }
    expect(life.told).toHaveLength(lives);
    const bytes = (journal.appendedBytes - before) / lives;
    expect(bytes).toBeLessThanOrEqual(400);
    // It is all there, and nothing else.
    expect(bytes).toBeGreaterThan(200);
    life.kill();
  });

  it('is at most 30 bytes for a minute in which a long run is active, among others, and 0 for one at rest', async () => {
    const { life, journal } = start();
    const runs = 40;
    for (let n = 0; n < runs; n += 1) life.runs.set(keyOf(n), {});
    await machine.clock.advance(minutes(2));
    await life.registry.flushed();
    const before = journal.appendedBytes;
    const active = 10;
    for (let second = 0; second < 60 * active; second += 1) {
      // Every run about every 3 s, some of them in the same turn.
      for (let n = 0; n < runs / 4; n += 1) life.registry.touch('runs', keyOf((second * 13 + n) % runs));
      await machine.clock.advance(1_000);
    }
    await life.registry.flushed();
    const bytes = (journal.appendedBytes - before) / runs / active;
    expect(bytes).toBeLessThanOrEqual(30);
    // Some 5 if all of them are in one record, as on a machine that has other things to do.
    expect(bytes).toBeGreaterThan(2);
    const atRest = journal.appendedBytes;
    await machine.clock.advance(minutes(60));
    expect(journal.appendedBytes).toBe(atRest);
    life.kill();
  }, 60_000);

  it('is at most as much again for being written anew, over 20,000 lives of which 2,000 are live', async () => {
    const { life, journal } = start();
    const [lives, live] = [20_000, 2_000];
    let most = 0;
    for (let n = 0; n < lives; n += 1) {
      life.runs.set(keyOf(n), {});
      if (n >= live) {
        life.registry.end(keyOf(n - live));
        life.runs.delete(keyOf(n - live));
      }
      if (n % 50 !== 49) continue;
      await life.registry.flushed();
      await machine.clock.advance(25);
      most = Math.max(most, bytesInFolder());
    }
    await machine.clock.advance(1_000);
    await life.registry.flushed();
    expect(life.told).toHaveLength(lives - live);
    expect(journal.checkpoints).toBeGreaterThan(0);
    expect(journal.appendedBytes / lives).toBeLessThanOrEqual(800);

    // What is live takes as much as a journal that has just been written anew.
    const atRest = bytesInFolder();
    internalsOf(life.registry)?.restart.recorder?.writer.checkpoint();
    await expect.poll(bytesInFolder, { timeout: 20_000 }).toBeLessThan(live * 200);
    const bytesLive = bytesInFolder();
    expect(atRest).toBeLessThanOrEqual(2 * bytesLive + 4 * 1024 * 1024);
    expect(most).toBeLessThanOrEqual(3 * bytesLive + 4 * 1024 * 1024);
    life.kill();
  }, 120_000);

  it('is little for a restart: what comes back is not written again', async () => {
    const first = start();
    for (let n = 0; n < 1_000; n += 1) first.life.runs.set(keyOf(n), {});
    await first.life.registry.close();
    const next = start();
    for (let n = 0; n < 1_000; n += 1) next.life.runs.set(keyOf(n), {});
    await next.life.registry.flushed();
    expect(next.journal.appendedBytes / 1_000).toBeLessThanOrEqual(25);
    next.life.kill();
  });

  describe('for a restart of entries with values', () => {
    const encode = (run: Run): unknown => run;
    const filled = { maps: { runs: { persist: { encode, decode: (json: unknown) => json } } } };
    const found = (text: string, count: number): LifeOptions => ({
      maps: {
        runs: {
          persist: { encode },
          adopt: new Map(Array.from({ length: count }, (_, n) => [keyOf(n), { text }])),
        },
      },
    });
    const setAgain = { maps: { runs: { persist: { encode } } } };

    it.each<[how: string, options: (text: string, count: number) => LifeOptions, isSet: boolean]>([
      ['that decode brings back', () => filled, false],
      ['that are found in an adopted map', found, false],
      ['that the owner sets again', () => setAgain, true],
    ])('is as little as without, for those %s', async (_how, options, isSet) => {
      const [text, count] = ['x'.repeat(1_000), 100];
      const fill = ({ runs }: Life): void => {
        for (let n = 0; n < count; n += 1) runs.set(keyOf(n), { text });
      };
      const first = start(setAgain);
      fill(first.life);
      await first.life.registry.close();
      for (let times = 0; times < 3; times += 1) {
        const next = start(options(text, count));
        if (isSet) fill(next.life);
        await next.life.registry.flushed();
        await machine.clock.advance(minutes(2));
        await next.life.registry.flushed();
        expect(next.life.runs.size).toBe(count);
        expect(next.journal.appendedBytes / count).toBeLessThanOrEqual(25);
        next.life.registry.detach();
      }
    });

    it.each([
      ['entries', false],
      ['endings that are owed', true],
    ])(
      'is no checkpoint, be the values long and of letters of three bytes, for %s',
      async (_what, isOwed) => {
        const [text, count] = ['\u8bdd'.repeat(8_000), 500];
        const options = { ...filled, deliver: () => Promise.reject(new Error('down')) };
        const atRest = async ({ life: { registry } }: ReturnType<typeof start>): Promise<void> => {
          await registry.flushed();
          await machine.clock.advance(minutes(1));
          await registry.flushed();
        };
        // Nor is it one for the life that writes them.
        const first = start(options);
        for (let n = 0; n < count; n += 1) {
          first.life.runs.set(keyOf(n), { text });
          if (n % 50 === 49) await first.life.registry.flushed();
        }
        for (let n = 0; isOwed && n < count; n += 1) {
          first.life.registry.end(keyOf(n));
          first.life.runs.delete(keyOf(n));
        }
        await atRest(first);
        expect(first.journal.checkpoints).toBe(0);
        first.life.registry.detach();
        const next = start(options);
        await atRest(next);
        expect(next.life.runs.size + (next.life.registry.report().endings?.pending ?? 0)).toBe(count);
        expect(next.journal.checkpoints).toBe(0);
        next.life.registry.detach();
      },
    );
  });
});
