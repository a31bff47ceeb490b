import { type AlertRule, alertRules } from '../../src/prometheus/monitoring/alert-rules.ts';
import { yaml } from '../../src/prometheus/monitoring/yaml.ts';

type Labels = Readonly<Record<string, string>>;

/** Alerts that fire at a time: their labels, and the value that their texts name. None: the alert is silent. */
interface Expectation {
  readonly at: string;
  readonly firing?: ReadonlyArray<{ readonly labels: Labels; readonly value?: string }>;
}

/** How one alert goes, over series of a sample a minute, in the notation of promtool. */
interface Scenario {
  readonly name: string;
  readonly alert: string;
  /** By name without the prefix; `up` as it is. */
  readonly series: ReadonlyArray<readonly [name: string, labels: Labels, values: string]>;
  readonly expected: readonly Expectation[];
}

const on = (instance: string, more: Labels = {}): Labels => ({
  job: 'gateway',
  instance,
  registry: 'default',
  ...more,
});
const a = on('a');
const runs = on('a', { map: 'runs' });

const scenarios: readonly Scenario[] = [
  {
    name: 'a process that served metrics answers no more: its loop is blocked, or it is gone',
    alert: 'MapsweepProcessSilent',
    series: [
      ['up', { job: 'gateway', instance: 'a' }, '1x10 0x40'],
      ['info', { ...a, version: '1' }, '1x10'],
      ['up', { job: 'gateway', instance: 'healthy' }, '1x50'],
      ['info', { ...on('healthy'), version: '1' }, '1x50'],
      // Down too, and none of ours.
      ['up', { job: 'other', instance: 'c' }, '0x50'],
      // Away for less than 5 minutes, as in a deploy.
      ['up', { job: 'gateway', instance: 'd' }, '1x10 0x3 1x40'],
      ['info', { ...on('d'), version: '1' }, '1x10 _x3 1x40'],
    ],
    expected: [
      { at: '15m' },
      { at: '17m', firing: [{ labels: { job: 'gateway', instance: 'a' } }] },
      { at: '45m', firing: [{ labels: { job: 'gateway', instance: 'a' } }] },
    ],
  },
  {
    name: 'the sweeper has stalled, or has never swept; one that was closed in good order fires nothing',
    alert: 'MapsweepSweeperStalled',
    series: [
      // Sweeps once a minute for 20 minutes, then no more.
      ['last_sweep_timestamp_seconds', a, '0+60x20 1200x40'],
      ['last_sweep_timestamp_seconds', on('healthy'), '0+60x60'],
      ['last_sweep_timestamp_seconds', on('never'), '0x60'],
      // Another registry of the same process goes on.
      ['last_sweep_timestamp_seconds', on('a', { registry: 'orders' }), '0+60x60'],
      // Closed after 20 minutes: its series leave.
      ['last_sweep_timestamp_seconds', on('closed'), '0+60x20 stale _x40'],
      // Gone before its first sweep: a job, or a deploy that was rolled back.
      ['last_sweep_timestamp_seconds', on('short'), '0 stale _x59'],
      // Begun again and again, each time for less than an interval.
      ['last_sweep_timestamp_seconds', on('loops'), '0 stale 0 stale 0 stale 0 stale 0 stale 0 stale _x49'],
    ],
    expected: [
      { at: '4m' },
      { at: '6m', firing: [{ labels: on('never') }] },
      { at: '9m', firing: [{ labels: on('never') }] },
      { at: '20m', firing: [{ labels: on('never') }] },
      { at: '34m', firing: [{ labels: on('never') }] },
      { at: '36m', firing: [{ labels: a }, { labels: on('never') }] },
      { at: '50m', firing: [{ labels: a }, { labels: on('never') }] },
    ],
  },
  {
    name: 'endings were given up on, and for as long as they wait',
    alert: 'MapsweepDeadLetters',
    series: [
      ['dead_letters', on('a', { recipient: 'default' }), '0x9 3x100 0x40'],
      ['dead_letters', on('healthy', { recipient: 'default' }), '0x150'],
    ],
    expected: [
      { at: '9m' },
      { at: '11m', firing: [{ labels: on('a', { recipient: 'default' }), value: '3' }] },
      // Long after the counter of dead deliveries has last gone up.
      { at: '100m', firing: [{ labels: on('a', { recipient: 'default' }), value: '3' }] },
      { at: '115m' },
    ],
  },
  {
    name: 'dead letters were dropped; that deliveries fail or die is another alert',
    alert: 'MapsweepEndingsDropped',
    series: [
      ['ended_deliveries_total', on('a', { recipient: 'default', outcome: 'dropped' }), '0x9 4x150'],
      ['ended_deliveries_total', on('a', { recipient: 'default', outcome: 'dead' }), '0+9x160'],
      ['ended_deliveries_total', on('healthy', { recipient: 'default', outcome: 'dropped' }), '0x160'],
      // Long ago, and none since.
      ['ended_deliveries_total', on('over', { recipient: 'default', outcome: 'dropped' }), '7x160'],
    ],
    expected: [
      { at: '9m' },
      {
        at: '60m',
        firing: [{ labels: on('a', { recipient: 'default', outcome: 'dropped' }), value: '4' }],
      },
      { at: '80m' },
    ],
  },
  {
    name: 'entries of an earlier life cannot come back, from the first scrape until they are dropped; others are awaited as usual',
    alert: 'MapsweepRestoreFails',
    series: [
      ['awaited_entries', { ...runs, reason: 'decode-fails' }, '1000x9 stale _x20'],
      ['awaited_entries', on('a', { map: 'sessions', reason: 'no-map' }), '30x9 stale _x20'],
      ['awaited_entries', on('a', { map: 'carts', reason: 'not-set' }), '500x9 stale _x20'],
      // It is adopted at once.
      ['awaited_entries', on('late', { map: 'tenants', reason: 'no-map' }), '7 stale _x28'],
    ],
    expected: [
      { at: '0m' },
      {
        at: '1m',
        firing: [
          { labels: { ...runs, reason: 'decode-fails' }, value: '1000' },
          { labels: on('a', { map: 'sessions', reason: 'no-map' }), value: '30' },
        ],
      },
      {
        at: '9m',
        firing: [
          { labels: { ...runs, reason: 'decode-fails' }, value: '1000' },
          { labels: on('a', { map: 'sessions', reason: 'no-map' }), value: '30' },
        ],
      },
      { at: '10m' },
    ],
  },
  {
    name: 'an ending waits; one whose recipient was restarted has waited for less than a quarter of an hour',
    alert: 'MapsweepEndingsWait',
    series: [
      ['ended_oldest_pending_seconds', a, '0+60x60 0x40'],
      ['ended_oldest_pending_seconds', on('restarted'), '0+60x14 0x80'],
      ['ended_oldest_pending_seconds', on('healthy'), '0 1 0 2 0x96'],
    ],
    expected: [
      { at: '15m' },
      { at: '20m' },
      { at: '21m', firing: [{ labels: a, value: '21m 0s' }] },
      { at: '60m', firing: [{ labels: a, value: '1h 0m 0s' }] },
      { at: '62m' },
    ],
  },
  {
    name: 'the journal takes nothing, though its disk may hang with a single error; one that was slow is none',
    alert: 'MapsweepJournalFails',
    series: [
      ['journal_waiting_seconds', a, '0x9 0+60x30 0x30'],
      ['journal_errors_total', a, '0x9 1x60'],
      ['journal_waiting_seconds', on('slow'), '0x9 0+60x7 0x50'],
      ['journal_waiting_seconds', on('healthy'), '0 1 0 2 0x60'],
    ],
    expected: [{ at: '20m' }, { at: '25m', firing: [{ labels: a, value: '15m 0s' }] }, { at: '55m' }],
  },
  {
    name: 'the journal is lost, until the process is started anew',
    alert: 'MapsweepJournalLost',
    series: [
      ['journal_lost', a, '0x9 1x30 0x10'],
      ['journal_lost', on('healthy'), '0x60'],
    ],
    expected: [{ at: '9m' }, { at: '10m', firing: [{ labels: a }] }, { at: '45m' }],
  },
  {
    name: 'a registry leaks',
    alert: 'MapsweepRegistryLeaks',
    series: [
      ['leak_suspected', runs, '0x9 1x20 0x10'],
      ['leak_suspected', on('a', { map: 'healthy' }), '0x40'],
    ],
    expected: [{ at: '19m' }, { at: '21m', firing: [{ labels: runs }] }, { at: '35m' }],
  },
  {
    name: 'a registry grows without a bound, or reaches its bound within a day',
    alert: 'MapsweepRegistryGrows',
    series: [
      // Fills in 30 hours, then in 23, and stands at its bound after two hours.
      ['hours_to_limit', runs, '30x10 23x110 _x80'],
      // Grows without a bound, until it is called a leak.
      ['hours_to_limit', on('a', { map: 'seqs' }), '1e9x120 _x80'],
      // So does one of an earlier version of this package.
      ['hours_to_limit', on('a', { map: 'early' }), 'Inf+0x120 _x80'],
      // Has room for days.
      ['hours_to_limit', on('a', { map: 'roomy' }), '90x200'],
    ],
    expected: [
      { at: '59m' },
      {
        at: '65m',
        firing: [
          { labels: on('a', { map: 'seqs' }), value: '+Inf' },
          { labels: on('a', { map: 'early' }), value: '+Inf' },
        ],
      },
      {
        at: '75m',
        firing: [
          { labels: runs, value: '23' },
          { labels: on('a', { map: 'seqs' }), value: '+Inf' },
          { labels: on('a', { map: 'early' }), value: '+Inf' },
        ],
      },
      { at: '130m' },
    ],
  },
  {
    name: 'ticks came so late that they removed nothing',
    alert: 'MapsweepTicksSkipped',
    series: [
      ['sweeps_skipped_total', a, '0x9 1x50'],
      ['sweeps_skipped_total', on('healthy'), '0x60'],
    ],
    expected: [{ at: '9m' }, { at: '12m', firing: [{ labels: a }] }, { at: '40m' }],
  },
  {
    name: 'a map is beyond its maxEntries, and not only until the next pass',
    alert: 'MapsweepLimitExceeded',
    series: [
      ['entries', runs, '90x9 120x30 100x20'],
      ['entry_limit', runs, '100x60'],
      ['entries', on('a', { map: 'burst' }), '90x9 120x5 100x50'],
      ['entry_limit', on('a', { map: 'burst' }), '100x60'],
      ['entries', on('a', { map: 'unlimited' }), '1000000x60'],
    ],
    expected: [{ at: '24m' }, { at: '26m', firing: [{ labels: runs, value: '120' }] }, { at: '50m' }],
  },
  {
    name: 'a guard holds nearly all of one map, a few of a large one, and all 50 of a small one',
    alert: 'MapsweepGuardHoldsTooMuch',
    series: [
      ['guarded_entries', on('a', { map: 'held' }), '400x60'],
      ['entries', on('a', { map: 'held' }), '500x60'],
      ['guarded_entries', on('a', { map: 'large' }), '400x60'],
      ['entries', on('a', { map: 'large' }), '10000x60'],
      ['guarded_entries', on('a', { map: 'small' }), '50x60'],
      ['entries', on('a', { map: 'small' }), '50x60'],
    ],
    expected: [{ at: '29m' }, { at: '31m', firing: [{ labels: on('a', { map: 'held' }), value: '400' }] }],
  },
  {
    name: 'most of a map is held and due, one that is in use is held, and 50 entries of a small one',
    alert: 'MapsweepHoldsKeepTooMuch',
    series: [
      ['entries', runs, '250x90'],
      ['held_entries', runs, '0x9 200x50 0x30'],
      ['overdue_entries', runs, '0x9 200x50 0x30'],
      ['entries', on('a', { map: 'used' }), '250x90'],
      ['held_entries', on('a', { map: 'used' }), '200x90'],
      ['overdue_entries', on('a', { map: 'used' }), '3x90'],
      ['entries', on('a', { map: 'small' }), '60x90'],
      ['held_entries', on('a', { map: 'small' }), '50x90'],
      ['overdue_entries', on('a', { map: 'small' }), '50x90'],
    ],
    expected: [{ at: '35m' }, { at: '45m', firing: [{ labels: runs, value: '200' }] }, { at: '70m' }],
  },
  {
    name: 'a since and a follows.key fail again and again; those of another map failed once, and listeners fail all the time',
    alert: 'MapsweepPolicyFails',
    series: [
      ['callback_errors_total', { ...runs, callback: 'since' }, '0x9 0+100x60 6000x60'],
      ['callback_errors_total', on('a', { map: 'other', callback: 'expiresAt' }), '0x9 1x120'],
      ['callback_errors_total', on('a', { map: 'tokens', callback: 'follows.key' }), '0x9 0+3x60 180x60'],
      ['callback_errors_total', on('a', { map: 'other', callback: 'follows.key' }), '0x9 1x120'],
      ['callback_errors_total', on('a', { map: '', callback: 'listener' }), '0+5x130'],
    ],
    expected: [
      { at: '20m' },
      {
        at: '40m',
        firing: [
          { labels: { ...runs, callback: 'since' } },
          { labels: on('a', { map: 'tokens', callback: 'follows.key' }) },
        ],
      },
      { at: '100m' },
    ],
  },
  {
    name: 'entries wait for a beforeSweep that fails again and again; on a busy map some entry always waits, and one call fails',
    alert: 'MapsweepBeforeSweepFails',
    series: [
      ['waiting_entries', runs, '0x9 7x200 0x20'],
      ['before_sweep_failing_entries', runs, '0x9 7x200 0x20'],
      ['before_sweep_total', { ...runs, outcome: 'failed' }, '0x9 14x60 21x60 28x60 35x60'],
      ['waiting_entries', on('a', { map: 'busy' }), '7x250'],
      ['before_sweep_failing_entries', on('a', { map: 'busy' }), '0x250'],
      ['before_sweep_total', on('a', { map: 'busy', outcome: 'failed' }), '0x9 1x240'],
      ['before_sweep_total', on('a', { map: 'busy', outcome: 'succeeded' }), '0+1000x250'],
    ],
    expected: [
      { at: '39m' },
      { at: '42m', firing: [{ labels: runs, value: '7' }] },
      // However long the next attempt is away.
      { at: '200m', firing: [{ labels: runs, value: '7' }] },
      { at: '215m' },
    ],
  },
  {
    name: 'tombstones are evicted early',
    alert: 'MapsweepTombstonesEvictedEarly',
    series: [['tombstones_evicted_total', a, '0x30 0+1x10 10x90']],
    expected: [{ at: '30m' }, { at: '45m', firing: [{ labels: a }] }, { at: '110m' }],
  },
];

const rendered = (text: string, labels: Labels, value = ''): string =>
  text.replace(/\{\{ \$(?:labels\.(\w+)|value(?: \| humanize(?:Duration)?)?) \}\}/g, (_, name) =>
    name ? (labels[name] ?? '') : value,
  );

/** Writes the scenarios as a file of `promtool test rules`. */
export function scenariosFile(prefix: string, rulesFile: string): string {
  const rules = new Map<string, AlertRule>(
    alertRules({ prefix, sweepEveryMs: 60_000 }).map((rule) => [rule.alert, rule]),
  );
  const tests = scenarios.map(({ name, alert, series, expected }) => {
    const { labels: own, annotations } = rules.get(alert) as AlertRule;
    return {
      name,
      interval: '1m',
      input_series: series.map(([metric, labels, values]) => {
        const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
        return { series: `${metric === 'up' ? '' : prefix}${metric}{${pairs.join(', ')}}`, values };
      }),
      alert_rule_test: expected.map(({ at, firing = [] }) => ({
        alertname: alert,
        eval_time: at,
        exp_alerts: firing.map(({ labels, value }) => ({
          exp_labels: { ...own, ...labels },
          exp_annotations: Object.fromEntries(
            Object.entries(annotations).map(([of, text]) => [of, rendered(text, labels, value)]),
          ),
        })),
      })),
    };
  });
  const file = { rule_files: [rulesFile], evaluation_interval: '1m', tests };
  return `# promtool test rules alerts.test.yml${yaml(file as never)}\n`;
}

/** Returns the alerts that are seen firing and silent. */
export const testedBothWays = (): string[] =>
  scenarios
    .filter(({ expected }) => expected.some(({ firing }) => firing) && expected.some(({ firing }) => !firing))
    .map(({ alert }) => alert);
