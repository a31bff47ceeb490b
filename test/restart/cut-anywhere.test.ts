import fc from 'fast-check';
import type { EntryStamps } from 'mapsweep';
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';
import { type Life, type LifeOptions, Machine, minutes } from './lives.js';
import { LoggedJournal } from './logged-journal.js';

type Key = 'a' | 'b' | 'c';

type Step =
  | { readonly do: 'set' | 'touch' | 'end' | 'delete'; readonly key: Key }
  | { readonly do: 'transfer'; readonly key: Key; readonly to: Key }
  | { readonly do: 'clear' | 'checkpoint' | 'deliver' | 'refuse' | 'all at once' }
  | { readonly do: 'wait'; readonly ms: number };

const key = fc.constantFrom<Key>('a', 'b', 'c');
const onKey = (...kinds: ('set' | 'touch' | 'end' | 'delete')[]) =>
  fc.record({ do: fc.constantFrom(...kinds), key }) as fc.Arbitrary<Step>;
const alone = (...kinds: ('clear' | 'checkpoint' | 'deliver' | 'refuse' | 'all at once')[]) =>
  fc.record({ do: fc.constantFrom(...kinds) }) as fc.Arbitrary<Step>;
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: onKey('set') },
  { weight: 9, arbitrary: onKey('touch', 'end', 'delete') },
  { weight: 5, arbitrary: fc.constantFrom<Step>({ do: 'wait', ms: 1 }, { do: 'wait', ms: 121_000 }) },
  { weight: 5, arbitrary: alone('checkpoint') },
  { weight: 4, arbitrary: alone('deliver', 'refuse') },
  { weight: 4, arbitrary: alone('clear', 'all at once') },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('transfer' as const), key, to: key }) },
);

/** One registration, as a person would keep a list of them. */
interface Run {
  readonly key: Key;
  readonly generation: number;
  readonly registeredAt: number;
  activeAt: number;
  isThere: boolean;
  /** `quiet`: it has ended, and nobody is told. */
  state: 'open' | 'owed' | 'told' | 'quiet';
  reason?: string;
}

/** What was true when a step was acknowledged, and how often the journal had changed by then. */
interface Mark {
  readonly states: number;
  readonly runs: readonly Run[];
}

const recorded: LifeOptions = {
  maps: { runs: { maxIdle: '48h' } },
  registry: { restoreWindow: minutes(1) },
  ended: { minDelay: 1_000, maxDelay: 1_000, attempts: 1_000 },
};

/** A first life that takes one step after the other, each acknowledged before the next; and what a person expects of it. */
class FirstLife {
  readonly journal = new LoggedJournal();
  readonly marks: Mark[] = [{ states: 0, runs: [] }];
  readonly #machine: Machine;
  readonly #life: Life;
  readonly #runs: Run[] = [];
  #refuses = true;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#life = machine.start({
      ...recorded,
      journal: this.journal,
      deliver: () => {
        if (this.#refuses) throw new Error('not now');
      },
    });
  }

  async live(steps: readonly Step[]): Promise<void> {
    const { clock } = this.#machine;
    for (const each of steps) {
      await this.#take(each);
      await this.#life.registry.flushed();
      await clock.advance(this.#refuses ? 0 : 1_000);
      await this.#life.registry.flushed();
      for (const run of this.#runs) {
        const isTold = this.#life.told.some(({ id }) => id.endsWith(`:${run.generation}`));
        if (run.state === 'owed' && isTold) run.state = 'told';
      }
      this.marks.push({ states: this.journal.states.length, runs: this.#runs.map((run) => ({ ...run })) });
    }
    this.#life.kill();
  }

  async #take(each: Step): Promise<void> {
    const { registry, runs } = this.#life;
    switch (each.do) {
      case 'set':
        this.#set(each.key);
        break;
      case 'touch':
        registry.touch('runs', each.key);
        for (const run of this.#at(each.key)) run.activeAt = this.#machine.clock.now();
        break;
      case 'end':
        registry.end(each.key);
        for (const run of this.#at(each.key)) end(run, 'completed');
        break;
      case 'delete':
        runs.delete(each.key);
        for (const run of this.#at(each.key)) leave(run);
        break;
      case 'clear':
        runs.clear();
        for (const run of this.#runs) leave(run);
        break;
      case 'all at once':
        // All of it goes out in one append, when all of it has happened.
        for (const which of ['a', 'b', 'a', 'b'] as const) {
          this.#set(which);
          registry.end(which);
          for (const run of this.#at(which)) end(run, 'completed');
          if (which === 'b') continue;
          runs.delete(which);
          for (const run of this.#at(which)) leave(run);
        }
        break;
      case 'transfer': {
        const outcome = registry.transfer(each.key, each.to);
        if (outcome !== 'transferred' || each.key === each.to) break;
        for (const run of this.#at(each.key)) run.state = 'quiet';
        break;
      }
      case 'deliver':
      case 'refuse':
        this.#refuses = each.do === 'refuse';
        break;
      case 'checkpoint':
        internalsOf(registry)?.restart.recorder?.writer.checkpoint();
        await this.#machine.clock.advance(0);
        break;
      case 'wait':
        await this.#machine.clock.advance(each.ms);
        break;
    }
  }

  #set(which: Key): void {
    const now = this.#machine.clock.now();
    const [known] = this.#at(which);
    this.#life.runs.set(which, {});
    if (known !== undefined) {
      known.activeAt = now;
      return;
    }
    const { generation } = this.#life.registry.stamps('runs', which) as EntryStamps;
    this.#runs.push({
      key: which,
      generation,
      registeredAt: now,
      activeAt: now,
      isThere: true,
      state: 'open',
    });
  }

  #at(which: Key): Run[] {
    return this.#runs.filter((run) => run.isThere && run.key === which);
  }
}

function end(run: Run, reason: string): void {
  if (run.state !== 'open') return;
  run.state = 'owed';
  run.reason = reason;
}

function leave(run: Run): void {
  if (!run.isThere) return;
  end(run, 'deleted');
  run.isThere = false;
}

/** The generations of all runs that records tell of. */
function heldIn(records: readonly string[]): Set<unknown> {
  const parsed = records.map((record) => JSON.parse(record) as unknown[]);
  return new Set(
    parsed.map(([kind, first, , third]) => (kind === 'set' ? third : kind === 'end' ? first : undefined)),
  );
}

interface NextLife {
  /** By key, of those that were set again at once. */
  readonly stamps: ReadonlyMap<Key, EntryStamps>;
  /** By generation. */
  readonly told: ReadonlyMap<number, string[]>;
}

/** The next life on what is left of a journal: some keys are set again and ended, and the restore window passes. */
async function nextLife(
  machine: Machine,
  records: readonly string[],
  back: readonly Key[],
): Promise<NextLife> {
  const life = machine.start({ ...recorded, journal: new LoggedJournal(records) });
  const stamps = new Map<Key, EntryStamps>();
  for (const each of back) {
    life.runs.set(each, {});
    stamps.set(each, life.registry.stamps('runs', each) as EntryStamps);
    life.registry.end(each);
  }
  await machine.clock.advance(minutes(1));
  await machine.clock.advance(0);
  life.kill();
  const told = new Map<number, string[]>();
  for (const { id, reason } of life.told) {
    const generation = Number(id.split(':')[1]);
    told.set(generation, [...(told.get(generation) ?? []), reason]);
  }
  return { stamps, told };
}

/**
 * Whether a run that was registered is told of in the next life; `undefined` if either is right.
 *
 * @param isHeld whether the journal has a record of it
 */
function isTold(before: Run | undefined, after: Run, isHeld: boolean): boolean | undefined {
  if (before === undefined)
    return isHeld && (after.state === 'open' || after.state === 'owed') ? true : undefined;
  if (before.state === 'told' || before.state === 'quiet') return false;
  return after.state === 'open' || after.state === 'owed' ? true : undefined;
}

function check(before: Mark, after: Mark, records: readonly string[], { stamps, told }: NextLife): void {
  const held = heldIn(records);
  for (const run of after.runs) {
    const known = before.runs.find(({ generation }) => generation === run.generation);
    const reasons = told.get(run.generation) ?? [];
    const what = `the run ${run.generation} of ${run.key}, ${known?.state ?? 'unknown'} and then ${run.state}`;
    const expected = isTold(known, run, held.has(run.generation));
    if (expected !== undefined) expect(reasons.length, what).toBe(expected ? 1 : 0);
    expect(reasons.length, what).toBeLessThanOrEqual(1);
    if (known?.state === 'owed' && expected) expect(reasons, what).toEqual([known.reason]);
    const back = stamps.get(run.key);
    if (back === undefined || known === undefined) continue;
    if (!known.isThere) expect(back.generation, what).not.toBe(run.generation);
    if (!known.isThere || !run.isThere) continue;
    expect(back.generation, what).toBe(run.generation);
    expect(back.registeredAt, what).toBe(run.registeredAt);
    expect(back.lastActiveAt, what).toBeGreaterThanOrEqual(known.activeAt);
    expect(back.lastActiveAt, what).toBeLessThanOrEqual(run.activeAt + 60_050);
  }
  const known = new Set(after.runs.map(({ generation }) => generation));
  for (const [key, { generation }] of stamps) {
    // A new run is told of once, too, since it was ended; and has a generation of its own.
    if (!known.has(generation)) expect(told.get(generation), `the new run of ${key}`).toEqual(['completed']);
  }
}

describe('a journal that ends after any of its records', () => {
  it('has told, owes or has open each run that was registered, and none twice', async () => {
    const program = fc.array(step, { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(program, fc.subarray<Key>(['a', 'b', 'c']), async (steps, back) => {
        const machine = new Machine();
        const first = new FirstLife(machine);
        await first.live(steps);
        const { marks, journal } = first;
        for (let cut = 0; cut <= journal.states.length; cut += 1) {
          const records = cut === 0 ? [] : (journal.states[cut - 1] as readonly string[]);
          const index = marks.findLastIndex(({ states }) => states <= cut);
          const before = marks[index] as Mark;
          const after = before.states === cut ? before : (marks[index + 1] ?? before);
          check(before, after, records, await nextLife(machine, records, back));
        }
      }),
      { numRuns: 30 },
    );
  }, 240_000);
});
