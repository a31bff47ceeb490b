import type { Deliver } from '../events/ended-event.js';
import { callback, truth } from '../policy/checks.js';
import { type Duration, durationMs, timerRange } from '../policy/duration.js';
import {
  invalidRange,
  invalidType,
  isObjectOfOptions,
  numeric,
  type OptionSchema,
  optionPath,
  type Reader,
  readInteger,
  readName,
  readOptions,
} from '../policy/read-options.js';
import type { MemoryLimits } from './expiring-cache.js';
import type { NotifierLimits } from './notifier-options.js';

/** Exactly one ending for each registration in one map. */
export interface EndedPolicy<K, V, Name extends string = string> {
  /** The map whose registrations end. It follows nothing. */
  map: Name;
  /**
   * Hands an ending to its recipient, again until it succeeds: a function, whose recipient is called `default`, or one for
   * each recipient, by its name (1 to 128 characters, a label of the metrics). All limits count for each recipient by itself.
   * What is open for a recipient that is gone in a later life stays open for one that has it again; a new one hears of
   * endings from then on. Default: endings are emitted on the bus alone.
   */
  deliver?: Deliver<K, V> | Readonly<Record<string, Deliver<K, V>>>;
  /**
   * Whether every recipient ignores an id that it knows: an attempt that timed out is tried again then. Else it might be told
   * twice, and becomes a dead letter marked `ambiguous`. Default false.
   */
  idempotent?: boolean;
  /**
   * The owner's own identity of a run, such as the id of a job: the id of its ending. Asked once, when an entry is
   * registered. A registration with the id of a run that is open, or has ended and is remembered, is that run: it opens
   * no obligation, and its `end` is a duplicate. Answers a string or a finite number of at most 256 characters; any
   * other answer, and a throw, takes the default, counted and said once. Default: unique to each registration.
   */
  id?: (value: V, key: K) => string | number;
  /**
   * Whether the end of an entry was announced before, as its value tells. Asked about every entry that is there at
   * adoption, and about every one of an earlier life when it comes back. Your word is taken for it: let a value say
   * so on disk only when its delivery has succeeded. A throw counts as no. Default: none was.
   */
  settled?: (value: V, key: K) => boolean;
  /**
   * How long a delivery is tried before it becomes a dead letter, in the running time of the process since its first
   * attempt, over lives; each life tries once first. From 1 ms. Default `'24h'`.
   */
  giveUpAfter?: Duration;
  /** How often it is tried before that. From 1. Default `Infinity`. */
  attempts?: number;
  /** The shortest pause between two attempts. From 1 ms. Default `'1s'`. */
  minDelay?: Duration;
  /** The longest pause between two attempts. At least `minDelay`. Default `'1m'`. */
  maxDelay?: Duration;
  /** After this long the outcome of an attempt is unknown, and its signal is aborted. Default `'10s'`. */
  attemptTimeout?: Duration;
  /** How many attempts run at once. 1 to 10,000. Default 32. */
  concurrency?: number;
  /** How many endings wait for delivery; further ones become dead letters at once. From 1. Default 1,000,000. */
  maxPending?: number;
  /** How many dead letters are kept; beyond it the oldest is dropped. 1 to 10,000,000. Default 10,000. */
  maxDeadLetters?: number;
  /** How long each of them is kept, also over restarts. From 1 ms. Default `'7d'`. */
  deadLetterTtl?: Duration;
  /** How many claimed endings are remembered, and for how long. Default 100,000 and `'24h'`. */
  tombstones?: {
    /** How many. 1 to 10,000,000. Default 100,000. */
    max?: number;
    /** For how long. From 1 ms. Default `'24h'`. */
    ttl?: Duration;
  };
}

/** `ended` with every default applied. */
export interface CompiledEnded {
  readonly map: string;
  /** By the name of the recipient; empty if there is none. */
  readonly deliver: ReadonlyMap<string, Deliver<unknown, unknown>>;
  readonly id: ((value: unknown, key: unknown) => unknown) | undefined;
  readonly settled: ((value: unknown, key: unknown) => boolean) | undefined;
  readonly limits: NotifierLimits;
  readonly tombstones: MemoryLimits;
}

/** Reads a function that delivers endings. */
export const readDeliver = callback<Deliver<unknown, unknown>>(
  '(event, { attempt, signal }) => void or a promise',
);

/** The name of the only recipient, if it has none of its own. */
export const defaultRecipient = 'default';

/** Reads the functions that deliver endings, by the names of their recipients. */
const readRecipients: Reader<CompiledEnded['deliver']> = (value, option) => {
  if (typeof value === 'function') return new Map([[defaultRecipient, readDeliver(value, option)]]);
  const allowed =
    'a function (event, { attempt, signal }) => void or a promise, or an object of such functions';
  if (!isObjectOfOptions(value)) throw invalidType(option, allowed, value);
  const recipients = new Map<string, Deliver<unknown, unknown>>();
  for (const name of Object.keys(value)) {
    const path = optionPath(option, name);
    readName(name, `the name in ${path}`);
    recipients.set(name, readDeliver(value[name], path));
  }
  if (recipients.size === 0) throw invalidType(option, allowed, value);
  return recipients;
};

/** Reads how many attempts there are at most. */
const readAttempts = numeric(
  'an integer of at least 1, or Infinity',
  (given) => given === Number.POSITIVE_INFINITY || (Number.isSafeInteger(given) && given >= 1),
);

const endedSchema = {
  map: readName,
  deliver: readRecipients,
  idempotent: truth,
  id: callback<(value: unknown, key: unknown) => unknown>('(value, key) => string or number'),
  settled: callback<(value: unknown, key: unknown) => boolean>('(value, key) => boolean'),
  giveUpAfter: (given, path) => durationMs(given, path, { min: 1 }),
  attempts: readAttempts,
  minDelay: (given, path) => durationMs(given, path, timerRange),
  maxDelay: (given, path) => durationMs(given, path, timerRange),
  attemptTimeout: (given, path) => durationMs(given, path, timerRange),
  concurrency: (given, path) => readInteger(given, path, { min: 1, max: 10_000 }),
  maxPending: (given, path) => readInteger(given, path, { min: 1 }),
  maxDeadLetters: (given, path) => readInteger(given, path, { min: 1, max: 10_000_000 }),
  deadLetterTtl: (given, path) => durationMs(given, path, { min: 1 }),
  tombstones: (given, path) =>
    readOptions(path, given, {
      max: (max, maxPath) => readInteger(max, maxPath, { min: 1, max: 10_000_000 }),
      ttl: (ttl, ttlPath) => durationMs(ttl, ttlPath, { min: 1 }),
    }),
} satisfies OptionSchema;

/** The names of all options of `ended`. */
export const endedOptionNames: readonly string[] = Object.keys(endedSchema);

/** Reads the option `ended`. */
export const readEnded: Reader<CompiledEnded> = (value, option) => {
  const ended = readOptions(option, value, endedSchema);
  if (ended.map === undefined) throw invalidType(`${option}.map`, 'the name of a map', undefined);
  const minDelayMs = ended.minDelay ?? Math.min(1_000, ended.maxDelay ?? 1_000);
  const maxDelayMs = ended.maxDelay ?? Math.max(60_000, minDelayMs);
  if (minDelayMs > maxDelayMs) {
    throw invalidRange(`${option}.maxDelay`, `at least minDelay (${minDelayMs} ms)`, maxDelayMs);
  }
  return {
    map: ended.map,
    deliver: ended.deliver ?? new Map(),
    id: ended.id,
    settled: ended.settled,
    limits: {
      attempts: ended.attempts ?? Number.POSITIVE_INFINITY,
      giveUpAfterMs: ended.giveUpAfter ?? 86_400_000,
      isIdempotent: ended.idempotent ?? false,
      minDelayMs,
      maxDelayMs,
      attemptTimeoutMs: ended.attemptTimeout ?? 10_000,
      concurrency: ended.concurrency ?? 32,
      maxPending: ended.maxPending ?? 1_000_000,
      maxDeadLetters: ended.maxDeadLetters ?? 10_000,
      deadLetterTtlMs: ended.deadLetterTtl ?? 604_800_000,
    },
    tombstones: { max: ended.tombstones?.max ?? 100_000, ttlMs: ended.tombstones?.ttl ?? 86_400_000 },
  };
};
