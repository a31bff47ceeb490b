export { type MetricsHandler, metricsHandler } from './prometheus/handler.js';
export type { MetricsRegister } from './prometheus/peer.js';
export { type MetricsOptions, registerMetrics } from './prometheus/register-metrics.js';
