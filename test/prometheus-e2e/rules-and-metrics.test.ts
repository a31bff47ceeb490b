import { readFileSync } from 'node:fs';
import { Registry as Register } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createRegistry } from '../../src/index.ts';
import { registerMetrics } from '../../src/prometheus.ts';
import { createManualClock } from '../../src/testing.ts';
import { exampleFile, withoutFilters } from './expressions.ts';
import { run } from './tool.ts';

describe('the example', () => {
  it('has 5 alert rules that promtool takes', () => {
    const { status, stdout } = run('promtool', ['check', 'rules', exampleFile('alerts.yml')]);
    expect([status, stdout]).toEqual([0, expect.stringContaining('SUCCESS: 5 rules found')]);
  });

  it('has rules that fire when they should and at no other time: alerts.test.yml passes and names all 5', () => {
    const { status, stdout, stderr } = run('promtool', ['test', 'rules', exampleFile('alerts.test.yml')]);
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
    const names = [...readFileSync(exampleFile('alerts.yml'), 'utf8').matchAll(/alert: (\w+)/g)].map(
      ([, name]) => name,
    );
    const tests = readFileSync(exampleFile('alerts.test.yml'), 'utf8');
    // Each is seen firing at least once, with its labels.
    for (const name of names) {
      expect(tests).toMatch(
        new RegExp(`alertname: ${name}\\n\\s+eval_time: \\w+\\n\\s+exp_alerts:\\n\\s+- exp_labels`),
      );
    }
    expect(names).toHaveLength(5);
  });

  it('has a configuration that promtool takes', () => {
    expect(run('promtool', ['check', 'config', exampleFile('prometheus.yml')]).status).toBe(0);
  });
});

describe('withoutFilters', () => {
  it.each([
    ['mapsweep_leak_suspected == 1', 'mapsweep_leak_suspected == bool 1'],
    ['a > 100 and a > 0.5 * b', 'a > bool 100 and a > bool 0.5 * b'],
    ['increase(a{outcome="dead"}[15m]) > 0', 'increase(a{outcome="dead"}[15m]) > bool 0'],
    ['a{b=~"c", d!="e"} >= 2 or f{g="h"} < 3', 'a{b=~"c", d!="e"} >= bool 2 or f{g="h"} < bool 3'],
  ])('turns %s into %s', (expression, without) => {
    expect(withoutFilters(expression)).toBe(without);
  });
});

describe('promtool check metrics --extended', () => {
  it('has nothing to say about a registry that has every metric, before and after runs', async () => {
    const clock = createManualClock();
    const register = new Register();
    const registry = createRegistry<{ runs: Map<string, { done?: number }>; contexts: Map<string, string> }>({
      maps: {
        runs: {
          ttl: '5m',
          since: (run) => run.done,
          maxEntries: 100,
          keepWhile: () => false,
          beforeSweep: () => {},
          dispose: () => {
            throw new Error('no');
          },
        },
        contexts: { follows: 'runs', weigh: (value) => value.length },
      },
      ended: { map: 'runs', deliver: () => {}, tombstones: { max: 1 } },
      clock,
    });
    registerMetrics(registry, { register });
    const check = async () => {
      const { status, stdout, stderr } = run(
        'promtool',
        ['check', 'metrics', '--extended'],
        await register.metrics(),
      );
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return stdout;
    };
    expect(await check()).toMatch(/mapsweep_entries\s+2\s/);
    for (const key of ['a', 'b', 'c']) {
      registry.maps.runs.set(key, { done: clock.now() });
      registry.maps.contexts.set(key, 'context');
      registry.end(key);
    }
    await clock.advance(10 * 60_000);
    const table = await check();
    // The rows of the cardinality table: one a metric, and its head and foot.
    expect(table.match(/^mapsweep_\w+/gm)).toHaveLength(29);
  });
});
