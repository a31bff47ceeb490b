/*
 * Loaded before the gateway (`node --require`): a clock that runs as the machine's does and can be moved on, so that a day
 * passes in minutes. `Date`, `performance.now`, `process.hrtime` and timers stand on it, in workers the first three; what
 * the operating system dates (files) and what Node times inside of itself (sockets, `AbortSignal.timeout`) does not.
 *
 * Time is moved in steps of 4 s or to the next timer, whichever is later, and timers fire in their order, late by 4 s at most: a
 * gateway has some that fire every second, which would be most of the work. While it is at work time runs at its own speed.
 */
const { AsyncResource } = require('node:async_hooks');
const { syncBuiltinESMExports } = require('node:module');
const timers = require('node:timers');
const timersPromises = require('node:timers/promises');
const { promisify } = require('node:util');
const { getEnvironmentData, isMainThread, setEnvironmentData } = require('node:worker_threads');

const SHARED = 'movable-clock';
const LONGEST_DELAY_MS = 2 ** 31 - 1;
const LEAST_STEP_MS = 4_000;
const PAUSE_MS = 2;
const PAUSE_AT_WORK_MS = 10;

const native = { setTimeout, clearTimeout, setImmediate };
const performanceNow = performance.now.bind(performance);
const dateNow = Date.now;
const { hrtime } = process;

if (isMainThread) {
  setEnvironmentData(SHARED, new Float64Array(new SharedArrayBuffer(8)));
}
const moved = getEnvironmentData(SHARED);

moveInstants();
// A worker has timers of its own, which nobody moves.
if (isMainThread) moveTimers();

function moveInstants() {
  const now = () => Math.floor(dateNow() + moved[0]);
  Date.now = now;
  globalThis.Date = new Proxy(Date, {
    construct: (target, parameters, newTarget) =>
      Reflect.construct(target, parameters.length === 0 ? [now()] : parameters, newTarget),
    apply: () => new Date().toString(),
  });
  Object.getPrototypeOf(new Date(0)).constructor = globalThis.Date;
  performance.now = () => performanceNow() + moved[0];
  const bigint = () => hrtime.bigint() + BigInt(Math.round(moved[0] * 1e6));
  process.hrtime = Object.assign(
    (since) => {
      const nanoseconds = bigint() - (since ? BigInt(since[0]) * 1_000_000_000n + BigInt(since[1]) : 0n);
      return [Number(nanoseconds / 1_000_000_000n), Number(nanoseconds % 1_000_000_000n)];
    },
    { bigint },
  );
}

function moveTimers() {
  /** All that wait, by number. */
  const waiting = new Map();
  let lastNumber = 0;
  let armed;
  let armedFor = Number.POSITIVE_INFINITY;

  class Timeout {
    #number = ++lastNumber;
    #delayMs;
    #isRepeated;
    #run;
    #isReferenced = true;

    constructor(callback, delayMs, parameters, isRepeated) {
      const delay = Number(delayMs);
      this.#delayMs = delay >= 1 && delay <= LONGEST_DELAY_MS ? Math.trunc(delay) : 1;
      this.#isRepeated = isRepeated;
      const resource = new AsyncResource('Timeout', { requireManualDestroy: true });
      this.#run = () => resource.runInAsyncScope(callback, this, ...parameters);
      this.refresh();
    }

    fire() {
      if (this.#isRepeated) this.refresh();
      else waiting.delete(this.#number);
      this.#run();
    }

    refresh() {
      this.dueAt = performance.now() + this.#delayMs;
      waiting.set(this.#number, this);
      arm();
      return this;
    }

    close() {
      waiting.delete(this.#number);
      arm();
      return this;
    }

    ref() {
      this.#isReferenced = true;
      arm();
      return this;
    }

    unref() {
      this.#isReferenced = false;
      arm();
      return this;
    }

    hasRef() {
      return this.#isReferenced;
    }

    [Symbol.toPrimitive]() {
      return this.#number;
    }

    [Symbol.dispose]() {
      this.close();
    }
  }

  const earliest = () => {
    let first;
    for (const timer of waiting.values()) if (first === undefined || timer.dueAt < first.dueAt) first = timer;
    return first;
  };

  /** Sets the one real timer. */
  function arm() {
    const dueAt = earliest()?.dueAt ?? Number.POSITIVE_INFINITY;
    if (dueAt !== armedFor) {
      native.clearTimeout(armed);
      armedFor = dueAt;
      if (dueAt === Number.POSITIVE_INFINITY) return;
      armed = native.setTimeout(fireNext, Math.min(LONGEST_DELAY_MS, Math.ceil(dueAt - performance.now())));
    }
    // A process ends when only timers wait that are not to keep it.
    for (const timer of waiting.values()) if (timer.hasRef()) return armed?.ref();
    armed?.unref();
  }

  /** Fires one, and has the loop turn before the next. */
  function fireNext() {
    armedFor = Number.NaN;
    const timer = earliest();
    try {
      if (timer !== undefined && timer.dueAt <= performance.now()) timer.fire();
    } finally {
      const next = earliest();
      if (next !== undefined && next.dueAt <= performance.now()) native.setImmediate(fireNext);
      else arm();
    }
  }

  const start =
    (isRepeated) =>
    (callback, delayMs, ...parameters) => {
      if (typeof callback !== 'function') {
        throw Object.assign(new TypeError('The "callback" argument must be of type function'), {
          code: 'ERR_INVALID_ARG_TYPE',
        });
      }
      return new Timeout(callback, delayMs, parameters, isRepeated);
    };
  const end = (timer) => {
    if (timer instanceof Timeout) timer.close();
    else if (typeof timer === 'number' || typeof timer === 'string') waiting.get(Number(timer))?.close();
    else native.clearTimeout(timer);
  };
  const wait = (delayMs, value, { signal } = {}) =>
    new Promise((resolve, reject) => {
      const abort = () => {
        end(timer);
        reject(
          Object.assign(new Error('The operation was aborted'), {
            name: 'AbortError',
            code: 'ABORT_ERR',
            cause: signal.reason,
          }),
        );
      };
      const timer = globalThis.setTimeout(() => {
        signal?.removeEventListener('abort', abort);
        resolve(value);
      }, delayMs);
      if (signal?.aborted) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    });
  async function* every(delayMs, value, options) {
    for (;;) yield await wait(delayMs, value, options);
  }

  const replaced = {
    setTimeout: start(false),
    setInterval: start(true),
    clearTimeout: end,
    clearInterval: end,
  };
  replaced.setTimeout[promisify.custom] = wait;
  Object.assign(globalThis, replaced);
  Object.assign(timers, replaced);
  Object.assign(timersPromises, { setTimeout: wait, setInterval: every });
  timersPromises.scheduler.wait = (delayMs, options) => wait(delayMs, undefined, options);
  syncBuiltinESMExports();

  const pause = (milliseconds) => new Promise((resolve) => native.setTimeout(resolve, milliseconds));

  /**
   * Moves the clock on, by as much as is asked for.
   *
   * @param isBusy asked after every step: as long as it is true, time runs at its own speed
   * @param longestStepMs no step is longer, though no timer is due
   */
  globalThis[Symbol.for('movable-clock')] = async (
    milliseconds,
    isBusy,
    longestStepMs = Number.POSITIVE_INFINITY,
  ) => {
    const endAt = performance.now() + milliseconds;
    const isAtWork = longestStepMs < Number.POSITIVE_INFINITY;
    for (;;) {
      while (isBusy()) await pause(5);
      const left = endAt - performance.now();
      if (left <= 0) return;
      const untilNext = (earliest()?.dueAt ?? Number.POSITIVE_INFINITY) - performance.now();
      moved[0] += Math.min(left, Math.max(untilNext, LEAST_STEP_MS), longestStepMs);
      // It goes on from one to the next that is due.
      fireNext();
      // What timers have begun with files or sockets is to come further than that before much time has gone.
      await pause(isAtWork ? PAUSE_AT_WORK_MS : PAUSE_MS);
    }
  };
}
