import type { MapsweepError } from '../../errors.js';
import type { Successor } from '../../restart/journal.js';
import { detached } from '../../time/async-context.js';
import { realClearTimeout, realSetTimeout } from '../../time/real-timers.js';
import type { InstanceLock } from './instance-lock.js';
import { heldLocks, type InstanceRows } from './instance-rows.js';
import type { PostgresJournal } from './postgres-journal.js';
import { takeOver } from './take-over.js';
import { type Absentee, Vigil } from './vigil.js';

/** So many looks there are until a peer is dead. */
const looksUntilDead = 8;
const longestPauseMs = 15_000;
/** A lock that was lost is taken again after this, and then after twice as long each time, ms. */
const firstRetryMs = 100;

/** What is known of an instance that has come to nothing is kept for so many days. */
const keptDays = 7;
/** Every so many looks the rows of such instances are deleted. */
const looksBetweenPurges = 240;

/** What a watch looks at. */
export interface WatchParts {
  readonly rows: InstanceRows;
  readonly lock: InstanceLock;
  readonly takeOverAfterMs: number;
}

/** How far two looks are apart, ms. */
const lookEveryMs = (takeOverAfterMs: number): number =>
  Math.min(longestPauseMs, Math.ceil(takeOverAfterMs / looksUntilDead));

/**
 * Keeps the lock of an instance, and looks at its peers: takes over from those that are dead. Its timer does not keep the
 * process alive.
 */
export class Watch {
  readonly #parts: WatchParts;
  readonly #journal: PostgresJournal;
  readonly #vigil: Vigil;
  readonly #everyMs: number;
  #successor: Successor | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = firstRetryMs;
  #isLooking = false;
  #looks = 0;
  #isEnded = false;
  /** What was said last of something that goes on failing. */
  #told = '';

  constructor(parts: WatchParts, journal: PostgresJournal) {
    this.#parts = parts;
    this.#journal = journal;
    this.#everyMs = lookEveryMs(parts.takeOverAfterMs);
    this.#vigil = new Vigil(parts.takeOverAfterMs, this.#everyMs);
    this.#schedule(this.#everyMs);
  }

  /** From here on it takes over, if it may. */
  begin(successor: Successor): void {
    this.#successor = successor;
  }

  end(): void {
    this.#isEnded = true;
    realClearTimeout(this.#timer);
  }

  /** The connection of the lock is broken: it is taken again soon. */
  lockBroken(): void {
    // What was found free was looked at from a session that is over, maybe because the database is.
    this.#vigil.forget();
    this.#schedule(firstRetryMs);
  }

  #schedule(ms: number): void {
    if (this.#isEnded) return;
    realClearTimeout(this.#timer);
    detached(() => {
      this.#timer = realSetTimeout(() => void (this.#isLooking ? this.#retake() : this.#look()), ms);
    });
    this.#timer?.unref();
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    let next: number | undefined;
    try {
      if (await this.#parts.lock.take(0)) {
        this.#retryMs = firstRetryMs;
        const failure = await this.#takeOverFrom(await this.#absentees());
        if (failure === undefined) this.#told = '';
        else this.#tell(failure);
        await this.#purge();
      } else {
        next = this.#nextRetry();
        this.#schedule(next);
        // Held by a connection of this process that PostgreSQL does not know to be dead, or by another process.
        await this.#journal.regain();
      }
    } catch (error) {
      next = this.#nextRetry();
      this.#tell(error);
    } finally {
      this.#isLooking = false;
    }
    this.#schedule(next ?? (this.#parts.lock.isHeld ? this.#everyMs : this.#nextRetry()));
  }

  /**
   * Takes the lock beside a look. That lasts as long as its takeovers, which wait for the database and for the journal's other
   * calls: to a peer this one would be dead meanwhile.
   */
  async #retake(): Promise<void> {
    // Why it fails the look finds out too.
    const isHeld = await this.#parts.lock.take(0).catch(() => false);
    if (isHeld) this.#retryMs = firstRetryMs;
    else if (this.#isLooking) this.#schedule(this.#nextRetry());
  }

  #nextRetry(): number {
    const ms = this.#retryMs;
    this.#retryMs = Math.min(2 * ms, this.#everyMs);
    // Not all gateways at once after the database was away.
    return Math.ceil(ms * (0.5 + Math.random() / 2));
  }

  /** One look: whether this owner is still the owner, and who is dead. */
  async #absentees(): Promise<Absentee[]> {
    const { rows, lock } = this.#parts;
    const { instance, expected } = this.#journal;
    const found = await lock.ask(
      `with held as (${heldLocks})
       select instance, epoch, extract(epoch from clock_timestamp()) * 1000 as now,
         (select count(*) from ${rows.records} where instance = $1 and number between $2 and $3) as found
       from ${rows.instances}
       where instance = $1 or (settled_at is null and lock not in (select key from held))`,
      [instance, expected.from, expected.to],
    );
    const own = found.find((row) => row.instance === instance);
    if (Number(own?.epoch) !== this.#journal.epoch) await this.#journal.regain();
    else this.#journal.wereFound(Number(own?.found), expected);
    const absentees = found
      .filter((row) => row.instance !== instance)
      .map((row) => ({ instance: String(row.instance), epoch: Number(row.epoch) }));
    if (this.#successor?.mayTakeOver !== true) {
      this.#vigil.forget();
      return [];
    }
    return this.#vigil.look(Number(own?.now), absentees);
  }

  /** One of which it fails is tried again at the next look, and keeps nobody from the others. Returns the first error. */
  async #takeOverFrom(dead: readonly Absentee[]): Promise<unknown> {
    let failure: unknown;
    for (const one of dead) {
      try {
        await this.#takeOver(one);
      } catch (error) {
        failure ??= error;
        // If PostgreSQL is away, it is so for the others too, and the lock is to be had again soon.
        await this.#parts.lock.ask('select');
      }
    }
    return failure;
  }

  async #takeOver(dead: Absentee): Promise<void> {
    const successor = this.#successor;
    if (successor === undefined || this.#isEnded) return;
    try {
      const { rows } = this.#parts;
      const outcome = await takeOver({ rows, journal: this.#journal, successor }, dead);
      if (outcome !== 'partly') this.#vigil.leave(dead);
    } catch (error) {
      if (!isOfRecords(error)) throw error;
      // Nobody else can read it either: somebody has to look.
      this.#vigil.leave(dead);
      successor.failed(error);
    }
  }

  /** Instances whose obligations are taken over, and that nobody has started since for a long time. */
  async #purge(): Promise<void> {
    this.#looks += 1;
    if (this.#looks % looksBetweenPurges !== 1) return;
    const { rows } = this.#parts;
    await rows.database.query(
      `with gone as (
         delete from ${rows.instances}
         where settled_at < now() - interval '${keptDays} days' and lock not in (${heldLocks}) returning instance
       )
       delete from ${rows.records} where instance in (select instance from gone)`,
    );
  }

  #tell(error: unknown): void {
    const { message } = error as Error;
    if (this.#isEnded || this.#journal.isReleased || message === this.#told) return;
    this.#told = message;
    this.#successor?.failed(error);
  }
}

const isOfRecords = (error: unknown): boolean => {
  const { code } = error as Partial<MapsweepError>;
  return code === 'ERR_JOURNAL_DAMAGED' || code === 'ERR_JOURNAL_VERSION';
};
