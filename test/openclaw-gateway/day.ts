/*
 * A day of a gateway, the same for every gateway: so that what is measured of one can be held beside what is measured of
 * another. Its clock is `movable-clock.cjs`.
 */
import type { Gateway, Turn } from './gateway.ts';
import { until } from './gateway.ts';
import type { ModelServer } from './model-server.ts';
import type { Probed } from './probe-plugin/index.ts';

/** What a day was like. */
export interface Day {
  readonly turns: readonly Turn[];
  /** Runs of the job that the gateway's own scheduler started. */
  readonly cronRuns: number;
  readonly subagents: number;
  readonly queued: QueuedRun;
  /** After the first four hours, and when the day is over. */
  readonly warm: Probed;
  readonly end: Probed;
  readonly highestRss: number;
}

/** A run that waited in its session's lane for longer than anything may be idle. */
export interface QueuedRun {
  readonly turn: Turn;
  /** Whether it has had a context all the time. */
  readonly hasKeptItsContext: boolean;
  /** The numbers of three events that a plugin emitted for it, the third after the wait; none where a plugin cannot. */
  readonly numbers: readonly number[];
}

const HOURLY = 'Write the hourly report';
const HOURS = 25;
const TURNS_AN_HOUR = Math.max(1, Math.round(Number(process.env.OPENCLAW_TURNS ?? 150) / HOURS));
const AT_ONCE = 3;
const HOUR_MS = 3_600_000;
const QUEUED_MS = 45 * 60_000;
/** Until then a gateway still compiles what it runs. */
export const WARM_AFTER_HOURS = 4;
/** At which hour a run is queued, and after which ones somebody spawns a subagent. */
const HOUR_OF_THE_QUEUE = 0;
const HOURS_OF_SUBAGENTS = new Set([2, 5, 11, 14, 17, 20, 23]);

/** Turns of a day, two of each session: 150, or about as many as `OPENCLAW_TURNS` says. */
export const TURNS = TURNS_AN_HOUR * HOURS;

/** Lives 25 hours: turns of ever new sessions, an hourly job, subagents, and a run that has to wait. */
export async function liveADay(gateway: Gateway, model: ModelServer): Promise<Day> {
  await gateway.command(
    ...['cron', 'add', '--name', 'hourly', '--every', '1h', '--session', 'isolated'],
    ...['--message', HOURLY, '--no-deliver'],
  );
  const askedBefore = model.timesAsked(HOURLY);
  const turns: Turn[] = [];
  let subagents = 0;
  let queued: QueuedRun | undefined;
  let warm: Probed | undefined;
  let highestRss = 0;
  for (let hour = 0; hour < HOURS; hour += 1) {
    // One after the other: what a session is told while it answers may go into the answer that is under way.
    for (const count of [Math.ceil(TURNS_AN_HOUR / 2), Math.floor(TURNS_AN_HOUR / 2)]) {
      const sessionOf = (turn: number) => `ticket-${hour}-${turn}`;
      turns.push(...(await gateway.turns(count, { atOnce: AT_ONCE, users: sessionOf })));
    }
    if (HOURS_OF_SUBAGENTS.has(hour)) {
      const { status } = await gateway.tool('sessions_spawn', { task: `Look into ticket ${hour}` });
      if (status === 'accepted') subagents += 1;
    }
    if (hour === HOUR_OF_THE_QUEUE) queued = await queueARun(gateway, model);
    await gateway.moveClock(hour === HOUR_OF_THE_QUEUE ? HOUR_MS - QUEUED_MS : HOUR_MS);
    const probed = await gateway.probe();
    highestRss = Math.max(highestRss, probed.rss);
    if (hour === WARM_AFTER_HOURS - 1) warm = probed;
  }
  const end = await gateway.probe();
  const cronRuns = model.timesAsked(HOURLY) - askedBefore;
  if (queued === undefined || warm === undefined) throw new Error('the day was too short');
  return { turns, cronRuns, subagents, queued, warm, end, highestRss };
}

/** Has a run wait in the lane of its session for 45 minutes, behind one that is still answered. */
async function queueARun(gateway: Gateway, model: ModelServer): Promise<QueuedRun> {
  const underWay = model.underWay;
  const first = gateway.turn('Please answer until told', 'a-busy-user');
  await until('the first is answered', 60_000, async () => (model.underWay > underWay ? true : undefined));
  const before = await gateway.probe();
  const second = gateway.turn('And another thing', 'a-busy-user');
  const runId = await until('the second waits', 60_000, async () => {
    const { contexts } = await gateway.probe();
    return contexts.find((context) => !before.contexts.includes(context));
  });
  const numbers: number[] = [];
  const emit = async (): Promise<void> => {
    if (await gateway.emit(runId)) numbers.push((await gateway.probe()).lastSeqs[runId] ?? Number.NaN);
  };
  await emit();
  await emit();
  await gateway.moveClock(QUEUED_MS, { atWork: true });
  const hasKeptItsContext = (await gateway.probe()).contexts.includes(runId);
  await emit();
  model.finish();
  await first;
  return { turn: await second, hasKeptItsContext, numbers };
}
