import { createRegistry } from 'mapsweep';
import { expect } from 'vitest';
import { every, regression, watched } from './regression.js';

const mostAttempts = 3;

regression('giving up on a delivery throws, and the delivery stays for ever (openclaw#135692)', {
  plain: (clock) => {
    const pendingDeliveries = new Map<string, { attempts: number }>();
    const giveUp = (runId: string): void => {
      throw new Error(`cannot log that ${runId} was given up`);
    };
    const retry = (): void => {
      for (const [runId, delivery] of pendingDeliveries) {
        delivery.attempts += 1;
        if (delivery.attempts < mostAttempts) continue;
        giveUp(runId);
        pendingDeliveries.delete(runId);
      }
    };
    const stop = every(clock, 10_000, () => {
      try {
        retry();
      } catch {
        // The gateway logs it and goes on.
      }
    });
    return {
      registry: watched(clock, { pendingDeliveries }),
      scenario: (number) => pendingDeliveries.set(`run-${number}`, { attempts: 0 }),
      stop,
    };
  },
  swept: (clock) => {
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: { ttl: '5m' } },
      ended: {
        map: 'runs',
        attempts: mostAttempts,
        deliver: () => {
          throw new Error('the requester is gone');
        },
      },
      clock,
    });
    registry.on('dead-letter', ({ letter }) => {
      throw new Error(`cannot log that ${String(letter.event.key)} was given up`);
    });
    return { registry, scenario: (number) => registry.maps.runs.set(`run-${number}`, {}) };
  },
  leaks: { pendingDeliveries: 1 },
  because: "'pendingDeliveries' has no lifetime",
  // Nothing stays, and nobody was told: that is another matter, and said.
  tells: /but deliveries were given up:\n {2}dead letters: 20 endings of 20 runs/,
  afterwards: ({ registry }) => {
    expect(registry).toBeDrained();
    expect(registry).not.toHaveEndedExactlyOnce('run-3');
    expect(() => expect(registry).toHaveEndedExactlyOnce('run-3')).toThrow(
      '1 announcement, 0 deliveries; a dead letter after 3 attempts (attempts-exhausted)',
    );
  },
});
