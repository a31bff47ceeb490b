import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { earliestDeadline } from '../../src/policy/deadline.js';

const never = Number.POSITIVE_INFINITY;
const none = {
  label: '',
  ttlMs: never,
  since: 'registeredAt',
  expiresAt: undefined,
  maxIdleMs: never,
  maxAgeMs: never,
} as const;
const instants = {
  registeredAt: 100,
  activeAt: 200,
  ttlStartedAt: 100,
  expiresAt: undefined,
  orphanAfterMs: never,
};
const deadlineOf = (lifetimes: object, given: object = {}) =>
  earliestDeadline({ ...none, ...lifetimes }, { ...instants, ...given }, { at: 0, by: 'ttl' });

describe('earliestDeadline', () => {
  it('is never where no lifetime applies', () => {
    expect(deadlineOf({})).toEqual({ at: never, by: undefined });
  });

  it.each([
    ['ttl', { ttlMs: 50 }, {}, 150],
    ['ttl', { ttlMs: 0 }, { ttlStartedAt: 7 }, 7],
    ['maxIdle', { maxIdleMs: 50 }, {}, 250],
    ['maxAge', { maxAgeMs: 50 }, {}, 150],
    ['expiresAt', {}, { expiresAt: 42 }, 42],
    ['orphanAfter', {}, { orphanAfterMs: 30 }, 230],
  ] as const)('by %s', (by, lifetimes, given, at) => {
    expect(deadlineOf(lifetimes, given)).toEqual({ at, by });
  });

  it('leaves out a TTL that has not started, and a deadline that is not there', () => {
    expect(deadlineOf({ ttlMs: 1 }, { ttlStartedAt: undefined })).toEqual({ at: never, by: undefined });
    expect(deadlineOf({ ttlMs: 1, maxAgeMs: 9 }, { ttlStartedAt: undefined })).toEqual({
      at: 109,
      by: 'maxAge',
    });
  });

  it('is the earliest of those that apply, and the first in order of equal ones', () => {
    expect(deadlineOf({ ttlMs: 50, maxAgeMs: 50 }).by).toBe('ttl');
    const span = fc.oneof(fc.nat(1_000), fc.constant(never));
    const instant = fc.option(fc.integer({ min: -1_000, max: 1_000 }), { nil: undefined });
    fc.assert(
      fc.property(
        span,
        span,
        span,
        span,
        instant,
        instant,
        (ttlMs, maxIdleMs, maxAgeMs, orphanAfterMs, ttlStartedAt, expiresAt) => {
          const { at, by } = deadlineOf(
            { ttlMs, maxIdleMs, maxAgeMs },
            { orphanAfterMs, ttlStartedAt, expiresAt },
          );
          const all = {
            ttl: (ttlStartedAt ?? never) + ttlMs,
            expiresAt: expiresAt ?? never,
            maxIdle: 200 + maxIdleMs,
            maxAge: 100 + maxAgeMs,
            orphanAfter: 200 + orphanAfterMs,
          };
          expect(at).toBe(Math.min(...Object.values(all)));
          if (by === undefined) expect(at).toBe(never);
          else expect(all[by]).toBe(at);
        },
      ),
    );
  });

  it('writes into the object it is given, and returns that', () => {
    const into = { at: 1, by: undefined };
    expect(earliestDeadline(none, instants, into)).toBe(into);
  });
});
