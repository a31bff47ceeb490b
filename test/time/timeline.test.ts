import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { type ClockJump, Timeline } from '../../src/time/timeline.js';

function timeline() {
  const clock = createManualClock({ startAt: 1_800_000_000_000 });
  const jumps: ClockJump[] = [];
  return { clock, jumps, line: new Timeline(clock, (jump) => jumps.push(jump)) };
}

describe('Timeline', () => {
  it('translates there and back', async () => {
    const { clock, line } = timeline();
    await clock.advance(12_345);
    expect(line.now()).toBe(clock.monotonic());
    expect(line.toEpoch(line.now())).toBe(clock.now());
    expect(line.toMonotonic(clock.now())).toBe(line.now());
    expect(line.toEpoch(line.toMonotonic(0))).toBe(0);
    expect(line.toEpochAhead(line.now() + 500)).toBe(clock.now() + 500);
    expect(line.instantAt(clock.now() + 500, line.now())).toBe(line.now() + 500);
  });

  it('has stamps that are whole ms apart, also by a clock that is near the epoch', () => {
    let passed = 0;
    const began = 1_234.567_891;
    const clock = { ...createManualClock(), now: () => 5 + passed, monotonic: () => began + passed };
    const line = new Timeline(clock, () => {});
    const first = line.stamp();
    for (; passed < 5_000; passed += 1) {
      expect(line.stamp() - first).toBe(passed);
      expect(line.toEpoch(line.stamp())).toBe(clock.now());
    }
  });

  it('tells a jump of 1 s or more once, in either direction, and none of less', async () => {
    for (const byMs of [1_000, -1_000, 86_400_000, -86_400_000]) {
      const { clock, jumps, line } = timeline();
      clock.jumpWall(byMs);
      line.compareClocks();
      line.compareClocks();
      await clock.advance(1_000);
      line.compareClocks();
      expect(jumps).toEqual([{ byMs, at: 1_800_000_000_000 + byMs }]);
    }
    const { clock, jumps, line } = timeline();
    clock.jumpWall(999);
    line.compareClocks();
    expect(jumps).toEqual([]);
  });

  it('follows a drift that creeps in without telling it, however far it goes', () => {
    const { clock, jumps, line } = timeline();
    for (let n = 0; n < 50; n += 1) {
      clock.jumpWall(-300);
      line.compareClocks();
    }
    expect(jumps).toEqual([]);
    expect(Math.abs(line.toEpochAhead(line.now()) - clock.now())).toBeLessThan(1);
    expect(Math.abs(line.toEpoch(line.now()) - clock.now())).toBeLessThan(1_000);
  });

  it('goes on showing an instant from before a jump as the wall read then', async () => {
    const { clock, line } = timeline();
    const before = line.now();
    const shown = line.toEpoch(before);
    await clock.advance(5_000);
    clock.jumpWall(3_600_000);
    line.compareClocks();
    expect(line.toEpoch(before)).toBe(shown);
    expect(line.toEpoch(line.now())).toBe(clock.now());
    await clock.advance(5_000);
    clock.jumpWall(3_600_000);
    line.compareClocks();
    expect(line.toEpoch(before)).toBe(shown);
    expect(line.toEpoch(before + 5_000)).toBe(shown + 5_000 + 3_600_000);
  });

  it('shows no instant later than the wall clock does now', async () => {
    const { clock, line } = timeline();
    await clock.advance(60_000);
    const at = line.now();
    clock.jumpWall(-3_600_000);
    expect(line.toEpoch(at)).toBe(clock.now());
    line.compareClocks();
    expect(line.toEpoch(at)).toBe(clock.now());
  });

  it('shows an instant from before the clock was set back as one and the same, whatever it reads by then', async () => {
    const { clock, line } = timeline();
    const first = line.now();
    await clock.advance(60_000);
    const last = line.now();
    clock.jumpWall(-3_600_000);
    line.notice();
    const setTo = clock.now();
    for (let n = 0; n < 3; n += 1) {
      expect([line.toEpoch(first), line.toEpoch(last)]).toEqual([setTo, setTo]);
      await clock.advance(2_400_000);
    }
    expect(line.toEpoch(last + 1_000)).toBe(setTo + 1_000);
    clock.jumpWall(86_400_000);
    line.notice();
    clock.jumpWall(-86_400_000);
    line.notice();
    expect([line.toEpoch(first), line.toEpoch(last)]).toEqual([setTo, setTo]);
  });

  it('takes a jump into account that a reader notices, and tells it when it is observed', async () => {
    const { clock, jumps, line } = timeline();
    clock.jumpWall(3_600_000);
    line.notice();
    line.notice();
    expect(line.toMonotonic(clock.now())).toBe(line.now());
    expect(jumps).toEqual([]);
    await clock.advance(1_000);
    line.compareClocks();
    line.compareClocks();
    expect(jumps).toEqual([{ byMs: 3_600_000, at: 1_800_003_600_000 }]);
  });

  it('remembers a bounded number of jumps: the present, the very beginning and the latest stay right', async () => {
    const { clock, jumps, line } = timeline();
    const first = line.now();
    const shown = line.toEpoch(first);
    for (let n = 0; n < 1_000; n += 1) {
      await clock.advance(1);
      clock.jumpWall(2_000);
      line.compareClocks();
    }
    expect(jumps.length).toBe(1_000);
    expect(line.toEpoch(first)).toBe(shown);
    expect(line.toEpoch(line.now())).toBe(clock.now());
    expect(line.toEpoch(line.now() - 1)).toBe(clock.now() - 2_001);
  });

  it('takes a written instant by the wall clock to the ms, also under a drift that is no jump', () => {
    const { clock, line } = timeline();
    clock.jumpWall(-700);
    expect(line.instantAt(clock.now() + 10, line.now())).toBe(line.now() + 10);
    expect(line.toEpochAhead(line.now() + 10)).toBe(clock.now() + 10);
  });

  describe('takes an instant that was read from the wall clock', () => {
    const hour = 3_600_000;
    async function jumped(byMs: number) {
      const { clock, line } = timeline();
      const began = line.now();
      const shown = clock.now();
      await clock.advance(10_000);
      line.compareClocks();
      await clock.advance(10_000);
      clock.jumpWall(byMs);
      const after = clock.now();
      await clock.advance(5_000);
      line.compareClocks();
      await clock.advance(1_000);
      const read = (epoch: number) => line.instantRead(epoch, line.now()) - began;
      return { read, shown, after };
    }

    it.each([hour, -hour])(
      'for what it was then, from before a jump by %i ms and from after it',
      async (byMs) => {
        const { read, shown, after } = await jumped(byMs);
        // The jump was noticed 5 s after it.
        expect([read(shown), read(shown + 9_000)]).toEqual([0, 9_000]);
        expect([read(after), read(after + 2_000), read(after + 5_500)]).toEqual([20_000, 22_000, 25_500]);
      },
    );

    it('for the last time that it was shown, after the clock was set back a little', async () => {
      const { read, shown } = await jumped(-3_000);
      // When it was set back is not known: some time between 10 s, when all was well, and 25 s.
      expect(read(shown + 6_000)).toBe(6_000);
      expect([read(shown + 16_000), read(shown + 18_000)]).toEqual([19_000, 21_000]);
    });

    it('for what it would have been, if the clock was set forward over it', async () => {
      const { read, shown } = await jumped(hour);
      expect(read(shown + hour / 2)).toBe(hour / 2);
    });

    it('for one that lies ahead, only if the clock has never shown it', async () => {
      const { read, after } = await jumped(hour);
      expect(read(after + 60_000)).toBe(80_000);
      const back = await jumped(-hour);
      expect(back.read(back.shown + 15_000)).toBe(15_000);
      expect(back.read(back.shown + 60_000)).toBe(hour + 60_000);
    });
  });
});
