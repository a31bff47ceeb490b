/**
 * `npm run demo`: the batch that killed a gateway, played twice: on plain Maps, and on mapsweep.
 *
 * This file is the flow: read the arguments, run the two sides one after the other, print what came of it.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createBatch } from './batch.ts';
import { brokenPromises } from './figures.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { createProgressView, type ProgressView } from './progress.ts';
import { type SideProcess, type SideResult, startSide } from './side-process.ts';
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

const isTerminal = process.stdout.isTTY === true && process.env.CI === undefined;
const paint = createPaint(isTerminal && process.env.NO_COLOR === undefined);

let running: SideProcess | undefined;
let view: ProgressView | undefined;
let outcome: number | undefined;
let isLeaving = false;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = optionsOrComplaint();
  if (typeof options === 'number') return options;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void leave());
  try {
    return await demo(options);
  } catch (error) {
    // A side that is stopped by Ctrl-C has no result, and that is no news.
    if (isLeaving) return EXIT_INTERRUPTED;
    view?.done();
    running?.stop();
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

async function demo(options: Options): Promise<number> {
  if (!existsSync(fileURLToPath(import.meta.resolve('mapsweep')))) {
    throw new Error('mapsweep is not built yet: `npm run build` does it, and so does `npm ci`.');
  }
  const startedAt = performance.now();
  const print = (...lines: string[]) => {
    if (!options.json) process.stdout.write(`${lines.join('\n')}\n`);
  };
  const batch = createBatch(options);
  print('', `  ${paint.strong('mapsweep: the batch that killed a gateway, played twice')}`, '');
  print(renderIntroduction(batch), '');

  const plain = await play('plain', options);
  const mapsweep = await play('mapsweep', options);

  const comparison = { plain: plain.figures, mapsweep: mapsweep.figures };
  const broken = brokenPromises(mapsweep.figures);
  outcome = broken.length === 0 ? EXIT_HELD : EXIT_NOT_HELD;
  if (options.json) {
    const { seed, tickets } = options;
    const document = {
      seed,
      tickets,
      gatewayMs: batch.endMs,
      ...comparison,
      held: broken.length === 0,
      broken,
    };
    process.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
    return outcome;
  }
  const width = isTerminal ? process.stdout.columns : Number.POSITIVE_INFINITY;
  print('', renderTable(comparison, paint), '', renderSummary(comparison, batch), '');
  print(renderBlock('registry.report()', mapsweep.report ?? '', paint, width), '');
  const explained = "registry.explain('runContextById', id), of a run that still works";
  print(renderBlock(explained, mapsweep.explanation ?? '', paint, width), '');
  const verdict = broken.length === 0 ? paint.good('The sweep held.') : paint.bad('The sweep did not hold.');
  print(`  ${verdict} All of it took ${seconds(performance.now() - startedAt)}.`, '');

  if (options.serve) {
    const address = `http://127.0.0.1:${mapsweep.port}`;
    print(
      paragraphs(
        'The mapsweep side serves on, a minute of gateway time each second, until Ctrl-C:',
        `${address}/metrics`,
        `${address}/report`,
      ),
    );
    await running?.gone;
  }
  return outcome;
}

/** Plays one side to its result. A side that serves on is left running. */
async function play(side: 'plain' | 'mapsweep', options: Options): Promise<SideResult> {
  const { seed, tickets, noSweep, json } = options;
  const servePort = side === 'mapsweep' && options.serve ? options.port : undefined;
  view = json
    ? undefined
    : createProgressView(side === 'plain' ? 'plain Maps' : side, process.stdout, isTerminal);
  running = startSide({ side, seed, tickets, noSweep, servePort }, (progress) => view?.update(progress));
  const result = await running.result;
  view?.done();
  view = undefined;
  if (servePort === undefined) await running.gone;
  return result;
}

/** Ctrl-C: the terminal is left as it was, and no child behind. */
async function leave(): Promise<void> {
  isLeaving = true;
  view?.done();
  running?.stop();
  await running?.gone;
  process.exit(outcome ?? EXIT_INTERRUPTED);
}
