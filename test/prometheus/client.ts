import { createRequire } from 'node:module';
import type * as PromClient from 'prom-client';

/**
 * The client that these tests are about. They run twice: on prom-client and, in a Node that has it, on
 * @prometheus-io/client, whose folder is named in the environment then.
 */
const name = process.env.MAPSWEEP_METRICS_CLIENT ?? 'prom-client';

export const client = createRequire(import.meta.url)(name) as typeof PromClient;
export const { AggregatorRegistry, Counter, Gauge, Registry: Register } = client;
export type Register = PromClient.Registry;

/** The text of a scrape without the label that every series of a registry without a name has. */
export const unnamed = (text: string): string =>
  text.replace(/\{registry="default"\}/g, '').replace(/,registry="default"/g, '');
