import { createRegistry, type RegistryOptions, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

type Runs = { runs: Map<string, number> };

let emitWarning: ReturnType<typeof vi.spyOn>;
let names = 0;

beforeEach(() => {
  emitWarning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});

afterEach(() => {
  emitWarning.mockRestore();
});

const failing = () => {
  throw new Error('\u001b[2J of the owner');
};

/** A registry of a name of its own, since a kind is told once in a process. */
function registryOf(options: Partial<RegistryOptions<Runs>>) {
  names += 1;
  const clock = createManualClock();
  const name = `registry-${names}`;
  return { clock, registry: createRegistry<Runs>({ name, maps: { runs: {} }, clock, ...options }) };
}

describe('a failed callback that nobody listens for', () => {
  it('is a warning of the process, once for each registry and callback', () => {
    const maps = { runs: { dispose: failing, unstamped: 'now' } } as const;
    const one = registryOf({ maps });
    const other = registryOf({ maps });
    for (const { registry } of [one, one, other]) {
      for (const key of ['a', 'b']) registry.maps.runs.set(key, 1);
      registry.maps.runs.clear();
    }
    expect(emitWarning.mock.calls).toEqual(
      Array(2).fill([
        'mapsweep: dispose of runs failed: Error: \\u{1b}[2J of the owner. Nobody listens for callback-failed, so what else ' +
          'of this kind fails is only counted: registry.report() has how often',
        { code: 'MAPSWEEP_CALLBACK_FAILED' },
      ]),
    );
    one.registry.stop();
    other.registry.stop();
  });

  it('is none where somebody listens, and again one when nobody does any more', () => {
    const { registry } = registryOf({ maps: { runs: { dispose: failing } } });
    const heard: unknown[] = [];
    const stop = registry.on('callback-failed', (event) => heard.push(event));
    registry.maps.runs.set('a', 1).delete('a');
    expect([heard.length, emitWarning.mock.calls.length]).toEqual([1, 0]);
    stop();
    registry.maps.runs.set('a', 1).delete('a');
    expect([heard.length, emitWarning.mock.calls.length]).toEqual([1, 1]);
    registry.stop();
  });

  it('is none of a delivery whose failures somebody listens for', async () => {
    const ended = { map: 'runs', deliver: failing, attempts: 1 } as const;
    const { registry, clock } = registryOf({ ended });
    registry.on('delivery-failed', () => {});
    registry.maps.runs.set('a', 1);
    registry.end('a');
    await clock.advance(0);
    expect(emitWarning).not.toHaveBeenCalled();
    await registry.close();
  });

  it('is one of a map that is used alone, for which nobody can listen', () => {
    const map = new TrackedMap<string, number>([], { dispose: failing });
    map.set('a', 1).delete('a');
    expect(emitWarning.mock.calls.map((call: unknown[]) => call[1])).toEqual([
      { code: 'MAPSWEEP_CALLBACK_FAILED' },
    ]);
  });
});
