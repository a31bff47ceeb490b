import type { Deliveries } from '../endings/deliveries.js';
import type { Endings } from '../endings/endings.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { Engine } from '../sweeping/engine.js';
import type { Recorder } from './recorder.js';

/** What all parts of a restart know of the registry, as it stands when they ask. */
export interface RestartContext {
  readonly engine: Engine;
  /** Whether the owner says which run is which, beside the keys. */
  readonly hasOwnIds: boolean;
  /** The map whose runs end, in this life or else in the one before. */
  endedMap(): string | undefined;
  endings(): Endings | undefined;
  deliveries(): Deliveries | undefined;
  /** Whoever writes down what happens, if there is a journal. */
  recorder(): Recorder | undefined;
  /** Whether runs that nobody ends may end here: not so if this life only observes, or has nobody to tell. */
  mayConclude(): boolean;
  /** Remembers what `encode` had given for the value of an ending. */
  keepPastValue(event: EndedEvent, json: unknown): void;
  /** The journal could not be written. */
  failed(error: unknown, isFinal: boolean): void;
}
