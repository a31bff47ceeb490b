import { createRegistry, type RegistryOptions } from 'mapsweep';
import { type BaselineOptions, createManualClock, type ManualClock } from 'mapsweep/testing';

/** A small service under test: its registry, what one run of it does, and what the check of it is told. */
export interface Service {
  readonly registry: object;
  run(run: number): unknown;
  readonly options?: Partial<Omit<BaselineOptions, 'registry'>>;
}

interface Options<Name extends string> {
  // biome-ignore lint/suspicious/noExplicitAny: the services keep what they like in their maps
  readonly maps: Record<Name, any>;
  readonly ended?: RegistryOptions<Record<NoInfer<Name>, Map<unknown, unknown>>>['ended'];
}

/** A registry of maps of anything on a clock of its own. */
export function startOn<Name extends string>(
  options: Options<Name>,
  clock: ManualClock = createManualClock(),
) {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const registry = createRegistry<Record<Name, Map<any, any>>>({ ...options, clock } as never);
  return { clock, registry, maps: registry.maps };
}

/** Fails as a service does that one awaits and whose errors one catches. */
export const failing = (): Promise<never> => Promise.reject(new Error('the model is overloaded'));

/** A turn of the event loop, in which something else of the service may run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Does something now, and again and again as time passes. */
export function every(clock: ManualClock, ms: number, act: () => void): void {
  act();
  clock.setTimeout(() => every(clock, ms, act), ms);
}
