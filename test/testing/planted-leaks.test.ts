import { returnToBaseline } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { healthy } from './planted-leaks/healthy.js';
import { leaks } from './planted-leaks/leaks.js';
import type { Service } from './planted-leaks/service.js';

const check = ({ registry, run, options }: Service) => returnToBaseline(run, { ...options, registry });

describe('the kit finds a service that', { timeout: 60_000 }, () => {
  it.each(leaks)('%s', async (_claim, says, start) => {
    const { held, decided, message } = await check(start());
    expect(message).toMatch(says);
    expect(held).toBe(false);
    expect(decided || /released/.test(message)).toBe(true);
  });

  it('and has 30 of them to find', () => {
    expect(leaks.length).toBeGreaterThanOrEqual(30);
  });
});

describe('the kit accuses no service that', { timeout: 60_000 }, () => {
  it.each(healthy)('%s', async (_claim, start) => {
    const { held, message } = await check(start());
    expect(message).toMatch(/returned to its baseline after \d+ runs/);
    expect(held).toBe(true);
  });

  it('and has 15 of them to spare', () => {
    expect(healthy.length).toBeGreaterThanOrEqual(15);
  });
});
