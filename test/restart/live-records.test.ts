import { createRegistry, type DeadLetter, type EndedEvent } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { internalsOf, type RegistryInternals } from '../../src/registry/internals.ts';
import { type LiveParts, liveRecords } from '../../src/restart/live-records.ts';

/** A registry with one ending that is owed, and the steps of a checkpoint of it. */
async function owing(recipients: readonly string[], attempts?: number) {
  const clock = createManualClock();
  const answers = new Map<string, (error?: Error) => void>();
  const deliverTo = (name: string) => () =>
    new Promise<void>((resolve, reject) => {
      answers.set(name, (error) => (error === undefined ? resolve() : reject(error)));
    });
  const registry = createRegistry({
    maps: { runs: {} },
    ended: {
      map: 'runs',
      id: () => 'a',
      deliver: Object.fromEntries(recipients.map((name) => [name, deliverTo(name)])),
      ...(attempts !== undefined && { attempts }),
    },
    clock,
  });
  registry.maps.runs.set('a', 1);
  registry.end('a');
  await clock.advance(0);
  const { endings, deliveries } = internalsOf(registry) as RegistryInternals;
  const encoder = {
    tombstone: () => undefined,
    ending: (_tracker: unknown, { id, reason }: EndedEvent, open: { recipients: string[] }) =>
      `end ${id}${reason === 'completed' ? '' : ` (${reason})`} to ${open.recipients}`,
    instant: (at: number) => at,
  };
  const parts = { recorders: [], absent: { entries: () => [] }, carried: [], endings, deliveries, encoder };
  const steps = liveRecords(parts as unknown as LiveParts);
  /** The next record. */
  const next = (): unknown => {
    for (;;) {
      const { value, done } = steps.next();
      if (done === true || value !== undefined) return value;
    }
  };
  const answer = async (name: string, error?: Error) => {
    answers.get(name)?.(error);
    await clock.advance(0);
  };
  return { registry, clock, next, answer, deliveries };
}

describe('the records of what is owed', () => {
  it('say of an ending to whom it is owed, and then what has come of it with each', async () => {
    const { next } = await owing(['one', 'two']);
    expect([next(), next(), next(), next(), next()]).toEqual([
      'end a to one,two',
      'end a to one',
      'end a to one,two',
      'end a to two',
      undefined,
    ]);
  });

  it('do not say again of an ending that was delivered between two of them', async () => {
    const { next, answer } = await owing(['one', 'two']);
    expect(next()).toBe('end a to one,two');
    await answer('one');
    // To the other one alone from here on.
    expect([next(), next()]).toEqual(['end a to two', undefined]);
  });

  it('do not say again of one whose recipient is the only one', async () => {
    const { next, answer } = await owing(['one']);
    await answer('one');
    expect(next()).toBeUndefined();
  });

  it('do not call dead what is tried again between two of them', async () => {
    const { registry, next, answer } = await owing(['one'], 1);
    await answer('one', new Error('no'));
    expect(registry.deadLetters()).toHaveLength(1);
    expect(next()).toBe('end a to one');
    registry.redeliver('a');
    expect(next()).toBeUndefined();
  });

  it('say of a dead letter that has become that of a later run between two of them what it is now', async () => {
    const { registry, next, answer, deliveries } = await owing(['one', 'two'], 1);
    for (const name of ['one', 'two']) await answer(name, new Error('no'));
    expect(next()).toBe('end a to one,two');
    // There is no room for it but in the place of the letters.
    registry.detach();
    const [letter] = registry.deadLetters();
    deliveries?.push({ ...(letter as DeadLetter).event, reason: 'later' }, true);
    expect(next()).toBe('end a (later) to one');
  });
});

it('pass over no more than one tombstone a step, though none of them is to be written', () => {
  const registry = createRegistry({ maps: { runs: {} }, ended: { map: 'runs' }, clock: createManualClock() });
  for (let run = 0; run < 100; run += 1) {
    registry.maps.runs.set(`run ${run}`, run);
    registry.end(`run ${run}`);
    registry.maps.runs.delete(`run ${run}`);
  }
  const { endings } = internalsOf(registry) as RegistryInternals;
  expect(endings?.tombstones.size).toBe(100);
  const parts = { recorders: [], absent: { entries: () => [] }, carried: [], endings, deliveries: undefined };
  expect([...liveRecords(parts as unknown as LiveParts)]).toEqual(new Array(100).fill(undefined));
});
