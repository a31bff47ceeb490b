import type { MonitoringOptions } from './alert-rules.js';
import { type Panel, panelRows } from './panels.js';

const datasource = { type: 'prometheus', uid: '$' + '{datasource}' };
const columns = 24;
const heights = { stat: 6, timeseries: 8, row: 1 };

/** Writes the dashboard as a file that Grafana imports. */
export function dashboardFile(options: MonitoringOptions): string {
  const { prefix } = options;
  const isDefault = prefix === 'mapsweep_';
  const dashboard = {
    title: isDefault ? 'mapsweep' : `mapsweep (${prefix})`,
    uid: isDefault ? 'mapsweep' : `mapsweep-${prefix.replace(/\W/g, '-')}`.slice(0, 40),
    description: 'The maps of a service: which one leaks, what leaves it, and whether endings are delivered.',
    tags: ['mapsweep', 'nodejs'],
    schemaVersion: 38,
    version: 1,
    editable: true,
    timezone: 'browser',
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: variables(prefix) },
    panels: placed(options),
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

function variables(prefix: string): object[] {
  const names = ['job', 'instance', 'registry', 'map'];
  const queried = names.map((name, index) => {
    const narrowed = names.slice(0, index).map((wider) => `${wider}=~"$${wider}"`);
    const series = narrowed.length === 0 ? `${prefix}entries` : `${prefix}entries{${narrowed.join(', ')}}`;
    const query = `label_values(${series}, ${name})`;
    return {
      name,
      label: name.replace(/^./, (first) => first.toUpperCase()),
      type: 'query',
      datasource,
      query: { query, refId: name },
      definition: query,
      refresh: 2,
      includeAll: true,
      allValue: '.*',
      multi: true,
      current: { text: 'All', value: '$__all' },
      sort: 1,
    };
  });
  return [
    { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} },
    ...queried,
  ];
}

/** The panels from left to right, and below each other where a line is full. */
function placed(options: MonitoringOptions): object[] {
  const panels: object[] = [];
  let x = 0;
  let y = 0;
  let height = 0;
  const place = (width: number, h: number): object => {
    if (x + width > columns) {
      x = 0;
      y += height;
      height = 0;
    }
    const gridPos = { h, w: width, x, y };
    x += width;
    height = Math.max(height, h);
    return { id: panels.length + 1, gridPos };
  };
  for (const { title, panels: ofRow } of panelRows(options)) {
    panels.push({ type: 'row', title, collapsed: false, panels: [], ...place(columns, heights.row) });
    for (const panel of ofRow) {
      const type = panel.kind ?? 'timeseries';
      panels.push({ ...drawn(panel, type), ...place(panel.width ?? 12, heights[type]) });
    }
  }
  return panels;
}

function drawn(panel: Panel, type: 'stat' | 'timeseries'): object {
  const { title, description, unit, noValue, thresholds, words, queries } = panel;
  const steps = [
    { color: 'green', value: null },
    ...(thresholds ?? []).map(([value, color]) => ({ color, value })),
  ];
  const mappings = [
    {
      type: 'value',
      options: Object.fromEntries(Object.entries(words ?? {}).map(([of, text]) => [of, { text }])),
    },
  ];
  const isStat = type === 'stat';
  return {
    type,
    title,
    description,
    datasource,
    fieldConfig: {
      defaults: {
        unit,
        // Net growth is the one figure that may be negative.
        ...(title === 'Net growth' ? {} : { min: 0 }),
        ...(noValue === undefined ? {} : { noValue }),
        ...(thresholds === undefined ? {} : { thresholds: { mode: 'absolute', steps } }),
        ...(words === undefined ? {} : { mappings }),
      },
      overrides: [],
    },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource,
      expr,
      legendFormat: legend,
      ...(isStat ? { instant: true } : {}),
    })),
    options: isStat
      ? {
          colorMode: 'background',
          graphMode: 'none',
          reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
          textMode: 'value_and_name',
        }
      : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  };
}
