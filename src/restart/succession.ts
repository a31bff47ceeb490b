import { defaultRecipient } from '../endings/ended-policy.js';
import { MapsweepError } from '../errors.js';
import { take } from '../stamps/take.js';
import type { Slices } from '../time/slices.js';
import type { Absences } from './absences.js';
import type { RestartContext } from './context.js';
import type { Inheritance } from './inheritance.js';
import type { JournalRecord, Portion, Successor } from './journal.js';
import { obligationKey, type PastEnding, type PastEntry } from './left.js';
import { carriedRecords } from './live-records.js';
import { type Past, playedInSlices } from './past.js';
import { presentClocks } from './past-timeline.js';
import type { Recorder } from './recorder.js';
import { doneRecord, quietRecord } from './records.js';

/** So much is taken over in one step. */
const portionSize = 256;

/** The generation of what was taken over: it is none of this registry's registrations. */
const foreign = 0;

/** Where what is taken over goes, and what is given up comes from. */
export interface SuccessionParts {
  readonly recorder: Recorder;
  readonly absences: Absences;
  readonly inheritance: Inheritance;
  /** How long it is remembered that a run has ended, ms. */
  readonly tombstoneMs: number;
}

/** An obligation of a dead owner. */
interface Owed {
  readonly ending: PastEnding;
  /** Of its run, in the dead owner's journal. */
  readonly generation: number;
}

/**
 * Takes over what another owner owed that is dead, and gives up what others have taken over.
 *
 * Of a dead owner's runs only their ends are taken over, under their ids: no key, claim or tombstone of this registry
 * has to do with them.
 */
export class Succession implements Successor {
  readonly #context: RestartContext;
  readonly #parts: SuccessionParts;

  constructor(context: RestartContext, parts: SuccessionParts) {
    this.#context = context;
    this.#parts = parts;
  }

  get mayTakeOver(): boolean {
    return this.#context.mayConclude() && this.#context.deliveries() !== undefined;
  }

  async examine(
    records: Iterable<readonly JournalRecord[]>,
  ): Promise<AsyncIterable<Portion> | Iterable<Portion> | undefined> {
    const past = await playedInSlices(records, this.#slices());
    const { endedMap } = past;
    if (endedMap === undefined) return [];
    const own = this.#context.endings()?.tracker.name;
    return endedMap === own ? this.#portions(past, endedMap) : undefined;
  }

  between(act: () => Promise<void>): Promise<void> {
    return this.#parts.recorder.writer.between(act);
  }

  async forfeit(records: readonly JournalRecord[]): Promise<void> {
    const generations = new Set<number>();
    const shares: [id: string, recipient: string][] = [];
    for (const [kind, what, recipient = defaultRecipient] of records) {
      if (kind === 'quiet') generations.add(what as number);
      else if (kind === 'done') shares.push([what as string, recipient as string]);
    }
    const endings = this.#context.endings();
    const slices = this.#slices();
    if (endings !== undefined) {
      const { stamps } = endings.tracker;
      // What is set meanwhile nobody has taken over.
      for (const [key, slot] of take(stamps.entries(), stamps.size)) {
        if (generations.has(stamps.generation[slot] as number)) endings.settleSilently(slot, key);
        if (slices.isOver()) await slices.giveWay();
      }
    }
    this.#parts.absences.forfeit(generations);
    for (const [id, recipient] of shares) {
      // Its ending may not be written yet: nobody must deliver that in the next life.
      const isOwed =
        this.#context.deliveries()?.forfeit(id, recipient) ||
        this.#parts.inheritance.carried.delete(obligationKey(id, recipient));
      if (isOwed) this.#parts.recorder.endings.done(id, recipient);
      if (slices.isOver()) await slices.giveWay();
    }
    this.failed(
      new MapsweepError(
        'ERR_JOURNAL_TAKEN_OVER',
        `'${this.#parts.recorder.journalName}' was cut off for so long that other processes have taken over ${new Set(shares.map(([id]) => id)).size} ` +
          'of its runs: they tell of their ends, this process does not any more, and goes on with the rest',
      ),
    );
  }

  rowsLost(error: unknown): void {
    this.#parts.recorder.writer.checkpointUnsaid();
    this.failed(error);
  }

  failed(error: unknown): void {
    this.#context.failed(error, false);
  }

  lost(error: unknown): void {
    this.#parts.recorder.writer.failed(error);
  }

  async *#portions(past: Past, endedMap: string): AsyncGenerator<Portion> {
    const slices = this.#slices();
    let owed: Owed[] = [];
    for (const shares of this.#owed(past, endedMap)) {
      owed.push(...shares);
      if (slices.isOver()) await slices.giveWay();
      if (owed.length < portionSize) continue;
      yield this.#portion(owed);
      owed = [];
    }
    if (owed.length > 0) yield this.#portion(owed);
  }

  #portion(owed: readonly Owed[]): Portion {
    const taken: string[] = [];
    const settled: string[] = [];
    for (const { ending, generation } of owed) {
      for (const record of carriedRecords(this.#parts.recorder.encoder, ending))
        if (record !== undefined) taken.push(record);
      if (generation !== foreign) settled.push(quietRecord(generation));
      settled.push(doneRecord(ending.id, ending.recipient));
    }
    return {
      taken,
      settled,
      accept: () =>
        this.#parts.inheritance.take(
          owed.map(({ ending }) => ending),
          0,
        ),
    };
  }

  /**
   * What has to be settled in one step, one after the other: with the first share of a lost run it is claimed. Where an ending of
   * an earlier run is owed under its id, that stands for both, or a dead letter makes room, as where a run is told of. Nothing for
   * a run that has ended: there may be so many of those that somebody has to give way.
   */
  *#owed(past: Past, endedMap: string): Generator<readonly Owed[]> {
    const instants = this.#instantsOf(past);
    const recipients = this.#context.deliveries()?.recipients ?? [];
    const owing = new Set<string>();
    const letters = new Map<string, Owed>();
    for (const [share, ending] of past.endings) {
      const isReplaceable = ending.letter?.ambiguous === false;
      if (isReplaceable) letters.set(share, takenOver(ending, instants));
      else {
        owing.add(share);
        yield [takenOver(ending, instants)];
      }
    }
    const over = new Set<string>();
    for (const entry of past.maps.get(endedMap)?.entries.values() ?? []) {
      const { id, claimed, generation } = entry;
      if (claimed || id === undefined || over.has(id) || this.#hasEnded(past, id, entry)) {
        yield [];
        continue;
      }
      over.add(id);
      const untold = recipients.filter(({ name }) => !owing.has(obligationKey(id, name)));
      for (const { name } of untold) letters.delete(obligationKey(id, name));
      yield untold.map(({ name }) => ({ ending: lostEnding(entry, id, name, instants), generation }));
    }
    for (const letter of letters.values()) yield [letter];
  }

  /** Whether a registration is of a run that has ended: under its id another one may have begun, once that was forgotten. */
  #hasEnded({ tombstones }: Past, id: string, { generation, registeredAt }: PastEntry): boolean {
    const ended = tombstones.get(id);
    if (ended === undefined) return false;
    return generation === ended.generation || registeredAt < ended.at + this.#parts.tombstoneMs;
  }

  /** Makes instants of this life of those of a past that ends now. */
  #instantsOf(past: Past): Instants {
    const { timeline } = this.#context.engine;
    const now = presentClocks(timeline);
    const presentAt = -past.end(now);
    const monotonicNow = timeline.now();
    const ago = (at: number): number => Math.max(0, presentAt - at);
    return {
      now: timeline.clock.now(),
      epoch: (at) => now.wall - ago(at),
      monotonic: (at) => monotonicNow - ago(at),
    };
  }

  #slices(): Slices {
    return this.#context.engine.newSlices({ stepsPerReading: 32 });
  }
}

interface Instants {
  /** Epoch ms. */
  readonly now: number;
  epoch(at: number): number;
  monotonic(at: number): number;
}

/** An ending that was claimed. */
function takenOver(ending: PastEnding, instants: Instants): Owed {
  const { generation, triedAt, letter } = ending;
  return {
    ending: {
      ...ending,
      generation: foreign,
      isOwnId: false,
      triedAt: triedAt && instants.monotonic(triedAt),
      letter: letter && { ...letter, diedAt: instants.monotonic(letter.diedAt) },
    },
    generation,
  };
}

/** The end of a run that nobody has ended. Its instants are as old as they were written, by this process's clock. */
function lostEnding(entry: PastEntry, id: string, recipient: string, instants: Instants): PastEnding {
  return {
    id,
    recipient,
    key: entry.key,
    generation: foreign,
    reason: 'lost',
    registeredAt: instants.epoch(entry.registeredAt),
    lastActiveAt: instants.epoch(entry.lastActiveAt),
    endedAt: instants.now,
    value: entry.value,
    detail: undefined,
    attempts: 0,
    triedAt: undefined,
    isOwnId: false,
    letter: undefined,
  };
}
