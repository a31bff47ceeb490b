import type { EndedEvent } from '../events/ended-event.js';
import { onRegistryCreated } from '../registry/created-hook.js';
import type { Engine } from '../sweeping/engine.js';

/** How often one registration was spoken of. */
export interface RecordedEnding {
  /** The key; `undefined` if it is an object that was collected. */
  key(): unknown;
  readonly generation: number;
  readonly reason: string;
  /** `ended` on the bus. */
  announced: number;
  /** Attempts to deliver that succeeded, by recipient. */
  readonly delivered: Map<string, number>;
}

const records = new WeakMap<Engine, Map<string, RecordedEnding>>();
let stop: (() => void) | undefined;

/**
 * Counts, by id, what every registry that is made from now on says about the endings of its runs: events on its bus,
 * and successful deliveries. The counts are taken from outside, so that they do not believe what the registry believes.
 *
 * Loading 'mapsweep/vitest' calls this. Every other test runner: call it before the registries are made. Costs memory
 * for each run that ends, so it is for tests alone. Calling it again changes nothing.
 *
 * @returns records no further registries
 */
export function recordEndings(): () => void {
  stop ??= onRegistryCreated((engine) => {
    const record = new Map<string, RecordedEnding>();
    records.set(engine, record);
    const entryFor = ({ id, key, generation, reason }: EndedEvent): RecordedEnding => {
      let entry = record.get(id);
      if (entry === undefined) {
        entry = { key: heldWeakly(key), generation, reason, announced: 0, delivered: new Map() };
        record.set(id, entry);
      }
      return entry;
    };
    engine.bus.on('ended', (event) => {
      entryFor(event).announced += 1;
    });
    engine.measurements.add({
      delivered: (_durationMs, event, recipient) => {
        const { delivered } = entryFor(event);
        delivered.set(recipient, (delivered.get(recipient) ?? 0) + 1);
      },
    });
  });
  return () => {
    stop?.();
    stop = undefined;
  };
}

/** What was recorded of a registry, by the id of the ending; `undefined` if it was made before anybody recorded. */
export function endingsRecordOf(engine: Engine): ReadonlyMap<string, RecordedEnding> | undefined {
  return records.get(engine);
}

// Whoever proves that a swept key is collected must not find it here. In two functions: closures that are made in one
// share its variables, and so would hold the key together.
function heldWeakly(key: unknown): () => unknown {
  const isObject = (typeof key === 'object' && key !== null) || typeof key === 'function';
  return isObject ? derefOf(new WeakRef(key)) : constant(key);
}

const derefOf = (reference: WeakRef<object>) => (): unknown => reference.deref();

const constant = (key: unknown) => (): unknown => key;
