import mittModule, { type Emitter, type EventType } from 'mitt';
import type { ClockJump } from '../time/timeline.js';
import type { DeadLetter } from './dead-letter.js';
import type { EndedEvent } from './ended-event.js';
import type { KeptBy } from './reasons.js';
import type { SweepReport } from './sweep-report.js';
import { swallowRejection } from './unawaited.js';

/** An entry that the library removed: `swept` because it was due, `evicted` because of `maxEntries`, `maxPerOwner` or `shed`. */
export interface RemovedEvent {
  /** The map that it left. */
  readonly map: string;
  /** Its key. */
  readonly key: unknown;
  /** The value that left with it; `dispose` has been called. */
  readonly value: unknown;
  /** Greater at each later registration of the same key; not consecutive. */
  readonly generation: number;
  /** Epoch ms. */
  readonly registeredAt: number;
  /** Of the entry or of a companion, epoch ms. */
  readonly lastActiveAt: number;
  /**
   * What removed it: the lifetime that made it due, such as `ttl` or `rules[0].maxIdle`, or its `maxAge` if it was kept until that;
   * `maxEntries`, `maxPerOwner` or `shed` for one that was not due.
   */
  readonly rule: string;
  /** What kept it until its `maxAge`; only of an entry that was `swept` by that. */
  readonly keptBy?: KeptBy;
}

/** A user callback threw, rejected, timed out or gave an invalid answer. The entry it was about is unharmed. */
export interface CallbackFailedEvent {
  /** The map whose callback it was; empty if it belongs to no map, as a listener does. */
  readonly map: string;
  /** The option or function that failed, such as `dispose`. */
  readonly callback: string;
  /** The key of the entry that it was about; `undefined` where it was about none. */
  readonly key: unknown;
  /** What it threw or rejected with, or a MapsweepError that says what is wrong with it. */
  readonly error: unknown;
}

/** One attempt to deliver an ending failed. */
export interface DeliveryFailedEvent {
  /** What was to be told. */
  readonly event: EndedEvent;
  /** Who was to be told: `default`, or the name that `ended.deliver` has for it. */
  readonly recipient: string;
  /** Counts from 1. */
  readonly attempt: number;
  /** What `deliver` threw or rejected with; after a time-out the MapsweepError that says so. */
  readonly error: unknown;
  /** False also if `giveUpAfter` is over before the next attempt would come. */
  readonly willRetry: boolean;
  /** The pause before the next attempt, ms; `undefined` if there is none. */
  readonly retryInMs: number | undefined;
}

/**
 * An ending will not be delivered by itself any more, or (`dropped`) is forgotten because of `maxDeadLetters` or
 * `deadLetterTtl`.
 */
export interface DeadLetterEvent {
  /** The ending, and what came of its attempts. */
  readonly letter: DeadLetter;
  /** `true`: it is forgotten, so that `redeliver()` cannot tell it any more. */
  readonly dropped: boolean;
}

/** The leak verdict of a map changed to `leaking`, or to another one from that. */
export interface LeakSuspectedEvent {
  /** The name of the map, or of the watched size. */
  readonly map: string;
  /** `false` when the suspicion is over. */
  readonly suspected: boolean;
  /** Why, in words. */
  readonly reason: string;
  /** How many entries more there are after each hour, or bytes if its weight was judged. */
  readonly perHour: number;
  /** When it began, epoch ms. */
  readonly since: number | undefined;
  /** How many entries it has now. */
  readonly size: number;
  /** Up to five keys that have been there longest; none of a watched size. */
  readonly oldestKeys: readonly unknown[];
  /** Where the sampled ones of its entries were registered, most first, if `captureSites` is on. */
  readonly sites: ReadonlyArray<{
    /** The place in the code, such as `startRun (/app/runs.ts:12:8)`. */
    readonly site: string;
    /** How many of the sampled ones. */
    readonly count: number;
  }>;
}

/** The journal could not be written. What was said since stays to be written, and is tried again by itself. */
export interface JournalFailedEvent {
  /** Where it is kept. */
  readonly journal: string;
  /** What the system, or the database, said. */
  readonly error: unknown;
  /** It is somebody else's now, gone, or was given back before it had taken all: this process writes and delivers nothing more. */
  readonly isFinal: boolean;
}

/** The memory of the process is about to be full. */
export interface MemoryPressureEvent {
  /** `heap`: what the last major collection has left, of V8's limit; `rss`: the resident set, of the container's. */
  readonly kind: 'heap' | 'rss';
  /** `warn`: `memory.warnAt` is reached; `shed`: `memory.shedAt` is, and nothing was shed since the last major collection. */
  readonly level: 'warn' | 'shed';
  /** The share that is taken: `usedBytes / limitBytes`. */
  readonly ratio: number;
  /** What is taken. */
  readonly usedBytes: number;
  /** What there is. */
  readonly limitBytes: number;
  /** The maps with `shed: true` that evict now, and how many entries each at most. */
  readonly shedding: ReadonlyArray<{
    /** The name of the map. */
    readonly map: string;
    /** How many it evicts at most. */
    readonly entries: number;
  }>;
  /** Where the report about it is being written, for a person; with `.json` for `.txt` the same as data. `undefined` if none is. */
  readonly report: string | undefined;
}

/** What `registry.on` takes, and what its handlers get. */
export interface RegistryEvents {
  /** A run has ended: once for each, after all state has changed, and before `deliver` is called. */
  ended: EndedEvent;
  /** Another name of `ended`. */
  'subagent-ended': EndedEvent;
  /** The library removed an entry because it was due. Its value has been disposed of. */
  swept: RemovedEvent;
  /** The library removed an entry because of `maxEntries`, `maxPerOwner` or `shed`. Its value has been disposed of. */
  evicted: RemovedEvent;
  /** A sweep is over, or was left out. */
  'sweep-finished': SweepReport;
  /** A callback of yours failed. Where nobody listens, the first of each kind is a warning of the process. */
  'callback-failed': CallbackFailedEvent;
  /** One attempt to deliver failed, whether or not there will be another. */
  'delivery-failed': DeliveryFailedEvent;
  /** An ending is not tried again by itself, or is forgotten. */
  'dead-letter': DeadLetterEvent;
  /** The verdict on a map has become `leaking`, or is so no more. */
  'leak-suspected': LeakSuspectedEvent;
  /** The wall clock has been set; ages and idle times go on as if it had not. */
  'clock-jumped': ClockJump;
  /** The journal could not be written. It is tried again by itself, unless that is final. */
  'journal-failed': JournalFailedEvent;
  /** The memory of the process is nearly full, and by how much. */
  'memory-pressure': MemoryPressureEvent;
}

/** What is emitted: an event that has two names by one of them. */
type EmittedName = Exclude<keyof RegistryEvents, 'subagent-ended'>;

/** The names of the events, for checking at run time. */
export const eventNames: readonly (keyof RegistryEvents)[] = [
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
];

// mitt's typings say CommonJS while Node loads its ES module, whose default export is the function itself.
const mitt = mittModule as unknown as <Events extends Record<EventType, unknown>>() => Emitter<Events>;

/**
 * The event bus of a registry: mitt behind a guard, since a handler that throws would silence the later ones.
 */
export class EventBus {
  readonly #emitter = mitt<{ [Name in keyof RegistryEvents]: RegistryEvents[Name] }>();
  readonly #listenerFailed: (type: keyof RegistryEvents, error: unknown) => void;

  constructor(listenerFailed: (type: keyof RegistryEvents, error: unknown) => void) {
    this.#listenerFailed = listenerFailed;
  }

  /** Adds a handler and returns what removes it. What the handler throws, or rejects with, is told and goes no further. */
  on<Name extends keyof RegistryEvents>(
    type: Name,
    handler: (event: RegistryEvents[Name]) => unknown,
  ): () => void {
    const guarded = (event: RegistryEvents[Name]): void => {
      try {
        swallowRejection(handler(event), (error) => this.#listenerFailed(type, error));
      } catch (error) {
        this.#listenerFailed(type, error);
      }
    };
    // Two names of one event; to TypeScript its events are of as many types as there are names.
    const emitted = (type === 'subagent-ended' ? 'ended' : type) as Name;
    this.#emitter.on(emitted, guarded);
    return () => this.#emitter.off(emitted, guarded);
  }

  /** Returns whether anybody listens: an event that nobody gets need not be made. */
  hasListener(type: EmittedName): boolean {
    return (this.#emitter.all.get(type)?.length ?? 0) > 0;
  }

  emit<Name extends EmittedName>(type: Name, event: RegistryEvents[Name]): void {
    this.#emitter.emit(type, event);
  }
}
