import type { Journal, JournalRecord } from '../../src/restart/journal.js';

/** A journal that remembers what it held after each record: what there would be if its owner had died then. */
export class LoggedJournal implements Journal {
  readonly name = 'a logged journal';
  /** What it held, after each record and each checkpoint. */
  readonly states: (readonly string[])[] = [];
  /** How often it was asked to append, with records. */
  appends = 0;
  #past: readonly string[];
  #stretches: string[][];
  #current: string[] | undefined;
  #checkpoint: number | undefined;
  #preamble: () => readonly string[] = () => [];

  constructor(records: readonly string[] = []) {
    this.#past = records;
    this.#stretches = records.length > 0 ? [[...records]] : [];
  }

  get records(): readonly string[] {
    return this.#stretches.flat();
  }

  get size(): number {
    return this.records.reduce((size, { length }) => size + length, 0);
  }

  *takePast(): Generator<readonly JournalRecord[]> {
    const past = this.#past;
    this.#past = [];
    yield past.map((record) => JSON.parse(record) as JournalRecord);
  }

  begin(preamble: () => readonly string[]): void {
    this.#preamble = preamble;
  }

  async append(records: readonly string[]): Promise<void> {
    this.appendNow(records);
  }

  appendNow(records: readonly string[]): void {
    if (records.length > 0) this.appends += 1;
    for (const record of records) {
      this.#stretch().push(record);
      this.states.push(this.records);
    }
  }

  async beginCheckpoint(): Promise<void> {
    this.#current = undefined;
    this.#checkpoint = this.#stretches.length;
  }

  async endCheckpoint(): Promise<void> {
    this.#stretch();
    this.#stretches.splice(0, this.#checkpoint);
    this.#checkpoint = undefined;
    this.states.push(this.records);
  }

  release(): void {}

  #stretch(): string[] {
    if (this.#current === undefined) {
      this.#current = [...this.#preamble()];
      this.#stretches.push(this.#current);
      this.states.push(this.records);
    }
    return this.#current;
  }
}
