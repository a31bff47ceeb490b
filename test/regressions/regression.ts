import { createRegistry, type Duration } from 'mapsweep';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { describe, expect, it } from 'vitest';

const times = 20;

/** A gateway in miniature, made by one of the two sides. */
export interface World {
  /** What the kit looks at. */
  readonly registry: { close(): Promise<unknown> };
  /** Its maps by name, where something is stranded in them. */
  readonly maps?: Record<string, AnyMap>;
  /** What happens once a run; what it leaves behind is the leak. */
  scenario(run: number): unknown;
  /** Ends the timers of its own, where it has some. */
  stop?(): void;
}

/** A leak that really happened, from its public description. */
export interface Regression {
  /** As it was: plain Maps and what looked after them. */
  plain(clock: ManualClock): World;
  /** The same with mapsweep. */
  swept(clock: ManualClock): World;
  /** The maps that grow on the plain side, by how much a run; all others hold. */
  leaks: Record<string, number>;
  /** The maps in which something is stranded there until the next run, though no more at each. */
  strands?: readonly string[];
  /** What the kit says of the swept side, where nothing stays and yet not all is well. */
  tells?: RegExp;
  /** What the message says of an entry that stayed. */
  because: RegExp | string;
  /** How long everything has to leave. Default 2 h, which is more than every lifetime of the gateway but one. */
  drain?: Duration;
  /** What else is true of the swept side when the scenario has run. */
  afterwards?(world: World): unknown;
}

// biome-ignore lint/suspicious/noExplicitAny: a Map of whatever, which nobody here looks into
type AnyMap = Map<any, any>;

const failureOf = (assertion: Promise<unknown>): Promise<string> =>
  assertion.then(
    () => 'held',
    (error: Error) => error.message,
  );

/** Shows a leak by the kit, and shows that it is gone. */
export function regression(
  title: string,
  { plain, swept, leaks, strands = [], because, tells, drain, afterwards }: Regression,
): void {
  const optionsFor = (world: World) => ({
    registry: world.registry,
    times,
    // Nothing here is made once and kept.
    warmup: 0,
    drain: drain ?? ('2h' as const),
  });
  describe(title, () => {
    it('leaks with plain Maps', async () => {
      const clock = createManualClock();
      const world = plain(clock);
      const message = await failureOf(expect(world.scenario).toReturnToBaseline(optionsFor(world)));
      const stranded = await Promise.all(
        strands.map((name) => failureOf(expect(world.maps?.[name]).toDrainWithin(drain ?? '2h'))),
      );
      await end(world, clock);
      expect(growthIn(message)).toEqual(leaks);
      for (const why of [...stranded, ...(strands.length > 0 ? [] : [message])]) expect(why).toMatch(because);
    });

    it('holds with mapsweep', async () => {
      const clock = createManualClock();
      const world = swept(clock);
      const message = await failureOf(expect(world.scenario).toReturnToBaseline(optionsFor(world)));
      expect(message).toMatch(tells ?? /^held$/);
      expect(growthIn(message)).toEqual({});
      if (strands.length > 0) await expect(world.registry).toDrainWithin(drain ?? '2h');
      await afterwards?.(world);
      await end(world, clock);
    });
  });
}

/** Lets the kit look at Maps that nobody sweeps. */
export function watched(clock: ManualClock, maps: Record<string, AnyMap>): World['registry'] {
  const adopted = Object.entries(maps).map(([name, map]) => [name, { adopt: map }] as const);
  return createRegistry({ maps: Object.fromEntries(adopted), clock });
}

/** `setInterval` on a manual clock. */
export function every(clock: ManualClock, ms: number, tick: () => unknown): () => void {
  let timer: unknown;
  const next = (): void => {
    timer = clock.setTimeout(() => {
      next();
      tick();
    }, ms);
  };
  next();
  return () => clock.clearTimeout(timer);
}

/** The chat session that a run answers to. It reads one announcement of each run; what comes twice stays unread. */
export class Inbox {
  readonly unread = new Map<string, string>();
  #posted = 0;

  post(runId: string): void {
    this.#posted += 1;
    this.unread.set(`message ${this.#posted}`, runId);
  }

  read(runId: string): void {
    for (const [message, about] of this.unread) {
      if (about !== runId) continue;
      this.unread.delete(message);
      return;
    }
    throw new Error(`nobody announced ${runId}`);
  }
}

export const minutes = (count: number): number => count * 60_000;

function growthIn(message: string): Record<string, number> {
  const grown = message.matchAll(/^ {2}(.+): \d+ -> \d+ entr(?:y|ies), \+([\d.]+) per run$/gm);
  return Object.fromEntries([...grown].map(([, name, perRun]) => [name, Number(perRun)]));
}

async function end(world: World, clock: ManualClock): Promise<void> {
  world.stop?.();
  await world.registry.close();
  expect(clock.pendingTimers).toBe(0);
}
