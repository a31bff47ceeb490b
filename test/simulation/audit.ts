import type { DeadLetter } from '../../src/events/dead-letter.js';
import type { PastEnding } from '../../src/restart/left.js';
import type { Findings } from './findings.js';
import type { Scenario } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

/** What the audit has to see of the world. */
interface AuditHost {
  readonly findings: Findings;
  readonly scenario: Scenario;
  readonly time: SimulatedTime;
}

/**
 * A second recipient, who takes everything at once: hears of each ending that the first one hears of, once in a process,
 * and not again in a later one if the journal had that. Only what was written in the midst of its last attempt is a dead letter:
 * the next process does not know what came of that.
 */
export class Audit {
  readonly #findings: Findings;
  readonly #heard = new Set<string>();
  readonly #heardInProcess = new Set<string>();
  /** Of which the journal has that they were heard. */
  readonly #written = new Set<string>();
  readonly #due = new Set<string>();
  /** Of which an earlier process has made the last attempt. */
  readonly #exhausted = new Set<string>();
  /** When each died, the oldest first. */
  readonly #letters = new Map<string, number>();
  readonly #scenario: Scenario;
  readonly #time: SimulatedTime;

  constructor({ findings, scenario, time }: AuditHost) {
    this.#findings = findings;
    this.#scenario = scenario;
    this.#time = time;
  }

  /** Takes over what earlier processes left; called before the library does. */
  restore(endings: readonly PastEnding[]): void {
    const dead = endings.flatMap(({ id, letter }) => (letter === undefined ? [] : [{ id, ...letter }]));
    for (const { id, diedAt } of dead.sort((a, b) => a.diedAt - b.diedAt)) this.#letters.set(id, diedAt);
    for (const { id, attempts, letter } of endings)
      if (letter === undefined && attempts >= this.#scenario.attempts) this.#exhausted.add(id);
  }

  /** The library says that an ending is a dead letter. */
  died({ id, cause, ambiguous }: DeadLetter): void {
    const isExhausted = this.#exhausted.delete(id) && this.#heard.has(id);
    const isRight = isExhausted && cause === 'attempts-exhausted' && ambiguous;
    this.#findings.check(isRight, 10, () => `a dead letter (${cause}) of the second recipient`);
    this.#letters.set(id, this.#time.now);
  }

  /** The library says that it forgot a dead letter: for a newer one, or because its time is over. */
  wasDropped(id: string): void {
    const { maxDeadLetters, deadLetterTtlMs } = this.#scenario;
    const [oldest = '', diedAt = 0] = this.#letters.entries().next().value ?? [];
    const toldLateMs = 500;
    const isOver = this.#time.now - diedAt >= deadLetterTtlMs - toldLateMs;
    const isRight = id === oldest && (isOver || this.#letters.size > maxDeadLetters);
    this.#findings.check(isRight, 11, () => 'a letter of the second recipient was dropped that was to stay');
    this.#letters.delete(id);
  }

  /** Whether there is a dead letter of an id, which gets a new round. */
  redeliver(id: string): boolean {
    return this.#letters.delete(id);
  }

  /** How many dead letters there are, which all get a new round. */
  redeliverAll(): number {
    const { size } = this.#letters;
    this.#letters.clear();
    return size;
  }

  hears(id: string): void {
    this.#findings.check(!this.#heardInProcess.has(id), 9, () => 'the second recipient was told twice');
    this.#findings.check(
      !this.#written.has(id),
      14,
      () => 'the second recipient is told again after a restart',
    );
    this.#heard.add(id);
    this.#heardInProcess.add(id);
  }

  /** The first recipient hears of an ending. */
  mustHear(id: string): void {
    this.#due.add(id);
  }

  /** Everything that has come about is in the journal. */
  isAllWritten(): void {
    for (const id of this.#heardInProcess) this.#written.add(id);
  }

  /** Everything has settled. */
  checkAtRest(): void {
    for (const id of this.#due) {
      this.#findings.check(this.#heard.has(id), 10, () => `the second recipient was not told of ${id}`);
    }
    this.#due.clear();
    for (const id of this.#exhausted)
      this.#findings.add(10, `the second recipient has no attempt left for ${id}, and nobody was told`);
    this.#exhausted.clear();
    const { maxDeadLetters } = this.#scenario;
    this.#findings.check(this.#letters.size <= maxDeadLetters, 11, () => 'the second has too many letters');
  }

  /** A process ends. @param hasJournal whether the next one knows of what came about since it was last written */
  ends(hasJournal: boolean): void {
    this.#heardInProcess.clear();
    this.#due.clear();
    this.#exhausted.clear();
    this.#letters.clear();
    if (!hasJournal) this.#written.clear();
  }
}
