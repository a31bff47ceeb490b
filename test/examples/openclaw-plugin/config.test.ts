import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../examples/openclaw-plugin/config.js';

const COUNTERS = 'openclaw.agentEvents.state/seqByRun';
const CONTEXTS = 'openclaw.agentEvents.state/runContextById';

const BUILT_IN = [
  { match: CONTEXTS, policy: { maxIdle: '30m' } },
  { match: COUNTERS, policy: { follows: CONTEXTS, orphanAfter: '30m' } },
] as const;

const problemOf = (config: unknown): string => {
  try {
    readConfig(config);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the config was taken');
};

describe('the config of the OpenClaw plugin', () => {
  it.each([[undefined], [{}]])('sweeps by the built-in list every 60 s where it is %o', (input) => {
    expect(readConfig(input, BUILT_IN)).toEqual({
      mode: 'sweep',
      sweepEvery: '60s',
      leakCycle: undefined,
      maps: BUILT_IN,
      own: [],
      defaults: true,
      scrapeToken: undefined,
    });
  });

  it('leaves the built-in list out with defaults: false', () => {
    expect(readConfig({ defaults: false }, BUILT_IN)).toMatchObject({ maps: [], defaults: false });
  });

  it("looks at whole paths before patterns, and at the operator's before the built-in list", () => {
    const maps = { 'openclaw.*/seqByRun': false, [CONTEXTS]: { maxIdle: '1h' } };
    expect(readConfig({ maps }, BUILT_IN).maps).toEqual([
      { match: CONTEXTS, policy: { maxIdle: '1h' } },
      ...BUILT_IN,
      { match: 'openclaw.*/seqByRun', policy: false },
    ]);
  });

  it('takes every option that JSON can hold', () => {
    const policy = {
      ttl: '1h',
      since: 'lastActiveAt',
      maxIdle: 1_000,
      maxAge: false,
      maxEntries: 10,
      unstamped: 'expired',
      expectedMax: 512,
      keepWhile: ['queue.length'],
      rules: [{ match: '^cron:', ttl: '24h', since: ['endedAt', 'execution.endedAt'] }],
      mode: 'observe',
    };
    const config = { mode: 'observe', sweepEvery: 500, leakCycle: '10m', maps: { [COUNTERS]: policy } };
    expect(readConfig(config)).toMatchObject({
      mode: 'observe',
      sweepEvery: 500,
      leakCycle: '10m',
      maps: [{ match: COUNTERS, policy }],
    });
  });

  it('takes a follower of a map that nobody lists', () => {
    const maps = { 'openclaw.a/b': { follows: 'openclaw.a/leader' } };
    expect(readConfig({ maps, defaults: false }).maps).toHaveLength(1);
  });

  it.each([
    ['a list', [], ['config: expected an object, received a list']],
    ['a misspelt option', { swepEvery: '5s' }, ['swepEvery', 'sweepEvery']],
    ['an unknown mode', { mode: 'sweap' }, ['mode', 'sweap', "'sweep'"]],
    ['no duration', { sweepEvery: 'soon' }, ['sweepEvery', 'soon', '30s']],
    ['an interval that Node turns into 1 ms', { sweepEvery: '30d' }, ['sweepEvery']],
    ['a cycle that is too short', { leakCycle: '1s' }, ['leakCycle', '1s']],
    ['a word for a switch', { defaults: 'no' }, ['defaults: expected true or false, received string']],
    ['a list of maps', { maps: [] }, ['maps: expected an object, received a list']],
    ['an empty path', { maps: { '': {} } }, ['maps: a path is empty']],
    ['true for a policy', { maps: { [COUNTERS]: true } }, [COUNTERS, 'a policy or false']],
    ['a misspelt lifetime', { maps: { [COUNTERS]: { maxIdel: '5m' } } }, [COUNTERS, 'maxIdel', 'maxIdle']],
    ['a lifetime that is none', { maps: { [COUNTERS]: { ttl: 'x' } } }, [COUNTERS, 'ttl']],
    ['a function of the contract', { maps: { [COUNTERS]: { dispose: 'log' } } }, [COUNTERS, 'dispose']],
    ['a circle', { maps: { a: { follows: 'b' }, b: { follows: 'a' } } }, ['follows', 'circle', "'a' -> 'b'"]],
    ['rules that are no list', { maps: { a: { rules: {} } } }, ['maps["a"].rules must be an array']],
    ['a broken pattern', { maps: { a: { rules: [{ match: '(' }] } } }, ['maps["a"].rules[0].match']],
    ['a rule without a pattern', { maps: { a: { rules: [{ ttl: 1 }] } } }, ['maps["a"].rules[0].match']],
  ])('refuses %s, and says where', (_, config, parts) => {
    const problem = problemOf(config);
    for (const part of parts) expect(problem).toContain(part);
  });

  it.each([[''], ['short'], ['with a space in between'], [1_234_567_890_123_456]])(
    'refuses the token %o without telling it',
    (scrapeToken) => {
      const problem = problemOf({ scrapeToken });
      expect(problem).toContain('scrapeToken: expected a string of at least 16 characters');
      if (scrapeToken !== '') expect(problem).not.toContain(String(scrapeToken));
    },
  );
});
