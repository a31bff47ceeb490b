import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkAdoptable } from '../../src/policy/adoptable.js';
import { refusalOf } from './refusal.js';

const refusal = (value: unknown) => refusalOf(() => checkAdoptable('maps.sessions.adopt', value));

class IndexedMap extends Map<string, number> {
  override delete(key: string): boolean {
    return super.delete(key);
  }
}

describe('checkAdoptable', () => {
  it.each<[string, object]>([
    ['a Map', new Map()],
    ['a Set', new Set()],
    ['a subclass with its own delete', new IndexedMap()],
    ['a Map of another realm', runInNewContext('new Map()')],
    ['a Set of another realm', runInNewContext('new Set()')],
    ['a Map with a method of its own', Object.assign(new Map(), { set: () => {} })],
    ['a Map without a prototype', Object.setPrototypeOf(new Map(), null)],
  ])('returns %s as it is', (_, value) => {
    const before = Reflect.ownKeys(value);
    expect(checkAdoptable('adopt', value)).toBe(value);
    expect(Reflect.ownKeys(value)).toEqual(before);
  });

  it.each<[string, unknown, string]>([
    ['null', null, 'received null'],
    ['a name', 'sessions', 'received "sessions"'],
    ['a function', () => new Map(), 'received a function'],
    ['an object from JSON', {}, 'received an object. To adopt is to instrument a live Map or Set in place'],
    ['an array of entries', [['a', 1]], 'received an array of length 1. To adopt is'],
    ['a WeakMap', new WeakMap(), 'received an instance of WeakMap. Weak collections cannot be listed'],
    ['a WeakSet', new WeakSet(), 'received an instance of WeakSet. Weak collections cannot be listed'],
    ['a thing that says it is a Map', { [Symbol.toStringTag]: 'Map' }, 'received an object. To adopt'],
    ['an object that inherits from Map', Object.create(Map.prototype), 'but its constructor never ran'],
  ])('rejects %s as no Map', (_, value, part) => {
    const error = refusal(value);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_NOT_A_MAP');
    expect(error.message).toContain('maps.sessions.adopt must be a Map or a Set; received ');
    expect(error.message).toContain(part);
  });

  it('rejects a Proxy of a Map without running its traps', () => {
    const trap = () => {
      throw new Error('trapped');
    };
    const traps = Object.fromEntries(
      Object.getOwnPropertyNames(Reflect).map((name) => [name, trap]),
    ) as ProxyHandler<Map<string, number>>;
    const error = refusal(new Proxy(new Map(), traps));
    expect(error.code).toBe('ERR_NOT_ADOPTABLE');
    expect(error.message).toContain('received a Proxy: ');
    expect(error.message).toContain('Adopt the target itself');
  });

  it('rejects a revoked Proxy', () => {
    const { proxy, revoke } = Proxy.revocable(new Map(), {});
    revoke();
    expect(refusal(proxy).code).toBe('ERR_NOT_ADOPTABLE');
  });

  it.each([
    // Without own properties the engine calls a sealed Map frozen, and an unextensible one too.
    ['frozen', Object.freeze(new Map())],
    ['frozen', Object.freeze(new Set())],
    ['sealed', Object.seal(Object.assign(new Map(), { label: 'sessions' }))],
    ['not extensible', Object.preventExtensions(Object.assign(new Map(), { label: 'sessions' }))],
  ])('rejects a Map that is %s and says what to do', (state, value) => {
    const error = refusal(value);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe('ERR_NOT_ADOPTABLE');
    expect(error.message).toMatch(new RegExp(`received an instance of (Map|Set) that is ${state}: `));
    expect(error.message).toContain('Adopt it before it is locked, or copy it into a new TrackedMap');
  });

  it.each(['set', 'add', 'delete', 'clear', 'getOrInsert', 'getOrInsertComputed'])(
    'rejects a Map whose own %s cannot be given back',
    (method) => {
      const error = refusal(
        Object.defineProperty(new Map(), method, { value: () => {}, configurable: false }),
      );
      expect(error.code).toBe('ERR_NOT_ADOPTABLE');
      expect(error.message).toContain(`whose own ${method} is not configurable`);
    },
  );

  it('takes nothing but Maps and Sets, of any value at all', () => {
    fc.assert(
      fc.property(fc.anything({ withMap: true, withSet: true }), (value) => {
        if (value instanceof Map || value instanceof Set) expect(checkAdoptable('adopt', value)).toBe(value);
        else expect(refusal(value).code).toBe('ERR_NOT_A_MAP');
      }),
    );
  });
});
