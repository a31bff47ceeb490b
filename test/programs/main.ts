import { parseArgs } from 'node:util';
import { firstFailure } from './search.js';

/*
 * Runs random programs, any number from any seed on:
 *
 *     npm run -s test:programs -- --count 2000 --seed 1 --steps 200
 *
 * and prints the first one that goes wrong, as short as it can be made.
 */
const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '200' },
  },
});

const failure = await firstFailure({
  seed: Number(values.seed),
  count: Number(values.count),
  steps: Number(values.steps),
});
if (failure === undefined) {
  process.stdout.write(
    `${values.count} programs of ${values.steps} steps from seed ${values.seed} on: all hold\n`,
  );
} else {
  process.stdout.write(`${failure}\n`);
  process.exitCode = 1;
}
