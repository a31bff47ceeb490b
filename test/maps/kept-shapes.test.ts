import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const nodeMajor = Number.parseInt(process.versions.node, 10);

/** Has V8 compile what uses a map, lets go of the map, and prints what is compiled of that before and for the next map. */
const program = (make: string, write: string): string => `
  const write = '${write}';
  const { adopt, createRegistry, TrackedMap } = await import('./src/index.ts');
  const prepare = new Function('f', '%PrepareFunctionForOptimization(f)');
  const optimize = new Function('f', '%OptimizeFunctionOnNextCall(f)');
  const status = new Function('f', 'return %GetOptimizationStatus(f)');
  const optimized = 1 << 4;
  const fill = (map) => { for (let key = 0; key < 100; key += 1) { map[write](key, key); map[write](key, key); map.delete(key); } };
  const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
  const isCompiled = (f) => (status(f) & optimized) !== 0;
  const use = async (map) => {
    const used = [map[write], fill];
    for (const f of used) prepare(f);
    // In bursts and by single calls, which read the clock in different ways. What it learns late, V8 compiles anew for.
    for (let time = 0; time < 50 && !(time > 5 && used.every(isCompiled)); time += 1) {
      fill(map);
      await turn();
      for (const f of used) optimize(f);
      map[write](1, 1);
      await turn();
      fill(map);
    }
    print(map);
  };
  const print = (map) => {
    console.log([fill, map[write]].map(isCompiled).join(' '));
  };
  await use(${make});
  for (let time = 0; time < 5; time += 1) {
    gc();
    await turn();
  }
  print(${make});`;

/** From 26 on the status does not say it in this way. */
describe.skipIf(nodeMajor >= 26)('when the last map of a process is gone', () => {
  it.each([
    ['a TrackedMap', 'new TrackedMap()'],
    [
      'a map of a registry',
      '(() => { const registry = createRegistry({ maps: { runs: { maxIdle: "1m" } } }); registry.stop(); return registry.maps.runs; })()',
    ],
    ['an adopted Map', '(() => { const map = new Map(); adopt(map); return map; })()'],
    ['an adopted Set', '(() => { const set = new Set(); adopt(set); return set; })()', 'add'],
  ])(
    'what was compiled for %s is there for the next one',
    (_, make, write = 'set') => {
      const args = ['--expose-gc', '--allow-natives-syntax', '--import', 'tsx', '--input-type=module', '-e'];
      const output = execFileSync(process.execPath, [...args, program(make, write)], {
        encoding: 'utf8',
        timeout: 60_000,
      });
      expect(output.trim().split('\n')).toEqual(['true true', 'true true']);
    },
    60_000,
  );
});

it('what has a clock of its own is made though the one that would be kept cannot be', () => {
  const code = `
    const { adopt, TrackedMap } = await import('./src/index.ts');
    Date.now = () => { throw new Error('no real time here'); };
    const clock = { now: () => 1e12, monotonic: () => 0, setTimeout: () => 0, clearTimeout: () => {} };
    const adopted = new Map();
    const handle = adopt(adopted, { clock });
    const tracked = new TrackedMap(null, { clock });
    adopted.set(1, 1);
    tracked.set(1, 1);
    console.log(handle.stamps(1).generation, tracked.stamps(1).generation);
    handle.release();
    console.log(Object.getOwnPropertyNames(adopted).length);`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', code];
  const output = execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
  expect(output.trim().split('\n')).toEqual(['1 1', '0']);
}, 60_000);
