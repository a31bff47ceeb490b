import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createManualClock } from 'mapsweep/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FolderJournal } from '../../src/restart/folder/folder-journal.js';
import { compileChild } from './compile.js';
import { type Begin, runsOfBatch, type Word } from './protocol.js';
import { readFolder } from './read-folder.js';

const rounds = Number(process.env.CRASH_ROUNDS ?? 300);
/** The journal of so many lives is written anew at the beginning of the next. */
const mostLivesInJournal = 8;

interface Delivery {
  id: string;
  key: string;
  generation: number;
  reason: string;
  life: number;
}

describe(`a service that is killed ${rounds} times`, () => {
  let folder: string;
  let deliveries: Delivery[] = [];
  let finalExit: number | null;
  /** Keys that somebody has promised to be known, and that were not. */
  const unknown = { flushed: [] as string[], promised: [] as string[] };
  const checked = { flushed: 0, promised: 0 };
  /** All keys that the journal held at some time. */
  const held = new Set<string>();
  /** Why a run must have ended, if it is known. */
  const reasons = new Map<string, string>();
  /** Endings whose delivery was acknowledged, by the life that did so. */
  const settledIn = new Map<string, number>();

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mapsweep-crash-'));
    const child = compileChild(join(folder, 'compiled'));
    // Loads the code, and waits for its beginning.
    const start = (): ChildProcess => fork(child, { execArgv: [], stdio: 'inherit' });
    mkdirSync(join(folder, 'journal'), { mode: 0o700 });
    // Seeded, so that a failing round can be run again.
    const clock = createManualClock({ seed: 20_261_120 });
    let next = start();
    let comingBack: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const service = next;
      next = start();
      const word = await liveUntilKilled(
        service,
        { folder, life: round, isLast: false, comingBack },
        clock.random,
      );
      const present = examine(round, word);
      // Half of the owners have lost what they had, and the others half of it.
      comingBack = clock.random() < 0.5 ? [] : present.filter(() => clock.random() < 0.5);
    }
    next.send({ folder, life: rounds, isLast: true, comingBack: [] } satisfies Begin);
    [finalExit] = (await once(next, 'exit')) as [number | null];
    deliveries = readDeliveries();
  }, 15 * 60_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Looks at what a life has left, as the next one will find it. Returns the keys that were in its map. */
  function examine(life: number, word: Word): string[] {
    const { past } = readFolder(join(folder, 'journal'));
    const entries = [...(past.maps.get('runs')?.entries.values() ?? [])];
    const known = new Set([...past.endings.values(), ...entries].map(({ key }) => key));
    for (const key of known) held.add(key as string);
    for (const { key } of readDeliveries()) known.add(key);
    for (const sort of ['flushed', 'promised'] as const) {
      for (let batch = 0; batch < word[sort]; batch += 1) {
        for (const { key, ends, leaves } of runsOfBatch(life, batch)) {
          checked[sort] += 1;
          if (!known.has(key)) unknown[sort].push(key);
          if (ends) reasons.set(key, 'completed');
          else if (leaves) reasons.set(key, 'deleted');
        }
      }
    }
    for (const id of word.settled) settledIn.set(id, life);
    return entries.map(({ key }) => key as string);
  }

  const readDeliveries = (): Delivery[] => {
    const path = join(folder, 'deliveries.log');
    if (!existsSync(path)) return [];
    // A line whose writer was killed in its midst is no line.
    const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Delivery);
  };

  it('delivers everything in its last life and exits with 0', () => {
    expect(finalExit).toBe(0);
  });

  it('has really been at work: each life has left 5 runs in the journal, and half of them had been acknowledged', () => {
    expect(held.size).toBeGreaterThan(5 * rounds);
    expect(checked.flushed).toBeGreaterThan(held.size / 2);
    expect(settledIn.size).toBeGreaterThan(rounds);
  });

  it('knows every run that flushed() had acknowledged when it was killed', () => {
    expect(unknown.flushed).toEqual([]);
  });

  it('knows every run that was registered 100 ms before it was killed', () => {
    expect(unknown.promised).toEqual([]);
  });

  it('delivers every run that it knew at least once', () => {
    const delivered = new Set(deliveries.map(({ key }) => key));
    expect([...held].filter((key) => !delivered.has(key))).toEqual([]);
  });

  it('delivers no ending twice in one life, and none again whose delivery flushed() had acknowledged', () => {
    const told = new Set<string>();
    const again = deliveries.filter(({ id, life }) => {
      const isTwice = told.has(`${id} ${life}`);
      told.add(`${id} ${life}`);
      return isTwice || life > (settledIn.get(id) ?? Number.POSITIVE_INFINITY);
    });
    expect(again).toEqual([]);
  });

  it('gives a run the same id, generation and reason every time', () => {
    const identities = new Map<string, Set<string>>();
    for (const { id, key, generation, reason } of deliveries) {
      const identity = `${id} ${generation} ${reason}`;
      identities.set(key, (identities.get(key) ?? new Set()).add(identity));
    }
    expect([...identities].filter(([, all]) => all.size > 1)).toEqual([]);
    expect(new Set(deliveries.map(({ generation }) => generation)).size).toBe(identities.size);
  });

  it('tells a run whose end was acknowledged with the reason that it was given', () => {
    const wrong = deliveries.filter(({ key, reason }) => reason !== (reasons.get(key) ?? reason));
    expect(wrong).toEqual([]);
    expect(new Set(deliveries.map(({ reason }) => reason))).toEqual(
      new Set(['completed', 'deleted', 'lost']),
    );
  });

  it('leaves a few files, and a folder that is free', () => {
    const { past, survey } = readFolder(join(folder, 'journal'));
    expect(survey.live.length + survey.obsolete.length).toBeLessThanOrEqual(mostLivesInJournal + 2);
    expect(past.endings.size).toBe(0);
    FolderJournal.open(join(folder, 'journal')).release();
  });
});

/** Lets a life go on until a moment that the seed says. Resolves with its last word, when it is gone. */
async function liveUntilKilled(service: ChildProcess, begin: Begin, random: () => number): Promise<Word> {
  const last: Word = { batches: 0, flushed: 0, promised: 0, settled: [] };
  service.on('message', (word: Word) => {
    Object.assign(last, word, { settled: [...last.settled, ...word.settled] });
  });
  const exited = once(service, 'exit');
  service.send(begin);
  // Every fifth is killed while it opens the journal, and what it finds there comes back.
  const batches = random() < 0.2 ? 0 : random() < 0.7 ? 1 + Math.floor(random() * 20) : 35;
  const pauseMs = batches === 0 ? random() * 40 : random() * 12;
  while (last.batches < batches) await once(service, 'message');
  await sleep(pauseMs);
  service.kill('SIGKILL');
  await exited;
  return last;
}
