import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type JsonPolicy, policyFromJson } from '../../src/discover.js';
import { createRegistry } from '../../src/index.js';
import { createManualClock } from '../../src/testing.js';

const MINUTE = 60_000;

const problemOf = (json: unknown, option?: string): { readonly code: unknown; readonly message: string } => {
  try {
    policyFromJson(json as JsonPolicy, option);
  } catch (error) {
    return error as { code: unknown; message: string };
  }
  throw new Error('the policy was taken');
};
const guardOf = (...paths: string[]) => {
  const { keepWhile } = policyFromJson({ keepWhile: paths });
  return (value: unknown) => keepWhile?.(value, 'key');
};
const trap = (): never => {
  throw new Error('code of the value ran');
};

describe('policyFromJson', () => {
  it('holds an entry while any of the paths of keepWhile leads to something', () => {
    const holds = guardOf('queue.length', 'activeTaskIds.size', 'draining');
    const idle = { queue: [], activeTaskIds: new Set(), draining: false };
    expect(holds(idle)).toBe(false);
    expect(holds({ ...idle, queue: [1] })).toBe(true);
    expect(holds({ ...idle, activeTaskIds: new Set([1]) })).toBe(true);
    expect(holds({ ...idle, draining: true })).toBe(true);
  });

  it('takes what is empty where a path ends for no reason to hold, and any object for one', () => {
    class Liar extends Set<number> {
      override get size(): number {
        return trap();
      }
    }
    const holds = guardOf('work');
    for (const work of ['', [], new Map(), new Set(), new Liar()]) expect(holds({ work })).toBe(false);
    for (const work of ['x', [0], new Map([[1, 1]]), new Liar([1]), {}]) expect(holds({ work })).toBe(true);
    expect(holds({ work: new Proxy([], { get: trap }) })).toBe(true);
  });

  it.each([
    [undefined],
    [null],
    [7],
    [{}],
    [{ queue: undefined }],
    [{ queue: null }],
    [{ queue: {} }],
    [Object.create({ queue: [1] })],
  ])('takes a path that leads nowhere in %o for no reason to hold', (value) => {
    expect(guardOf('queue.length')(value)).toBe(false);
  });

  it('reads the length of a string, an array and of a plain object that has one', () => {
    const holds = guardOf('a.length');
    expect([holds({ a: 'x' }), holds({ a: '' }), holds({ a: [0] }), holds({ a: { length: 2 } })]).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  it('reads the real size of a Map and of a Set whose class says another', () => {
    class Liar extends Map<number, number> {
      override get size(): number {
        return trap();
      }
    }
    const holds = guardOf('a.size');
    expect([holds({ a: new Liar() }), holds({ a: new Liar([[1, 1]]) }), holds({ a: new Set() })]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it('runs no getter and no trap of a Proxy, but throws, so that the entry stays', () => {
    const getter = Object.defineProperty({}, 'busy', { get: trap });
    const setter = Object.defineProperty({}, 'busy', { set: trap });
    const proxy = new Proxy({}, new Proxy({}, { get: () => trap }));
    expect(() => guardOf('busy')(getter)).toThrow("'busy' cannot be read: 'busy' is a getter");
    expect(() => guardOf('busy')(setter)).toThrow("'busy' cannot be read: 'busy' is a getter");
    expect(() => guardOf('a.busy')({ a: proxy })).toThrow(
      "'a.busy' cannot be read: a Proxy stands in its way",
    );
  });

  it('never runs code of a value, whatever that is', () => {
    const paths = fc.array(fc.constantFrom('a', 'b', 'size', 'length', 'constructor', '__proto__'), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(
        paths,
        fc.anything({ withMap: true, withSet: true, withNullPrototype: true }),
        (names, value) => {
          const poisoned = Object.defineProperty({ a: value }, 'b', { get: trap, enumerable: true });
          try {
            guardOf(names.join('.'))(poisoned);
          } catch (error) {
            expect((error as { code?: unknown }).code).toBe('ERR_INVALID_ANSWER');
          }
        },
      ),
    );
  });

  it('takes the first path that is set for an instant; 0 and null are unset', () => {
    const { since, expiresAt, activeAt } = policyFromJson({
      ttl: '5m',
      since: ['endedAt', 'execution.endedAt'],
      expiresAt: 'archiveAtMs',
      activeAt: 'lastActiveAt',
    });
    const ask = since as (value: unknown, key: unknown) => unknown;
    expect(ask({ endedAt: 5 }, 1)).toBe(5);
    expect(ask({ endedAt: 0, execution: { endedAt: 7 } }, 1)).toBe(7);
    expect(ask({ endedAt: null }, 1)).toBeUndefined();
    expect(expiresAt?.({ archiveAtMs: new Date(9) }, 1)).toEqual(new Date(9));
    expect(activeAt?.({ lastActiveAt: 11 }, 1)).toBe(11);
  });

  it('leaves the two stamps that since can name as they are', () => {
    expect(policyFromJson({ ttl: 1, since: 'lastActiveAt' }).since).toBe('lastActiveAt');
    expect(policyFromJson({ ttl: 1, since: 'registeredAt' }).since).toBe('registeredAt');
  });

  it('refuses a stamp in a list of paths, where it would be the name of a property', () => {
    expect(problemOf({ ttl: '5m', since: ['endedAt', 'registeredAt'] })).toMatchObject({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringMatching(
        /^since\[1\]: .*'registeredAt' is a stamp and stands alone.* maxAge or maxIdle/,
      ),
    });
    expect(problemOf({ rules: [{ match: 'a', ttl: 1, since: ['lastActiveAt'] }] }, 'runs').message).toMatch(
      /^runs\.rules\[0\]\.since\[0\]: /,
    );
  });

  it('weighs by the sum of its paths, and finds nothing but numbers', () => {
    const { weigh } = policyFromJson({ weigh: ['prompt.length', 'bytes'] });
    expect(weigh?.({ prompt: 'four', bytes: 3 }, 1)).toBe(7);
    expect(weigh?.({}, 1)).toBe(0);
    expect(() => weigh?.({ bytes: '3' }, 1)).toThrow('weigh must find numbers');
  });

  it('tells owners apart by a path', () => {
    const { maxPerOwner } = policyFromJson({ maxPerOwner: { owner: 'user.id', max: 2 } });
    expect(maxPerOwner?.owner({ user: { id: 'ann' } }, 1)).toBe('ann');
    expect(maxPerOwner?.owner({}, 1)).toBeUndefined();
    expect(maxPerOwner?.owner({ user: { id: 0 } }, 1)).toBe(0);
  });

  it('makes rules of patterns in strings, with instants by path', async () => {
    const clock = createManualClock();
    const policy = policyFromJson({ rules: [{ match: '^cron:', ttl: '1m', since: 'endedAt' }] });
    const registry = createRegistry({ clock, maps: { runs: policy } });
    registry.maps.runs.set('cron:1', { endedAt: clock.now() }).set('cron:2', {}).set('main', { endedAt: 1 });
    await clock.advance(2 * MINUTE);
    expect([...registry.maps.runs.keys()]).toEqual(['cron:2', 'main']);
    registry.stop();
  });

  it('keeps an entry whose guard cannot be read, counts that, and sweeps its neighbour', async () => {
    const clock = createManualClock();
    const lanes = new Map<string, object>([
      ['idle', { queue: [] }],
      ['odd', Object.defineProperty({}, 'queue', { get: trap })],
    ]);
    const registry = createRegistry({ clock });
    const failed: string[] = [];
    registry.on('callback-failed', ({ callback }) => void failed.push(callback));
    registry.adopt('lanes', lanes, policyFromJson({ maxIdle: '1m', keepWhile: ['queue.length'] }));
    await clock.advance(3 * MINUTE);
    expect([...lanes.keys()]).toEqual(['odd']);
    expect(failed).toContain('keepWhile');
    await registry.close();
  });

  it('makes a policy that fits a map of any types', () => {
    interface Run {
      endedAt?: number;
    }
    const runs = policyFromJson({ ttl: '5m', since: 'endedAt', rules: [{ match: '^a', maxAge: '1h' }] });
    const registry = createRegistry<{ runs: Map<string, Run> }>({ maps: { runs } });
    registry.maps.runs.set('a', { endedAt: 1 });
    registry.adopt('more', new Map<number, Run>(), runs);
    expect(registry.isDue('runs', 'a')).toBe(false);
    registry.stop();
  });

  it('says in a report by which paths an entry is held', async () => {
    const clock = createManualClock();
    const registry = createRegistry({ clock });
    registry.adopt(
      'lanes',
      new Map([['busy', { queue: [1] }]]),
      policyFromJson({ maxIdle: '1m', keepWhile: ['queue.length', 'draining'] }),
    );
    await clock.advance(3 * MINUTE);
    expect(registry.report().maps[0]?.oldest[0]?.why).toContain(
      'keepWhile (queue.length or draining) holds it',
    );
    await registry.close();
  });

  it('takes what else JSON can hold as it is', () => {
    const policy = {
      maxIdle: 1_000,
      maxAge: false,
      expectedMax: 5,
      follows: 'runs',
      orphanAfter: '1h',
      mode: 'observe',
    } as const;
    expect({ ...policyFromJson(policy) }).toEqual(policy);
  });

  it.each([
    ['no object', [], 'ERR_INVALID_OPTION', 'maps.a must be an object of options'],
    ['a misspelt option', { keepwhile: 'a' }, 'ERR_UNKNOWN_OPTION', "Did you mean 'keepWhile'?"],
    [
      'what only a function can say',
      { dispose: 'log' },
      'ERR_UNKNOWN_OPTION',
      'maps.a.dispose is not an option',
    ],
    [
      'a function',
      { keepWhile: () => true },
      'ERR_INVALID_OPTION',
      'maps.a.keepWhile must be a property path',
    ],
    [
      'a function where paths cannot be',
      { unstamped: () => 1 },
      'ERR_INVALID_OPTION',
      'maps.a.unstamped must be what JSON can hold',
    ],
    ['no path at all', { keepWhile: [] }, 'ERR_INVALID_OPTION', 'received an array of length 0'],
    ['an empty path', { expiresAt: '' }, 'ERR_INVALID_OPTION', 'a name between dots'],
    ['a path with an empty name', { keepWhile: ['a', 'a..b'] }, 'ERR_INVALID_OPTION', 'maps.a.keepWhile[1]'],
    ['a number for a path', { weigh: 5 }, 'ERR_INVALID_OPTION', 'maps.a.weigh'],
    ['since without a ttl', { since: 'endedAt' }, 'ERR_INVALID_OPTION', 'without maps.a.ttl'],
    ['no duration', { ttl: 'soon' }, 'ERR_INVALID_DURATION', 'maps.a.ttl'],
    ['rules that are no list', { rules: {} }, 'ERR_INVALID_OPTION', 'maps.a.rules must be an array'],
    [
      'a broken pattern',
      { rules: [{ match: '(' }] },
      'ERR_INVALID_OPTION',
      'maps.a.rules[0].match is no regular expression',
    ],
    ['a rule without a pattern', { rules: [{ ttl: 1 }] }, 'ERR_INVALID_OPTION', 'maps.a.rules[0].match'],
    [
      'an owner without a cap',
      { maxPerOwner: { owner: 'a' } },
      'ERR_INVALID_OPTION',
      'maps.a.maxPerOwner.max',
    ],
  ])('refuses %s, and says where', (_, json, code, part) => {
    const problem = problemOf(json, 'maps.a');
    expect([problem.code, problem.message]).toEqual([code, expect.stringContaining(part)]);
  });
});
