import type { SimulatedTime } from './simulated-time.js';

/** Which runs have ended, by the owner's name: the first to be forgotten first. */
export class EndedIds {
  readonly #endedAt = new Map<string, number>();
  readonly #time: SimulatedTime;
  readonly #max: number;
  readonly #ttlMs: number;

  constructor(time: SimulatedTime, max: number, ttlMs: number) {
    this.#time = time;
    this.#max = max;
    this.#ttlMs = ttlMs;
  }

  remember(id: string, at = this.#time.now): void {
    this.#endedAt.delete(id);
    this.#endedAt.set(id, at);
    const [oldest] = this.#endedAt.keys();
    if (this.#endedAt.size > this.#max) this.#endedAt.delete(oldest as string);
  }

  /** An earlier process says that a run has ended. This one may know of a later end, with a registration that it has found. */
  rememberPast(id: string, at: number): void {
    if (!this.has(id) || (this.#endedAt.get(id) as number) < at) this.remember(id, at);
  }

  forget(id: string): void {
    this.#endedAt.delete(id);
  }

  /** The name of a run has become known. */
  rename(from: string, to: string): void {
    if (!this.#endedAt.has(from)) return;
    const entries = [...this.#endedAt].map(([id, at]) => [id === from ? to : id, at] as const);
    this.#endedAt.clear();
    for (const [id, at] of entries) this.#endedAt.set(id, at);
  }

  has(id: string): boolean {
    const at = this.#endedAt.get(id);
    return at !== undefined && !this.#isOver(at);
  }

  /** Those that are not forgotten, the oldest first. */
  all(): (readonly [id: string, at: number])[] {
    return [...this.#endedAt].filter(([, at]) => !this.#isOver(at));
  }

  /** A pass of the sweeper is through: forgets from the oldest on, up to one that has time left. */
  purge(): void {
    for (const [id, at] of this.#endedAt) {
      if (!this.#isOver(at)) return;
      this.#endedAt.delete(id);
    }
  }

  #isOver(at: number): boolean {
    return this.#time.now >= at + this.#ttlMs;
  }
}
