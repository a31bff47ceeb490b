import type { Findings } from './findings.js';

/**
 * A second recipient, who takes everything at once: hears of each ending that the first one hears of, once in a process,
 * and not again in a later one if the journal had that.
 */
export class Audit {
  readonly #findings: Findings;
  readonly #heard = new Set<string>();
  readonly #heardInProcess = new Set<string>();
  /** Of which the journal has that they were heard. */
  readonly #written = new Set<string>();
  readonly #due = new Set<string>();

  constructor(findings: Findings) {
    this.#findings = findings;
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
  }

  /** A process ends. @param hasJournal whether the next one knows of what came about since it was last written */
  ends(hasJournal: boolean): void {
    this.#heardInProcess.clear();
    this.#due.clear();
    if (!hasJournal) this.#written.clear();
  }
}
