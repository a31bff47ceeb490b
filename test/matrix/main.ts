/**
 * `npm run test:matrix`: the suite on each version of Node that the package says it runs on, one after the other. Half an
 * hour. With `--part`, what depends on the engine, on those that are not the Node that runs this: minutes. With
 * `--nodes 22,24` on these alone.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { installNode, nodeOf, nodes, root } from '../installations.ts';

/**
 * Files, locks and sockets, clocks and timers, Maps and their subclasses, typed arrays, collections of memory, channels,
 * and what is found at run time: elsewhere one V8 does what another does. A seventh of the suite.
 */
const engineSpecific = [
  'test/restart/folder/',
  'test/restart/cut-anywhere',
  'test/restart/persist-to',
  'test/gateway/discover',
  'test/http/',
  'test/prometheus/',
  'test/time/',
  'test/events/',
  'test/stamps/',
  'test/maps/',
  'test/testing/matchers/',
];

const { values } = parseArgs({
  options: {
    part: { type: 'boolean', default: false },
    nodes: { type: 'string' },
  },
});
const asked =
  values.nodes?.split(',') ?? nodes.filter((version) => !values.part || nodeOf(version) !== process.execPath);
const unknown = asked.filter((version) => !nodes.some((known) => known === version));
if (unknown.length > 0)
  throw new RangeError(`--nodes takes some of ${nodes.join(',')}, not ${unknown.join(',')}`);

const failed: string[] = [];
for (const version of asked) {
  await installNode(version);
  const node = nodeOf(version);
  const startedAt = performance.now();
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const child = spawn(
    node,
    [vitest, 'run', '--config', 'test/vitest.config.ts', ...(values.part ? engineSpecific : [])],
    // A test that starts a Node by its name is to start this one.
    {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
    },
  );
  const [exitStatus] = await once(child, 'exit');
  if (exitStatus !== 0) failed.push(version);
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  process.stdout.write(`Node ${version}: ${exitStatus === 0 ? 'passed' : 'FAILED'}, ${seconds} s\n\n`);
}
if (failed.length > 0) process.exitCode = 1;
