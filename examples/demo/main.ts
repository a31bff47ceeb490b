/**
 * `npm run demo`: the batch that killed a gateway, played twice: on plain Maps, and on mapsweep; and then with kills.
 * With `--serve` both are kept under load instead, to be looked at.
 *
 * This file is the flow: read the arguments, run the acts one after the other, print what came of it.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createBatch } from './batch.ts';
import type { Progress } from './client.ts';
import { playCrashes } from './crash.ts';
import type { CrashFigures } from './crash-figures.ts';
import { renderCrashSummary, renderCrashTable } from './crash-table.ts';
import { brokenPromises } from './figures.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { createProgressView, type ProgressView } from './progress.ts';
import { type SideResult, startSide } from './side-process.ts';
import {
  createPaint,
  paragraphs,
  renderBlock,
  renderIntroduction,
  renderSummary,
  renderTable,
} from './table.ts';
import { seconds } from './units.ts';

const EXIT_HELD = 0;
const EXIT_NOT_HELD = 1;
const EXIT_WRONG_OPTION = 2;
const EXIT_INTERRUPTED = 130;

/** The kills have a batch of their own: enough that each finds runs of every sort. */
const MOST_TICKETS_OF_KILLS = 200;

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
  const batch = createBatch(options);
  print('', `  ${paint.strong('mapsweep: the batch that killed a gateway, played twice')}`, '');
  print(renderIntroduction(batch), '');

  const plain = await play('plain', options);
  const mapsweep = await play('mapsweep', options);

  const crash = options.noCrash ? undefined : await playKills(options);

  const comparison = { plain: plain.figures, mapsweep: mapsweep.figures };
  const broken = [...brokenPromises(mapsweep.figures), ...(crash?.broken ?? [])];
  const outcome = broken.length === 0 ? EXIT_HELD : EXIT_NOT_HELD;
  if (options.json) {
    const { seed, tickets } = options;
    const document = {
      seed,
      tickets,
      gatewayMs: batch.endMs,
      ...comparison,
      crash,
      held: broken.length === 0,
      broken,
    };
    process.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
    return outcome;
  }
  const width = isTerminal ? process.stdout.columns : Number.POSITIVE_INFINITY;
  print('', renderTable(comparison, paint), '', renderSummary(comparison, batch), '');
  if (crash !== undefined) print(renderCrashTable(crash, paint), '', renderCrashSummary(crash), '');
  print(renderBlock('registry.report()', mapsweep.report ?? '', paint, width), '');
  const explained = "registry.explain('runContextById', id), of a run that still works";
  print(renderBlock(explained, mapsweep.explanation ?? '', paint, width), '');
  const verdict = broken.length === 0 ? paint.good('mapsweep held.') : paint.bad('mapsweep did not hold.');
  print(`  ${verdict} All of it took ${seconds(performance.now() - startedAt)}.`, '');
  return outcome;
}

/** Plays one side to its result. */
async function play(side: 'plain' | 'mapsweep', options: Options): Promise<SideResult> {
  const { seed, tickets, sabotage, json } = options;
  const setup = { side, seed, tickets, noSweep: sabotage === 'no-sweep' };
  const result = await withProgress(side === 'plain' ? 'plain Maps' : side, json, async (onProgress) => {
    const child = startSide(setup, onProgress);
    running.push(child);
    return child.result;
  });
  await running.pop()?.gone;
  return result;
}

/** Plays the act in which the gateway is killed. */
function playKills({ seed, tickets, sabotage, json }: Options): Promise<CrashFigures> {
  return withProgress('kill -9', json, (onProgress) =>
    playCrashes({
      seed,
      tickets: Math.min(tickets, MOST_TICKETS_OF_KILLS),
      forgetJournal: sabotage === 'forget-journal',
      onProgress,
      onStart: (life) => running.push(life),
    }),
  );
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
