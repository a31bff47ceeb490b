import type { DeadLetter } from '../../src/events/dead-letter.js';
import type { DeliveryFailedEvent } from '../../src/events/event-bus.js';
import type { SnapshotEndings } from '../../src/restart/snapshot-format.js';
import type { Findings } from './findings.js';
import type { Scenario } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

interface Obligation {
  readonly id: string;
  attempts: number;
  /** `settled`: the handler is through, and the library has not said what it makes of that. */
  state: 'queued' | 'running' | 'settled' | 'waiting';
  startedAt: number;
  /** Of one that waits: when its next attempt is due at the earliest, and at the latest. */
  retryAt: number;
  /** There was perhaps no room for it. */
  readonly mayOverflow: boolean;
}

interface Letter {
  readonly id: string;
  readonly cause: DeadLetter['cause'];
  readonly attempts: number;
  ambiguous: boolean;
}

/**
 * What may become of an ending once it is claimed: the rules of deliveries as one state for each id. Follows what the
 * library tells, and says where that is against the rules.
 */
export class DeliveryModel {
  readonly pending = new Map<string, Obligation>();
  /** Oldest first. */
  readonly letters: Letter[] = [];
  /** Ids whose timed-out attempt has not settled. */
  readonly late = new Set<string>();
  /** Ids that this process has delivered. */
  readonly delivered = new Set<string>();
  /** Ids whose dead letter was dropped. */
  readonly dropped = new Set<string>();
  readonly #running = new Set<string>();
  #expectedDrop: string | undefined;
  isStopped = false;
  isClosing = false;
  isClosed = false;
  /** Dead letters that were made since `close()` and not taken back. */
  readonly losses = new Set<string>();

  readonly #scenario: Scenario;
  readonly #time: SimulatedTime;
  readonly #findings: Findings;

  constructor(scenario: Scenario, time: SimulatedTime, findings: Findings) {
    this.#scenario = scenario;
    this.#time = time;
    this.#findings = findings;
  }

  /**
   * An ending was claimed: it is pending, or is about to be a dead letter for want of room.
   *
   * @param untold how many others are claimed and will be told after this one
   */
  push(id: string, untold: number): void {
    const mayOverflow = this.pending.size + this.#justDelivered + untold >= this.#scenario.maxPending;
    this.pending.set(id, { id, attempts: 0, state: 'queued', startedAt: 0, retryAt: 0, mayOverflow });
  }

  /** Takes over what a snapshot holds; called before the library does. */
  restore({ pending, deadLetters }: SnapshotEndings): void {
    for (const { event, attempts, ambiguous, cause } of deadLetters) {
      if (this.isKnown(event.id)) continue;
      this.letters.push({ id: event.id, attempts, ambiguous, cause });
    }
    for (const { event, attempts } of pending) {
      if (this.isKnown(event.id)) continue;
      const { id } = event;
      // One taken in the midst of a removal may hold one more than there is room for.
      const mayOverflow = this.pending.size >= this.#scenario.maxPending;
      this.pending.set(id, { id, attempts, state: 'queued', startedAt: 0, retryAt: 0, mayOverflow });
    }
  }

  isKnown(id: string): boolean {
    return this.pending.has(id) || this.letters.some((letter) => letter.id === id);
  }

  /** The handler is called. */
  attemptStarts(id: string, attempt: number): void {
    const findings = this.#findings;
    findings.check(!this.delivered.has(id), 9, () => 'delivered already, and tried again');
    findings.check(!this.#running.has(id) && !this.late.has(id), 9, () => 'two attempts overlap');
    findings.check(!this.isClosed, 10, () => 'an attempt after close() was over');
    const obligation = this.pending.get(id);
    if (obligation === undefined) {
      findings.add(10, 'an attempt to deliver what is not pending');
      return;
    }
    findings.check(obligation.state === 'queued' || obligation.state === 'waiting', 9, () => 'not its turn');
    const isEarly = obligation.state === 'waiting' && !this.isClosing && this.#time.now < obligation.retryAt;
    findings.check(!isEarly, 10, () => `a retry ${obligation.retryAt - this.#time.now} ms early`);
    const isRetryWhileStopped = obligation.attempts > 0 && this.isStopped && !this.isClosing;
    findings.check(!isRetryWhileStopped, 8, () => 'a retry after stop()');
    obligation.attempts += 1;
    findings.check(
      attempt === obligation.attempts,
      10,
      () => `attempt ${attempt} is number ${obligation.attempts}`,
    );
    findings.check(attempt <= this.#scenario.attempts, 10, () => `attempt ${attempt} is beyond the limit`);
    obligation.state = 'running';
    obligation.startedAt = this.#time.now;
    this.#running.add(id);
    const running = [...this.#running].filter((other) => !this.#isOverdue(other)).length;
    findings.check(running <= this.#scenario.concurrency, 11, () => 'more attempts run than concurrency');
  }

  /** The handler is through. */
  attemptSettles(id: string, succeeded: boolean): void {
    const letter = this.letters.find((known) => known.id === id);
    if (this.late.delete(id)) {
      if (succeeded) {
        this.#remove(id);
        this.losses.delete(id);
        this.#deliver(id);
      } else if (letter !== undefined) letter.ambiguous = false;
      return;
    }
    this.#running.delete(id);
    const obligation = this.pending.get(id);
    if (obligation === undefined) return;
    if (succeeded) {
      this.pending.delete(id);
      this.#deliver(id);
    } else obligation.state = 'settled';
  }

  /** The library says that an attempt failed. */
  failed({ event: { id }, attempt, willRetry, retryInMs }: DeliveryFailedEvent): void {
    const { attempts, minDelayMs, maxDelayMs, attemptTimeoutMs } = this.#scenario;
    const findings = this.#findings;
    const obligation = this.pending.get(id);
    if (obligation === undefined || (obligation.state !== 'settled' && obligation.state !== 'running')) {
      findings.add(10, 'a failure was told of an attempt that did not fail');
      return;
    }
    findings.check(attempt === obligation.attempts, 10, () => 'a failure was told of another attempt');
    if (obligation.state === 'running') {
      const ranMs = this.#time.now - obligation.startedAt;
      findings.check(ranMs >= attemptTimeoutMs, 'deliveries', () => `timed out after ${ranMs} ms`);
      findings.check(!willRetry, 9, () => 'a timed-out attempt is to be tried again');
      findings.check(!this.isStopped || this.isClosing, 8, () => 'a time-out after stop()');
      this.#running.delete(id);
      this.late.add(id);
      obligation.state = 'settled';
      return;
    }
    const isLast = attempt >= attempts;
    findings.check(
      isLast !== willRetry || this.isClosed,
      10,
      () => `attempt ${attempt} failed; retry ${willRetry}`,
    );
    if (!isLast) {
      const isPaused = (this.isStopped && !this.isClosing) || this.isClosed;
      const isWithin = retryInMs !== undefined && retryInMs >= minDelayMs && retryInMs <= maxDelayMs;
      findings.check(isPaused || isWithin, 10, () => `a retry in ${retryInMs} ms`);
      obligation.state = 'waiting';
      obligation.retryAt = this.#time.now + (retryInMs ?? 0);
    }
  }

  /** The library says that an ending is a dead letter. */
  died({ id, cause, attempts, ambiguous }: DeadLetter): void {
    const findings = this.#findings;
    const { attempts: limit, maxDeadLetters } = this.#scenario;
    const obligation = this.pending.get(id);
    findings.check(!this.letters.some((letter) => letter.id === id), 10, () => 'a dead letter twice');
    findings.check(!this.delivered.has(id), 9, () => 'delivered, and a dead letter');
    if (obligation === undefined) findings.add(10, `a dead letter (${cause}) of what was not pending`);
    else if (cause === 'overflow') {
      findings.check(obligation.mayOverflow, 11, () => 'an overflow where there was room');
      findings.check(obligation.state === 'queued' && !ambiguous, 11, () => 'an overflow of what was tried');
    } else {
      const isRight = cause === 'timed-out' ? this.late.has(id) : obligation.attempts >= limit;
      findings.check(isRight, 10, () => `a dead letter (${cause}) after ${obligation.attempts} attempts`);
      findings.check(attempts === obligation.attempts, 10, () => 'a dead letter that miscounts its attempts');
      const isUnknown = cause === 'timed-out' || obligation.state === 'queued';
      findings.check(ambiguous === isUnknown, 9, () => `a dead letter (${cause}), ambiguous ${ambiguous}`);
    }
    this.pending.delete(id);
    this.letters.push({ id, cause, attempts, ambiguous });
    if (this.isClosing) this.losses.add(id);
    if (this.letters.length > maxDeadLetters) this.#expectedDrop = this.letters.shift()?.id;
  }

  /** The library says that it forgot a dead letter for a newer one. */
  wasDropped(id: string): void {
    this.#findings.check(
      id === this.#expectedDrop,
      11,
      () => 'another dead letter than the oldest was dropped',
    );
    this.#expectedDrop = undefined;
    this.dropped.add(id);
  }

  /** What `redeliver(id)` has to answer; true starts a new round. */
  redeliver(id: string): boolean {
    const isPossible =
      this.letters.some((letter) => letter.id === id) &&
      !this.late.has(id) &&
      !this.isClosed &&
      this.pending.size < this.#scenario.maxPending;
    if (!isPossible) return false;
    this.#remove(id);
    this.losses.delete(id);
    this.push(id, 0);
    return true;
  }

  close(): void {
    this.isClosing = true;
    for (const obligation of this.pending.values()) obligation.retryAt = 0;
  }

  /** Everything has settled: nothing may wait without a reason. `isQuiet`: no timer is due. */
  checkAtRest(isQuiet: boolean): void {
    this.#justDelivered = 0;
    const findings = this.#findings;
    const { concurrency, attemptTimeoutMs, maxDeadLetters, maxPending } = this.#scenario;
    const isPaused = (this.isStopped && !this.isClosing) || this.isClosed;
    const isFull = this.#running.size >= concurrency;
    findings.check(this.#expectedDrop === undefined, 11, () => 'the drop of a dead letter was not told');
    findings.check(this.letters.length <= maxDeadLetters, 11, () => 'too many dead letters');
    findings.check(this.pending.size <= maxPending, 11, () => 'too many pending');
    for (const { id, state, attempts, startedAt, retryAt } of this.pending.values()) {
      findings.check(state !== 'settled', 10, () => `the failed attempt of ${id} was not told`);
      const mayWait = isFull || this.isClosed || (attempts > 0 && isPaused);
      findings.check(state !== 'queued' || mayWait, 10, () => 'an ending waits though there is a free place');
      const isOverdue = isQuiet && state === 'waiting' && this.#time.now > retryAt + 2;
      findings.check(!isOverdue || mayWait, 10, () => 'a retry does not come');
      const ranMs = this.#time.now - startedAt;
      const isTooLong = isQuiet && state === 'running' && ranMs > attemptTimeoutMs + 2;
      findings.check(!isTooLong || isPaused, 'deliveries', () => `an attempt has run ${ranMs} ms`);
    }
  }

  // A handler that returned still counts as pending until the library hears of it, a microtask later.
  #justDelivered = 0;

  #deliver(id: string): void {
    this.#findings.check(!this.delivered.has(id), 9, () => 'delivered twice in one process');
    this.delivered.add(id);
    this.#justDelivered += 1;
  }

  /** Of several that time out at once, those that are not told yet have given their places back. */
  #isOverdue(id: string): boolean {
    const startedAt = this.pending.get(id)?.startedAt ?? Number.NEGATIVE_INFINITY;
    return this.#time.now - startedAt >= this.#scenario.attemptTimeoutMs;
  }

  #remove(id: string): void {
    const index = this.letters.findIndex((letter) => letter.id === id);
    if (index >= 0) this.letters.splice(index, 1);
  }
}
