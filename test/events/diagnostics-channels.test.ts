import { AsyncLocalStorage } from 'node:async_hooks';
import { channel, subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import {
  createRegistry,
  type DeliveryMessage,
  type EndedMessage,
  type SweepMessage,
  TrackedMap,
} from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, describe, expect, it } from 'vitest';

const sweeps = tracingChannel<unknown, SweepMessage>('mapsweep:sweep');
const deliveries = tracingChannel<unknown, DeliveryMessage>('mapsweep:delivery');
const undo: (() => void)[] = [];
const steps = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** Subscribes to all of an operation, until the test ends. */
function listen<Message extends object>(
  to: ReturnType<typeof tracingChannel<unknown, Message>>,
  handler: (step: (typeof steps)[number], message: Message) => void,
): void {
  for (const step of steps) {
    const handle = (message: unknown) => handler(step, message as Message);
    to[step].subscribe(handle);
    undo.push(() => to[step].unsubscribe(handle));
  }
}

function serviceOf(
  deliver: (event: unknown, context: { attempt: number; signal: AbortSignal }) => unknown,
  more = {},
) {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<string, number> }>({
    name: 'gateway',
    maps: { runs: { ttl: '5m' } },
    ended: { map: 'runs', deliver: { dispatcher: deliver }, minDelay: '1s', ...more },
    clock,
  });
  return { clock, registry, runs: registry.maps.runs };
}

afterEach(() => {
  for (const step of undo.splice(0)) step();
  expect([sweeps.hasSubscribers, deliveries.hasSubscribers]).toEqual([false, false]);
});

describe('mapsweep:sweep', () => {
  it('is one operation a sweep, with its report from asyncStart on', async () => {
    const seen: unknown[] = [];
    const messages = new Set<object>();
    listen(sweeps, (step, message) => {
      messages.add(message);
      seen.push([step, message.registry, message.result?.swept]);
    });
    const { clock, registry, runs } = serviceOf(() => {});
    runs.set('a', 1);
    await clock.advance(240_000);
    expect(seen.length).toBe(4 * 4);
    seen.length = 0;
    messages.clear();
    await clock.advance(60_000);
    expect(seen).toEqual([
      ['start', 'gateway', undefined],
      ['end', 'gateway', undefined],
      ['asyncStart', 'gateway', 1],
      ['asyncEnd', 'gateway', 1],
    ]);
    expect(messages.size).toBe(1);
    await registry.close();
  });

  it('tells of a tick that came too late, of a map that is used alone, and which of two registries it was', async () => {
    const seen: unknown[] = [];
    listen(sweeps, (step, { registry, result }) => {
      if (step === 'asyncEnd') seen.push([registry, result?.skipped]);
    });
    let slept = 0;
    const manual = createManualClock();
    const clock = { ...manual, monotonic: () => manual.monotonic() + slept };
    const one = createRegistry({ name: 'one', clock });
    const two = createRegistry({ name: 'two', clock });
    await one.sweep();
    await two.sweep();
    await new TrackedMap<string, number>([], { ttl: '5m' }).sweep();
    two.stop();
    slept = 600_000;
    await manual.advance(60_000);
    expect(seen).toEqual([
      ['one', undefined],
      ['two', undefined],
      [undefined, undefined],
      ['one', 'late-tick'],
    ]);
    one.stop();
  });

  it('runs in the store that is bound to its start, and gives who sweeps at its end the sweep that is over', async () => {
    const storage = new AsyncLocalStorage<string>();
    const { clock, registry, runs } = serviceOf(() => {});
    const stores: unknown[] = [];
    registry.on('swept', () => stores.push(storage.getStore()));
    sweeps.start.bindStore(storage, () => 'the span');
    undo.push(() => sweeps.start.unbindStore(storage));
    const again: unknown[] = [];
    listen(sweeps, (step) => {
      if (step === 'asyncEnd') again.push(registry.sweep());
    });
    await clock.advance(30_000);
    runs.set('a', 1);
    // Due now, between two ticks.
    await clock.advance(300_000);
    again.length = 0;
    const sweep = registry.sweep();
    await sweep;
    expect(stores).toEqual(['the span']);
    expect(again.length).toBe(1);
    expect(again[0]).toBe(sweep);
    await registry.close();
  });
});

describe('mapsweep:delivery', () => {
  it('is one operation an attempt, with the error of one that failed', async () => {
    const seen: unknown[] = [];
    const { clock, registry, runs } = serviceOf((_event, { attempt }) => {
      if (attempt === 1) throw new Error('away');
      return attempt === 2 ? Promise.reject(new Error('still away')) : undefined;
    });
    listen(deliveries, (step, { registry: name, map, recipient, event, attempt, error }) => {
      seen.push([step, name, map, recipient, event.key, attempt, error && (error as Error).message]);
    });
    runs.set('a', 1);
    registry.end('a');
    await clock.advance(60_000);
    const operation = (attempt: number, error?: string) => {
      const of = ['gateway', 'runs', 'dispatcher', 'a', attempt];
      return [
        ['start', ...of, undefined],
        ['end', ...of, undefined],
        ...(error === undefined ? [] : [['error', ...of, error]]),
        ['asyncStart', ...of, error],
        ['asyncEnd', ...of, error],
      ];
    };
    expect(seen).toEqual([...operation(1, 'away'), ...operation(2, 'still away'), ...operation(3)]);
    await registry.close();
  });

  it('is over when the attempt times out, once, whatever comes later', async () => {
    const seen: string[] = [];
    let succeed = () => {};
    const { clock, registry, runs } = serviceOf(
      () =>
        new Promise<void>((resolve) => {
          succeed = resolve;
        }),
      { attemptTimeout: '10s' },
    );
    listen(deliveries, (step, { error }) => seen.push(error === undefined ? step : `${step}: ${error}`));
    runs.set('a', 1);
    registry.end('a');
    await clock.advance(11_000);
    const timedOut = 'MapsweepError: deliver did not settle within 10000 ms; whether it succeeded is unknown';
    const over = ['start', 'end', `error: ${timedOut}`, `asyncStart: ${timedOut}`, `asyncEnd: ${timedOut}`];
    expect(seen).toEqual(over);
    succeed();
    await clock.advance(1_000);
    expect(seen).toEqual(over);
    expect(registry.deadLetters()).toEqual([]);
    await registry.close();
  });

  it('is over when close() gives up on an attempt that hangs', async () => {
    const seen: string[] = [];
    const { clock, registry, runs } = serviceOf(() => new Promise(() => {}));
    listen(deliveries, (step) => seen.push(step));
    runs.set('a', 1);
    registry.end('a');
    await clock.advance(0);
    const closed = registry.close({ deadline: '1s' });
    await clock.advance(2_000);
    expect(await closed).toEqual({ undelivered: 1, undisposed: 0 });
    expect(seen).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
  });

  it('delivers once, in the store that is bound to its start, although each subscriber ends more runs', async () => {
    const storage = new AsyncLocalStorage<number>();
    const heard: unknown[] = [];
    const { clock, registry, runs } = serviceOf((event) => {
      heard.push([(event as { key: string }).key, storage.getStore()]);
    });
    deliveries.start.bindStore(storage, ({ attempt }) => attempt);
    undo.push(() => deliveries.start.unbindStore(storage));
    let made = 0;
    listen(deliveries, () => {
      if (made === 8) return;
      made += 1;
      runs.set(`more-${made}`, made);
      registry.end(`more-${made}`);
    });
    runs.set('a', 1);
    registry.end('a');
    await clock.advance(60_000);
    const keys = ['a', ...Array.from({ length: 8 }, (_, n) => `more-${n + 1}`)];
    expect(heard).toEqual(keys.map((key) => [key, 1]));
    await registry.close();
  });
});

describe('mapsweep:ended', () => {
  it('tells of each ending once, whichever way it came, with the event that listeners get', async () => {
    const seen: EndedMessage[] = [];
    const onEnded = (message: unknown) => void seen.push(message as EndedMessage);
    subscribe('mapsweep:ended', onEnded);
    undo.push(() => unsubscribe('mapsweep:ended', onEnded));
    const { clock, registry, runs } = serviceOf(() => {});
    const events: unknown[] = [];
    registry.on('ended', (event) => events.push(event));
    for (const key of ['a', 'b', 'c']) runs.set(key, 1);
    registry.end('a', { reason: 'cancelled' });
    registry.end('a');
    runs.delete('b');
    await clock.advance(300_000);
    expect(seen.map(({ registry: name, map, event }) => [name, map, event.key, event.reason])).toEqual([
      ['gateway', 'runs', 'a', 'cancelled'],
      ['gateway', 'runs', 'b', 'deleted'],
      ['gateway', 'runs', 'c', 'swept'],
    ]);
    expect(seen.map(({ event }) => event)).toEqual(events);
    expect(seen.every(({ event }, n) => event === events[n])).toBe(true);
    await registry.close();
  });

  it('leaves the library whole when a subscriber throws: Node makes that an uncaught exception of the process', async () => {
    const uncaught: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const note = (error: unknown) => void uncaught.push(String(error));
    process.on('uncaughtException', note);
    undo.push(() => {
      process.off('uncaughtException', note);
      for (const other of others) process.on('uncaughtException', other);
    });
    const fail = () => {
      throw new Error('of the subscriber');
    };
    const names = steps.flatMap((step) => [
      `tracing:mapsweep:sweep:${step}`,
      `tracing:mapsweep:delivery:${step}`,
    ]);
    for (const name of [...names, 'mapsweep:ended']) {
      subscribe(name, fail);
      undo.push(() => unsubscribe(name, fail));
    }
    const heard: unknown[] = [];
    const { clock, registry, runs } = serviceOf((event) => heard.push((event as { key: string }).key));
    runs.set('a', 1);
    await clock.advance(360_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect([runs.size, heard]).toEqual([0, ['a']]);
    expect(new Set(uncaught)).toEqual(new Set(['Error: of the subscriber']));
    expect(registry.report().callbackErrors).toEqual([]);
    await registry.close();
  });
});

describe('while nobody subscribes', () => {
  it('makes no message, and no AbortController for an attempt', async () => {
    const contexts: object[] = [];
    const { clock, registry, runs } = serviceOf((_event, context) => void contexts.push(context));
    const made: unknown[] = [];
    const original = globalThis.AbortController;
    globalThis.AbortController = class extends original {
      constructor() {
        super();
        made.push(this);
      }
    };
    undo.push(() => {
      globalThis.AbortController = original;
    });
    const end = async (key: string) => {
      runs.set(key, 1);
      registry.end(key);
      await clock.advance(60_000);
    };
    await end('a');
    expect([contexts.length, made.length]).toEqual([1, 0]);
    listen(deliveries, () => {});
    await end('b');
    expect([contexts.length, made.length]).toEqual([2, 1]);
    expect(channel('mapsweep:ended').hasSubscribers).toBe(false);
    await registry.close();
  });
});
