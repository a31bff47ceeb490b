import { createRegistry, type EndedEvent } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { EventBus, eventNames } from '../../src/events/event-bus.js';

function bus() {
  const failures: unknown[] = [];
  const events = new EventBus((type, error) => failures.push([type, error]));
  const jump = (byMs: number) => events.emit('clock-jumped', { byMs, at: 1 });
  return { events, failures, jump };
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
};

describe('EventBus', () => {
  it('calls handlers in the order in which they were added, each with the very event', () => {
    const { events, jump } = bus();
    const seen: unknown[] = [];
    events.on('clock-jumped', ({ byMs }) => seen.push(['first', byMs]));
    events.on('clock-jumped', ({ byMs }) => seen.push(['second', byMs]));
    events.on('swept', () => seen.push('another type'));
    jump(5);
    expect(seen).toEqual([
      ['first', 5],
      ['second', 5],
    ]);
  });

  it('gives back what takes the handler away: idempotent, and that one alone where it was added twice', () => {
    const { events, jump } = bus();
    let calls = 0;
    const handler = () => {
      calls += 1;
    };
    const off = events.on('clock-jumped', handler);
    const offAgain = events.on('clock-jumped', handler);
    jump(1);
    expect(calls).toBe(2);
    off();
    off();
    jump(1);
    expect(calls).toBe(3);
    expect(events.hasListener('clock-jumped')).toBe(true);
    offAgain();
    jump(1);
    expect(calls).toBe(3);
    expect(events.hasListener('clock-jumped')).toBe(false);
  });

  it('a handler that throws silences no later one, whatever it throws', () => {
    const { events, failures, jump } = bus();
    const seen: number[] = [];
    for (const thrown of [new Error('x'), null, undefined]) {
      events.on('clock-jumped', () => {
        throw thrown;
      });
      events.on('clock-jumped', ({ byMs }) => seen.push(byMs));
    }
    expect(() => jump(1)).not.toThrow();
    expect(seen).toEqual([1, 1, 1]);
    expect(failures).toEqual([
      ['clock-jumped', new Error('x')],
      ['clock-jumped', null],
      ['clock-jumped', undefined],
    ]);
  });

  it('a handler that rejects is told of, and is no unhandled rejection', async () => {
    const { events, failures, jump } = bus();
    events.on('clock-jumped', async () => {
      throw new Error('late');
    });
    jump(1);
    await settle();
    expect(failures).toEqual([['clock-jumped', new Error('late')]]);
  });

  it('may be changed by a handler: what is added hears the next event, what is removed may hear this one', () => {
    const { events, jump } = bus();
    const seen: string[] = [];
    const off = events.on('clock-jumped', () => {
      seen.push('first');
      off();
      events.on('clock-jumped', () => seen.push('added'));
    });
    jump(1);
    jump(2);
    expect(seen).toEqual(['first', 'added']);
  });
});

describe('registry.on', () => {
  it('takes the twelve names of the contract and refuses all else, with a suggestion', () => {
    const registry = createRegistry({ clock: createManualClock() });
    expect(eventNames).toEqual([
      'ended',
      'subagent-ended',
      'swept',
      'evicted',
      'sweep-finished',
      'callback-failed',
      'delivery-failed',
      'dead-letter',
      'leak-suspected',
      'clock-jumped',
      'journal-failed',
      'memory-pressure',
    ]);
    for (const name of eventNames) registry.on(name, () => {})();
    expect(() => registry.on('subagent-end' as never, () => {})).toThrow("Did you mean 'subagent-ended'");
    expect(() => registry.on('*' as never, () => {})).toThrow('type must be');
    expect(() => registry.on('swept', undefined as never)).toThrow('handler');
    expect(() => registry.on('swept', 'f' as never)).toThrow(TypeError);
    registry.stop();
  });

  it('tells of an end once to each handler, by either name, in the order in which they were added', () => {
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      ended: { map: 'runs' },
      clock: createManualClock(),
    });
    const seen: { name: string; event: EndedEvent }[] = [];
    const off = registry.on('ended', (event) => seen.push({ name: 'ended', event }));
    registry.on('subagent-ended', (event) => seen.push({ name: 'subagent-ended', event }));
    registry.maps.runs.set('a', 1);
    registry.end('a');
    expect(seen.map(({ name }) => name)).toEqual(['ended', 'subagent-ended']);
    expect(seen[0]?.event).toBe(seen[1]?.event);
    off();
    registry.maps.runs.set('b', 1);
    registry.end('b');
    expect(seen).toHaveLength(3);
    registry.stop();
  });

  it('tells of a swept entry everything: map, key, value, generation, instants and rule', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: { rules: [{ match: /^a/, maxIdle: '1m' }] } },
      clock,
    });
    const swept: unknown[] = [];
    registry.on('swept', (event) => swept.push(event));
    const value = {};
    const registeredAt = clock.now();
    registry.maps.runs.set('a', value);
    await clock.advance(10_000);
    registry.touch('runs', 'a');
    const generation = registry.stamps('runs', 'a')?.generation;
    await clock.advance(110_000);
    expect(swept).toEqual([
      {
        map: 'runs',
        key: 'a',
        value,
        generation,
        registeredAt,
        lastActiveAt: registeredAt + 10_000,
        rule: 'rules[0].maxIdle',
      },
    ]);
    registry.stop();
  });

  it('a handler of callback-failed hears of failures in handlers, with the type as the key', async () => {
    const clock = createManualClock();
    const registry = createRegistry({ clock });
    const failures: unknown[] = [];
    registry.on('callback-failed', (event) => failures.push(event));
    registry.on('sweep-finished', () => {
      throw null;
    });
    await registry.sweep();
    expect(failures).toEqual([{ map: '', callback: 'listener', key: 'sweep-finished', error: null }]);
    registry.stop();
  });
});
