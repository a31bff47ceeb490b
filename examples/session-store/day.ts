import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ManualClock } from 'mapsweep/testing';
import type { SessionEntry, SessionStore } from './entry.ts';

export interface DayOptions {
  folder: string;
  clock: ManualClock;
  /** How many cron runs there are. */
  runs?: number;
  /** How large the entry of a session is, bytes. */
  entryBytes?: number;
  /** Which day it is: keys are of one day each. */
  day?: number;
  /** Awaited at each step: what the disk is asked for takes real time, of which the clock knows nothing. */
  disk?: () => Promise<unknown>;
}

/** What a day on a store was like. */
export interface DayFigures {
  /** How many times a person came back and found his session gone. */
  lost: number;
  /** For how long saves held it in all, ms. */
  heldMs: number;
}

/** A person writes in the morning and in the evening; 2,000 cron runs, a session each, come evenly all day. */
export async function playDay(store: SessionStore, options: DayOptions): Promise<DayFigures> {
  const { folder, clock, runs = 2_000, entryBytes = 30_000, day = 1, disk } = options;
  const transcripts = join(folder, 'transcripts');
  mkdirSync(transcripts, { recursive: true });
  const figures: DayFigures = { lost: 0, heldMs: 0 };

  const save = (key: string): void => {
    const transcript = join(transcripts, `${key.replaceAll(':', '-')}.jsonl`);
    writeFileSync(transcript, '{"role":"user","content":"Anything new?"}\n'.repeat(20));
    const skills = `as of ${clock.now()} `.padEnd(entryBytes, 'a skill and how it is used; ');
    const entry: SessionEntry = { updatedAt: clock.now(), transcript, skills };
    const began = performance.now();
    store.save(key, entry);
    figures.heldMs += performance.now() - began;
  };

  for (let run = 0; run < runs; run += 1) {
    const isMorning = run === Math.floor(runs / 3);
    const isEvening = run === Math.floor((runs * 5) / 6);
    if (isMorning || isEvening) {
      for (const person of ['ann', 'bob']) {
        if ((isEvening || day > 1) && store.get(`chat:${person}`) === undefined) figures.lost += 1;
        save(`chat:${person}`);
      }
    }
    save(`cron:digest:run:${day}-${run}`);
    for (let left = 86_400_000 / runs; left > 0; left -= 60_000) {
      await clock.advance(Math.min(left, 60_000));
      await disk?.();
    }
  }
  return figures;
}
