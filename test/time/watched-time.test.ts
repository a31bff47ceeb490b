import { describe, expect, it } from 'vitest';
import { WatchedTime } from '../../src/time/watched-time.ts';

describe('watched time', () => {
  it('is as long as the time in which looks come as often as before', () => {
    const watched = new WatchedTime(5, 30);
    for (let at = 15; at <= 105; at += 10) watched.look(at);
    expect(watched.ms).toBe(100);
  });

  it('counts a silence in part: the least, or twice the one before if that is more', () => {
    const watched = new WatchedTime(0, 30);
    watched.look(10);
    watched.look(1_000);
    expect(watched.ms).toBe(10 + 30);
    watched.look(2_000);
    expect(watched.ms).toBe(10 + 30 + 1_000);
    watched.look(9_000);
    expect(watched.ms).toBe(10 + 30 + 1_000 + 2_000);
  });
});
