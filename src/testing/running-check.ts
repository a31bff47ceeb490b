import { AsyncLocalStorage } from 'node:async_hooks';
import { MapsweepError } from '../errors.js';
import type { Engine } from '../sweeping/engine.js';
import { RunningAttempts } from './running-attempts.js';
import type { Subject } from './subject.js';

/** The checks that take time, of each registry or single map. One at a time: two would see each other's entries. */
const running = new WeakMap<Engine, RunningCheck>();

/** What runs on behalf of a check, such as its scenario, may ask about the same registry. */
const insideOf = new AsyncLocalStorage<RunningCheck>();

/** The errors of checks that were given up: somebody has heard of each. */
const toldAlready = new WeakSet<object>();

/** The ways to end a registry, as far as this version of the package has them. */
const endings = ['close', 'detach'] as const;

/** A check that takes time, while it runs. */
export class RunningCheck {
  readonly check: string;
  readonly attempts: RunningAttempts;
  readonly #subject: Subject;
  readonly #restore: (() => void)[] = [];
  readonly #notAwaited: MapsweepError;
  #isAbandoned = false;

  /** Use {@link whileChecking}. */
  constructor(check: string, subject: Subject) {
    this.check = check;
    this.#subject = subject;
    this.attempts = new RunningAttempts(subject, () => this.#isAbandoned);
    this.#notAwaited = notAwaited(check);
    running.set(subject.engine, this);
    if (subject.owner !== undefined) for (const name of endings) this.#guard(subject.owner, name);
  }

  /** Whether it was given up, and somebody has heard why. */
  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** Runs something of the owner's that belongs to the check. */
  inside<Result>(run: () => Result): Result {
    return insideOf.run(this, run);
  }

  /** Has the check end at its next step: whoever began it does not wait for it. Others may begin at once. */
  abandon(): void {
    this.#isAbandoned = true;
    toldAlready.add(this.#notAwaited);
    this.end();
  }

  /**
   * To be called between its steps.
   *
   * @throws MapsweepError if there is nothing to check any more
   */
  assertGoingOn(): void {
    if (this.#isAbandoned) throw this.#notAwaited;
    assertOpen(this.check, this.#subject);
  }

  end(): void {
    const { engine } = this.#subject;
    if (running.get(engine) === this) running.delete(engine);
    for (const restore of this.#restore.splice(0)) restore();
  }

  // Whoever closes a registry under a check that runs has forgotten to await that, and would not hear of its outcome.
  #guard(owner: object, name: (typeof endings)[number]): void {
    const original: unknown = Reflect.get(owner, name);
    if (typeof original !== 'function' || Object.hasOwn(owner, name)) return;
    const guarded = (...parameters: unknown[]): unknown => {
      const result: unknown = original.apply(owner, parameters);
      if (insideOf.getStore() === this || this.#isAbandoned) return result;
      this.abandon();
      if (name === 'detach') throw this.#notAwaited;
      return Promise.resolve(result).then(() => {
        throw this.#notAwaited;
      });
    };
    const defined = Reflect.defineProperty(owner, name, {
      value: guarded,
      configurable: true,
      writable: true,
      enumerable: false,
    });
    if (defined) this.#restore.push(() => Reflect.deleteProperty(owner, name));
  }
}

/**
 * Runs a check that takes time.
 *
 * @throws MapsweepError `ERR_CLOSED` if the registry is closed; `ERR_NOT_AWAITED` if another check of it runs
 */
export async function whileChecking<Result>(
  check: string,
  subject: Subject,
  run: (current: RunningCheck) => Promise<Result>,
): Promise<Result> {
  assertCheckable(check, subject);
  const outer = running.get(subject.engine);
  // The scenario of one check may contain another.
  if (outer !== undefined) return run(outer);
  const current = new RunningCheck(check, subject);
  try {
    return await run(current);
  } catch (error) {
    // By that nobody learns more than was told.
    if (current.isAbandoned) current.assertGoingOn();
    throw error;
  } finally {
    current.end();
  }
}

/** Answers the outcome of a check. One that was given up rejects too, but unhandled it would be told of twice. */
export function toldOnce<Result>(outcome: Promise<Result>): Promise<Result> {
  const answer = outcome.catch((error) => {
    if (toldAlready.has(error)) answer.catch(() => {});
    throw error;
  });
  return answer;
}

/**
 * Sees that a registry or map can be asked about at all.
 *
 * @throws MapsweepError `ERR_CLOSED` if the registry is closed; `ERR_NOT_AWAITED` if another check of it runs
 */
export function assertCheckable(check: string, subject: Subject): void {
  assertOpen(check, subject);
  assertNoOther(check, subject);
}

/** @throws MapsweepError `ERR_NOT_AWAITED` if another check of the registry runs, and this one is no part of it */
export function assertNoOther(check: string, { engine }: Pick<Subject, 'engine'>): void {
  const other = running.get(engine);
  if (other === undefined || insideOf.getStore() === other) return;
  throw new MapsweepError(
    'ERR_NOT_AWAITED',
    `${check}: ${other.check} still runs on the same registry, and each would see what the other does. Is an await ` +
      `missing before ${other.check}, or do the two stand in one Promise.all?`,
  );
}

function assertOpen(check: string, { called, registry }: Subject): void {
  if (registry?.isClosed !== true) return;
  throw new MapsweepError(
    'ERR_CLOSED',
    `${check}: ${called} is closed and has given its maps back, so that nothing can be proved about them. Check ` +
      'before close()',
  );
}

/** The error of a check that was begun and not waited for. To be made where it begins, for its stack. */
export function notAwaited(check: string): MapsweepError {
  return new MapsweepError(
    'ERR_NOT_AWAITED',
    `${check} was not awaited: it still ran when its test was over or its registry was ended, so that nobody hears ` +
      'what comes of it. Write await before it; if there is one, the check was not over in time, and its test needs more',
  );
}

/** The error of a check whose test was over too early. To be made where it begins, for its stack. */
export function outOfTime(check: string): MapsweepError {
  return new MapsweepError(
    'ERR_NOT_AWAITED',
    `${check} still ran when its test ran out of time: give the test more of it, or the check less to do, such as fewer times`,
  );
}
