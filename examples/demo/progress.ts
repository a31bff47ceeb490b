/** How far an act is: a bar in a terminal, a plain line a second anywhere else. It never stands still. */
import { SingleBar } from 'cli-progress';
import type { Progress } from './client.ts';
import { gatewayTime, seconds } from './units.ts';

const TICK_MS = 250;
const LINE_EVERY_MS = 1_000;

/** Shows the progress of one act, from its creation on. `done` ends it. */
export interface ProgressView {
  update(progress: Progress): void;
  done(): void;
}

/** The view that fits the output. */
export function createProgressView(
  label: string,
  stream: NodeJS.WriteStream,
  isTerminal: boolean,
): ProgressView {
  const startedAt = performance.now();
  const elapsed = () => seconds(performance.now() - startedAt);
  return isTerminal ? createBar(label, stream, elapsed) : createLines(label, stream, elapsed);
}

function createBar(label: string, stream: NodeJS.WriteStream, elapsed: () => string): ProgressView {
  const bar = new SingleBar({
    format: `  ${label.padEnd(11)} {bar} {percentage}%   gateway clock {gatewayTime}   {elapsed}`,
    barsize: 28,
    barCompleteChar: '━',
    barIncompleteChar: '─',
    hideCursor: true,
    autopadding: true,
    stream,
    // Ctrl-C is handled in one place, and that is main.ts.
    gracefulExit: false,
  });
  bar.start(1, 0, { gatewayTime: gatewayTime(0), elapsed: elapsed() });
  // A process that is starting, or counting what is left, says nothing for a second.
  const ticking = setInterval(() => bar.update({ elapsed: elapsed() }), TICK_MS);
  return {
    update: ({ sent, total, gatewayMs }) => {
      bar.setTotal(total);
      bar.update(sent, { gatewayTime: gatewayTime(gatewayMs), elapsed: elapsed() });
    },
    done: () => {
      clearInterval(ticking);
      bar.stop();
    },
  };
}

function createLines(label: string, stream: NodeJS.WriteStream, elapsed: () => string): ProgressView {
  let latest: Progress = { sent: 0, total: 1, gatewayMs: 0 };
  const write = () => {
    const percent = Math.floor((latest.sent / latest.total) * 100);
    stream.write(
      `  ${label.padEnd(11)} ${String(percent).padStart(3)}%   gateway clock ${gatewayTime(latest.gatewayMs)}   ${elapsed()}\n`,
    );
  };
  const ticking = setInterval(write, LINE_EVERY_MS);
  return {
    update: (progress) => {
      latest = progress;
    },
    done: () => {
      clearInterval(ticking);
      write();
    },
  };
}
