import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry as Register } from 'prom-client';
import { afterAll, describe, expect, it } from 'vitest';
import { createRegistry } from '../../src/index.ts';
import { metricNames } from '../../src/prometheus/catalogue.ts';
import { alertRules } from '../../src/prometheus/monitoring/alert-rules.ts';
import { runPrometheusCommand } from '../../src/prometheus/monitoring/prometheus-command.ts';
import { registerMetrics } from '../../src/prometheus.ts';
import { createManualClock } from '../../src/testing.ts';
import { scenariosFile, testedBothWays } from './alert-scenarios.ts';
import { exampleFile, type Named, panelExpressions, withoutFilters } from './expressions.ts';
import { run } from './tool.ts';

const command = (...args: string[]) => {
  const { status, output, error } = runPrometheusCommand(args);
  expect([status, error]).toEqual([0, '']);
  return output;
};

/** What the command and the scenarios make has to be what is committed; with UPDATE_EXAMPLES=1 it is written. */
function expectInStep(name: string, text: string): void {
  if (process.env.UPDATE_EXAMPLES === '1') writeFileSync(exampleFile(name), text);
  expect(readFileSync(exampleFile(name), 'utf8')).toBe(text);
}

describe('the example', () => {
  it('has the alerts, their tests and the dashboard that the command makes', () => {
    expectInStep('alerts.yml', command('alerts'));
    expectInStep('alerts.test.yml', scenariosFile('mapsweep_', 'alerts.yml'));
    expectInStep('dashboard.json', command('dashboard'));
  });

  it('has a configuration that promtool takes', () => {
    expect(run('promtool', ['check', 'config', exampleFile('prometheus.yml')]).status).toBe(0);
  });

  it('has each alert in its README', () => {
    const readme = readFileSync(exampleFile('README.md'), 'utf8');
    for (const { alert } of alertRules({ prefix: '', sweepEveryMs: 60_000 }))
      expect(readme).toContain(`\`${alert}\``);
  });
});

describe.each(['mapsweep_', 'x_', 'my:own_', ''])('npx mapsweep prometheus alerts --prefix %j', (prefix) => {
  const directory = mkdtempSync(join(tmpdir(), 'mapsweep-rules-'));
  const file = (name: string) => join(directory, name);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('makes 17 rules that promtool takes, each with what it means and what to do', () => {
    writeFileSync(file('alerts.yml'), command('alerts', '--prefix', prefix));
    const { status, stdout } = run('promtool', ['check', 'rules', file('alerts.yml')]);
    expect([status, stdout]).toEqual([0, expect.stringContaining('SUCCESS: 17 rules found')]);
    for (const { alert, annotations } of alertRules({ prefix, sweepEveryMs: 60_000 })) {
      expect([alert, Object.keys(annotations)]).toEqual([alert, ['summary', 'description', 'runbook']]);
    }
  });

  it('makes rules that fire when they should and are silent when they should, each seen both ways', () => {
    writeFileSync(file('alerts.test.yml'), scenariosFile(prefix, 'alerts.yml'));
    const { status, stdout, stderr } = run('promtool', ['test', 'rules', file('alerts.test.yml')]);
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
    expect(testedBothWays().toSorted()).toEqual(
      alertRules({ prefix, sweepEveryMs: 60_000 })
        .map(({ alert }) => alert)
        .toSorted(),
    );
  });

  it('names metrics that there are, and so does the dashboard', () => {
    const texts = [command('alerts', '--prefix', prefix), command('dashboard', '--prefix', prefix)];
    const expressions = texts.flatMap((text) =>
      [...text.matchAll(/"?expr"?: "(.*)"/g)].map(([, expr]) => expr as string),
    );
    expect(expressions.length).toBeGreaterThanOrEqual(40);
    const functions =
      /^(up|on|and|or|Inf|by|le|sum|max|rate|increase|changes|time|histogram_quantile|last_over_time)$/;
    const labels = /^(job|instance|registry|map|reason|callback|outcome|recipient)$/;
    for (const expression of expressions) {
      const words =
        expression.replaceAll(/\{[^}]*\}|\[[^\]]*\]|\\?"[^"]*"/g, '').match(/[a-z_:][\w:]*/gi) ?? [];
      for (const word of words.filter((candidate) => !functions.test(candidate) && !labels.test(candidate))) {
        expect(word.startsWith(prefix), word).toBe(true);
        const name = word.slice(prefix.length).replace(/_(bucket|sum|count)$/, '');
        expect(metricNames, expression).toContain(name);
      }
    }
  });
});

describe('npx mapsweep prometheus alerts --sweep-every', () => {
  it('waits three intervals for a sweep, and two more before it says so', () => {
    expect(command('alerts', '--sweep-every', '1h')).toMatch(
      /changes\(mapsweep_last_sweep_timestamp_seconds\[180m\]\) == 0 and mapsweep_last_sweep_timestamp_seconds"\n\s+for: "120m"/,
    );
  });
});

describe('npx mapsweep prometheus dashboard', () => {
  it.each([
    ['60s', 180, 600],
    ['1h', 7_200, 10_800],
  ])(
    'warns of sweeps that are --sweep-every %s apart after %d s, and is red after %d s',
    (every, orange, red) => {
      const { panels } = JSON.parse(command('dashboard', '--sweep-every', every));
      const { fieldConfig } = panels.find(({ title }: { title: string }) => title === 'Since the last sweep');
      const steps = fieldConfig.defaults.thresholds.steps as { value: number | null }[];
      expect(steps.map(({ value }) => value)).toEqual([null, orange, red]);
    },
  );

  it('says in each panel of an option what is not set, and selects by registry everywhere', () => {
    const { panels } = JSON.parse(command('dashboard')) as {
      panels: {
        title: string;
        targets?: { expr: string }[];
        fieldConfig?: { defaults: { noValue?: string } };
      }[];
    };
    const ofOptions = /ended|dead_letters|tombstones|journal|before_sweep|weight|limit/;
    const drawn = panels.filter(({ targets }) => targets !== undefined);
    expect(drawn.length).toBeGreaterThan(20);
    for (const { title, targets = [], fieldConfig } of drawn) {
      for (const { expr } of targets) expect(expr).toContain('registry=~"$registry"');
      if (targets.every(({ expr }) => ofOptions.test(expr))) {
        expect([title, fieldConfig?.defaults.noValue]).toEqual([title, expect.any(String)]);
      }
    }
  });
});

describe('the panel Net growth', () => {
  it('has a line for a map from which nothing was ever removed, and so no series of removals', () => {
    const { expression } = panelExpressions().find(({ from }) => from.startsWith('Net growth')) as Named;
    const of = (map: string) => `{job="gateway", instance="a", registry="default", map="${map}"}`;
    const series = [
      { series: `mapsweep_registered_total${of('kept')}`, values: '0+1x20' },
      { series: `mapsweep_registered_total${of('swept')}`, values: '0+2x20' },
      { series: `mapsweep_removed_total${of('swept')}`, values: '0+1x20' },
    ];
    const samples = ['kept', 'swept'].map((map) => ({
      labels: `{registry="default", map="${map}"}`,
      value: 12,
    }));
    const test = {
      interval: '5s',
      input_series: series,
      promql_expr_test: [{ expr: expression, eval_time: '60s', exp_samples: samples }],
    };
    const directory = mkdtempSync(join(tmpdir(), 'mapsweep-panel-'));
    writeFileSync(join(directory, 'panel.test.yml'), JSON.stringify({ rule_files: [], tests: [test] }));
    const { status, stdout, stderr } = run('promtool', ['test', 'rules', join(directory, 'panel.test.yml')]);
    rmSync(directory, { recursive: true });
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });
});

describe('npx mapsweep prometheus', () => {
  it.each([
    [[]],
    [['rules']],
    [['alerts', '--prefix', '9-']],
    [['alerts', 'more']],
    [['alerts', '--prefx', 'a']],
  ])('called wrongly with %j says how to call it, and ends with 2', (args) => {
    const { status, output, error } = runPrometheusCommand(args);
    expect([status, output]).toEqual([2, '']);
    expect(error).toContain('Usage: mapsweep prometheus alerts');
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
    expect(table.match(/^mapsweep_\w+/gm)).toHaveLength(32);
  });
});
