import { type Clock, createRegistry, type EndedEvent, type Registry, type RegistryOptions } from 'mapsweep';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import type { Journal } from '../../src/restart/journal.js';
import { openNow } from '../../src/restart/open-journal.js';
import { Succession } from '../../src/restart/succession.js';
import { MemoryVolume } from './memory-journal.js';

/** What a run of these tests may be. */
export interface Run {
  text?: string;
  id?: unknown;
  announced?: boolean;
}

export type Maps = { runs: Map<unknown, Run>; contexts: Map<unknown, Run> };

/** A delivery that succeeded. */
export type Told = Pick<EndedEvent<unknown, unknown>, 'id' | 'key' | 'reason' | 'value' | 'detail'> & {
  readonly attempt: number;
};

/** How a life begins, where it is not as usual. */
export interface LifeOptions {
  maps?: Partial<Record<'runs' | 'contexts', object>>;
  /** What `ended` has besides; `false` for none at all. */
  ended?: object | false;
  /** Is asked before each delivery: throws, or takes its time. `undefined` for a registry without `deliver`. */
  deliver?: 'none' | ((event: EndedEvent) => unknown);
  registry?: Partial<RegistryOptions<Maps>>;
  /** The machine's clocks as this life sees them. */
  clock?: (clock: Clock) => Clock;
  maxWaitMs?: number;
  /** Beyond this the records of a journal that takes nothing are dropped. */
  mostUnwrittenBytes?: number;
  /** Default: the machine's volume. */
  journal?: Journal;
}

/** One life of a service: a registry on a volume, and whom it has told of what. */
export interface Life {
  readonly registry: Registry<Maps>;
  readonly runs: Map<unknown, Run>;
  readonly contexts: Map<unknown, Run>;
  readonly told: Told[];
  /** What the bus was told: key and reason. */
  readonly ended: unknown[][];
  readonly failures: string[];
  readonly journalFailures: { readonly error: unknown; readonly isFinal: boolean }[];
  /** Ends it as kill -9 does: at once, and nothing more comes of it. What is written is the machine's. */
  kill(): void;
}

/** A machine on which a service dies and is started again: its clocks, and what is written. */
export class Machine {
  /** Both of its clocks, all lives long. */
  readonly clock: ManualClock = createManualClock();
  volume = new MemoryVolume();
  readonly #lives: Life[] = [];
  #boots = 1;
  #bootedAt = this.clock.monotonic();

  /** Is booted: its monotonic clock begins anew, under another name. */
  reboot(): void {
    this.#boots += 1;
    this.#bootedAt = this.clock.monotonic();
  }

  start(options: LifeOptions = {}): Life {
    const { maps, ended = {}, deliver, maxWaitMs = 5_000, mostUnwrittenBytes } = options;
    const [told, bus, failures]: [Told[], unknown[][], string[]] = [[], [], []];
    const journalFailures: Life['journalFailures'] = [];
    const { clock, die } = this.#lifeClock(options.clock?.(this.clock) ?? this.clock);
    let isDead = false;
    const deliverOr = async (event: EndedEvent, { attempt }: { attempt: number }): Promise<void> => {
      if (deliver !== undefined && deliver !== 'none') await deliver(event);
      if (isDead) return await new Promise(() => {});
      const { id, key, reason, value, detail } = event;
      told.push({ id, key, reason, value, detail, attempt });
    };
    const registry = createRegistry<Maps>({
      clock,
      maps: {
        runs: { maxIdle: '24h', ...maps?.runs },
        contexts: { follows: 'runs', orphanAfter: '24h', persist: true, ...maps?.contexts },
      },
      ...(ended !== false && {
        ended: { map: 'runs', ...(deliver !== 'none' && { deliver: deliverOr }), ...ended },
      }),
      persistTo: openNow(
        options.journal ?? this.volume.open(),
        { maxWaitMs, mostUnwrittenBytes },
        Succession,
      ),
      ...options.registry,
    } as RegistryOptions<Maps>);
    registry.on('subagent-ended', ({ key, reason }) => bus.push([key, reason]));
    registry.on('callback-failed', ({ map, callback }) => failures.push(`${map} ${callback}`));
    registry.on('journal-failed', (failure) => journalFailures.push(failure));
    const { volume } = this;
    const kill = (): void => {
      isDead = true;
      die();
      if (this.volume === volume) this.volume = new MemoryVolume(volume.records);
    };
    const { runs, contexts } = registry.maps;
    const life = { registry, runs, contexts, told, ended: bus, failures, journalFailures, kill };
    this.#lives.push(life);
    return life;
  }

  /** The next life, after a kill -9 of one whose last words were written. */
  async restart(life: Life, options: LifeOptions = {}): Promise<Life> {
    await this.clock.advance(0);
    life.kill();
    return this.start(options);
  }

  /** Ends all lives. */
  powerOff(): void {
    for (const life of this.#lives) life.kill();
  }

  /** The clock of one life: its monotonic instant 0 is its own, and its timers die with it. */
  #lifeClock(base: Clock): { clock: Clock; die(): void } {
    const origin = base.monotonic() - 7;
    let isDead = false;
    const clock: Clock = {
      ...base,
      monotonic: () => base.monotonic() - origin,
      setTimeout: (fn, ms) => base.setTimeout(() => !isDead && fn(), ms),
      yield: async () => {
        await base.yield?.();
        if (isDead) await new Promise(() => {});
      },
      boot: () => ({ id: `boot ${this.#boots}`, at: base.monotonic() - this.#bootedAt }),
    };
    return {
      clock,
      die: () => {
        isDead = true;
      },
    };
  }
}

export const minutes = (count: number): number => count * 60_000;
export const hours = (count: number): number => count * 3_600_000;
