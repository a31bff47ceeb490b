import { processWide } from '../events/process-wide.js';
import type { Engine } from '../sweeping/engine.js';

/** A listener is called for every registry that is made, before it has a map. */
export type RegistryCreatedListener = (engine: Engine) => void;

// On the global object and by a registered symbol: the registry may come from another copy of this package than the
// matchers that listen. In production nobody listens, and a registry costs one look at a property that is not there.
const hook = Symbol.for('mapsweep.registry-created');

type Holder = { [hook]?: Set<RegistryCreatedListener> };

/** Tells whoever listens that a registry is being made. */
export function registryCreated(engine: Engine): void {
  const listeners = (globalThis as Holder)[hook];
  if (listeners === undefined) return;
  for (const listener of listeners) listener(engine);
}

/** Listens for registries that are made from now on, by whichever copy of this package. Returns the undo. */
export function onRegistryCreated(listener: RegistryCreatedListener): () => void {
  const listeners = processWide(hook, () => new Set<RegistryCreatedListener>());
  listeners.add(listener);
  return () => listeners.delete(listener);
}
