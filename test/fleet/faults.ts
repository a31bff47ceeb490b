import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../postgres/gateways.js';
import type { Random } from '../simulation/random.js';
import { type Fleet, takeOverAfterMs } from './fleet.js';

/** What happens to a fleet, each by its name; resolves when it has happened, and whatever can heal has healed. */
export const faults: Readonly<Record<string, (fleet: Fleet, random: Random) => Promise<void>>> = {
  'kill -9 and restart': (fleet, random) => fleet.restart(random.pick(fleet.members)),

  'kill -9 for good': (fleet, random) => fleet.replace(random.pick(fleet.members)),

  'SIGSTOP for longer than takeOverAfter': async ({ members }, random) => {
    const { child } = random.pick(members);
    child.kill('SIGSTOP');
    await sleep(takeOverAfterMs * 1.75);
    child.kill('SIGCONT');
  },

  'Redis killed and restarted': async ({ redis }, random) => {
    await redis.down();
    await sleep(random.between(500, 2_000));
    await redis.up();
  },

  'PostgreSQL restarted': async ({ postgres }, random) => {
    postgres.down(random.chance(0.5) ? 'fast' : 'immediate');
    await sleep(random.between(200, 2_000));
    postgres.up();
  },

  'cut off for longer than takeOverAfter': async ({ members, ledger }, random) => {
    const { instance, proxy } = random.pick(members);
    const before = await ledger.epoch(instance);
    proxy.cut();
    await sleep(takeOverAfterMs * 1.5);
    await eventually(
      async () => ((await ledger.epoch(instance)) === before ? undefined : true),
      `a takeover from ${instance}`,
    );
    // It goes on working for a while after that.
    await sleep(random.between(0, 1_500));
    proxy.heal();
  },

  "the lock's connection cut": async ({ members, ledger }, random) => {
    const { instance } = random.pick(members);
    await eventually(async () => (await ledger.cutLock(instance)) || undefined, `a lock of ${instance}`);
  },
};

/** All faults, in an order by chance. */
export function shuffled(random: Random): string[] {
  const names = Object.keys(faults);
  for (let last = names.length - 1; last > 0; last -= 1) {
    const other = random.between(0, last);
    [names[last], names[other]] = [names[other]!, names[last]!];
  }
  return names;
}
