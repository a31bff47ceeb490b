import { endingsOf } from '../endings/endings.js';
import { MapsweepError } from '../errors.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { Tracker } from '../sweeping/tracker.js';
import { isFulfilledBy } from '../time/by-deadline.js';
import { TimerQueue } from '../time/timer-queue.js';
import { ActivityNote } from './activity-notes.js';
import { Compaction } from './compaction.js';
import { DeliveryGate } from './delivery-gate.js';
import { EndingRecorder, type EndingRecorderHost } from './ending-recorder.js';
import type { Journal, JournalUse } from './journal.js';
import { JournalWriter } from './journal-writer.js';
import type { Left, PastEntry } from './left.js';
import { type LiveParts, liveRecords, someRecords } from './live-records.js';
import { MapNames } from './map-names.js';
import { MapRecorder } from './map-recorder.js';
import type { RecordEncoder } from './record-encoder.js';
import type { Life } from './records.js';
import * as records from './records.js';
import type { Utterance } from './utterance-queue.js';

/** The part of the time that is left to close() which last words have, if they go another way, and the least, ms. */
const lastWordsPart = 1 / 4;
const leastLastWordsMs = 1_000;

/** So many letters of what was left say how long an entry is: to make records of long values takes time. */
const mostMeasured = 256 * 1_024;

/** What the recorder has to know of the registry. */
export interface RecorderHost extends EndingRecorderHost {
  readonly use: JournalUse;
  /** The map whose runs end, in this life or else in the one before. */
  readonly endedMap: string | undefined;
  liveParts(): Omit<LiveParts, 'recorders' | 'encoder' | 'indexOf'>;
  /** How long what earlier lives left has been awaited in this one, ms of running time; `undefined` if nothing is. */
  windowMs(): number | undefined;
  /** The highest generation that was ever given out in a map. */
  lastGenerationOf(map: string): number;
  /** Whether entries of earlier lives may still come back into a map. */
  isAwaited(map: string): boolean;
  /** The journal could not be written. */
  failed(error: unknown, isFinal: boolean): void;
}

/** Writes down, as it happens, what has to survive a restart. */
export class Recorder {
  readonly writer: JournalWriter;
  readonly encoder: RecordEncoder;
  readonly gate: DeliveryGate;
  readonly endings: EndingRecorder;
  readonly #host: RecorderHost;
  readonly #journal: Journal;
  readonly #life: Life;
  readonly #timers: TimerQueue;
  readonly #names: MapNames;
  readonly #compaction: Compaction;
  readonly #recorders = new Map<Tracker, MapRecorder>();
  // Maps that are tracked no more, and how much had been said by then: what is on its way is of their names.
  readonly #parted = new Map<string, number>();
  #jumpedMs = 0;
  #toldWindowMs = 0;
  #interval = 1;
  #looking: Promise<void> | undefined;
  /** Of that look: what it has not come to yet. */
  #activeValues: Generator<void> | undefined;
  #hasBegun = false;
  #hasToldAbandoned = false;

  constructor(host: RecorderHost, journal: Journal, life: Life) {
    const { engine, encoder } = host;
    const { maxWaitMs, mostUnwrittenBytes } = host.use;
    this.#host = host;
    this.#journal = journal;
    this.#life = life;
    this.encoder = encoder;
    const { clock } = engine.timeline;
    this.#timers = new TimerQueue(clock, {
      onError: (error) => engine.failures.report('', 'timer', undefined, error),
    });
    this.writer = new JournalWriter(journal, {
      clock,
      timers: this.#timers,
      sliceBudgetMs: engine.sliceBudgetMs,
      maxWaitMs,
      mostUnwrittenBytes,
      encode: (said, slot, generation) => this.#encode(said, slot, generation),
      liveRecords: () => liveRecords(this.#liveParts()),
      written: (count) => {
        this.gate.written(count);
        this.#forgetParted(count);
        this.#compact();
      },
      appended: (durationMs) =>
        engine.measurements.tell((listener) => listener.journalAppended?.(durationMs)),
      checkpointed: () => {
        this.#compaction.done();
        this.endings.nothingToCome();
      },
      failed: (error, isFinal) => {
        if (isFinal) this.#lose();
        host.failed(error, isFinal);
      },
    });
    this.gate = new DeliveryGate(
      this.#timers,
      () => clock.monotonic(),
      maxWaitMs,
      (id) => host.deliveries()?.start(id),
    );
    this.endings = new EndingRecorder(host, this.writer, this.gate);
    this.#names = new MapNames({
      endedMap: host.endedMap,
      lastGenerationOf: host.lastGenerationOf,
      named: (record) => this.writer.say(record),
    });
    this.#compaction = new Compaction(journal, () => this.#liveBytes());
    journal.begin(() => this.#preamble());
    engine.bus.on('clock-jumped', ({ byMs }) => {
      this.#jumpedMs += byMs;
      this.writer.say(this.#clockText());
    });
  }

  /** Begins to write activity down, once all maps are there. */
  start(): void {
    this.#schedule();
  }

  /** Maps of earlier lives, whose entries may have to be written anew. To be called before they are. */
  nameMaps(names: Iterable<string>): void {
    for (const name of names) this.#names.indexOf(name);
  }

  /** Learns from what earlier lives left how much is live. To be called before that is taken over. */
  measure(left: Left): void {
    let measured = 0;
    for (const record of someRecords(this.encoder, left)) {
      if (record === undefined) continue;
      this.encoder.measure(record);
      measured += record.length;
      if (measured > mostMeasured) return;
    }
  }

  /** Writes down the entries of a map from now on: to be called before they are stamped. */
  watch(tracker: Tracker): void {
    const recorder = new MapRecorder(tracker, this.#names.indexOf(tracker.name), {
      writer: this.writer,
      encoder: this.encoder,
      conclude: (event) => this.endings.conclude(event),
      interval: () => this.#interval,
      now: () => this.encoder.instant(this.#host.engine.timeline.now()),
    });
    this.#recorders.set(tracker, recorder);
    this.#parted.delete(tracker.name);
    tracker.recorder = recorder;
  }

  /** The map is tracked no more: nothing of it is awaited in the next life. */
  unwatch(tracker: Tracker): void {
    const recorder = this.#recorders.get(tracker);
    if (recorder === undefined) return;
    recorder.released();
    this.#recorders.delete(tracker);
    tracker.recorder = undefined;
    this.#parted.set(tracker.name, this.writer.saidCount);
  }

  /** An entry of an earlier life was set again. Takes and returns what `MapRecorder.cameBack` does. */
  cameBack(tracker: Tracker, slot: number, before: number, entry: PastEntry, json?: string): boolean {
    const recorder = this.#recorders.get(tracker);
    if (recorder !== undefined) return recorder.cameBack(slot, before, entry, json);
    // Nothing that happens to it in this life is written down: in the next one it would come back as it was.
    if (!entry.isUnrecorded) this.forgotten(tracker.name, entry.generation);
    return true;
  }

  /** An entry has another generation now. */
  renumbered(tracker: Tracker, slot: number, before: number): void {
    this.#recorders.get(tracker)?.renumbered(slot, before);
    const endings = endingsOf(tracker);
    if (!endings?.isClaimed(slot)) return;
    const { stamps } = tracker;
    const generation = stamps.generation[slot] as number;
    this.endings.quiet({ key: stamps.keyOf(slot), id: endings.ids.of(slot), generation });
  }

  /** An entry of an earlier life is awaited no more. */
  forgotten(map: string, generation: number): void {
    this.writer.say(records.entriesRecord('left', this.#names.indexOf(map), [generation]));
  }

  /** Where the journal is kept. */
  get journalName(): string {
    return this.#journal.name;
  }

  /** What the journal takes, bytes. */
  get journalBytes(): number {
    return this.#journal.size;
  }

  /**
   * Has everything written that waits, and gives the journal back. A disk that does not answer by the deadline is not
   * waited for; a journal whose last words go another way has the last quarter of the time for them.
   */
  async close(deadlineAt: number): Promise<void> {
    // So that the next life knows how old everything was, whatever the wall clock does meanwhile.
    if (this.#hasBegun) this.writer.say(this.#clockText());
    // One that is under way has perhaps passed over what was active since.
    const looked = this.#looking?.then(() => this.#look()) ?? this.#look();
    const written = looked
      .then(() => this.#sayAges((recorder) => recorder.sayAges()))
      .then(() => this.writer.flushedAtLast());
    const { timeline } = this.#host.engine;
    const { hasOtherWay } = this.#journal;
    const keptMs = hasOtherWay ? (deadlineAt - timeline.now()) * lastWordsPart : 0;
    const isInTime = await isFulfilledBy(deadlineAt - keptMs, written, this.#timers);
    // What was said meanwhile, if not all that waits: one that answers is only slower than the deadline was short.
    const isWell = !this.writer.isPausing && !this.writer.isStuck;
    if (isWell || isInTime) this.#releaseQuietly();
    else if (hasOtherWay) this.#releaseQuietly(Math.max(deadlineAt - timeline.now(), leastLastWordsMs));
    else this.release();
    this.#tellAbandoned();
  }

  /** Has everything written that waits, at once, and gives the journal back. What the journal throws is told. */
  detach(): void {
    if (this.#hasBegun) this.writer.say(this.#clockText());
    this.#sayWindow();
    // What a look that is under way has not come to, and what has been active since.
    for (const _ of this.#activeValues ?? []);
    for (const _ of this.#lookAtActive());
    for (const recorder of this.#recorders.values()) recorder.sayAges();
    this.#releaseQuietly();
    this.#tellAbandoned();
  }

  /** Ends the timer, and gives the journal back. */
  release(): void {
    this.#timers.clear();
    this.gate.shut();
    this.writer.release();
    for (const tracker of this.#recorders.keys()) tracker.recorder = undefined;
    this.#recorders.clear();
  }

  /** The same after it has written what waits, at once. @throws as the journal */
  releaseNow(patienceMs?: number): void {
    try {
      this.writer.releaseNow(patienceMs);
    } finally {
      this.release();
    }
  }

  /** The journal is somebody else's, who delivers what is in it. */
  #lose(): void {
    this.gate.shut();
    this.#host.deliveries()?.halt();
  }

  #encode(said: Utterance, slot: number, generation: number): string | undefined {
    if (typeof said === 'string') return said;
    if (said instanceof MapRecorder) return said.encode(slot, generation);
    if (said instanceof ActivityNote) return said.encode();
    const endings = this.#host.endings();
    return endings && this.encoder.ending(endings.tracker, said as EndedEvent);
  }

  #clockText(): string {
    return records.clockRecord(this.#jumpedMs, this.encoder.instant(this.#host.engine.timeline.now()));
  }

  #preamble(): string[] {
    this.#hasBegun = true;
    return [records.lifeRecord(this.#life), this.#clockText(), ...this.#names.records()];
  }

  #liveParts(): LiveParts {
    return {
      ...this.#host.liveParts(),
      recorders: [...this.#recorders.values()],
      encoder: this.encoder,
      indexOf: (map) => this.#names.indexOf(map),
      said: this.endings,
    };
  }

  #schedule(): void {
    const { timeline, sweepEveryMs } = this.#host.engine;
    this.#timers.schedule(timeline.now() + sweepEveryMs, () => {
      this.#schedule();
      void this.#look();
    });
  }

  #releaseQuietly(patienceMs?: number): void {
    try {
      this.releaseNow(patienceMs);
    } catch (error) {
      this.#host.failed(error, false);
    }
  }

  #tellAbandoned(): void {
    const { abandonedMs } = this.writer;
    if (abandonedMs === undefined || this.#hasToldAbandoned) return;
    this.#hasToldAbandoned = true;
    const message = `'${this.journalName}' was given back before it had taken what happened in the last ${Math.ceil(abandonedMs)} ms: the next life will not know of it`;
    this.#host.failed(new MapsweepError('ERR_JOURNAL_IO', message), true);
  }

  /** Begins an interval: what has to be looked at for it to be known is written down. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookAtAll().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  #sayWindow(): void {
    const windowMs = this.#host.windowMs();
    if (windowMs === undefined || windowMs <= this.#toldWindowMs) return;
    this.#toldWindowMs = windowMs;
    this.writer.say(records.windowRecord(Math.floor(windowMs)));
  }

  /** Looks whether the values of entries that were active are others now, an entry a step. */
  *#lookAtActive(): Generator<void> {
    for (const recorder of this.#recorders.values()) {
      for (const slot of recorder.takeActive()) {
        recorder.overwritten(slot);
        yield;
      }
    }
  }

  async #lookAtAll(): Promise<void> {
    this.#interval += 1;
    this.#host.engine.timeline.compareClocks();
    this.#sayWindow();
    const slices = this.#host.engine.newSlices({ stepsPerReading: 256 });
    this.#activeValues = this.#lookAtActive();
    while (this.#activeValues?.next().done === false) if (slices.isOver()) await slices.giveWay();
    this.#activeValues = undefined;
    await this.#sayAges((recorder) => recorder.counted());
    this.#compact();
  }

  /** @param say writes down how many entries of a map reached each age, 10 kB after a week */
  async #sayAges(say: (recorder: MapRecorder) => void): Promise<void> {
    const slices = this.#host.engine.newSlices();
    for (const recorder of this.#recorders.values()) {
      say(recorder);
      if (slices.isOver()) await slices.giveWay();
    }
  }

  /** Forgets the names of maps that are tracked no more, unless a record may still come that goes by one. */
  #forgetParted(writtenCount: number): void {
    if (this.writer.isCheckpointing) return;
    for (const [map, saidCount] of this.#parted) {
      if (saidCount > writtenCount) continue;
      this.#parted.delete(map);
      if (!this.#host.isAwaited(map)) this.#names.forget(map);
    }
  }

  #compact(): void {
    if (this.#compaction.isDue) this.writer.checkpoint();
  }

  /** About how much the journal would hold if it were written anew. */
  #liveBytes(): number {
    const deliveries = this.#host.deliveries();
    let entries = this.#host.liveParts().absent.count();
    for (const { tracker } of this.#recorders.values()) entries += tracker.stamps.size;
    const owed = (deliveries?.pendingCount ?? 0) + (deliveries?.deadLetterCount ?? 0);
    return (entries + 2 * owed) * this.encoder.meanBytes;
  }
}
