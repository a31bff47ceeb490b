import { parseArgs } from 'node:util';
import { comparedKinds, contenderKinds } from './contenders.js';
import { type Scenario, scenarios } from './job.js';

/** What `npm run bench` was asked for. */
export interface BenchOptions {
  readonly isHelp: boolean;
  readonly isShort: boolean;
  readonly rounds: number;
  readonly sizes: readonly number[];
  readonly scenarios: readonly Scenario[];
  /** Names of contenders. */
  readonly contenders: readonly string[];
  /** The Node binary of the children. */
  readonly node: string;
  /** Where the figures go as JSON. */
  readonly json: string;
  /** Folder of a built package to measure. Default: the sources are built. */
  readonly package: string | undefined;
  /** Folder of another built package that is measured beside it. */
  readonly compare: string | undefined;
}

/** What `--help` prints. */
export const help = `npm run bench -- [options]

  --short          one round at 10,000 entries, to see that everything works
  --rounds N       rounds; a figure is the median of them (7)
  --sizes A,B      entries (10000,100000,1000000)
  --only A,B       only these scenarios and contenders; the plain Map comes along
                   scenarios: ${scenarios.join(', ')}
                   contenders: ${contenderKinds.map(({ name }) => name).join(', ')}
  --node PATH      the Node binary that is measured (this one)
  --json FILE      where the figures go (.cache/bench/results.json)
  --package DIR    measure this built package, not the sources
  --compare DIR    measure another built package beside it: ${comparedKinds.map(({ name }) => name).join(', ')}
`;

/** @throws where an option is wrong */
export function parseOptions(parameters: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...parameters],
    options: {
      help: { type: 'boolean', default: false },
      short: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      sizes: { type: 'string' },
      only: { type: 'string', multiple: true },
      node: { type: 'string', default: process.execPath },
      json: { type: 'string', default: '.cache/bench/results.json' },
      package: { type: 'string' },
      compare: { type: 'string' },
    },
  });
  const kinds = values.compare === undefined ? contenderKinds : [...contenderKinds, ...comparedKinds];
  const names = kinds.map(({ name }) => name);
  const only = (values.only ?? []).flatMap((list) => list.split(','));
  for (const name of only) {
    if (names.includes(name) || (scenarios as readonly string[]).includes(name)) continue;
    throw new RangeError(`--only: there is no '${name}'; there are ${[...scenarios, ...names].join(', ')}`);
  }
  const chosen = <Name extends string>(all: readonly Name[], always: readonly Name[] = []): Name[] => {
    const wanted = all.filter((name) => only.includes(name));
    return wanted.length === 0
      ? [...all]
      : all.filter((name) => wanted.includes(name) || always.includes(name));
  };
  return {
    isHelp: values.help,
    isShort: values.short,
    rounds: count('--rounds', values.rounds ?? (values.short ? '1' : '7')),
    sizes: (values.sizes ?? (values.short ? '10000' : '10000,100000,1000000'))
      .split(',')
      .map((size) => count('--sizes', size)),
    scenarios: chosen(scenarios),
    // The base of the ratios, and what somebody asked to see beside.
    contenders: chosen(names, [
      'map',
      'map-sliced',
      'map-least',
      'journaled',
      ...comparedKinds.map(({ name }) => name),
    ]),
    node: values.node,
    json: values.json,
    package: values.package,
    compare: values.compare,
  };
}

function count(option: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1) return number;
  throw new RangeError(`${option}: expected a whole number from 1, received '${text}'`);
}
