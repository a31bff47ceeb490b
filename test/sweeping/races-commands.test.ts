import fc from 'fast-check';
import { createRegistry, type Registry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { heldBy } from '../restart/held-by.js';

interface Value {
  readonly serial: number;
}
type Subject = Map<string, Value>;

const keys = ['a', 'b', 'c', 'd'] as const;
type Key = (typeof keys)[number];

/** What a callback does to the map that is calling it. */
interface Call {
  readonly do: 'set' | 'delete' | 'clear' | 'touch' | 'end' | 'sweep';
  readonly key: Key;
}

/** An owner's class that goes through its own methods. */
class OwnMap extends Map<string, Value> {
  override set(key: string, value: Value): this {
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    return this.has(key) && super.delete(key);
  }
}

const kinds: Readonly<Record<string, () => { adopt?: Subject }>> = {
  TrackedMap: () => ({}),
  'adopted Map': () => ({ adopt: new Map() }),
  'adopted subclass': () => ({ adopt: new OwnMap() }),
};

/**
 * A tracked map beside a plain one. Callbacks call back into the tracked map, and the plain one is told of it: at that
 * moment the state has changed and the two are equal.
 */
class Real {
  readonly clock = createManualClock();
  readonly registry: Registry<{ subject: Subject; followers: Subject }>;
  readonly plain: Subject;
  readonly disposed: number[] = [];
  readonly told: string[] = [];
  readonly #calls: Call[];
  #serial = 0;
  #registrations = 0;

  constructor(kind: string, calls: readonly Call[], plain: Subject) {
    this.plain = plain;
    this.#calls = [...calls];
    const callBack = (): undefined => {
      this.#callBack();
    };
    this.registry = createRegistry<{ subject: Subject; followers: Subject }>({
      maps: {
        subject: {
          ...kinds[kind]?.(),
          maxIdle: '1m',
          keepWhile: () => {
            callBack();
            return false;
          },
          expiresAt: callBack,
          dispose: ({ serial }, key, reason) => {
            this.disposed.push(serial);
            // What the sweeper removes, the plain map loses now.
            if (reason === 'swept' && plain.get(key)?.serial === serial) plain.delete(key);
            callBack();
          },
          replaced: ({ serial }) => {
            this.disposed.push(serial);
            callBack();
          },
        },
        followers: { follows: 'subject', orphanAfter: '1m', dispose: callBack },
      },
      ended: { map: 'subject', deliver: callBack },
      clock: this.clock,
    });
    this.registry.on('swept', callBack);
    this.registry.on('subagent-ended', ({ id }) => {
      this.told.push(id);
      callBack();
    });
  }

  get subject(): Subject {
    return this.registry.maps.subject;
  }

  value(): Value {
    this.#serial += 1;
    return { serial: this.#serial };
  }

  /** One operation on both; the plain map first, since callbacks of the other compare with it. */
  act({ do: name, key }: Call): void {
    switch (name) {
      case 'set': {
        const value = this.value();
        if (!this.plain.has(key)) this.#registrations += 1;
        this.plain.set(key, value);
        expect(this.subject.set(key, value)).toBe(this.subject);
        break;
      }
      case 'delete':
        expect(this.plain.delete(key)).toBe(this.subject.delete(key));
        break;
      case 'clear':
        this.plain.clear();
        this.subject.clear();
        break;
      case 'touch': {
        const isThere = this.plain.has(key);
        expect(this.registry.touch('subject', key)).toBe(isThere);
        break;
      }
      case 'end':
        expect(this.registry.end(key)).toBeOneOf(['claimed', 'duplicate', 'unknown']);
        break;
      case 'sweep':
        void this.registry.sweep();
        break;
    }
  }

  check(): void {
    const held = heldBy(this.registry.snapshot());
    expect([...this.subject]).toEqual([...this.plain]);
    expect(held.entries('subject').map(({ key }) => key)).toEqual([...this.plain.keys()]);
    expect(new Set(this.told).size, 'an end was told twice').toBe(this.told.length);
    const open = held.openKeys('subject').length;
    expect(this.told.length + open, 'an end was not told').toBe(this.#registrations);
    expect(new Set(this.disposed).size, 'a value was disposed twice').toBe(this.disposed.length);
    expect(this.disposed.length + this.plain.size, 'a value left and was not disposed').toBe(this.#serial);
  }

  #callBack(): void {
    const call = this.#calls.shift();
    if (call !== undefined) this.act(call);
  }
}

type Command = fc.AsyncCommand<Subject, Real>;

class Act implements Command {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  check(): boolean {
    return true;
  }

  async run(_plain: Subject, real: Real): Promise<void> {
    real.act(this.#call);
    real.check();
  }

  toString(): string {
    return `${this.#call.do}(${this.#call.key})`;
  }
}

class Advance implements Command {
  readonly #ms: number;

  constructor(ms: number) {
    this.#ms = ms;
  }

  check(): boolean {
    return true;
  }

  async run(_plain: Subject, real: Real): Promise<void> {
    await real.clock.advance(this.#ms);
    real.check();
  }

  toString(): string {
    return `advance(${this.#ms})`;
  }
}

/** Deletes, touches and adds companions while it iterates, which a Map allows. */
class Iterate implements Command {
  check(): boolean {
    return true;
  }

  async run(_plain: Subject, real: Real): Promise<void> {
    let left = 6;
    for (const key of real.subject.keys()) {
      left -= 1;
      if (left < 0) break;
      real.act({ do: left % 2 === 0 ? 'delete' : 'touch', key: key as Key });
      real.registry.maps.followers.set(key, { serial: -1 });
    }
    real.check();
  }

  toString(): string {
    return 'iterate()';
  }
}

describe('a map that callbacks call back into stays the Map that it is', () => {
  const call = fc.record({
    do: fc.constantFrom('set', 'set', 'set', 'delete', 'delete', 'touch', 'end', 'end', 'sweep', 'clear'),
    key: fc.constantFrom(...keys),
  }) as fc.Arbitrary<Call>;
  const commands = fc.commands(
    [
      call.map((chosen) => new Act(chosen)),
      call.map((chosen) => new Act(chosen)),
      fc.constantFrom(1_000, 60_000, 61_000).map((ms) => new Advance(ms)),
      fc.constant(new Iterate()),
    ],
    { maxCommands: 12 },
  );

  for (const kind of Object.keys(kinds)) {
    it(`${kind}: same entries in the same order, one stamp and one dispose each`, async () => {
      await fc.assert(
        fc.asyncProperty(commands, fc.array(call, { maxLength: 15 }), async (chosen, calls) => {
          const plain: Subject = new Map();
          const real = new Real(kind, calls, plain);
          await fc.asyncModelRun(() => ({ model: plain, real }), chosen);
          real.registry.stop();
          expect(real.clock.pendingTimers).toBe(0);
        }),
        { numRuns: 80 },
      );
    }, 60_000);
  }
});
