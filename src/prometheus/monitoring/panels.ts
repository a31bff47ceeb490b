import { type MonitoringOptions, stalledAfterMs } from './alert-rules.js';

/** A line of a panel. */
interface Query {
  readonly expr: string;
  readonly legend: string;
}

/** A panel of the dashboard, without its place. */
export interface Panel {
  readonly title: string;
  readonly description: string;
  /** One figure for each series, or their course. Default: the course. */
  readonly kind?: 'stat';
  /** Of 24 columns. Default 12. */
  readonly width?: number;
  readonly unit: string;
  readonly queries: readonly Query[];
  /** What it says where there is nothing: the option that is not set. */
  readonly noValue?: string;
  /** From which value on it is of which colour; below it is green. */
  readonly thresholds?: ReadonlyArray<readonly [value: number, colour: string]>;
  /** Words for values. */
  readonly words?: Readonly<Record<string, string>>;
}

/** Panels under one heading. */
export interface PanelRow {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const rate = (series: string): string => `rate(${series}[$__rate_interval])`;
const quantile = (share: number, by: string, series: string): string =>
  `histogram_quantile(${share}, sum by (${by}) (${rate(series)}))`;
const withoutEnded = 'ended is not set';
const withoutJournal = 'no journal: persistTo is not set';

/** Returns the panels, in order. */
export function panelRows({ prefix, sweepEveryMs }: MonitoringOptions): PanelRow[] {
  const ofRegistry = (name: string, more = ''): string =>
    `${prefix}${name}{job=~"$job", instance=~"$instance", registry=~"$registry"${more}}`;
  const ofMap = (name: string): string => ofRegistry(name, ', map=~"$map"');
  const sum = (name: string): Query => ({
    expr: `sum by (registry, map) (${ofMap(name)})`,
    legend: '{{registry}} {{map}}',
  });
  const max = (name: string): Query => ({
    expr: `max by (registry, map) (${ofMap(name)})`,
    legend: '{{registry}} {{map}}',
  });
  const ofInstance = (name: string, legend = '{{instance}} {{registry}}'): Query => ({
    expr: `sum by (instance, registry) (${ofRegistry(name)})`,
    legend,
  });
  const rateBy = (by: string, series: string, legend: string): Query => ({
    expr: `sum by (${by}) (${rate(series)})`,
    legend,
  });
  const came = `sum by (registry, map) (${rate(ofMap('registered_total'))})`;
  return [
    {
      title: 'Which map leaks',
      panels: [
        {
          title: 'Leak suspected',
          description: '1 while a map looks like a leak.',
          kind: 'stat',
          unit: 'none',
          queries: [max('leak_suspected')],
          thresholds: [[1, 'red']],
          words: { '0': 'no', '1': 'leaks' },
        },
        {
          title: 'Since the last sweep',
          description: 'How long ago a sweep went through.',
          kind: 'stat',
          width: 6,
          unit: 's',
          queries: [
            {
              expr: `time() - (${ofRegistry('last_sweep_timestamp_seconds')} > 0)`,
              legend: '{{instance}} {{registry}}',
            },
          ],
          noValue: 'no sweep yet',
          thresholds: [
            [Math.max(180_000, 2 * sweepEveryMs) / 1_000, 'orange'],
            [stalledAfterMs(sweepEveryMs) / 1_000, 'red'],
          ],
        },
        {
          title: 'Endings given up on',
          description: 'Dead letters that wait to be redelivered.',
          kind: 'stat',
          width: 6,
          unit: 'none',
          queries: [ofInstance('dead_letters')],
          noValue: withoutEnded,
          thresholds: [[1, 'red']],
        },
        { title: 'Entries', description: 'Entries in each map.', unit: 'short', queries: [sum('entries')] },
        {
          title: 'Age of the oldest entry',
          description: 'How long the oldest entry has been there.',
          unit: 's',
          queries: [max('oldest_entry_age_seconds')],
        },
        {
          title: 'Net growth',
          description: 'Entries that came, less those that left, a minute.',
          unit: 'short',
          queries: [
            {
              // Of a map that has lost nothing yet there may be no series of what it has lost.
              expr: `60 * (${came} - (sum by (registry, map) (${rate(ofMap('removed_total'))}) or 0 * ${came}))`,
              legend: '{{registry}} {{map}}',
            },
          ],
        },
        {
          title: 'Share of the limit',
          description: 'Entries, of the maxEntries of their map.',
          unit: 'percentunit',
          queries: [
            {
              expr: `sum by (registry, map) (${ofMap('entries')}) / sum by (registry, map) (${ofMap('entry_limit')})`,
              legend: '{{registry}} {{map}}',
            },
          ],
          noValue: 'no map evicts by maxEntries',
        },
        {
          title: 'Estimated weight',
          description: 'By weigh, of a sample of the entries.',
          width: 24,
          unit: 'short',
          queries: [sum('estimated_weight')],
          noValue: 'no map has weigh',
        },
      ],
    },
    {
      title: 'How entries come and go',
      panels: [
        {
          title: 'Registered',
          description: 'Keys set that had no entry, a second.',
          unit: 'ops',
          queries: [rateBy('registry, map', ofMap('registered_total'), '{{registry}} {{map}}')],
        },
        {
          title: 'Removed',
          description: 'Entries that left, a second, by reason.',
          unit: 'ops',
          queries: [
            rateBy('registry, map, reason', ofMap('removed_total'), '{{registry}} {{map}} {{reason}}'),
          ],
        },
        {
          title: 'Age at removal',
          description: 'How old entries are on average when they leave.',
          unit: 's',
          queries: [
            {
              expr:
                `sum by (registry, map) (${rate(ofMap('age_at_removal_seconds_sum'))}) ` +
                `/ sum by (registry, map) (${rate(ofMap('age_at_removal_seconds_count'))})`,
              legend: '{{registry}} {{map}}',
            },
          ],
          noValue: 'nothing has left yet',
        },
        {
          title: 'Overdue',
          description:
            'Due and still there: guarded, held, observed, or waiting for a beforeSweep. Orphaned: its leader is gone.',
          unit: 'short',
          queries: [
            { ...sum('overdue_entries'), legend: '{{registry}} {{map}} overdue' },
            { ...sum('guarded_entries'), legend: '{{registry}} {{map}} guarded' },
            { ...sum('orphaned_entries'), legend: '{{registry}} {{map}} orphaned' },
            { ...sum('held_entries'), legend: '{{registry}} {{map}} held' },
          ],
        },
        {
          title: 'beforeSweep',
          description:
            'Entries that it was called for by what came of it, a second; those that wait, and those for which it fails again and again.',
          unit: 'short',
          queries: [
            rateBy('registry, map, outcome', ofMap('before_sweep_total'), '{{registry}} {{map}} {{outcome}}'),
            { ...sum('waiting_entries'), legend: '{{registry}} {{map}} waiting' },
            { ...sum('before_sweep_failing_entries'), legend: '{{registry}} {{map}} failing' },
          ],
          noValue: 'no map has beforeSweep',
        },
        {
          title: 'Callback errors',
          description: 'Callbacks that threw, rejected, timed out or gave an invalid answer, a second.',
          unit: 'ops',
          queries: [
            rateBy(
              'registry, map, callback',
              ofRegistry('callback_errors_total'),
              '{{registry}} {{map}} {{callback}}',
            ),
          ],
        },
      ],
    },
    {
      title: 'The sweeper',
      panels: [
        {
          title: 'Sweeps',
          description: '99 % of the sweeps, and of their slices, took no longer.',
          width: 8,
          unit: 's',
          queries: [
            { expr: quantile(0.99, 'le', ofRegistry('sweep_duration_seconds_bucket')), legend: 'sweep' },
            { expr: quantile(0.99, 'le', ofRegistry('sweep_slice_seconds_bucket')), legend: 'slice' },
          ],
        },
        {
          title: 'Lag',
          description: '95 % of the entries were removed no longer than this after they became due.',
          width: 8,
          unit: 's',
          queries: [
            {
              expr: quantile(0.95, 'le, registry, map', ofMap('sweep_lag_seconds_bucket')),
              legend: '{{registry}} {{map}}',
            },
          ],
          noValue: 'nothing was swept yet',
        },
        {
          title: 'Ticks that came too late',
          description: 'They removed nothing: the event loop was blocked for longer than an interval.',
          width: 8,
          unit: 'short',
          queries: [
            {
              expr: `sum by (instance, registry) (increase(${ofRegistry('sweeps_skipped_total')}[$__rate_interval]))`,
              legend: '{{instance}} {{registry}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Endings',
      panels: [
        {
          title: 'Ended',
          description: 'Runs that ended, a second, by reason, and second endings that nobody was told of.',
          unit: 'ops',
          queries: [
            rateBy('reason', ofRegistry('ended_total'), '{{reason}}'),
            { expr: `sum(${rate(ofRegistry('ended_duplicates_total'))})`, legend: 'duplicates' },
          ],
          noValue: withoutEnded,
        },
        {
          title: 'Deliveries',
          description: 'Endings delivered, attempts that failed, and endings given up on, a second.',
          unit: 'ops',
          queries: [rateBy('outcome', ofRegistry('ended_deliveries_total'), '{{outcome}}')],
          noValue: withoutEnded,
        },
        {
          title: 'Delivery time',
          description: '95 % of the attempts that delivered an ending took no longer.',
          width: 8,
          unit: 's',
          queries: [
            { expr: quantile(0.95, 'le', ofRegistry('ended_delivery_seconds_bucket')), legend: 'delivery' },
          ],
          noValue: withoutEnded,
        },
        {
          title: 'Pending',
          description: 'Endings that are queued, being delivered, or waiting for a retry.',
          width: 8,
          unit: 'short',
          queries: [ofInstance('ended_pending')],
          noValue: withoutEnded,
        },
        {
          title: 'Tombstones',
          description: 'Endings that are remembered, and those forgotten before their time.',
          width: 8,
          unit: 'short',
          queries: [
            ofInstance('tombstones', '{{instance}} {{registry}} remembered'),
            {
              expr: `sum by (instance, registry) (increase(${ofRegistry('tombstones_evicted_total')}[$__rate_interval]))`,
              legend: '{{instance}} {{registry}} evicted early',
            },
          ],
          noValue: withoutEnded,
        },
      ],
    },
    {
      title: 'The journal',
      panels: [
        {
          title: 'Size on disk',
          description: 'What the journal takes.',
          width: 8,
          unit: 'bytes',
          queries: [ofInstance('journal_bytes')],
          noValue: withoutJournal,
        },
        {
          title: 'Appends',
          description: '95 % of the appends took no longer.',
          width: 8,
          unit: 's',
          queries: [
            { expr: quantile(0.95, 'le', ofRegistry('journal_append_seconds_bucket')), legend: 'append' },
          ],
          noValue: withoutJournal,
        },
        {
          title: 'Waits to be written',
          description: 'For how long the journal has taken nothing, though there was something.',
          width: 8,
          unit: 's',
          queries: [ofInstance('journal_waiting_seconds')],
          noValue: withoutJournal,
        },
        {
          title: 'Journal errors',
          description: 'What failed and is tried again, a second.',
          unit: 'ops',
          queries: [
            rateBy('instance, registry', ofRegistry('journal_errors_total'), '{{instance}} {{registry}}'),
          ],
          noValue: withoutJournal,
        },
        {
          title: 'Not back yet',
          description:
            'Entries of earlier lives, until they are dropped: not set again yet, or such as cannot be, since decode fails or there is no such map.',
          unit: 'short',
          queries: [
            {
              expr: `sum by (registry, map, reason) (${ofMap('awaited_entries')})`,
              legend: '{{registry}} {{map}} {{reason}}',
            },
          ],
          noValue: 'nothing is awaited',
        },
      ],
    },
  ];
}
