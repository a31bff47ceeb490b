import { expect, it } from 'vitest';
import { createRegistry } from '../../src/registry/registry.js';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.js';
import { Machine } from './lives.js';

interface Run {
  readonly id: string;
  readonly announced: boolean;
}

/** A life that finds `found` in its map. */
function life(clock: ManualClock, told: string[], found: Iterable<[string, Run]>) {
  return createRegistry({
    clock,
    maps: { runs: { adopt: new Map<string, Run>(found), maxIdle: '1h' } },
    ended: {
      map: 'runs',
      id: ({ id }: Run) => id,
      settled: ({ announced }: Run) => announced,
      deliver: ({ id }) => void told.push(id),
      tombstones: { ttl: 2_500 },
    },
  });
}

it.each(['run', 'a'])('an older snapshot does not take back when a run ended, whose id is %s', async (id) => {
  const clock = createManualClock();
  const told: string[] = [];
  const first = life(clock, told, [['a', { id, announced: false }]]);
  first.end('a');
  first.maps.runs.delete('a');
  await clock.advance(0);
  const snapshot = first.snapshot();
  await first.close();

  await clock.advance(2_000);
  const second = life(clock, told, [['a', { id, announced: true }]]);
  second.restore(snapshot);
  second.maps.runs.delete('a');

  // 1 s after its end was seen here, and 3 s after that of which the snapshot tells.
  await clock.advance(1_000);
  second.maps.runs.set('b', { id, announced: false });
  expect(second.end('b')).toBe('duplicate');
  await clock.advance(0);
  expect(told).toEqual([id]);
  await second.close();
});

it('a snapshot that is restored late does not have a run told again as lost that has ended in this life', async () => {
  const clock = createManualClock();
  const told: string[] = [];
  const first = life(clock, told, [['a', { id: 'run', announced: false }]]);
  const snapshot = first.snapshot();
  first.stop();
  const second = life(clock, told, [['b', { id: 'run', announced: false }]]);
  second.end('b');
  second.maps.runs.delete('b');
  await clock.advance(100);
  expect(told).toEqual(['run']);
  second.restore(snapshot);
  await clock.advance(3_600_000);
  await second.close();
  expect(told).toEqual(['run']);
});

it('nor one without an id of its own, that had come back by a journal', async () => {
  const machine = new Machine();
  const first = machine.start();
  first.runs.set('a', {});
  const snapshot = first.registry.snapshot();
  const second = await machine.restart(first);
  second.runs.set('a', {});
  second.runs.delete('a');
  await machine.clock.advance(0);
  second.registry.restore(snapshot);
  await machine.clock.advance(3_600_000);
  expect(second.told).toMatchObject([{ key: 'a', reason: 'deleted' }]);
  machine.powerOff();
});
