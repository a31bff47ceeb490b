import { MapsweepError, MapsweepTypeError } from '../errors.js';
import { describe, shownKey } from '../events/shown.js';
import type { BeforeSweepContext, CompiledHook } from '../policy/policy.js';
import { type Linked, LinkedList } from '../stamps/linked-list.js';
import { detached } from '../time/async-context.js';
import { giveWay } from '../time/clock.js';
import { TimerQueue, type TimerTicket } from '../time/timer-queue.js';
import { TurnBudget } from '../time/turn-budget.js';
import { Pace } from './pace.js';
import type { Shared } from './shared.js';
import type { Tracker } from './tracker.js';

const concurrency = 32;

/** An entry for which `beforeSweep` is to be called. */
export interface WaitingEntry<Entry> extends Linked<Entry> {
  readonly tracker: Tracker;
  readonly slot: number;
  /** Calls for it so far. */
  attempt: number;
}

/** One call of `beforeSweep`: for one entry, or for a batch of one map. */
export interface HookCall<Entry> {
  readonly entries: readonly Entry[];
  readonly controller: AbortController;
  /** Has it fail when its time is over, which counts from its start. */
  limit(): void;
  /** Takes its time-out back. */
  noTimeout(): void;
}

/** Whom the calls ask and tell. */
export interface HookCallsHost<Entry> {
  /** Returns whether an entry that waits is still to be called for. */
  isWanted(entry: Entry): boolean;
  /** Returns whether an entry whose turn has come is still to be removed; asks functions of the owner, which may do anything. */
  isToGo(entry: Entry): boolean;
  /** A call for these begins; its entries are in it until `settled`. */
  started(call: HookCall<Entry>): void;
  /**
   * A call is over, for each of its entries. One that threw or took too long is an `error` for all; each key that a batch has
   * answered failed is one by itself.
   */
  settled(entry: Entry, key: unknown, failure: Failure | undefined): void;
}

/** Why a call has failed. Of a batch that failed altogether the first entry alone is told of. */
export interface Failure {
  readonly error: unknown;
  readonly isTold: boolean;
}

interface Queue<Entry extends Linked<Entry>> {
  readonly entries: LinkedList<Entry>;
  readonly pace: Pace;
  /** A batch that is not full starts in a microtask, when whoever finds entries due has had its slice. */
  isGathering: boolean;
}

/**
 * Calls `beforeSweep` for entries that wait for it: at most 32 calls at once over all maps, each for the time that its policy
 * gives it. They come in order of arrival, each map at its pace.
 */
export class HookCalls<Entry extends WaitingEntry<Entry>> {
  readonly running = new Set<HookCall<Entry>>();
  /** Somebody has asked for a sweep, and gets it: nothing is spread until the next tick. */
  isHurried = false;
  readonly #shared: Shared;
  readonly #host: HookCallsHost<Entry>;
  readonly #queues = new Map<Tracker, Queue<Entry>>();
  readonly #turn: TurnBudget;
  #ticket: TimerTicket | undefined;
  #ticketOf: TimerQueue | undefined;
  // What somebody sweeps by hand after a stop needs its time-outs, and the other timers rest then.
  #ownTimers: TimerQueue | undefined;

  constructor(shared: Shared, host: HookCallsHost<Entry>) {
    this.#shared = shared;
    this.#host = host;
    // Calls that settle without I/O start one another from microtask to microtask.
    this.#turn = new TurnBudget(shared.timeline.clock, shared.sliceBudgetMs, () => this.#start());
  }

  /** Has an entry called for, as soon as its turn comes. */
  add(entry: Entry): void {
    const { tracker } = entry;
    let queue = this.#queues.get(tracker);
    if (queue === undefined) {
      queue = { entries: new LinkedList(), pace: new Pace(tracker.grid.everyMs), isGathering: false };
    }
    // Behind the maps that wait already.
    if (queue.entries.size === 0) this.#queues.delete(tracker);
    this.#queues.set(tracker, queue);
    queue.entries.add(entry);
    queue.pace.arrived(this.#shared.timeline.now());
    if (batchOf(tracker) === 1) this.#start();
    else this.#gather(queue);
  }

  /** An entry does not wait any more. */
  delete(entry: Entry): void {
    this.#queues.get(entry.tracker)?.entries.delete(entry);
  }

  /** None of a map wait any more. */
  forget(tracker: Tracker): void {
    this.#queues.delete(tracker);
  }

  /** None wait any more; what runs goes on without its time-outs, until each is limited again. */
  clear(): void {
    this.#queues.clear();
    this.#unschedule();
    for (const call of this.running) call.noTimeout();
  }

  #gather(queue: Queue<Entry>): void {
    if (queue.isGathering) return;
    queue.isGathering = true;
    void detached(() =>
      Promise.resolve().then(() => {
        queue.isGathering = false;
        this.#start();
      }),
    );
  }

  /** Starts what may start now, and has itself called for what may later. */
  #start(): void {
    const now = this.#shared.timeline.now();
    let nextAt = Number.POSITIVE_INFINITY;
    for (const [tracker, queue] of this.#queues) {
      while (queue.entries.size > 0) {
        if (this.running.size >= concurrency || !this.#turn.hasTime()) return;
        const startAt = this.isHurried ? now : queue.pace.next(now);
        if (startAt > now) {
          nextAt = Math.min(nextAt, startAt);
          break;
        }
        this.#startNext(tracker, queue, now);
      }
    }
    this.#schedule(nextAt);
  }

  #startNext(tracker: Tracker, { entries, pace }: Queue<Entry>, now: number): void {
    const batch = batchOf(tracker);
    const taken: Entry[] = [];
    for (let left = batch; left > 0; left -= 1) {
      const entry = entries.first;
      if (entry === undefined) break;
      entries.delete(entry);
      if (this.#host.isWanted(entry) && this.#host.isToGo(entry)) taken.push(entry);
    }
    // What was asked about a later one may have removed an earlier one.
    const wanted = taken.filter((entry) => this.#host.isWanted(entry));
    if (wanted.length === 0) return;
    pace.started(now, wanted.length, Math.ceil(entries.size / batch));
    this.#call(tracker, wanted);
  }

  #call(tracker: Tracker, entries: readonly Entry[]): void {
    const { beforeSweep, beforeSweepTimeoutMs: timeoutMs } = tracker.policy;
    if (beforeSweep === undefined) return;
    const { timeline } = this.#shared;
    const controller = new AbortController();
    const pairs = entries.map(({ slot }) => {
      const key = tracker.stamps.keyOf(slot);
      return [key, tracker.native.get(key)] as [unknown, unknown];
    });
    for (const entry of entries) entry.attempt += 1;
    const startedAt = timeline.now();
    const settle = (failureOf: (key: unknown, index: number) => Failure | undefined): void => {
      if (!this.running.delete(call)) return;
      call.noTimeout();
      const tookMs = timeline.now() - startedAt;
      this.#shared.measurements.tell((listener) => listener.beforeSweepSettled?.(tookMs));
      entries.forEach((entry, index) => {
        const key = pairs[index]?.[0];
        this.#host.settled(entry, key, failureOf(key, index));
      });
      this.#start();
    };
    const fail = (error: unknown): void => settle((_, index) => ({ error, isTold: index === 0 }));
    const expire = (): void => {
      if (!this.running.has(call)) return;
      const error = new MapsweepError(
        'ERR_CALLBACK_TIMEOUT',
        `beforeSweep did not settle within ${timeoutMs} ms`,
      );
      controller.abort(error);
      fail(error);
    };
    const call: HookCall<Entry> = {
      entries,
      controller,
      limit: () => {
        const timers = this.#timers();
        // After a turn: an answer that has come while the event loop was blocked counts.
        const ticket = timers.schedule(
          startedAt + timeoutMs,
          () => void detached(() => giveWay(timeline.clock).then(expire)),
        );
        call.noTimeout = () => timers.cancel(ticket);
      },
      noTimeout: () => {},
    };
    call.limit();
    this.running.add(call);
    this.#host.started(call);
    const attempt = Math.max(...entries.map((entry) => entry.attempt));
    const context: BeforeSweepContext = { signal: controller.signal, attempt };
    // With what waits for it, which would else keep the request alive in whose name it was started.
    void detached(() =>
      failedKeys(beforeSweep, pairs, context).then((failed) => {
        settle((key) => (failed.has(key) ? { error: failedInBatch(), isTold: true } : undefined));
      }, fail),
    );
  }

  #timers(): TimerQueue {
    const { isStopped, timers, timeline } = this.#shared;
    if (!isStopped) return timers;
    this.#ownTimers ??= new TimerQueue(timeline.clock);
    return this.#ownTimers;
  }

  #schedule(at: number): void {
    this.#unschedule();
    if (at === Number.POSITIVE_INFINITY) return;
    this.#ticketOf = this.#timers();
    this.#ticket = this.#ticketOf.schedule(at, () => {
      this.#ticket = undefined;
      this.#start();
    });
  }

  #unschedule(): void {
    this.#ticketOf?.cancel(this.#ticket);
    this.#ticket = undefined;
  }
}

const batchOf = ({ policy }: Tracker): number => policy.beforeSweep?.batch ?? 1;

/** Calls the function of the owner. Returns the keys that have failed by what it answers. @throws as it does */
async function failedKeys(
  hook: CompiledHook<unknown, unknown>,
  entries: readonly [unknown, unknown][],
  context: BeforeSweepContext,
): Promise<ReadonlySet<unknown>> {
  if (hook.batch === undefined) {
    const [[key, value] = []] = entries;
    await hook.run(value, key, context);
    return noKeys;
  }
  const answer: unknown = await hook.run(
    entries.map(([key, value]) => [key, value]),
    context,
  );
  if (answer === undefined) return noKeys;
  const isList = typeof answer === 'object' && answer !== null && Symbol.iterator in answer;
  const failed = new Set(isList ? (answer as Iterable<unknown>) : []);
  const known = new Set(entries.map(([key]) => key));
  const strangers = [...failed].filter((key) => !known.has(key));
  if (isList && strangers.length === 0) return failed;
  // What says which have failed is not understood: to take it for a success could remove what has not been saved.
  const got = isList ? `${shownKey(strangers[0])}, which is no key of the batch` : describe(answer);
  throw new MapsweepTypeError(
    'ERR_INVALID_ANSWER',
    `beforeSweep.run must answer the keys that failed, or undefined if none has; got ${got}`,
  );
}

const noKeys: ReadonlySet<unknown> = new Set();

const failedInBatch = (): MapsweepError =>
  new MapsweepError('ERR_BATCH_FAILED', 'beforeSweep.run has answered that this key failed');
