import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { Answers, asksInstants, invalidInstant } from '../../src/policy/answers.js';
import { FAILED } from '../../src/policy/ask.js';
import { compilePolicy } from '../../src/policy/compile-policy.js';
import { Timeline } from '../../src/time/timeline.js';

const startAt = 1_800_000_000_000;

function asking() {
  const clock = createManualClock({ startAt });
  const failures: Array<[string, string, number, { code?: string; message?: string }]> = [];
  const timeline = new Timeline(clock, () => {});
  const answers = new Answers<string, unknown>(timeline, (callback, key, slot, error) =>
    failures.push([callback, key, slot, error as never]),
  );
  const instant = (answer: unknown, slot = 3, name: 'since' | 'expiresAt' | 'activeAt' = 'expiresAt') =>
    answers.instant(name, () => answer as number, slot, 'value', 'key', clock.monotonic());
  return { clock, timeline, answers, failures, instant };
}

describe('invalidInstant', () => {
  it.each([
    [1e11, true],
    [1e11 - 1, false],
    [1, false],
    [0, true],
    [-5, true],
    [Number.POSITIVE_INFINITY, true],
    [Number.NEGATIVE_INFINITY, true],
    [new Date(1e12), true],
    [new Date(0), true],
    [new Date(1.8e9), false],
    [new Date(Number.NaN), false],
    [Number.NaN, false],
    ['1800000000000', false],
    [null, false],
    [1n, false],
  ])('under a modern clock takes %s: %s', (answer, isValid) => {
    expect(invalidInstant(answer, 1e12) === undefined).toBe(isValid);
  });

  it('under a clock below 1e12 takes small instants, and never NaN', () => {
    expect(invalidInstant(5, 1e12 - 1)).toBe(undefined);
    expect(invalidInstant(-5, 1_000)).toBe(undefined);
    expect(invalidInstant(Number.NaN, 1_000)).toBeDefined();
    expect(invalidInstant(Number.NEGATIVE_INFINITY, 1_000)).toBe(undefined);
  });

  it('says what a small one looks like', () => {
    expect(invalidInstant(1_800_000_000, startAt)).toBe(', which looks like seconds or a duration');
  });
});

describe('Answers.instant', () => {
  it('turns epoch ms and dates into a monotonic instant, undefined and null into undefined', () => {
    const { clock, instant, failures } = asking();
    expect(instant(startAt + 500)).toBe(clock.monotonic() + 500);
    expect(instant(new Date(startAt + 500))).toBe(clock.monotonic() + 500);
    expect([instant(undefined), instant(null)]).toEqual([undefined, undefined]);
    const longAgo = clock.monotonic() - startAt;
    expect([instant(0), instant(-5), instant(Number.NEGATIVE_INFINITY)]).toEqual([longAgo, longAgo, longAgo]);
    expect(instant(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
    expect(failures).toEqual([]);
  });

  it('goes by the wall clock as it is now for expiresAt, and for what was by the clock as it was then', async () => {
    const { clock, answers, timeline } = asking();
    const at = (name: 'since' | 'expiresAt' | 'activeAt', epoch: number) =>
      Number(answers.instant(name, () => epoch, 3, 'value', 'key', clock.monotonic())) - began;
    const began = clock.monotonic();
    await clock.advance(500);
    timeline.compareClocks();
    clock.jumpWall(3_600_000);
    timeline.compareClocks();
    await clock.advance(1_000);
    expect([at('since', startAt + 200), at('activeAt', startAt + 200)]).toEqual([200, 200]);
    expect(at('expiresAt', startAt + 200)).toBe(200 - 3_600_000);
    expect(at('since', clock.now() - 300)).toBe(1_200);
  });

  it('takes activity that lies ahead for activity of when it was first seen, and no other instant', async () => {
    const { clock, answers, instant: asked } = asking();
    const began = clock.monotonic();
    const instant = (answer: number, slot: number, name: 'since' | 'activeAt' = 'activeAt') =>
      Number(asked(answer, slot, name)) - began;
    const ahead = startAt + 9_000;
    expect(instant(ahead, 1)).toBe(0);
    expect(instant(ahead, 1, 'since')).toBe(9_000);
    await clock.advance(1_000);
    expect([instant(ahead, 1), instant(ahead, 2)]).toEqual([0, 1_000]);
    expect(instant(ahead + 1, 1)).toBe(1_000);
    await clock.advance(1_000);
    answers.forget(1);
    expect([instant(ahead + 1, 1), instant(ahead, 2)]).toEqual([2_000, 1_000]);
    answers.isReading = true;
    expect(instant(ahead, 4)).toBe(2_000);
    await clock.advance(1_000);
    answers.isReading = false;
    expect(instant(ahead, 4)).toBe(3_000);
  });

  it('takes activity less than 2 ms ahead as it is, since no two readings agree better', async () => {
    const { clock, instant: asked } = asking();
    const began = clock.monotonic();
    const instant = (answer: number): number => Number(asked(answer, 1, 'activeAt')) - began;
    const seen = [];
    for (let ms = 0; ms < 5; ms += 1) {
      seen.push(instant(startAt + 3));
      await clock.advance(1);
    }
    // What lies further ahead is remembered.
    expect(seen).toEqual([0, 0, 3, 3, 3]);
  });

  it('names the function, what it answered and what it may answer', () => {
    const { instant, failures } = asking();
    expect(instant(1_800_000_000)).toBe(FAILED);
    expect(failures).toMatchObject([
      [
        'expiresAt',
        'key',
        3,
        {
          code: 'ERR_INVALID_ANSWER',
          message:
            'expiresAt must answer epoch milliseconds, a Date, null or undefined, got 1800000000, which looks like seconds or a duration',
        },
      ],
    ]);
  });

  it('passes value and key, and tells what was thrown as it is', () => {
    const { answers, failures } = asking();
    const given: unknown[] = [];
    const thrown = { odd: true };
    const ask = (value: unknown, key: string): number => {
      given.push([value, key]);
      throw thrown;
    };
    expect(answers.instant('since', ask, 1, 'v', 'k', 0)).toBe(FAILED);
    expect(given).toEqual([['v', 'k']]);
    expect(failures[0]?.[3]).toBe(thrown);
  });
});

describe('Answers.decide', () => {
  it('takes any value for yes or no, a promise and a throw for neither', async () => {
    const { answers, failures } = asking();
    const decide = (answer: () => unknown) => answers.decide('keepWhile', answer as never, 1, 'value', 'key');
    expect([true, 1, 'x', {}].map((answer) => decide(() => answer))).toEqual([true, true, true, true]);
    expect([false, 0, '', null, undefined].map((answer) => decide(() => answer))).toEqual(
      Array(5).fill(false),
    );
    expect(decide(async () => Promise.reject(new Error('late')))).toBe(FAILED);
    expect(
      decide(() => {
        throw null;
      }),
    ).toBe(FAILED);
    expect(failures.map(([callback, , , error]) => [callback, error?.code])).toEqual([
      ['keepWhile', 'ERR_INVALID_ANSWER'],
      ['keepWhile', undefined],
    ]);
  });
});

describe('asksInstants', () => {
  it.each([
    [{}, false],
    [{ ttl: 1, maxIdle: 1, maxAge: 1, keepWhile: () => true, dispose: () => {} }, false],
    [{ ttl: 1, since: 'lastActiveAt' }, false],
    [{ ttl: 1, since: () => 1 }, true],
    [{ expiresAt: () => 1 }, true],
    [{ maxIdle: 1, activeAt: () => 1 }, true],
    [{ rules: [{ match: /a/, ttl: 1 }, { match: () => true }] }, false],
    [{ rules: [{ match: /a/ }, { match: /b/, expiresAt: () => 1 }] }, true],
  ] as const)('of %o is %s', (policy, expected) => {
    expect(asksInstants(compilePolicy('', policy as never))).toBe(expected);
  });
});
