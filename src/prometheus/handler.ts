import cluster from 'node:cluster';
import { type Answer, type Handler, type HandlerRequest, handlerOf, plainText } from '../http/answer.js';
import { invalidType } from '../policy/read-options.js';
import { installedRegister, type MetricsRegister } from './peer.js';

/** Answers a request with the metrics. What it returns never rejects. */
export type MetricsHandler = Handler;

const textFormat = 'text/plain; version=0.0.4; charset=utf-8';
const openMetricsFormat = /^application\/openmetrics-text\b/;

/**
 * A handler that serves a register: `createServer(handler)` of `node:http`, `app.get('/metrics', handler)` of Express,
 * `fastify.get('/metrics', handler)`.
 *
 * The format is that of the register. One that speaks OpenMetrics answers in the older text format where the client
 * accepts that and not OpenMetrics. In a process that has cluster workers, an `AggregatorRegistry`
 * (`ClusterRegistry`) gives the metrics of all of them.
 * Methods other than GET and HEAD are answered with 405, and failing metrics with a plain 500. No answer is to be stored,
 * and HEAD has none of the body.
 *
 * @param register default: that of the client which is installed
 * @throws MapsweepTypeError if it is no register; MapsweepError `ERR_MISSING_PEER` without a client, and
 *   `ERR_AMBIGUOUS_PEER` with both and no register that says which
 */
export function metricsHandler(register: MetricsRegister = installedRegister()): MetricsHandler {
  if (typeof (register as Partial<MetricsRegister> | null)?.metrics !== 'function') {
    const hint =
      'A registry of mapsweep goes to registerMetrics(registry), and this takes the register of the client, or nothing';
    throw invalidType('register', 'a Registry of prom-client or @prometheus-io/client', register, hint);
  }
  return handlerOf((request) => answerTo(request, register));
}

async function answerTo({ headers }: HandlerRequest, register: MetricsRegister): Promise<Answer> {
  try {
    const { body, type } = await rendered(register, headers.accept);
    return { statusCode: 200, headers: { 'Content-Type': type }, body };
  } catch {
    // What went wrong is for the operator to find; a scraper is no one to show a stack trace to.
    return { statusCode: 500, headers: plainText, body: 'The metrics could not be collected\n' };
  }
}

async function rendered(register: MetricsRegister, accept?: string): Promise<{ body: string; type: string }> {
  const { clusterMetrics } = register as { clusterMetrics?: () => Promise<string> };
  // What workers send is put together in the text format, whatever the format of the register.
  if (clusterMetrics !== undefined && Object.keys(cluster.workers ?? {}).length > 0) {
    return { body: await clusterMetrics.call(register), type: textFormat };
  }
  const type = register.contentType;
  if (!openMetricsFormat.test(type) || acceptsOpenMetrics(accept)) {
    return { body: await register.metrics(), type };
  }
  return { body: await textOf(register).metrics(), type: textFormat };
}

/** By the weights in `Accept`; where both formats are as welcome, or nothing is said, it is OpenMetrics. */
function acceptsOpenMetrics(accept = '*/*'): boolean {
  const weights = new Map<string, number>();
  for (const part of accept.split(',')) {
    const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1';
    weights.set(range, Math.max(weights.get(range) ?? 0, Number(weight) || 0));
  }
  const weightOf = (type: string, subtype: string): number =>
    weights.get(`${type}/${subtype}`) ?? weights.get(`${type}/*`) ?? weights.get('*/*') ?? 0;
  return weightOf('application', 'openmetrics-text') >= weightOf('text', 'plain');
}

/**
 * The same register in the text format, without changing it: another scrape may be under way. There, counters keep the
 * `_total` of their names, which prom-client takes away for good when it first writes OpenMetrics.
 */
function textOf(register: MetricsRegister): MetricsRegister {
  const metrics = () =>
    (register.getMetricsAsArray() as unknown as readonly RenderedMetric[]).map((metric) => {
      if (metric.type !== 'counter') return metric;
      const name = metric.name.endsWith('_total') ? metric.name : `${metric.name}_total`;
      return { type: metric.type, name, get: async () => ({ ...(await metric.get()), name }) };
    });
  return Object.create(register, {
    contentType: { value: textFormat },
    getMetricsAsArray: { value: metrics },
  }) as MetricsRegister;
}

interface RenderedMetric {
  readonly type: unknown;
  readonly name: string;
  get(): Promise<object>;
}
