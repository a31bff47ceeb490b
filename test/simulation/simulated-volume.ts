import type { Journal, JournalRecord } from '../../src/restart/journal.js';
import { Past } from '../../src/restart/past.js';
import type { Findings } from './findings.js';
import type { Random } from './random.js';
import type { SimulatedTime } from './simulated-time.js';

/** What is wrong with the disk. */
export type DiskFault = 'none' | 'slow' | 'full' | 'hangs';

/** What a volume needs of the world. */
export interface VolumeHost {
  readonly time: SimulatedTime;
  readonly findings: Findings;
  readonly random: Random;
  /** What `size` says is so many times the bytes that there are, so that small journals are written anew as well. */
  readonly scale: number;
  log(line: string): void;
  /** When the process that owns the volume was started. */
  startedAt(): number;
}

/** The last process that has written something. */
export interface LastLife {
  readonly id: string;
  readonly startedAt: number;
  /** Its clocks at that instant. */
  readonly wall: number;
  readonly bootId: string;
  /** Jumps of the wall clock that it has written down. */
  jumpedMs: number;
  /** For how long it has awaited what earlier ones left, as far as it has written. */
  windowMs: number;
}

/** Records between two places where somebody may begin to read. */
type Stretch = string[];

/** Appends that take so long are over in the turn in which they began. */
const atOnce = 0;

/**
 * The disk that a journal is kept on. It outlives its owners, of whom there is one at a time.
 *
 * What an owner appends is there when its promise is fulfilled. Of what is under way when the owner dies, the disk has
 * as many bytes as the seed says; the last record may be cut, and is none then. Of an append that failed it may have
 * some, or all.
 */
export class SimulatedVolume {
  fault: DiskFault = 'none';
  /** Since when nothing has been wrong. */
  soundSince = Number.NEGATIVE_INFINITY;
  readonly #host: VolumeHost;
  #stretches: Stretch[] = [];
  #owner: SimulatedJournal | undefined;
  #reader: Past | undefined;
  /** Ids of endings whose claim is there. */
  readonly #claims = new Set<string>();
  lastLife: LastLife = { id: '', startedAt: 0, wall: 0, bootId: '', jumpedMs: 0, windowMs: 0 };
  /** How many records there were, dropped ones included. */
  appended = 0;
  checkpoints = 0;

  constructor(host: VolumeHost) {
    this.#host = host;
  }

  get host(): VolumeHost {
    return this.#host;
  }

  get isOwned(): boolean {
    return this.#owner !== undefined;
  }

  /** Gives the volume to a new owner. `past`: what that one reads; default: what is there. */
  open(past?: readonly JournalRecord[]): SimulatedJournal {
    if (this.#owner !== undefined) throw codeError('ERR_JOURNAL_LOCKED', 'the volume has an owner');
    this.#owner = new SimulatedJournal(this, past ?? this.records);
    return this.#owner;
  }

  /** The folder is removed and made anew, under its owner's feet. */
  takeAway(): void {
    this.#owner?.beTakenAway();
    this.#owner = undefined;
    this.#stretches = [];
    this.#reader = undefined;
  }

  /** The owner dies. */
  crash(): void {
    this.#owner?.die();
    this.#owner = undefined;
  }

  breaks(fault: DiskFault): void {
    this.fault = fault;
    this.soundSince = Number.POSITIVE_INFINITY;
  }

  heals(): void {
    this.fault = 'none';
    this.soundSince = this.#host.time.now;
    this.#owner?.goOn();
  }

  /** The records that are there, played. */
  get past(): Past {
    if (this.#reader === undefined) {
      this.#reader = new Past();
      for (const record of this.records) this.#reader.play(record);
    }
    return this.#reader;
  }

  /** What was played was brought to its end: who asks again gets it anew. */
  forgetPast(): void {
    this.#reader = undefined;
  }

  /** The records that are there. */
  get records(): JournalRecord[] {
    return this.#stretches.flat().map((text) => JSON.parse(text) as JournalRecord);
  }

  /** Whether the claim of an ending is there. */
  holdsClaim(id: string): boolean {
    return this.#claims.has(id);
  }

  // --- for the owner ------------------------------------------------------------------------------------------------

  get bytes(): number {
    let bytes = 0;
    for (const stretch of this.#stretches) for (const record of stretch) bytes += record.length + 1;
    return bytes;
  }

  isOwner(journal: SimulatedJournal): boolean {
    return this.#owner === journal;
  }

  free(journal: SimulatedJournal): void {
    if (this.#owner === journal) this.#owner = undefined;
  }

  begin(preamble: readonly string[]): Stretch {
    const stretch: Stretch = [];
    this.#stretches.push(stretch);
    this.add(stretch, preamble);
    return stretch;
  }

  add(stretch: Stretch, records: readonly string[]): void {
    for (const record of records) {
      stretch.push(record);
      this.appended += 1;
      const played = JSON.parse(record) as JournalRecord;
      this.#reader?.play(played);
      this.#note(played);
    }
  }

  #note([kind, ...members]: JournalRecord): void {
    if (kind === 'end') this.#claims.add((members[6] as { i: string }).i);
    else if (kind === 'clock') this.lastLife.jumpedMs = members[0] as number;
    else if (kind === 'window') this.lastLife.windowMs = members[0] as number;
    else if (kind === 'life' && members[1] !== this.lastLife.id) {
      const [, id, wall, bootId] = members as [number, string, number, string];
      const startedAt = this.#host.startedAt();
      this.lastLife = { id, startedAt, wall, bootId, jumpedMs: 0, windowMs: 0 };
    }
  }

  /** Drops all before a stretch. */
  dropBefore(stretch: Stretch): void {
    this.checkpoints += 1;
    this.#stretches.splice(0, this.#stretches.indexOf(stretch));
    this.#reader = undefined;
  }
}

/** A call of the journal that is under way. */
interface Call {
  readonly records: readonly string[];
  /** Makes what it does to the volume, all of it. */
  readonly effect: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  isOver: boolean;
  hangs: boolean;
}

/** The journal of one owner. */
export class SimulatedJournal implements Journal {
  readonly name = 'a simulated volume';
  readonly #volume: SimulatedVolume;
  #past: readonly JournalRecord[];
  #preamble: () => readonly string[] = () => [];
  #stretch: Stretch | undefined;
  #checkpoint: Stretch | 'next' | undefined;
  #call: Call | undefined;
  #state: 'open' | 'released' | 'lost' | 'dead' = 'open';
  /** The last call failed. */
  #hasFailed = false;
  /** How many calls were rejected. */
  failures = 0;
  /** Something of this owner is on the volume. */
  hasWritten = false;
  /** When it was given back nothing was under way, and nothing had failed. */
  isComplete = false;

  constructor(volume: SimulatedVolume, past: readonly JournalRecord[]) {
    this.#volume = volume;
    this.#past = past;
  }

  get size(): number {
    return this.#volume.bytes * this.#volume.host.scale;
  }

  get isLost(): boolean {
    return this.#state === 'lost';
  }

  /** Whether everything that the library has to say is there, if it has nothing to do. */
  get isSettled(): boolean {
    return (
      this.#state === 'open' && this.#call === undefined && !this.#hasFailed && this.#checkpoint === undefined
    );
  }

  *takePast(): Generator<readonly JournalRecord[]> {
    const past = this.#past;
    this.#past = [];
    for (const record of past) yield [record];
  }

  begin(preamble: () => readonly string[]): void {
    this.#preamble = preamble;
  }

  append(records: readonly string[]): Promise<void> {
    return this.#do(`append of ${records.length}`, records, () => this.#write(records));
  }

  appendNow(records: readonly string[]): void {
    const { findings, log } = this.#volume.host;
    if (this.#state === 'dead') return;
    this.#assertOpen();
    if (this.#state === 'lost') throw lost();
    const call = this.#call;
    findings.check(call?.hangs !== true, 'close', () => 'appendNow() on a disk that hangs');
    if (this.#volume.fault === 'full') throw codeError('ENOSPC', 'no space left on device');
    log(`append of ${records.length} at once`);
    if (call !== undefined) {
      call.isOver = true;
      call.effect();
      this.#call = undefined;
      call.resolve();
    }
    this.#write(records);
  }

  beginCheckpoint(): Promise<void> {
    if (this.#state === 'dead') return new Promise(() => {});
    this.#assertOpen();
    this.#stretch = undefined;
    this.#checkpoint = 'next';
    return Promise.resolve();
  }

  endCheckpoint(): Promise<void> {
    return this.#do('end of a checkpoint', [], () => {
      const checkpoint = this.#checkpoint;
      if (checkpoint === undefined) throw new Error('endCheckpoint() without beginCheckpoint()');
      this.#stretch = undefined;
      const next = this.#stretchToWrite();
      this.#volume.dropBefore(checkpoint === 'next' ? next : checkpoint);
      this.#checkpoint = undefined;
    });
  }

  release(): void {
    if (this.#state === 'open') {
      this.#state = 'released';
      this.isComplete = this.#call === undefined && !this.#hasFailed && this.#checkpoint === undefined;
    }
    // What is under way may still come to its end.
    this.#cut();
    this.#volume.free(this);
  }

  // --- what the world does --------------------------------------------------------------------------------------------

  /** The process is gone: of what is under way some may be there. */
  die(): void {
    this.#state = 'dead';
    this.#cut();
  }

  beTakenAway(): void {
    this.#state = 'lost';
  }

  /** What has hung goes on. */
  goOn(): void {
    if (this.#call?.hangs) this.#end(this.#call, false);
  }

  #do(called: string, records: readonly string[], effect: () => void): Promise<void> {
    if (this.#state === 'dead') return new Promise(() => {});
    const { findings, random, time, log } = this.#volume.host;
    this.#assertOpen();
    findings.check(this.#call === undefined, 'journal', () => 'two calls of the journal at once');
    const { fault } = this.#volume;
    const afterMs = {
      none: random.pick([atOnce, atOnce, 1, 3, 20]),
      slow: random.between(30, 1_500),
      full: random.pick([atOnce, 5]),
      hangs: atOnce,
    }[fault];
    return new Promise((resolve, reject) => {
      const call: Call = { records, effect, resolve, reject, isOver: false, hangs: fault === 'hangs' };
      this.#call = call;
      log(`${called}${fault === 'none' ? '' : `, ${fault}`}`);
      if (call.hangs) return;
      const end = (): void => {
        if (!call.isOver) this.#end(call, fault === 'full');
      };
      if (afterMs === atOnce) queueMicrotask(end);
      else time.later(afterMs, end);
    });
  }

  #end(call: Call, hasFailed: boolean): void {
    call.isOver = true;
    this.#call = undefined;
    this.#hasFailed = hasFailed || this.#state === 'lost';
    this.#volume.host.log(this.#hasFailed ? 'it fails' : 'it is there');
    if (this.#state === 'lost') {
      this.failures += 1;
      call.reject(lost());
    } else if (hasFailed) {
      this.failures += 1;
      // Nobody knows how much of it is there.
      if (this.#volume.host.random.chance(0.5)) this.#write(this.#cutOff(call.records));
      call.reject(codeError('ENOSPC', 'no space left on device'));
    } else {
      call.effect();
      call.resolve();
    }
  }

  /** Nobody waits any more for what is under way: some of it may be there. */
  #cut(): void {
    const call = this.#call;
    this.#call = undefined;
    if (call === undefined || call.isOver) return;
    call.isOver = true;
    if (this.#volume.isOwner(this)) {
      if (call.records.length > 0) this.#write(this.#cutOff(call.records));
      else if (this.#volume.host.random.chance(0.5)) call.effect();
    }
  }

  /** The records that are whole when the text of all is cut somewhere. */
  #cutOff(records: readonly string[]): string[] {
    const bytes = records.reduce((sum, record) => sum + record.length + 1, 0);
    let left = this.#volume.host.random.between(0, bytes);
    return records.filter((record) => {
      left -= record.length + 1;
      return left >= 0;
    });
  }

  #write(records: readonly string[]): void {
    if (records.length > 0) this.#volume.add(this.#stretchToWrite(), records);
  }

  #stretchToWrite(): Stretch {
    if (this.#stretch === undefined) {
      this.#stretch = this.#volume.begin(this.#preamble());
      this.hasWritten = true;
      if (this.#checkpoint === 'next') this.#checkpoint = this.#stretch;
    }
    return this.#stretch;
  }

  #assertOpen(): void {
    if (this.#state === 'released') throw codeError('ERR_CLOSED', 'the journal was given back');
  }
}

const lost = (): Error => codeError('ERR_JOURNAL_LOST', 'the volume is somebody else’s now');

function codeError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
