import { createRegistry } from 'mapsweep';
import { regression, watched } from './regression.js';

regression('the memory of aborted sessions has a set and no delete (openclaw#6629)', {
  plain: (clock) => {
    const abortMemory = new Map<string, boolean>();
    return {
      registry: watched(clock, { abortMemory }),
      scenario: (number) => abortMemory.set(`session-${number}`, number % 2 === 0),
    };
  },
  swept: (clock) => {
    const registry = createRegistry<{ abortMemory: Map<string, boolean> }>({
      maps: { abortMemory: { maxIdle: '1h', maxEntries: 10_000 } },
      clock,
    });
    return {
      registry,
      scenario: (number) => registry.maps.abortMemory.set(`session-${number}`, number % 2 === 0),
    };
  },
  leaks: { abortMemory: 1 },
  because: /'session-0': live, 'abortMemory' has no lifetime/,
});
