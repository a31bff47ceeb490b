import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Deliveries } from '../endings/deliveries.js';
import type { Endings } from '../endings/endings.js';
import type { Tombstones } from '../endings/tombstones.js';
import { MapsweepError } from '../errors.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { RestartContext } from './context.js';
import { Inheritance } from './inheritance.js';
import type { Journal } from './journal.js';
import type { Left } from './left.js';
import type { LiveParts } from './live-records.js';
import { MapNames } from './map-names.js';
import { assertSameMap, type OpenJournal, type TakenJournal } from './open-journal.js';
import type { Past } from './past.js';
import { presentClocks } from './past-timeline.js';
import { RecordEncoder } from './record-encoder.js';
import { Recorder } from './recorder.js';
import { lifeRecord, windowRecord } from './records.js';
import { Restoration, type RestorationOptions } from './restoration.js';
import { pastOf, type RegistrySnapshot, takeSnapshot } from './snapshot.js';
import type { Succession } from './succession.js';

/** So many lives may be in a journal before it is written anew, however small they were. */
const mostLives = 8;

/** What the registry has that a restart is about. */
export interface RestartHost extends RestorationOptions {
  readonly engine: Engine;
  /** The map whose runs end. */
  readonly endedMap: string | undefined;
  /** Set if there is a map whose runs end. */
  readonly tombstones: Tombstones | undefined;
  /** Whether the owner says which run is which. */
  readonly hasOwnIds: boolean;
  endings(): Endings | undefined;
  deliveries(): Deliveries | undefined;
}

/**
 * What a registry does so that a restart loses nothing: it takes over what earlier lives left, writes down what has to
 * survive this one, and takes and restores snapshots by hand.
 */
export class Restart {
  readonly restoration: Restoration;
  readonly recorder: Recorder | undefined;
  /** Unique to this life of the process; with a generation, unique for ever. */
  readonly lifeId = randomUUID();
  readonly #host: RestartHost;
  readonly #context: RestartContext;
  // What `encode` had given for the value of an ending.
  readonly #pastValues = new WeakMap<EndedEvent, unknown>();
  #journal: Journal | undefined;
  #succession: typeof Succession | undefined;
  #past: Past | undefined;
  readonly #inheritance: Inheritance;
  #restored: number | undefined;
  /** What has to be added to an instant of the past that was taken over last, to have it in the monotonic time of this life. */
  #shift = 0;
  /** The map whose runs end, in this life or else in the one before. */
  #endedMap: string | undefined;

  /**
   * @throws MapsweepError `ERR_CLOSED` if the journal serves another registry; MapsweepTypeError `ERR_INVALID_OPTION` if
   *   it holds endings of another map, and then it is given back
   */
  constructor(host: RestartHost, open: OpenJournal | undefined) {
    this.#host = host;
    this.#endedMap = host.endedMap;
    this.#context = {
      engine: host.engine,
      hasOwnIds: host.hasOwnIds,
      endedMap: () => this.#endedMap,
      endings: host.endings,
      deliveries: host.deliveries,
      recorder: () => this.recorder,
      mayConclude: () => this.#mayConclude(),
      keepPastValue: (event, json) => {
        if (json !== undefined) this.#pastValues.set(event, json);
      },
      failed: (error, isFinal) => this.#failed(error, isFinal),
    };
    this.restoration = new Restoration(this.#context, host);
    this.#inheritance = new Inheritance(this.#context, this.restoration.absences);
    if (open === undefined) return;
    const taken = open.take();
    this.#journal = taken.journal;
    this.#succession = taken.succession;
    try {
      assertSameMap(taken, host.endedMap);
      this.#past = taken.past;
      this.#endedMap ??= taken.past.endedMap;
      this.recorder = this.#newRecorder(taken);
      if (!taken.past.isEmpty) this.#takeEntries(taken.past, true);
    } catch (error) {
      taken.journal.release();
      throw error;
    }
  }

  /** A map is there, and its entries have not been stamped yet. */
  watch(tracker: Tracker): void {
    if (tracker.policy.persist !== undefined || tracker.name === this.#host.endedMap) {
      this.recorder?.watch(tracker);
    }
    this.restoration.number(tracker);
  }

  /** The entries of a map are stamped: those of earlier lives come back, and are set if they can be decoded. */
  expect(tracker: Tracker): void {
    this.restoration.expect(tracker);
    this.restoration.fill(tracker);
  }

  /** A run has ended, and has to be delivered: once that is written, if there is a journal. */
  obliged(event: EndedEvent): void {
    this.recorder?.endings.ended(event);
    this.#host.deliveries()?.push(event, this.recorder !== undefined);
  }

  /** All maps are there: sets the entries that can be decoded, and goes on with what was not delivered. */
  resume(): void {
    for (const tracker of this.#host.engine.trackers.values()) this.expect(tracker);
    this.recorder?.start();
    const past = this.#past;
    this.#past = undefined;
    if (past !== undefined) {
      // What attempts that are left are about is gone with a journal that is empty.
      this.#inheritance.take(past.endings.values(), this.#shift);
      if (past.lives >= mostLives) this.recorder?.writer.checkpoint();
    }
    this.#join();
  }

  /** Takes the whole of it down, at once. */
  snapshot(): RegistrySnapshot {
    const { trackers } = this.#host.engine;
    const names = new MapNames({
      endedMap: this.#endedMap,
      lastGenerationOf: (map) => this.#lastGenerationOf(map),
      // All of them stand before the first record.
      named: () => {},
    });
    const indexOf = (map: string): number => names.indexOf(map);
    const recorders = [...trackers.values()].map((tracker) => ({ tracker, index: indexOf(tracker.name) }));
    for (const map of this.restoration.absences.byMap.keys()) indexOf(map);
    this.#host.engine.timeline.compareClocks();
    const encoder = this.#newEncoder(false);
    // Nothing in it is late: its activity is as of now.
    const preamble = [
      lifeRecord({ id: this.lifeId, everyMs: 0, ...presentClocks(this.#host.engine.timeline) }),
      ...names.records(),
    ];
    const { windowMs } = this.restoration;
    if (windowMs !== undefined) preamble.push(windowRecord(Math.floor(windowMs)));
    return takeSnapshot(preamble, { ...this.#liveParts(), recorders, encoder, indexOf });
  }

  /**
   * Takes over a snapshot: all of it, or nothing if it is damaged. The same again changes nothing.
   *
   * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, saying where it is damaged, or that another one was restored before
   */
  restore(snapshot: unknown): void {
    const past = pastOf(snapshot);
    const { endedMap } = this.#host;
    if (past.endedMap !== undefined && past.endedMap !== endedMap) {
      throw new MapsweepError(
        'ERR_INVALID_SNAPSHOT',
        `snapshot: it holds endings of '${past.endedMap}', this registry announces ` +
          `${endedMap === undefined ? 'none' : `those of '${endedMap}'`}. Nothing was restored`,
      );
    }
    const sum = crc32(JSON.stringify(snapshot));
    if (this.#restored !== undefined) {
      if (this.#restored === sum) return;
      throw new MapsweepError(
        'ERR_INVALID_SNAPSHOT',
        'snapshot: another one was restored before, and a registry takes one. Nothing was restored',
      );
    }
    this.#restored = sum;
    this.#host.engine.timeline.compareClocks();
    this.#takeEntries(past, false);
    // The journal knows nothing of it: what comes back at once is written in full.
    this.recorder?.writer.checkpointUnsaid();
    for (const tracker of this.#host.engine.trackers.values()) this.expect(tracker);
    this.#inheritance.take(past.endings.values(), this.#shift);
  }

  /** Leaves what is awaited to the next life. */
  stop(): void {
    this.restoration.stop();
  }

  #takeEntries(past: Past, isRecorded: boolean): void {
    const { timeline } = this.#host.engine;
    this.recorder?.measure(past);
    const at = timeline.now();
    // Whole ms as entries are stamped here: else the stamp of an entry would be before the cohort that it was registered in.
    const shift = timeline.stampOf(at + past.end(presentClocks(timeline)));
    this.#shift = shift;
    this.restoration.take(past, { at, shift, lateMs: past.everyMs, isRecorded });
    this.recorder?.nameMaps(this.restoration.mapNames);
    this.#rememberEnded(past, shift);
  }

  #rememberEnded(past: Left, shift: number): void {
    const { tombstones, hasOwnIds, engine } = this.#host;
    if (!hasOwnIds || tombstones === undefined) return;
    const now = engine.timeline.now();
    for (const { id, key, generation, at } of past.tombstones.values()) {
      const endedAt = Math.min(at + shift, now);
      // Else the oldest that are over would push out what is not, and count until a sweep.
      if (now < endedAt + tombstones.ttlMs) tombstones.restore(id, { key, generation, at: endedAt });
    }
  }

  /** In a journal with several owners: takes over from those that die, and gives up what they have taken over. */
  #join(): void {
    const { recorder } = this;
    if (recorder === undefined || this.#succession === undefined) return;
    this.#journal?.join?.(
      new this.#succession(this.#context, {
        recorder,
        absences: this.restoration.absences,
        inheritance: this.#inheritance,
        tombstoneMs: this.#host.tombstones?.ttlMs ?? 0,
      }),
    );
  }

  #failed(error: unknown, isFinal: boolean): void {
    this.#host.engine.bus.emit('journal-failed', { journal: this.#journal?.name ?? '', error, isFinal });
  }

  /** Not so if this life only observes, or has nobody to tell of what a journal holds. */
  #mayConclude(): boolean {
    const endings = this.#host.endings();
    if (endings === undefined || endings.tracker.observing) return false;
    return this.recorder === undefined || this.#host.deliveries() !== undefined;
  }

  #lastGenerationOf(map: string): number {
    const stamped = this.#host.engine.trackers.get(map)?.stamps.lastGeneration ?? 0;
    return Math.max(stamped, this.restoration.lastGenerationOf(map));
  }

  #liveParts(): Omit<LiveParts, 'recorders' | 'encoder' | 'indexOf'> {
    return {
      endings: this.#host.endings(),
      deliveries: this.#host.deliveries(),
      absent: this.restoration.absences,
      carried: this.#inheritance.carried.values(),
    };
  }

  #newRecorder({ journal, use }: TakenJournal): Recorder {
    const { engine, endings, deliveries } = this.#host;
    return new Recorder(
      {
        engine,
        use,
        encoder: this.#newEncoder(true),
        endedMap: this.#endedMap,
        endings,
        deliveries,
        liveParts: () => this.#liveParts(),
        windowMs: () => this.restoration.windowMs,
        lastGenerationOf: (map) => this.#lastGenerationOf(map),
        isAwaited: (map) => this.restoration.absences.of(map) !== undefined,
        failed: (error, isFinal) => this.#failed(error, isFinal),
      },
      journal,
      { id: this.lifeId, everyMs: engine.sweepEveryMs, ...presentClocks(engine.timeline) },
    );
  }

  #newEncoder(isMarking: boolean): RecordEncoder {
    const { engine, hasOwnIds, deliveries } = this.#host;
    return new RecordEncoder({
      recipients: () => deliveries()?.recipients.map(({ name }) => name) ?? [],
      origin: engine.timeline.now(),
      lifeId: this.lifeId,
      isMarking,
      hasOwnIds,
      pastValueOf: (event) => this.#pastValues.get(event),
      failures: engine.failures,
    });
  }
}
