import type { DeadLetter } from '../../src/events/dead-letter.js';
import type { DeliveryFailedEvent } from '../../src/events/event-bus.js';
import type { PastEnding } from '../../src/restart/left.js';
import type { Facts } from './facts.js';
import type { Findings } from './findings.js';
import type { Legacy } from './legacy.js';
import type { Scenario } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

/** What the model of deliveries has to see of the world. */
export interface DeliveryHost {
  readonly scenario: Scenario;
  readonly time: SimulatedTime;
  readonly findings: Findings;
  /** Whether the journal has the claim of an ending; so it is without a journal. */
  isClaimWritten(id: string): boolean;
  /** Nothing is under way in the journal, and nothing has failed there. */
  isJournalSettled(): boolean;
  /** The journal belongs to somebody else, and the library has been told. */
  isJournalLost(): boolean;
  /** This process has nobody to deliver to. */
  isWithoutRecipient(): boolean;
  /** It delivers nothing of what earlier processes left. */
  leavesOpen(): boolean;
  /** To the library the run of this id is another one than before: it remembers that no more. */
  isAnother(id: string): void;
}

/** What an ending has come to, by the facts of one process. */
export interface EndingFacts {
  /** It was claimed; 0 for one of an earlier process. */
  readonly claimedBy: number;
  /** Nobody has to be told any more. */
  doneBy?: number;
  /** It has become a dead letter. */
  deadBy?: number;
  /** It was taken back from there. */
  retriedBy?: number;
  /** An earlier run of its id was owed, and may be what the journal holds. */
  isSecond?: boolean;
  /** So many attempts had failed at the end of what is certain. */
  certainAttempts: number;
}

/** An attempt to deliver, as the model follows it. */
export interface ModelAttempt {
  readonly id: string;
  /** Another one has succeeded, or its ending is another's: what comes of it counts for nothing. */
  isObsolete: boolean;
  /** It is of an earlier run of its id, which nobody else has told of: the first to succeed counts as a delivery all the same. */
  ofEarlierRun?: { isDelivered: boolean };
}

interface Obligation {
  readonly id: string;
  /** When the first attempt of the round began, in whichever process. */
  triedAt: number | undefined;
  /** When it was claimed; long ago for one of an earlier process. */
  readonly claimedAt: number;
  attempts: number;
  /** `settled`: the handler is through, and the library has not said what it makes of that. */
  state: 'queued' | 'running' | 'settled' | 'waiting';
  startedAt: number;
  /** Of one that waits: when its next attempt is due at the earliest, and at the latest. */
  retryAt: number;
  /** It waits for no further attempt but for its end, unless `close()` comes before. */
  isGivingUp: boolean;
  /** There was perhaps no room for it. */
  readonly mayOverflow: boolean;
  /**
   * Its id was just delivered, and its tombstone is gone: the library may not have read the answer yet, to which the run is the
   * same one then.
   */
  isDoubtful?: boolean;
}

interface Letter {
  readonly id: string;
  readonly cause: DeadLetter['cause'];
  readonly attempts: number;
  ambiguous: boolean;
  /** At the latest: the model hears of it when those who hear before have taken their time. */
  readonly diedAt: number;
}

/** An ending of a run whose name is that of another one: owed, if the other one was not any more. */
interface Second {
  readonly obligation: Obligation;
  readonly claimedBy: number;
  /** The letter of the other one was perhaps taken back for it: there was room if an attempt was through to the library. */
  readonly hadPerhapsRoom: boolean;
}

/**
 * What may become of an ending once it is claimed: the rules of deliveries as one state for each id. Follows what the
 * library tells, and says where that is against the rules.
 */
export class DeliveryModel {
  readonly pending = new Map<string, Obligation>();
  /** Oldest first. */
  readonly letters: Letter[] = [];
  /** Attempts that have timed out and not settled. */
  readonly late = new Map<string, Set<ModelAttempt>>();
  /** Ids that this process has delivered. */
  readonly delivered = new Set<string>();
  deliveredTotal = 0;
  /** Ids whose dead letter was dropped. */
  readonly dropped = new Set<string>();
  /** Endings of earlier processes that this one leaves as they are. */
  readonly carried = new Map<string, PastEnding>();
  /** What has come of each ending since the journal was last known to have everything. */
  readonly facts = new Map<string, EndingFacts>();
  readonly #running = new Map<string, ModelAttempt>();
  /** When an attempt succeeded that had timed out: the library hears of it a microtask later. */
  readonly #succeededLateAt = new Map<string, number>();
  /** Letters for which there is no room any more, of which that has not been told yet. Oldest first. */
  readonly #expectedDrops: Letter[] = [];
  /** Endings that came while one of their name was owed: its letter may have been gone, and that not told yet. */
  readonly #seconds = new Map<string, Second>();
  /** Ids of an ending that came when the time of their letter was over: that may have been dropped, and not told yet. */
  readonly #outlived = new Set<string>();
  /** Letters that may have made room for one that was not told yet when another one was taken back. */
  readonly #mayBeGone = new Set<string>();
  isStopped = false;
  isClosing = false;
  isClosed = false;
  /** Dead letters that were made since `close()` and not taken back. */
  readonly losses = new Set<string>();

  readonly #host: DeliveryHost;
  readonly #scenario: Scenario;
  readonly #time: SimulatedTime;
  readonly #findings: Findings;
  readonly #facts: Facts;

  constructor(host: DeliveryHost, facts: Facts) {
    const { scenario, time, findings } = host;
    this.#host = host;
    this.#scenario = scenario;
    this.#time = time;
    this.#findings = findings;
    this.#facts = facts;
  }

  /**
   * An ending was claimed: it is pending, or is about to be a dead letter for want of room.
   *
   * @param untold how many others are claimed and will be told after this one
   * @param overtaken how many of them were claimed before it
   * @param claimedBy the fact of its claim
   */
  push(id: string, untold: number, overtaken: number, claimedBy: number): void {
    if (this.#host.isWithoutRecipient()) return;
    const others = overtaken - this.#claimedAfter(claimedBy);
    const hadRoom = this.#mayRetry(id, others + this.#justDelivered);
    // One whose last attempt has failed is told of as a dead letter later, and has given its place back.
    const dying = [...this.pending.values()].filter(({ state }) => state === 'settled').length;
    const isLetter = this.pending.get(id)?.state === 'settled' || undefined;
    const hadPerhapsRoom = !hadRoom && this.#mayRetry(id, others - dying, isLetter);
    if (hadRoom) {
      const tooMany = Math.max(0, this.letters.length + dying - this.#scenario.maxDeadLetters);
      for (const letter of this.letters.slice(0, tooMany)) this.#mayBeGone.add(letter.id);
      // The library may have dropped its letter, for its age or for one that it tells of later, and tell of that later too.
      const isNextToGo = this.letters[0]?.id === id && this.letters.length === this.#scenario.maxDeadLetters;
      if (isNextToGo || this.letters.some((letter) => letter.id === id && this.isExpired(letter)))
        this.#outlived.add(id);
      this.#remove(id);
      this.losses.delete(id);
      this.isAnother(id);
    }
    const obligation = this.#newObligation(id, untold);
    if (this.isKnown(id)) {
      this.#seconds.set(id, { obligation, claimedBy, hadPerhapsRoom });
      const known = this.facts.get(id);
      if (hadPerhapsRoom && known !== undefined) known.isSecond = true;
      return;
    }
    this.facts.set(id, { claimedBy, certainAttempts: 0, isSecond: this.facts.has(id) });
    this.pending.set(id, obligation);
    obligation.isDoubtful = this.#deliveredNow.has(id);
  }

  /** The library shows that the letter of one had gone when another one of its name came: that is another run. */
  #takeSecond(id: string): void {
    const second = this.#seconds.get(id);
    if (second === undefined || !(second.hadPerhapsRoom || this.dropped.has(id))) return;
    this.#seconds.delete(id);
    this.#makeRoom(id);
    this.losses.delete(id);
    this.isAnother(id);
    this.facts.set(id, { claimedBy: second.claimedBy, certainAttempts: 0, isSecond: true });
    this.pending.set(id, second.obligation);
  }

  /** A letter was gone before those that were expected to be dropped for later ones: one less has to go. */
  #makeRoom(id: string): void {
    const expected = this.#expectedDrops.findIndex((letter) => letter.id === id);
    if (expected >= 0) {
      this.#expectedDrops.splice(expected, 1);
      return;
    }
    this.#remove(id);
    const kept = this.#expectedDrops.pop();
    if (kept !== undefined) this.letters.unshift(kept);
  }

  /** Everything has settled, and the library says what is pending there: what was in doubt is known now. */
  resolveDoubts(isPending: (id: string) => boolean): void {
    for (const id of [...this.#seconds.keys()]) if (isPending(id)) this.#takeSecond(id);
    this.#seconds.clear();
    this.#outlived.clear();
    this.#mayBeGone.clear();
    for (const obligation of [...this.pending.values()]) {
      const { id, isDoubtful } = obligation;
      obligation.isDoubtful = false;
      if (!isDoubtful || isPending(id)) continue;
      this.pending.delete(id);
      this.delivered.add(id);
      const facts = this.facts.get(id);
      if (facts !== undefined) facts.doneBy = this.#facts.next();
    }
  }

  /** Takes over what earlier processes left; called before the library does. */
  restore({ endings }: Legacy): void {
    for (const { id, attempts } of endings) this.facts.set(id, { claimedBy: 0, certainAttempts: attempts });
    if (this.#host.leavesOpen()) {
      for (const ending of endings) this.carried.set(ending.id, ending);
      return;
    }
    const restored: Letter[] = [];
    for (const { id, attempts, letter } of endings) {
      if (letter === undefined) continue;
      const { ambiguous, cause, diedAt } = letter;
      restored.push({ id, attempts, ambiguous, cause, diedAt });
    }
    // The journal has them in the order of their endings.
    this.letters.push(...restored.sort((a, b) => a.diedAt - b.diedAt));
    // A crash may have come between a letter and the drop of another one.
    while (this.letters.length > this.#scenario.maxDeadLetters)
      this.#drop(this.letters.shift()?.id as string);
    for (const { id, attempts, letter, triedAt } of endings) {
      if (letter !== undefined) continue;
      // One taken in the midst of a removal may hold one more than there is room for.
      const mayOverflow = this.pending.size >= this.#scenario.maxPending;
      const claimedAt = Number.NEGATIVE_INFINITY;
      this.pending.set(id, {
        id,
        claimedAt,
        attempts,
        triedAt,
        isGivingUp: false,
        state: 'queued',
        startedAt: 0,
        retryAt: 0,
        mayOverflow,
      });
    }
  }

  /** To the library the run of this id is another one than before. */
  isAnother(id: string): void {
    this.#host.isAnother(id);
    this.delivered.delete(id);
    this.dropped.delete(id);
    const ofEarlierRun = { isDelivered: false };
    for (const attempt of this.late.get(id) ?? []) attempt.ofEarlierRun = ofEarlierRun;
    this.#makeObsolete(id);
  }

  /** What is still to come of the attempts of an id counts for nothing. */
  #makeObsolete(id: string): void {
    for (const attempt of this.late.get(id) ?? []) attempt.isObsolete = true;
    this.late.delete(id);
    const running = this.#running.get(id);
    if (running !== undefined) running.isObsolete = true;
    this.#running.delete(id);
  }

  isKnown(id: string): boolean {
    return this.pending.has(id) || this.letters.some((letter) => letter.id === id);
  }

  /** An ending of this id is owed, or was. */
  hasMet(id: string): boolean {
    return this.isKnown(id) || this.delivered.has(id) || this.dropped.has(id);
  }

  /** The handler is called. */
  attemptStarts(id: string, attempt: number): ModelAttempt {
    const findings = this.#findings;
    this.#takeSecond(id);
    const isObsolete = this.#succeededLateAt.get(id) === this.#time.now && !this.pending.has(id);
    const started: ModelAttempt = { id, isObsolete };
    if (isObsolete) return started;
    findings.check(!this.delivered.has(id), 9, () => 'delivered already, and tried again');
    const isBeside = this.late.has(id) && !this.#scenario.isIdempotent;
    findings.check(!this.#running.has(id) && !isBeside, 9, () => 'two attempts overlap');
    findings.check(!this.isClosed, 10, () => 'an attempt after close() was over');
    findings.check(!this.#host.isJournalLost(), 14, () => 'an attempt by an owner who has lost the journal');
    const obligation = this.pending.get(id);
    if (obligation === undefined) {
      findings.add(10, 'an attempt to deliver what is not pending');
      return started;
    }
    findings.check(obligation.state === 'queued' || obligation.state === 'waiting', 9, () => 'not its turn');
    const mayStart = obligation.attempts > 0 || this.#mayStart(obligation);
    findings.check(mayStart, 14, () => 'delivered before the journal has its claim');
    const isEarly = obligation.state === 'waiting' && !this.isClosing && this.#time.now < obligation.retryAt;
    findings.check(!isEarly, 10, () => `a retry ${obligation.retryAt - this.#time.now} ms early`);
    findings.check(
      !obligation.isGivingUp || this.isClosing,
      10,
      () => 'an attempt at what there is no time left for',
    );
    const isRetryWhileStopped = obligation.attempts > 0 && this.isStopped && !this.isClosing;
    findings.check(!isRetryWhileStopped, 8, () => 'a retry after stop()');
    obligation.attempts += 1;
    obligation.triedAt ??= this.#time.now;
    obligation.isGivingUp = false;
    findings.check(
      attempt === obligation.attempts,
      10,
      () => `attempt ${attempt} is number ${obligation.attempts}`,
    );
    findings.check(attempt <= this.#scenario.attempts, 10, () => `attempt ${attempt} is beyond the limit`);
    obligation.state = 'running';
    obligation.startedAt = this.#time.now;
    this.#running.set(id, started);
    const running = [...this.#running.keys()].filter((other) => !this.#isOverdue(other)).length;
    findings.check(running <= this.#scenario.concurrency, 11, () => 'more attempts run than concurrency');
    return started;
  }

  /** The handler is through. */
  attemptSettles(attempt: ModelAttempt, succeeded: boolean): void {
    const { id, isObsolete, ofEarlierRun } = attempt;
    if (succeeded && ofEarlierRun?.isDelivered === false) {
      ofEarlierRun.isDelivered = true;
      this.deliveredTotal += 1;
    }
    if (isObsolete) return;
    const late = this.late.get(id);
    if (late?.delete(attempt)) {
      if (late.size === 0) this.late.delete(id);
      if (succeeded) {
        this.#makeObsolete(id);
        this.pending.delete(id);
        this.#remove(id);
        this.losses.delete(id);
        this.#succeededLateAt.set(id, this.#time.now);
        this.#deliver(id);
        return;
      }
      const letter = this.letters.find((known) => known.id === id);
      if (letter !== undefined && late.size === 0) letter.ambiguous = false;
      return;
    }
    this.#running.delete(id);
    const obligation = this.pending.get(id);
    if (obligation === undefined) return;
    if (succeeded) {
      this.#makeObsolete(id);
      this.pending.delete(id);
      this.#deliver(id);
    } else obligation.state = 'settled';
  }

  /** The library says that an attempt failed. */
  failed({ event: { id }, attempt, willRetry, retryInMs }: DeliveryFailedEvent): void {
    const { attempts, minDelayMs, maxDelayMs, attemptTimeoutMs, giveUpAfterMs, isIdempotent } =
      this.#scenario;
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
      findings.check(!willRetry || isIdempotent, 9, () => 'a timed-out attempt is to be tried again');
      findings.check(!this.isStopped || this.isClosing, 8, () => 'a time-out after stop()');
      const timedOut = this.#running.get(id) as ModelAttempt;
      this.#running.delete(id);
      this.late.set(id, (this.late.get(id) ?? new Set()).add(timedOut));
      obligation.state = 'settled';
      if (!isIdempotent) return;
    }
    const giveUpAt = (obligation.triedAt ?? 0) + giveUpAfterMs;
    const isLast = attempt >= attempts || this.#time.now >= giveUpAt;
    // The pause is drawn: the longest may be too long for the time that is left, and the shortest not.
    const mayGiveUp = this.#time.now + maxDelayMs >= giveUpAt;
    const mustGiveUp = isLast || this.#time.now + minDelayMs >= giveUpAt;
    const isPausing = this.isStopped && !this.isClosing;
    findings.check(
      this.isClosed || (willRetry ? !mustGiveUp || (isPausing && !isLast) : mayGiveUp || isLast),
      10,
      () => `attempt ${attempt} failed; retry ${willRetry}`,
    );
    obligation.isGivingUp = !isLast && !willRetry && !this.isClosed;
    if (obligation.isGivingUp) {
      obligation.state = 'waiting';
      obligation.retryAt = giveUpAt;
    } else if (!isLast) {
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
    const { attempts: limit, maxDeadLetters, giveUpAfterMs, isIdempotent } = this.#scenario;
    // That of the earlier run may be told of when another one has taken its place.
    if (this.pending.get(id)?.state !== 'settled') this.#takeSecond(id);
    const obligation = this.pending.get(id);
    findings.check(!this.letters.some((letter) => letter.id === id), 10, () => 'a dead letter twice');
    findings.check(!this.delivered.has(id), 9, () => 'delivered, and a dead letter');
    if (obligation === undefined) {
      findings.add(10, `a dead letter (${cause}) of what was not pending`);
      return;
    }
    if (cause === 'overflow') {
      findings.check(obligation.mayOverflow, 11, () => 'an overflow where there was room');
      findings.check(obligation.state === 'queued' && !ambiguous, 11, () => 'an overflow of what was tried');
    } else {
      const isRight = {
        'timed-out': this.late.has(id) && !isIdempotent,
        'attempts-exhausted': obligation.attempts >= limit,
        'given-up': this.#time.now - (obligation.triedAt ?? Number.POSITIVE_INFINITY) >= giveUpAfterMs,
      }[cause];
      findings.check(isRight, 10, () => `a dead letter (${cause}) after ${obligation.attempts} attempts`);
      findings.check(attempts === obligation.attempts, 10, () => 'a dead letter that miscounts its attempts');
      const isUnknown = this.late.has(id) || obligation.state === 'queued';
      findings.check(ambiguous === isUnknown, 9, () => `a dead letter (${cause}), ambiguous ${ambiguous}`);
    }
    this.pending.delete(id);
    this.letters.push({ id, cause, attempts, ambiguous, diedAt: this.#time.now });
    const facts = this.facts.get(id);
    if (facts !== undefined) facts.deadBy = this.#facts.next();
    if (this.isClosing) this.losses.add(id);
    if (this.letters.length > maxDeadLetters) this.#expectedDrops.push(this.letters.shift() as Letter);
  }

  /** The library says that it forgot a dead letter: for a newer one, or because its time is over. */
  wasDropped(id: string): void {
    for (const { id: earlier } of [...this.#expectedDrops]) {
      if (earlier === id) break;
      this.#takeSecond(earlier);
    }
    const isExpected = id === this.#expectedDrops[0]?.id;
    if (!isExpected && this.#outlived.delete(id)) return;
    if (!isExpected && this.#mayBeGone.delete(id)) {
      this.#remove(id);
      this.#drop(id);
      return;
    }
    const [oldest] = this.letters;
    const isExpired = !isExpected && oldest?.id === id && this.isExpired(oldest);
    this.#findings.check(
      isExpected || isExpired,
      11,
      () => 'another dead letter than the oldest was dropped, or too early',
    );
    if (isExpired) this.letters.shift();
    else this.#expectedDrops.shift();
    this.#drop(id);
  }

  /** Whether the time of a dead letter may be over. */
  isExpired({ diedAt }: Letter): boolean {
    const toldLateMs = 500;
    return this.#time.now - diedAt >= this.#scenario.deadLetterTtlMs - toldLateMs;
  }

  /** Whether anything is tried again at all. */
  get mayRedeliver(): boolean {
    return !this.isClosed && !this.#host.isJournalLost();
  }

  /** How many `redeliver()` has to take. */
  redeliverAll(): number {
    return this.letters.map(({ id }) => id).filter((id) => this.redeliver(id)).length;
  }

  /** What `redeliver(id)` has to answer; true starts a new round. */
  redeliver(id: string): boolean {
    if (!this.#mayRetry(id)) return false;
    this.#remove(id);
    this.losses.delete(id);
    this.facts.set(id, {
      claimedBy: 0,
      ...this.facts.get(id),
      certainAttempts: 0,
      retriedBy: this.#facts.next(),
    });
    this.pending.set(id, this.#newObligation(id, 0, Number.NEGATIVE_INFINITY));
    return true;
  }

  /** How many are pending that were claimed after another one, and told of before it. */
  #claimedAfter(claimedBy: number): number {
    return [...this.pending.keys()].filter((id) => (this.facts.get(id)?.claimedBy ?? 0) > claimedBy).length;
  }

  /** There is a dead letter, no attempt of it that another one would overlap with, and room, with `more` than are pending here. */
  #mayRetry(id: string, more = 0, isLetter = this.letters.some((letter) => letter.id === id)): boolean {
    return (
      isLetter &&
      (!this.late.has(id) || this.#scenario.isIdempotent) &&
      this.mayRedeliver &&
      this.pending.size + more < this.#scenario.maxPending
    );
  }

  close(): void {
    this.isClosing = true;
    for (const obligation of this.pending.values()) obligation.retryAt = 0;
  }

  /** Everything has settled: nothing may wait without a reason. `isQuiet`: no timer is due. */
  checkAtRest(isQuiet: boolean): void {
    this.#justDelivered = 0;
    this.#deliveredNow.clear();
    const findings = this.#findings;
    const { concurrency, attemptTimeoutMs, maxDeadLetters, maxPending, deadLetterTtlMs } = this.#scenario;
    const isPaused = (this.isStopped && !this.isClosing) || this.isClosed;
    const isFull = this.#running.size >= concurrency;
    // Whether one less has to go is known with the doubts.
    const isToldOf = this.#expectedDrops.length === 0 || this.#seconds.size > 0;
    findings.check(isToldOf, 11, () => 'the drop of a dead letter was not told');
    findings.check(this.letters.length <= maxDeadLetters, 11, () => 'too many dead letters');
    const oldestAgeMs = this.#time.now - (this.letters[0]?.diedAt ?? Number.POSITIVE_INFINITY);
    const isTooOld = isQuiet && !isPaused && oldestAgeMs > deadLetterTtlMs + 2;
    findings.check(!isTooOld, 11, () => `a dead letter is ${oldestAgeMs} ms old`);
    findings.check(this.pending.size <= maxPending, 11, () => 'too many pending');
    for (const obligation of this.pending.values()) {
      const { id, state, attempts, startedAt, retryAt } = obligation;
      if (obligation.isDoubtful) continue;
      findings.check(state !== 'settled', 10, () => `the failed attempt of ${id} was not told`);
      const isHeld = attempts === 0 && !this.#mustStart(obligation, isQuiet);
      const isHalted = this.#host.isJournalLost();
      const mayWait = isFull || this.isClosed || isHalted || (attempts > 0 && isPaused) || isHeld;
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
  readonly #deliveredNow = new Set<string>();

  /** Everything that has come about is in the journal. */
  isAllCertain(): void {
    for (const [id, facts] of this.facts) {
      if (facts.doneBy !== undefined) this.facts.delete(id);
      else facts.certainAttempts = this.failedAttempts(id);
    }
  }

  /** How many attempts the journal may know of: one that runs is counted when it has failed. */
  failedAttempts(id: string): number {
    const carried = this.carried.get(id);
    if (carried !== undefined) return carried.attempts;
    const obligation = this.pending.get(id);
    if (obligation === undefined) return this.letters.find((letter) => letter.id === id)?.attempts ?? 0;
    return obligation.attempts - (obligation.state === 'waiting' || obligation.state === 'queued' ? 0 : 1);
  }

  /** An ending may be delivered once its claim is written, or has not been for too long. */
  #mayStart({ id, claimedAt }: Obligation): boolean {
    // It may have waited for longer than since it was told: callbacks that came before take their time.
    const slackMs = 60 * this.#scenario.slowestCallbackMs;
    if (this.#host.isClaimWritten(id)) return true;
    return !this.#host.isJournalLost() && this.#time.now + slackMs >= claimedAt + this.#scenario.maxWaitMs;
  }

  #mustStart({ id, claimedAt }: Obligation, isQuiet: boolean): boolean {
    if (this.#host.isClaimWritten(id) && this.#host.isJournalSettled()) return true;
    return (
      isQuiet && !this.#host.isJournalLost() && this.#time.now > claimedAt + this.#scenario.maxWaitMs + 2
    );
  }

  #newObligation(id: string, untold: number, claimedAt = this.#time.now): Obligation {
    // One that came while its name was owed takes room if that letter was gone already.
    const most = this.pending.size + this.#seconds.size + this.#justDelivered + untold;
    const mayOverflow = most >= this.#scenario.maxPending;
    return {
      id,
      claimedAt,
      attempts: 0,
      triedAt: undefined,
      isGivingUp: false,
      state: 'queued',
      startedAt: 0,
      retryAt: 0,
      mayOverflow,
    };
  }

  #drop(id: string): void {
    this.dropped.add(id);
    const facts = this.facts.get(id);
    if (facts === undefined) return;
    facts.doneBy = this.#facts.next();
    facts.isSecond ||= this.#seconds.has(id);
  }

  #deliver(id: string): void {
    this.#findings.check(!this.delivered.has(id), 9, () => 'delivered twice in one process');
    this.delivered.add(id);
    this.deliveredTotal += 1;
    const facts = this.facts.get(id);
    if (facts !== undefined) facts.doneBy = this.#facts.next();
    this.#justDelivered += 1;
    this.#deliveredNow.add(id);
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
