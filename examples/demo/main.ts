/**
 * `npm run demo`: the batch that killed a gateway, played twice: on plain Maps, and on mapsweep. With `--crash` the
 * gateway is killed instead, and with `--serve` both are kept under load, to be looked at.
 *
 * This file is the flow: read the arguments, play, print what came of it.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Batch, createBatch } from './batch.ts';
import type { Progress } from './client.ts';
import { playCrashes } from './crash.ts';
import { renderCrashes, renderKills } from './crash-verdict.ts';
import { brokenPromises, type Figures } from './figures.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { createProgressView, type ProgressView } from './progress.ts';
import { startSide } from './side-process.ts';
import { createPaint, paragraphs } from './table.ts';
import { seconds } from './units.ts';
import { renderComparison, renderIntroduction } from './verdict.ts';

const EXIT_HELD = 0;
const EXIT_NOT_HELD = 1;
const EXIT_WRONG_OPTION = 2;
const EXIT_INTERRUPTED = 130;

/** The kills have a batch of their own: enough that each finds runs of every sort. */
const MOST_TICKETS_OF_KILLS = 200;

const HELD = 'nothing was left, and every end was told once.';
const HELD_OVER_KILLS = 'no end was lost, and none had a second id.';
const NEXT = 'Next: wrap your Maps (README.md), or `npm run demo -- --serve` or `--crash`.';
const NEXT_OF_KILLS = 'Next: "Across a restart" in README.md, and `persistTo` in your own registry.';

const isTerminal = process.stdout.isTTY === true && process.env.CI === undefined;
const paint = createPaint(isTerminal && process.env.NO_COLOR === undefined);

/** Children that may still be there, the youngest last. */
const running: { stop(): void; gone: Promise<unknown> }[] = [];
let view: ProgressView | undefined;
let isLeaving = false;
/** Ends `--serve`, while there is one. */
let served: AbortController | undefined;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = optionsOrComplaint();
  if (typeof options === 'number') return options;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void leave());
  try {
    assertBuilt();
    return await (options.serve ? serveOn(options) : demo(options));
  } catch (error) {
    // A side that is stopped by Ctrl-C has no result, and that is no news.
    if (isLeaving) return EXIT_INTERRUPTED;
    view?.done();
    for (const child of running) child.stop();
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT_NOT_HELD;
  }
}

function optionsOrComplaint(): Options | number {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (!options.help) return options;
    process.stdout.write(HELP);
    return EXIT_HELD;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
    return EXIT_WRONG_OPTION;
  }
}

function assertBuilt(): void {
  if (existsSync(fileURLToPath(import.meta.resolve('mapsweep')))) return;
  throw new Error('mapsweep is not built yet: `npm run build` does it, and so does `npm ci`.');
}

/** Serves both gateways until Ctrl-C, or for as long as was said. */
async function serveOn({ port, seed, forMs }: Options): Promise<number> {
  // Not before: it imports the package, which may not be built.
  const { serve } = await import('./serve.ts');
  served = new AbortController();
  const signals = [served.signal, ...(forMs === undefined ? [] : [AbortSignal.timeout(forMs)])];
  const onReady = (address: string) => {
    const lines = [
      `${address}/`,
      'A gateway on plain Maps and one on mapsweep, side by side, under the same load, until Ctrl-C.',
      'Their lifetimes are seconds here, so that within a minute one line climbs and the other is flat.',
      `Each has its page, /plain/ and /mapsweep/. The metrics of both are at ${address}/metrics.`,
    ];
    process.stdout.write(`\n${paragraphs(...lines)}\n\n`);
  };
  await serve({ port, seed, onReady, signal: AbortSignal.any(signals) });
  return EXIT_HELD;
}

async function demo(options: Options): Promise<number> {
  const startedAt = performance.now();
  const print = (...lines: string[]) => {
    if (!options.json) process.stdout.write(`${lines.join('\n')}\n`);
  };
  const { seed, crash } = options;
  const tickets = crash ? Math.min(options.tickets, MOST_TICKETS_OF_KILLS) : options.tickets;
  const batch = createBatch({ seed, tickets });
  const title = `mapsweep: the batch that killed a gateway, ${crash ? 'and kill -9' : 'played twice'}`;
  print('', `  ${paint.strong(title)}`, '', renderIntroduction(batch));
  if (crash) print(renderKills());
  print('');

  const { figures, broken, screen } = await (crash ? kills(batch, options) : comparison(batch, options));
  const outcome = broken.length === 0 ? EXIT_HELD : EXIT_NOT_HELD;
  if (options.json) {
    const document = { seed, tickets, gatewayMs: batch.endMs, ...figures, held: broken.length === 0, broken };
    process.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
    return outcome;
  }
  const took = `It took ${seconds(performance.now() - startedAt)}.`;
  const verdict =
    broken.length === 0
      ? [`  ${paint.good('mapsweep held:')} ${crash ? HELD_OVER_KILLS : HELD} ${took}`]
      : [
          `  ${paint.bad('mapsweep did not hold.')} ${took}`,
          ...broken.map((sentence) => paragraphs(`- ${sentence}`)),
        ];
  print('', screen, '', ...verdict, paragraphs(crash ? NEXT_OF_KILLS : NEXT));
  return outcome;
}

/** What an act comes to. */
interface Act {
  /** For `--json`. */
  figures: object;
  /** What did not hold, a sentence each. */
  broken: string[];
  screen: string;
}

/** The batch on plain Maps, and on mapsweep. */
async function comparison(batch: Batch, options: Options): Promise<Act> {
  const figures = { plain: await play('plain', options), mapsweep: await play('mapsweep', options) };
  return {
    figures,
    broken: brokenPromises(figures.mapsweep),
    screen: renderComparison(figures, batch, paint),
  };
}

/** Plays one side to its result. */
async function play(side: 'plain' | 'mapsweep', options: Options): Promise<Figures> {
  const { seed, tickets, sabotage, json } = options;
  const setup = { side, seed, tickets, noSweep: sabotage === 'no-sweep' };
  const figures = await withProgress(side === 'plain' ? 'plain Maps' : side, json, async (onProgress) => {
    const child = startSide(setup, onProgress);
    running.push(child);
    return child.result;
  });
  await running.pop()?.gone;
  return figures;
}

/** The batch on mapsweep, in a gateway that is killed. */
async function kills({ tickets }: Batch, { seed, sabotage, json }: Options): Promise<Act> {
  const crash = await withProgress('kill -9', json, (onProgress) =>
    playCrashes({
      seed,
      tickets,
      forgetJournal: sabotage === 'forget-journal',
      onProgress,
      onStart: (life) => running.push(life),
    }),
  );
  return { figures: { crash }, broken: crash.broken, screen: renderCrashes(crash, paint) };
}

async function withProgress<Result>(
  label: string,
  isQuiet: boolean,
  act: (onProgress: (progress: Progress) => void) => Promise<Result>,
): Promise<Result> {
  view = isQuiet ? undefined : createProgressView(label, process.stdout, isTerminal);
  const result = await act((progress) => view?.update(progress));
  view?.done();
  view = undefined;
  return result;
}

/** Ctrl-C: the terminal is left as it was, and no child behind. To serve ends that way, and in its own time. */
async function leave(): Promise<void> {
  if (served !== undefined) return served.abort();
  isLeaving = true;
  view?.done();
  for (const child of running) child.stop();
  await Promise.all(running.map((child) => child.gone));
  process.exit(EXIT_INTERRUPTED);
}
