export { type MetricsHandler, metricsHandler } from './prometheus/handler.js';
export type { MetricsClient, MetricsRegister } from './prometheus/peer.js';
export { type MetricsOptions, registerMetrics } from './prometheus/register-metrics.js';
