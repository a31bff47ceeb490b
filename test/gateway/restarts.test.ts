/*
 * A gateway that restarts inside of its process: its maps stay, and a new registry adopts them, a hundred times.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGatewayRegistry, type SubagentRunFields } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { heapUsed } from '../heap-used.js';

const TIMES = 200;
const WARM_UP = 100;
const RUNS = 20;
const MINUTE = 60_000;
const MOST_BYTES = 1_000_000;

describe('the four maps of a gateway, released and adopted again 100 times', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mapsweep-restarts-'));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it('have the end of each run told once, no trace left on them, and a heap within 1 MB', async () => {
    const clock = createManualClock();
    const maps = {
      subagentRuns: new Map<string, SubagentRunFields>(),
      runContextById: new Map<string, object>(),
      seqByRun: new Map<string, number>(),
      pendingLifecycleErrors: new Map<string, object>(),
    };
    const told = new Map<string, number>();
    let heapBefore = 0;
    for (let round = 0; round < TIMES; round += 1) {
      const registry = createGatewayRegistry({
        adopt: maps,
        onSubagentEnded: ({ key }) => void told.set(key, (told.get(key) ?? 0) + 1),
        persistTo: folder,
        ended: { tombstones: { max: 10 * RUNS } },
        clock,
      });
      const { subagentRuns, runContextById, seqByRun } = maps;
      for (let run = 0; run < RUNS; run += 1) {
        const id = `run-${round}-${run}`;
        subagentRuns.set(id, {});
        runContextById.set(id, {});
        seqByRun.set(id, 1);
        // Of the last life one third ends now, one has its clean-up done, and one is deleted; the first third's is done later.
        const last = `run-${round - 1}-${run}`;
        const record = subagentRuns.get(last);
        if (record === undefined) continue;
        if (run % 3 === 0) registry.end(last);
        if (run % 3 === 1) record.cleanupCompletedAt = clock.now();
        if (run % 3 === 2) subagentRuns.delete(last);
        const before = subagentRuns.get(`run-${round - 2}-${run}`);
        if (before !== undefined) before.cleanupCompletedAt = clock.now();
      }
      await clock.advance(7 * MINUTE);
      await registry.close();
      for (const map of Object.values(maps)) expect(Object.getOwnPropertyNames(map)).toEqual([]);
      expect(clock.pendingTimers).toBe(0);
      // What Node compiles of this code on the way is over by then.
      if (round === WARM_UP) heapBefore = heapUsed();
    }
    expect(told.size).toBe((TIMES - 1) * RUNS);
    expect([...told.values()].filter((times) => times !== 1)).toEqual([]);
    told.clear();
    expect(heapUsed() - heapBefore).toBeLessThan(MOST_BYTES);
  }, 60_000);
});
