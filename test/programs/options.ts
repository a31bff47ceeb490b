import type { Value } from './model.js';
import type { CallbackName, Config } from './program.js';
import type { Loose, World } from './world.js';

/** The same options as an object of another make. */
export function withShape(shape: Config['options'], options: Loose): Loose {
  if (shape === 'plain') return options;
  const made = Object.create(shape === 'null prototype' ? null : Object.prototype);
  for (const name of Object.keys(options)) {
    const value = options[name];
    Object.defineProperty(made, name, {
      enumerable: true,
      ...(shape === 'getters' ? { get: () => value } : { value, writable: true, configurable: true }),
    });
  }
  return shape === 'frozen' ? Object.freeze(made) : made;
}

/** The policy of a map of a program: each function notes what it answers. */
export function policyOf(world: World, name: string): Loose {
  const config = world.configOf(name);
  const isSet = name === 'toString';
  const asked =
    (callback: CallbackName, honest: (value: Value, key: unknown) => unknown, field?: string) =>
    (value: Value, key: unknown): unknown => {
      const answer = world.call(callback, () => (isSet ? undefined : honest(value, key)));
      const entry = field === undefined ? undefined : world.entryOf(name, value, key);
      if (entry !== undefined) Object.assign(entry.answers, { [field as string]: answer });
      return answer;
    };
  const unstamped = (value: Value, key: unknown): unknown => {
    let answer: unknown;
    try {
      answer = world.call('unstamped', () => 0);
    } finally {
      const entry = world.entryOf(name, value, key);
      // It counts as registered now then.
      if (answer !== 0 && entry !== undefined) entry.isLoose = true;
    }
    return answer;
  };
  const hasTtl = config.ttl !== undefined;
  const rules = {
    none: undefined,
    text: [{ match: /^a/g, maxIdle: '15s' }],
    function: [{ match: (key: unknown) => world.call('match', () => key === 'b'), maxIdle: '15s' }],
  }[config.rule];
  return {
    ...(hasTtl && { ttl: config.ttl }),
    ...(hasTtl && {
      since: config.since === 'function' ? asked('since', (value) => value.endedAt, 'since') : config.since,
    }),
    ...(config.expiresAt && { expiresAt: asked('expiresAt', (value) => value.expiresAt, 'expiresAt') }),
    ...(config.maxIdle !== undefined && { maxIdle: config.maxIdle }),
    ...(config.maxAge !== undefined && { maxAge: config.maxAge }),
    ...(config.activeAt && { activeAt: asked('activeAt', (value) => value.activeAt, 'activeAt') }),
    ...(config.keepWhile && { keepWhile: asked('keepWhile', (value) => value.kept, 'isGuarded') }),
    ...(rules && { rules }),
    ...(config.maxEntries !== undefined && { maxEntries: config.maxEntries }),
    ...(config.beforeSweep && { beforeSweep: () => world.call('beforeSweep', () => undefined) }),
    ...(config.dispose !== 'none' && {
      dispose: (value: unknown, key: unknown, reason: string) => {
        world.disposed(name, value, key, reason);
        return world.call('dispose', () => {
          if (config.dispose === 'plain' || !/swept|companion|cleared|deleted/.test(reason)) return;
          world.setAgain(name, key);
        });
      },
      // The other one is a Set, whose members are replaced by nothing.
      ...(name !== 'toString' && {
        replaced: (value: unknown, key: unknown) => {
          world.replaced(name, value, key);
          return world.call('replaced', () => undefined);
        },
      }),
    }),
    ...(config.weigh && { weigh: asked('weigh', () => 10) }),
    unstamped: config.unstamped === 'function' ? unstamped : config.unstamped,
    ...(config.persist && { persist: { encode: () => world.call('encode', () => ({ kept: true })) } }),
    ...(config.observe && { mode: 'observe' }),
    ...(config.follows && name !== 'runs' && { follows: 'runs' }),
    ...(config.follows &&
      name !== 'runs' &&
      config.orphanAfter !== undefined && { orphanAfter: config.orphanAfter }),
  };
}
