import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RegistrySnapshot } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const rounds = Number(process.env.CRASH_ROUNDS ?? 100);
const child = fileURLToPath(new URL('child.ts', import.meta.url));

interface Delivery {
  id: string;
  key: string;
  generation: number;
  reason: string;
  life: string;
}

function start(folder: string, life: number, ...mode: string[]): ChildProcess {
  return fork(child, [folder, String(life), ...mode], { execArgv: ['--import', 'tsx'], stdio: 'inherit' });
}

describe(`a service that is killed ${rounds} times`, () => {
  let folder: string;
  const held = new Set<string>();
  let deliveries: Delivery[];
  let finalExit: number | null;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mapsweep-crash-'));
    // Seeded, so that a failing round can be run again.
    const clock = createManualClock({ seed: 20_261_120 });
    for (let round = 0; round < rounds; round += 1) {
      const service = start(folder, round);
      for (let batches = 2 + Math.floor(clock.random() * 24); batches > 0; batches -= 1)
        await once(service, 'message');
      await new Promise((resolve) => setTimeout(resolve, clock.random() * 12));
      service.kill('SIGKILL');
      await once(service, 'exit');
      for (const id of idsIn(join(folder, 'state.json'))) held.add(id);
    }
    const last = start(folder, rounds, 'finish');
    [finalExit] = (await once(last, 'exit')) as [number | null];
    deliveries = readFileSync(join(folder, 'deliveries.log'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Delivery);
  }, 15 * 60_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('delivers everything in its last life and exits with 0', () => {
    expect(finalExit).toBe(0);
  });

  it('has really been at work: more than 5 obligations a round were on disk when it died', () => {
    expect(held.size).toBeGreaterThan(5 * rounds);
  });

  it('delivers every obligation that a snapshot held at least once', () => {
    const delivered = new Set(deliveries.map(({ id }) => id));
    expect([...held].filter((id) => !delivered.has(id))).toEqual([]);
  });

  it('delivers no obligation more often than once and once more for each crash after it', () => {
    const times = new Map<string, Delivery[]>();
    for (const delivery of deliveries) times.set(delivery.id, [...(times.get(delivery.id) ?? []), delivery]);
    const tooOften = [...times.values()].filter((all) => {
      const bornIn = Number(all[0]?.key.split('-')[1]);
      return all.length > 1 + (rounds - bornIn);
    });
    expect(tooOften).toEqual([]);
    // Within one life, never twice.
    const sameLife = [...times.values()].filter(
      (all) => new Set(all.map(({ life }) => life)).size < all.length,
    );
    expect(sameLife).toEqual([]);
  });

  it('gives an obligation the same id every time', () => {
    const identities = new Map<string, Set<string>>();
    for (const { id, key, generation } of deliveries) {
      const identity = `${key}#${generation}`;
      identities.set(identity, (identities.get(identity) ?? new Set()).add(id));
    }
    expect([...identities].filter(([, ids]) => ids.size > 1)).toEqual([]);
  });

  it('leaves no lock and no temporary file behind', () => {
    for (const suffix of ['.lock', '.owner', '.tmp'])
      expect(existsSync(join(folder, `state.json${suffix}`))).toBe(false);
  });
});

/** The ids of all registrations that a snapshot on disk knows of; it must be whole, whenever the writer died. */
function idsIn(path: string): string[] {
  if (!existsSync(path)) return [];
  const { maps, ended } = JSON.parse(readFileSync(path, 'utf8')) as RegistrySnapshot;
  const entries = maps.runs?.entries ?? [];
  return [
    ...entries.map(({ id }) => id as string),
    ...(ended?.pending ?? []).map(({ event }) => event.id),
    ...(ended?.tombstones ?? []).map(({ id }) => id),
  ];
}
