import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeliveryGate } from '../../src/restart/delivery-gate.js';
import { TimerQueue } from '../../src/time/timer-queue.js';
import { scratchFolder } from './folder/folder-medium.js';

let scratch: string;

beforeEach(() => {
  scratch = scratchFolder();
});

afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const gc = globalThis.gc as () => void;

/** What is in use, MB. */
function megabytes(): number {
  gc();
  gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 1e6;
}

const count = 200_000;

describe('a restore of 200,000 runs', () => {
  it.each(['from a journal', 'from a snapshot'])(
    '%s leaves nothing once they are gone',
    async (from) => {
      const clock = createManualClock();
      const folder = join(scratch, 'journal');
      const live = (hasPast: boolean) =>
        createRegistry<{ runs: Map<string, number> }>({
          clock,
          maps: { runs: { ttl: '1h' } },
          ended: { map: 'runs', id: (_value, key) => key, tombstones: { max: 1 } },
          ...(hasPast && from === 'from a journal' && { persistTo: folder }),
        });
      const first = live(true);
      for (let n = 0; n < count; n += 1) first.maps.runs.set(`run-${n}`, 1);
      const snapshot = from === 'from a snapshot' ? JSON.stringify(first.snapshot()) : '';
      await first.close();

      const kept: number[] = [];
      for (const hasPast of [false, true]) {
        const registry = live(hasPast);
        const before = megabytes();
        if (hasPast && snapshot !== '') registry.restore(JSON.parse(snapshot));
        // Half of them come back; the others are lost when the window closes.
        for (let n = 0; n < count; n += 2) registry.maps.runs.set(`run-${n}`, 1);
        await clock.advance(3_700_000);
        await registry.sweep();
        await registry.flushed();
        await clock.advance(60_000);
        expect(registry.maps.runs.size).toBe(0);
        kept.push(megabytes() - before);
        await registry.close();
      }
      // What a registry of as many keeps that were never restored.
      expect((kept[1] as number) - Math.max(0, kept[0] as number)).toBeLessThan(3);
    },
    240_000,
  );
});

describe('a burst of 200,000 entries that a journal has', () => {
  it('leaves no array behind once they are gone', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ map: Map<string, number> }>({
      clock,
      maps: { map: { persist: { encode: (value) => value } } },
      persistTo: join(scratch, 'journal'),
    });
    const bytes = (): number => process.memoryUsage().arrayBuffers;
    gc();
    const before = bytes();
    for (let n = 0; n < count; n += 1) registry.maps.map.set(`key ${n}`, n);
    expect(bytes() - before).toBeGreaterThan(8 * count);
    registry.maps.map.clear();
    for (let minute = 0; minute < 3; minute += 1) await clock.advance(60_000);
    await registry.flushed();
    gc();
    expect(bytes() - before).toBeLessThan(2 * count);
    await registry.close();
  });
});

describe('a registry with ended', () => {
  it('that is empty holds less than 0.5 MB', () => {
    const registries: unknown[] = [];
    const before = megabytes();
    for (let n = 0; n < 10; n += 1) {
      registries.push(createRegistry({ maps: { m: {} }, ended: { map: 'm', deliver: () => {} } }));
    }
    expect((megabytes() - before) / 10).toBeLessThan(0.5);
    expect(registries).toHaveLength(10);
  });
});

describe('a gate that is shut', () => {
  it('holds nothing, neither what waited nor what comes, and lets nothing go any more', async () => {
    const clock = createManualClock();
    const timers = new TimerQueue(clock, { onError: () => {} });
    const released: string[] = [];
    const gate = new DeliveryGate(
      timers,
      () => clock.monotonic(),
      5_000,
      (id) => released.push(id),
    );
    const before = megabytes();
    for (let n = 0; n < count; n += 1) gate.hold(`before ${n}`, n + 1);
    gate.shut();
    for (let n = 0; n < count; n += 1) gate.hold(`after ${n}`, n + 1);
    expect(megabytes() - before).toBeLessThan(1);
    gate.written(count);
    await clock.advance(10_000);
    expect([released, gate.hasOverdue, clock.pendingTimers]).toEqual([[], false, 0]);
  });
});
