import { context, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { createRegistry } from 'mapsweep';
import { observeMapsweep } from './observe-mapsweep.ts';
import { StorageContextManager } from './storage-context-manager.ts';

// A service puts the exporters of its own here.
const spans = new InMemorySpanExporter();
const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const contexts = new StorageContextManager();
context.setGlobalContextManager(contexts);
const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
const meters = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter: metrics })] });
const tracer = tracers.getTracer('mapsweep');
const stop = observeMapsweep(tracer, meters.getMeter('mapsweep'), contexts.storage);

const registry = createRegistry({
  maps: { runs: { ttl: '5m', since: (run: { endedAt?: number }) => run.endedAt } },
  ended: {
    map: 'runs',
    minDelay: 10,
    deliver: async (_event, { attempt }) => {
      // Its span is a child of the attempt's.
      tracer.startSpan('tell the dispatcher').end();
      if (attempt === 1) throw new Error('the dispatcher is away');
    },
  },
});
registry.maps.runs.set('run-1', {});
registry.end('run-1');
registry.maps.runs.set('run-2', { endedAt: Date.now() - 3_600_000 });
await registry.sweep();
await registry.close();

await meters.forceFlush();
const names = new Map(spans.getFinishedSpans().map((span) => [span.spanContext().spanId, span.name]));
for (const { name, status, parentSpanContext } of spans.getFinishedSpans()) {
  const parent = names.get(parentSpanContext?.spanId ?? '');
  console.log(`span ${name}${parent === undefined ? '' : `, child of ${parent}`}, ${status.message ?? 'ok'}`);
}
for (const { scopeMetrics } of metrics.getMetrics().slice(-1)) {
  for (const { descriptor, dataPoints } of scopeMetrics.flatMap((scope) => scope.metrics)) {
    for (const { attributes, value } of dataPoints) {
      const labels = Object.entries(attributes).map(([label, of]) => `${label}=${of}`);
      const shown = typeof value === 'number' ? value : `${value.count} of them`;
      console.log(`metric ${descriptor.name}{${labels.join(', ')}} ${shown}`);
    }
  }
}
stop();
trace.disable();
context.disable();
await tracers.shutdown();
await meters.shutdown();
