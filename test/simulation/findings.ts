/** What was found wrong in a run. A library that guards its callbacks would swallow an error thrown in one. */
export class Findings {
  readonly #lines: string[] = [];

  /** `invariant` is the number in the list of invariants, or a word for a promise outside it. */
  add(invariant: number | string, message: string): void {
    const name = typeof invariant === 'number' ? `invariant ${invariant}` : invariant;
    if (this.#lines.length < 20) this.#lines.push(`${name}: ${message}`);
  }

  check(holds: boolean, invariant: number | string, message: () => string): void {
    if (!holds) this.add(invariant, message());
  }

  get lines(): readonly string[] {
    return this.#lines;
  }
}
