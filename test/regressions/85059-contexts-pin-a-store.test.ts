import { createRegistry } from 'mapsweep';
import { expect } from 'vitest';
import { regression, type World, watched } from './regression.js';

interface SessionStore {
  prompts: string[];
}

const stores: WeakRef<SessionStore>[] = [];

/** Every completed cron run leaves a context behind, and that holds the whole session store as it was then. */
const cronRun =
  (contexts: Map<string, { store: SessionStore }>): World['scenario'] =>
  (number) => {
    const store = { prompts: Array.from({ length: 50 }, () => `The following skills: ${number}`) };
    stores.push(new WeakRef(store));
    contexts.set(`cron:${number}`, { store });
  };

regression('run contexts that nobody clears each pin a session store (openclaw#85059)', {
  plain: (clock) => {
    const contexts = new Map<string, { store: SessionStore }>();
    return { registry: watched(clock, { contexts }), scenario: cronRun(contexts) };
  },
  swept: (clock) => {
    const registry = createRegistry<{ contexts: Map<string, { store: SessionStore }> }>({
      maps: { contexts: { maxIdle: '30m', weigh: ({ store }) => store.prompts.join('').length * 2 } },
      clock,
    });
    return { registry, scenario: cronRun(registry.maps.contexts) };
  },
  leaks: { contexts: 1 },
  because: "'contexts' has no lifetime",
  afterwards: async () => {
    for (const store of stores.slice(-3)) await expect(store).toBecomeCollectable();
  },
});
