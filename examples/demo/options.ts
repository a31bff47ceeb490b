/** The command line. */
import { parseArgs } from 'node:util';

export const HELP = `Usage: npm run demo -- [options]

Plays a day of a busy agent gateway twice, on plain Maps and on mapsweep, and
compares what is left. Exit status: 0 if mapsweep held, 1 if it did not, 2 for
a wrong option.

  --tickets N   size of the batch, 10 to 20000 (default 1400)
  --crash       instead, kills a smaller gateway on mapsweep in the middle of its
                work, twice, with kill -9, and starts it again
  --seed N      another sequence of requests (default 52)
  --serve       instead, serves a gateway on plain Maps and one on mapsweep, under
                load, in real time: a page with both side by side, a status page
                for each, and /metrics, until Ctrl-C
  --port N      where --serve listens on 127.0.0.1 (default: any free port)
  --for TIME    ends --serve after such as 30s, 10m or 1h
  --json        print the figures as JSON and nothing else
  --sabotage no-sweep | forget-journal
                for the test, which wants the demo to fail: stops the registry at
                once, or, with --crash, starts again without the journal
  --help        this text
`;

const SABOTAGES = ['no-sweep', 'forget-journal'] as const;
export type Sabotage = (typeof SABOTAGES)[number];

export interface Options {
  tickets: number;
  seed: number;
  serve: boolean;
  /** 0 is any free port. */
  port: number;
  /** After so many ms --serve ends by itself. */
  forMs: number | undefined;
  json: boolean;
  /** The gateway is killed instead. */
  crash: boolean;
  /** What the test breaks: the registry is stopped at once, or started again without the journal. */
  sabotage: Sabotage | undefined;
  help: boolean;
}

/** Reads the arguments; throws a `TypeError` or `RangeError` that names the option, what it got and what it takes. */
export function parseOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      tickets: { type: 'string', default: '1400' },
      seed: { type: 'string', default: '52' },
      serve: { type: 'boolean', default: false },
      port: { type: 'string' },
      for: { type: 'string' },
      json: { type: 'boolean', default: false },
      crash: { type: 'boolean', default: false },
      sabotage: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const { serve, crash, json, help, port, for: length } = values;
  const sabotage = SABOTAGES.find((known) => known === values.sabotage);
  if (values.sabotage !== sabotage) {
    const allowed = SABOTAGES.join(' or ');
    throw new TypeError(`--sabotage got ${JSON.stringify(values.sabotage)}; it takes ${allowed}`);
  }
  if (sabotage !== undefined && crash !== (sabotage === 'forget-journal'))
    throw new TypeError(`--sabotage ${sabotage} does not go with${crash ? '' : 'out'} --crash`);
  if (serve && crash)
    throw new TypeError('--crash kills a gateway that nobody looks at; it does not go with --serve');
  if (serve && json) throw new TypeError('--json prints the figures and ends; it does not go with --serve');
  if (port !== undefined && !serve)
    throw new TypeError('--port says where --serve listens; it does not go without it');
  if (length !== undefined && !serve)
    throw new TypeError('--for says when --serve ends; it does not go without it');
  return {
    tickets: wholeNumber('--tickets', values.tickets, 10, 20_000),
    seed: wholeNumber('--seed', values.seed, 0, 2 ** 31 - 1),
    port: wholeNumber('--port', port ?? '0', 0, 65_535),
    forMs: length === undefined ? undefined : lengthOfTime('--for', length),
    serve,
    json,
    crash,
    sabotage,
    help,
  };
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new RangeError(
    `${option} got ${JSON.stringify(text)}; it takes a whole number from ${min} to ${max}`,
  );
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

function lengthOfTime(option: string, text: string): number {
  const [, count, unit] = /^([1-9]\d{0,3})([smh])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return Number(count) * UNITS[unit]!;
  throw new RangeError(`${option} got ${JSON.stringify(text)}; it takes a time such as 30s, 10m or 1h`);
}
