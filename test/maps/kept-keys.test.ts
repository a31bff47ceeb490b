import { adopt, createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it, vi } from 'vitest';
import { Machine } from '../restart/lives.js';
import { LowerCaseMap } from './owner-maps.js';

const minute = 60_000;

function lowerCase(entries: Record<string, unknown> = {}, live = new LowerCaseMap<unknown>()) {
  const clock = createManualClock();
  for (const [key, value] of Object.entries(entries)) live.set(key, value);
  const registry = createRegistry({
    maps: { live: { adopt: live, maxIdle: '5m' } },
    ended: { map: 'live' },
    clock,
  });
  const ended: unknown[] = [];
  registry.on('subagent-ended', ({ key, reason, value }) => ended.push([key, reason, value]));
  const failures: unknown[] = [];
  registry.on('callback-failed', ({ callback, error }) =>
    failures.push([callback, (error as { code: string }).code]),
  );
  return { clock, registry, live, ended, failures };
}

describe('a class that keeps its keys in lower case', () => {
  it('has entries that are registered at once, and active by a set and a touch of the key that its owner uses', async () => {
    const { clock, registry, live, ended, failures } = lowerCase();
    live.set('Run-1', 'one');
    expect(registry.stamps('live', 'run-1')?.registeredAt).toBe(clock.now());
    for (let n = 0; n < 12; n += 1) {
      await clock.advance(minute);
      if (n % 2 === 0) live.set('Run-1', 'one');
      else registry.touch('live', 'Run-1');
    }
    expect(ended).toEqual([]);
    expect(registry.report().maps[0]?.registered).toBe(1);
    await clock.advance(5 * minute);
    expect(ended).toEqual([['run-1', 'swept', 'one']]);
    expect(failures).toEqual([]);
    registry.stop();
  });

  it('tells of a delete at once, with the value', () => {
    const { registry, live, ended } = lowerCase();
    live.set('Run-2', 'two').set('run-3', 'three');
    live.delete('Run-2');
    expect(ended).toEqual([['run-2', 'deleted', 'two']]);
    live.set('Run-2', 'again');
    expect(registry.report().maps[0]).toMatchObject({ size: 2, registered: 3 });
    registry.stop();
  });

  it('is asked about, and has its runs ended and handed on, by the key that its owner uses', () => {
    const { registry, live, ended } = lowerCase();
    live.set('Run-1', 'one').set('Run-2', 'two').set('Run-3', 'three');
    expect(registry.stamps('live', 'Run-1')).toEqual(registry.stamps('live', 'run-1'));
    expect(registry.explain('live', 'Run-1')).toMatchObject({ key: 'run-1', state: 'live' });
    expect(registry.isDue('live', 'Run-1')).toBe(false);
    expect(registry.end('Run-1')).toBe('claimed');
    expect(registry.end('run-1')).toBe('duplicate');
    expect(registry.transfer('Run-2', 'Run-3')).toBe('transferred');
    live.delete('Run-2');
    expect(ended).toEqual([['run-1', 'completed', 'one']]);
    registry.stop();
  });

  it('was filled before: an entry that is set under another spelling is found by its value', async () => {
    const value = { of: 'run-1' };
    const { clock, live, ended } = lowerCase({ 'Run-1': value, other: {} });
    for (let n = 0; n < 6; n += 1) {
      await clock.advance(minute);
      live.set('RUN-1', value);
    }
    expect(ended.map((of) => (of as unknown[])[0])).toEqual(['other']);
    expect(live.size).toBe(1);
  });

  it('is asked whose an entry is, and has its value written down, at a set under another spelling', async () => {
    const live = new LowerCaseMap<{ user: string }>();
    live.set('run-1', { user: 'ann' }).set('run-2', { user: 'ann' });
    const machine = new Machine();
    const encode = vi.fn(({ user }: { user: string }) => user);
    const owner = ({ user }: { user: string }) => user;
    const { registry } = machine.start({
      maps: { runs: { adopt: live, persist: { encode }, maxPerOwner: { owner, max: 2 } } },
    });
    await machine.clock.advance(minute);
    expect(registry.hasRoom('runs', 'ann')).toBe(false);
    encode.mockClear();
    live.set('RUN-1', { user: 'bob' });
    expect(registry.hasRoom('runs', 'ann')).toBe(true);
    await machine.clock.advance(0);
    expect(encode.mock.calls).toEqual([[{ user: 'bob' }, 'run-1']]);
    machine.powerOff();
  });

  it('has no run ended and none kept by a spelling under which two entries of one value may be meant, and is told of it once', async () => {
    const { clock, registry, live, ended, failures } = lowerCase({ 'run-a': true, 'run-b': true });
    for (let n = 0; n < 3; n += 1) {
      await clock.advance(minute);
      live.set('RUN-B', true);
    }
    expect(registry.touch('live', 'RUN-B')).toBe(false);
    expect(registry.end('RUN-B')).toBe('unknown');
    expect(ended).toEqual([]);
    expect(failures).toEqual([['set', 'ERR_NOT_ADOPTABLE']]);
    expect(registry.health().status).toBe('ok');
    // Only one of them has this value.
    live.set('RUN-B', false);
    expect(registry.end('RUN-B')).toBe('claimed');
    expect(ended).toEqual([['run-b', 'completed', false]]);
    registry.stop();
  });

  it('has the first and the last of 1,000 spellings of an entry remembered, few others, and all of what is set under few', () => {
    const { registry, live, failures } = lowerCase();
    const spellings = Array.from({ length: 1_000 }, (_, n) =>
      [...'mapsweeper']
        .map((letter, bit) => (((n + 1) >> bit) % 2 === 1 ? letter.toUpperCase() : letter))
        .join(''),
    );
    const isKnown = (key: string): boolean => registry.touch('live', key);
    live.set('Other', {}).set('OTHER', {});
    for (const key of spellings) live.set(key, { key });
    expect(registry.report().maps[0]).toMatchObject({ size: 2, registered: 2 });
    expect(spellings.filter(isKnown).length).toBeLessThan(25);
    expect([spellings[0], spellings.at(-1), 'Other', 'OTHER'].map((key) => isKnown(String(key)))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    // What is forgotten is found again.
    expect(isKnown(String(spellings[500]))).toBe(false);
    live.set(String(spellings[500]), {});
    expect(isKnown(String(spellings[500]))).toBe(true);
    expect(failures).toEqual([]);
    registry.stop();
  });

  it('finds each of 20,000 new entries without a search', () => {
    const { registry, live } = lowerCase();
    for (let n = 0; n < 20_000; n += 1) live.set(`K${n}`, n);
    expect(registry.report().maps[0]?.registered).toBe(20_000);
    expect(registry.stamps('live', 'k19999')).toBeDefined();
    registry.stop();
  });
});

describe('a class that writes more than what it was given', () => {
  /** Keeps a line of each `set` beside the entry. */
  class Logging extends LowerCaseMap<unknown> {
    #lines = 0;
    override set(key: string, value: unknown): this {
      super.set(key, value);
      this.#lines += 1;
      return super.set(`log-${this.#lines}`, { line: key });
    }
  }

  it('has the entry that was set active, and ended, by another spelling, and none of the others', async () => {
    const { clock, live, registry, ended } = lowerCase({}, new Logging());
    live.set('Run-1', { n: 0 });
    await clock.advance(4 * minute);
    live.set('RUN-1', { n: 1 });
    await clock.advance(2 * minute);
    expect(ended).toEqual([['log-1', 'swept', { line: 'Run-1' }]]);
    expect(registry.end('RUN-1')).toBe('claimed');
    expect(ended.slice(1)).toEqual([['run-1', 'completed', { n: 1 }]]);
    registry.stop();
  });

  it('has renamed an entry past the wrapper: that is not what the next set has written', () => {
    class Renaming extends LowerCaseMap<unknown> {
      rename(from: string, to: string): void {
        const value = super.get(from);
        super.delete(from);
        super.set(to, value);
      }
    }
    const live = new Renaming();
    const { registry, ended } = lowerCase({}, live);
    live.set('Run-1', { n: 1 });
    live.rename('Run-1', 'Run-2');
    live.set('Run-3', { n: 3 });
    expect(registry.end('Run-3')).toBe('claimed');
    expect(ended).toEqual([['run-3', 'completed', { n: 3 }]]);
    registry.stop();
  });
});

describe('a class that keeps its entries in an envelope, in lower case', () => {
  class Envelopes extends LowerCaseMap<unknown> {
    override get(key: string): unknown {
      return (super.get(key) as { value: unknown } | undefined)?.value;
    }
    override set(key: string, value: unknown): this {
      return super.set(key, { value });
    }
  }

  it('is followed by the spelling with which an entry came, and told of nothing', async () => {
    const clock = createManualClock();
    const live = new Envelopes();
    const registry = createRegistry({ maps: { live: { adopt: live, maxIdle: '5m' } }, clock });
    for (let n = 0; n < 12; n += 1) {
      live.set('Run-1', { n }).set('Run-2', { n });
      await clock.advance(minute);
    }
    expect(live.size).toBe(2);
    expect(registry.report().callbackErrors).toEqual([]);
    expect(registry.health().status).toBe('ok');
    registry.stop();
  });
});

it('asks a class that sets a key anew when it is asked for it only once', () => {
  const get = vi.fn();
  class Refreshing extends LowerCaseMap<unknown> {
    override get(key: string): unknown {
      get();
      const value = super.get(key);
      this.set(key, value);
      return value;
    }
  }
  const { registry, live } = lowerCase({}, new Refreshing());
  live.set('Run-1', {});
  expect(get.mock.calls.length).toBe(1);
  expect(registry.end('Run-1')).toBe('claimed');
  registry.stop();
});

describe('what was set past the wrapper, before a set that shows it', () => {
  class Choosy extends Map<string, number> {
    override set(key: string, value: number): this {
      return key.startsWith('!') ? this : super.set(key.trim(), value);
    }
  }

  function choosy() {
    const live = new Choosy();
    const registry = createRegistry({
      maps: { live: { adopt: live, maxIdle: '5m' } },
      ended: { map: 'live' },
      clock: createManualClock(),
    });
    return { live, registry };
  }

  it('is registered, and is not what the set of a refused key has written', () => {
    const { live, registry } = choosy();
    Map.prototype.set.call(live, 'other', 1);
    live.set('!bad', 2);
    expect(registry.stamps('live', 'other')).toBeDefined();
    expect(registry.end('!bad')).toBe('unknown');
    registry.stop();
  });

  it('is nothing that a class is asked about which has nothing under the key that it was given', () => {
    const { live, registry } = choosy();
    live.set(' a ', 1);
    expect(registry.touch('live', ' a ')).toBe(true);
    Map.prototype.set.call(live, 'other', 1);
    live.set(' b ', 1);
    expect(registry.stamps('live', 'b')).toBeDefined();
    expect(registry.touch('live', ' b ')).toBe(false);
    registry.stop();
  });
});

describe('a Set whose class keeps its members in lower case', () => {
  class LowerCaseSet extends Set<string> {
    override add(member: string): this {
      return super.add(member.toLowerCase());
    }
    override has(member: string): boolean {
      return super.has(member.toLowerCase());
    }
  }

  function lowerCaseSet(members: string[]) {
    const clock = createManualClock();
    const live = new LowerCaseSet();
    for (const member of members) live.add(member);
    const registry = createRegistry({ maps: { live: { adopt: live, maxIdle: '5m' } }, clock });
    const failures: unknown[] = [];
    registry.on('callback-failed', ({ error }) => failures.push((error as Error).message));
    return { clock, registry, live, failures };
  }

  it('is followed by the spelling with which a member came', async () => {
    const { clock, registry, live, failures } = lowerCaseSet([]);
    for (let n = 0; n < 12; n += 1) {
      live.add('Run-1');
      await clock.advance(minute);
    }
    expect([...live]).toEqual(['run-1']);
    expect(failures).toEqual([]);
    registry.stop();
  });

  it('is tracked, and told of once, where a member is added in a spelling that is not known', async () => {
    const { clock, registry, live, failures } = lowerCaseSet(['run-1']);
    live.add('Run-1').add('RUN-1');
    expect(registry.report().maps[0]).toMatchObject({ size: 1, registered: 1 });
    expect(registry.health().status).toBe('ok');
    expect(failures).toEqual([expect.stringContaining("'live' keeps 'Run-1' under another key")]);
    await clock.advance(6 * minute);
    expect(live.size).toBe(0);
    registry.stop();
  });
});

describe('a class that keeps its entries elsewhere', () => {
  class Elsewhere extends Map<string, number> {
    readonly #entries = new Map<string, number>();
    override has(key: string): boolean {
      return this.#entries.has(key);
    }
    override get(key: string): number | undefined {
      return this.#entries.get(key);
    }
    override set(key: string, value: number): this {
      this.#entries.set(key, value);
      return this;
    }
  }
  class Counted extends Elsewhere {
    override get size(): number {
      return 7;
    }
  }

  it('is refused at adoption if its size is its own', () => {
    expect(() => createRegistry({ maps: { memo: { adopt: new Counted() } } })).toThrow(
      expect.objectContaining({
        code: 'ERR_NOT_ADOPTABLE',
        message:
          expect.stringContaining('maps.memo.adopt') &&
          expect.stringContaining('keeps its entries elsewhere'),
      }),
    );
    expect(() => adopt(new Counted(), {})).toThrow(TypeError);
  });

  it('is told of at the first write that shows it, once, and is no healthy empty map from then on', () => {
    const live = new Elsewhere();
    const registry = createRegistry({ maps: { memo: { adopt: live } }, clock: createManualClock() });
    const failures: unknown[] = [];
    registry.on('callback-failed', ({ map, callback, error }) =>
      failures.push([map, callback, (error as { code: string }).code]),
    );
    expect(registry.health().status).toBe('ok');
    live.set('a', 1).set('b', 2);
    expect(failures).toEqual([['memo', 'set', 'ERR_NOT_ADOPTABLE']]);
    expect(registry.health()).toEqual({
      status: 'warning',
      reasons: ["the map 'memo' keeps entries where they cannot be seen: they are not tracked"],
    });
    expect(String(registry.report())).toMatch(/^memo .* keeps entries where they cannot be seen$/m);
    registry.stop();
  });

  it.each([
    ['by an object that get gives back', [{}]],
    ['by the second value that get gives back, of what is no object', [NaN, 2]],
  ])('is told of where its has looks into the native map: %s', (_, values) => {
    class ElsewhereButHas extends (Elsewhere as new () => Map<string, unknown>) {
      override has(key: string): boolean {
        return Map.prototype.has.call(this, key);
      }
    }
    const live = new ElsewhereButHas();
    const registry = createRegistry({ maps: { memo: { adopt: live } }, clock: createManualClock() });
    for (const value of values) {
      expect(registry.health().status).toBe('ok');
      live.set(`key-${String(value)}`, value);
    }
    expect(registry.report().callbackErrors).toEqual([{ map: 'memo', callback: 'set', count: 1 }]);
    expect(registry.health().status).toBe('warning');
    registry.stop();
  });

  it.each([
    ['the default of its get, and another value was set', 7, 8],
    ['the default of its get, which was set', 0, 0],
    ['nothing, and undefined was set', undefined, undefined],
  ])('is not meant by a set that is refused, after which get gives %s', (_, byDefault, value) => {
    class Defaulting extends Map<string, unknown> {
      override get(key: string): unknown {
        return super.get(key) ?? byDefault;
      }
      override set(): this {
        return this;
      }
    }
    const live = new Defaulting();
    const registry = createRegistry({ maps: { memo: { adopt: live } }, clock: createManualClock() });
    for (const key of ['a', 'b']) (live as Map<string, unknown>).set(key, value);
    expect(registry.report().callbackErrors).toEqual([]);
    expect(registry.health().status).toBe('ok');
    registry.stop();
  });

  it('is not meant by a set that does nothing', () => {
    class Refusing extends Map<string, number> {
      override set(): this {
        return this;
      }
    }
    const live = new Refusing();
    const registry = createRegistry({ maps: { memo: { adopt: live } }, clock: createManualClock() });
    live.set();
    expect(registry.report().callbackErrors).toEqual([]);
    registry.stop();
  });
});
