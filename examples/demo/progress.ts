/** How far each act is: a bar in a terminal, a few plain lines anywhere else. */
import { SingleBar } from 'cli-progress';
import type { Progress } from './client.ts';
import { gatewayTime } from './units.ts';

/** Shows the progress of one act. `done` ends the line. */
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
  return isTerminal ? createBar(label, stream) : createLines(label, stream);
}

function createBar(label: string, stream: NodeJS.WriteStream): ProgressView {
  const bar = new SingleBar({
    format: `  ${label.padEnd(11)} {bar} {percentage}%   gateway clock {gatewayTime}`,
    barsize: 28,
    barCompleteChar: '━',
    barIncompleteChar: '─',
    hideCursor: true,
    autopadding: true,
    stream,
    // Ctrl-C is handled in one place, and that is main.ts.
    gracefulExit: false,
  });
  bar.start(1, 0, { gatewayTime: gatewayTime(0) });
  return {
    update: ({ sent, total, gatewayMs }) => {
      bar.setTotal(total);
      bar.update(sent, { gatewayTime: gatewayTime(gatewayMs) });
    },
    done: () => bar.stop(),
  };
}

function createLines(label: string, stream: NodeJS.WriteStream): ProgressView {
  let nextQuarter = 1;
  return {
    update: ({ sent, total, gatewayMs }) => {
      if (sent / total < nextQuarter / 4) return;
      const percent = Math.floor((sent / total) * 4) * 25;
      nextQuarter = percent / 25 + 1;
      stream.write(
        `  ${label.padEnd(11)} ${String(percent).padStart(3)}%   gateway clock ${gatewayTime(gatewayMs)}\n`,
      );
    },
    done: () => {},
  };
}
