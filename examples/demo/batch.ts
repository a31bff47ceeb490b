/**
 * The batch as pure data: which request reaches the gateway when, and what is true of every run at the end.
 *
 * Made from a seed and nothing else, so both sides get the same requests in the same order, and a run that went
 * wrong can be played again. The fates are the ways in which runs of a real gateway ended, or did not.
 */

/** The wall time of the gateway at which the batch starts, epoch ms. */
export const BATCH_STARTS_AT = Date.UTC(2026, 2, 23, 9);

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A run that never says it ended is given up after a day of silence; the batch lasts until that is over as well. */
const LONGEST_LIFETIME_MS = 24 * HOUR;
const SWEEP_MARGIN_MS = 5 * MINUTE;
/** Tickets start inside this time, so that the ordinary runs are over after half an hour. */
export const TICKETS_START_WITHIN_MS = 26 * MINUTE;

/** How a run goes, with its share of all runs. */
const FATES = {
  /** start, events, end, clean-up: the one path that the gateway cleans up behind. */
  clean: 46,
  /** The end overtakes the start event, whose context nobody clears any more. */
  'end before start': 7,
  /** The clean-up comes long after the end, and must find the run still there. */
  'late clean-up': 5,
  /** Two paths say that it is complete: the run's own, and the caller that waited for it. */
  'completed twice': 4,
  /** The clean-up never completes. */
  'no clean-up': 4,
  /** Aborted runs never clear their context. */
  aborted: 11,
  /** An error, and a retry of the same run before its 15 s are over. */
  'error, retried': 3,
  /** An error, and a restart under a new id, which cancels the retry timer and forgets its entry. */
  'error, restarted': 5,
  /** An error that nobody retries: the timer ends the run. */
  'error, final': 3,
  /** Restarted under a new id in the middle of its work. */
  restarted: 3,
  /** The end event never comes. */
  'lost end': 4,
  /** Events that come after the clean-up, and bring a sequence counter back. */
  'late event': 5,
} as const;

export type Fate = keyof typeof FATES;

/** What a request asks for. Sizes are in characters of payload. */
export type Action =
  | { kind: 'spawn'; mode: 'session' | 'run' }
  | { kind: 'start'; promptSize: number }
  | { kind: 'event' }
  | { kind: 'error' }
  | { kind: 'restart'; to: string }
  | { kind: 'end'; outcome: 'ok' | 'aborted'; resultSize: number }
  | { kind: 'cleanup' };

/** One request to the gateway. */
export interface Operation {
  /** Gateway time since the start of the batch. Whole seconds. */
  atMs: number;
  /** Index of the run in `Batch.runs`; requests of one run keep their order. */
  run: number;
  runId: string;
  action: Action;
  /** The run is at work, so the gateway must know it: an answer that it does not means it was killed by mistake. */
  alive: boolean;
}

/** What is true of one run, restarts included, whatever the gateway thinks. */
export interface Run {
  /** Its ids in order; more than one if it was restarted. */
  ids: string[];
  kind: 'session' | 'run' | 'cron' | 'main';
  /** It still works when the batch is over. */
  active: boolean;
  /** Events sent, start included, under its last id. */
  events: number;
}

export interface Batch {
  seed: number;
  tickets: number;
  operations: readonly Operation[];
  runs: readonly Run[];
  /** Gateway time at which the last request of a run that is not active is sent. */
  requestsEndMs: number;
  /** Gateway time at which every lifetime is over. */
  endMs: number;
}

/** A seeded generator of numbers in [0, 1): mulberry32. */
export function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The same batch for the same seed and number of tickets. */
export function createBatch({ seed, tickets }: { seed: number; tickets: number }): Batch {
  const random = createRandom(seed);
  const between = (from: number, to: number) => Math.round(from + random() * (to - from));
  const uuid = () =>
    [8, 4, 4, 4, 12]
      .map((digits) => Array.from({ length: digits }, () => between(0, 15).toString(16)).join(''))
      .join('-');

  const runs: Run[] = [];
  const operations: Operation[] = [];

  /** Writes the requests of one run, with a time of its own that moves on with each of them. */
  const scriptOf = (kind: Run['kind'], firstId: string, startsAtMs: number, active = false) => {
    const run: Run = { ids: [firstId], kind, active, events: 0 };
    const index = runs.push(run) - 1;
    let atMs = startsAtMs;
    let runId = firstId;
    let alive = false;
    const send = (action: Action) => {
      const wholeSeconds = Math.round(atMs / SECOND) * SECOND;
      operations.push({ atMs: wholeSeconds, run: index, runId, action, alive });
    };
    const script = {
      after: (fromMs: number, toMs: number) => {
        atMs += between(fromMs, toMs);
        return script;
      },
      spawn: () => {
        send({ kind: 'spawn', mode: kind === 'run' ? 'run' : 'session' });
        alive = true;
        return script;
      },
      start: () => {
        send({ kind: 'start', promptSize: between(4 * 1024, 16 * 1024) });
        run.events++;
        // Of runs that nobody registers, the gateway knows from their start event on.
        if (kind === 'cron' || kind === 'main') alive = true;
        return script;
      },
      events: (count: number, everyMs = 20 * SECOND) => {
        for (let event = 0; event < count; event++) {
          script.after(everyMs / 2, everyMs * 1.5);
          send({ kind: 'event' });
          run.events++;
        }
        return script;
      },
      error: () => {
        send({ kind: 'error' });
        return script;
      },
      restart: () => {
        const to = uuid();
        send({ kind: 'restart', to });
        runId = to;
        run.ids.push(to);
        run.events = 0;
        return script;
      },
      end: (outcome: 'ok' | 'aborted' = 'ok') => {
        send({ kind: 'end', outcome, resultSize: between(512, 3 * 1024) });
        return script;
      },
      cleanup: () => {
        send({ kind: 'cleanup' });
        alive = false;
        return script;
      },
      /** The end, and its clean-up when the result has been delivered. */
      complete: (outcome: 'ok' | 'aborted' = 'ok') => script.end(outcome).after(1_000, 5_000).cleanup(),
      /** An error, and time enough for a retry before it counts. */
      stumble: () => script.error().after(4_000, 11_000),
      isAtMs: () => atMs,
    };
    return script;
  };

  const play: Record<Fate, (run: ReturnType<typeof scriptOf>) => void> = {
    clean: (run) => run.start().events(between(1, 3)).after(5_000, 60_000).complete(),
    'end before start': (run) =>
      run.end().after(1_000, 3_000).start().events(1, 2_000).after(1_000, 5_000).cleanup(),
    'late clean-up': (run) => run.start().events(2).end().after(480_000, 1_080_000).cleanup(),
    'completed twice': (run) => run.start().events(2).complete().after(1_000, 3_000).cleanup(),
    'no clean-up': (run) => run.start().events(2).end(),
    aborted: (run) => run.start().events(between(1, 2)).complete('aborted'),
    'error, retried': (run) => run.start().events(1).stumble().start().events(2).complete(),
    'error, restarted': (run) =>
      run.start().events(1).stumble().restart().after(1_000, 3_000).start().events(1).complete(),
    'error, final': (run) => run.start().events(2).error(),
    restarted: (run) => run.start().events(1).restart().after(1_000, 3_000).start().events(2).complete(),
    'lost end': (run) => run.start().events(between(1, 3)),
    'late event': (run) => run.start().events(1).complete().after(30_000, 1_200_000).events(between(1, 2)),
  };

  const startAtMs = (index: number, of: number) => (index / of) * TICKETS_START_WITHIN_MS;

  const sessionFates = deckOf(tickets * 2, random);
  for (let ticket = 0; ticket < tickets; ticket++) {
    for (let session = 0; session < 2; session++) {
      const run = scriptOf('session', uuid(), startAtMs(ticket, tickets) + session * 10 * SECOND).spawn();
      play[sessionFates[ticket * 2 + session]!](run.after(1_000, 3_000));
    }
    // Every fourth ticket hands a part of its work to a one-shot helper. Helpers are archived when they are done.
    if (ticket % 4 === 0) {
      const run = scriptOf('run', uuid(), startAtMs(ticket, tickets) + 20 * SECOND).spawn();
      play.clean(run.after(1_000, 3_000));
    }
  }

  // Cron runs have a context, and no subagent run.
  const cronRuns = Math.ceil(tickets / 7);
  for (let index = 0; index < cronRuns; index++) {
    const key = `cron:job-${index % 5}:run:${uuid()}`;
    scriptOf('cron', key, startAtMs(index, cronRuns)).start().events(between(1, 3));
  }

  const requestsEndMs = operations.reduce((last, { atMs }) => Math.max(last, atMs), 0);
  const endMs = requestsEndMs + LONGEST_LIFETIME_MS + SWEEP_MARGIN_MS;

  // The runs that must survive: they say something every ten minutes or so, for the whole day.
  const active: [Run['kind'], string][] = [
    ['session', uuid()],
    ['session', uuid()],
    ['session', uuid()],
    ['session', uuid()],
    ['main', `main:${uuid()}`],
    ['cron', `cron:nightly:run:${uuid()}`],
  ];
  for (const [kind, id] of active) {
    const run = scriptOf(kind, id, between(0, MINUTE), true);
    if (kind === 'session') run.spawn().after(1_000, 3_000);
    run.start();
    while (run.isAtMs() < endMs - 16 * MINUTE) run.events(1, 10 * MINUTE);
  }

  // `sort` is stable: requests of the same second keep the order in which they were written.
  operations.sort((one, other) => one.atMs - other.atMs);
  return { seed, tickets, operations, runs, requestsEndMs, endMs };
}

/** `size` fates by their shares, shuffled. A deck and not dice, so that a small batch has each of them as well. */
function deckOf(size: number, random: () => number): Fate[] {
  const fates = Object.entries(FATES) as [Fate, number][];
  const total = fates.reduce((sum, [, share]) => sum + share, 0);
  const deck = fates.flatMap(([fate, share]) =>
    Array.from({ length: Math.max(1, Math.round((share / total) * size)) }, () => fate),
  );
  while (deck.length < size) deck.push('clean');
  deck.length = size;
  for (let index = deck.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1));
    [deck[index], deck[other]] = [deck[other]!, deck[index]!];
  }
  return deck;
}
