export { type AdoptOptions, adopt } from './adopt.js';
export type { Clock } from './clock.js';
export type { DeadLetter } from './dead-letters.js';
export type { Duration } from './duration.js';
export type { Deliver, DeliveryContext, EndedEvent } from './ended-event.js';
export type { EndOptions, EndResult, TransferResult } from './endings.js';
export type { EntryStamps } from './entry-stamps.js';
export { MapsweepError, type MapsweepErrorCode, MapsweepRangeError, MapsweepTypeError } from './errors.js';
export type {
  CallbackFailedEvent,
  DeadLetterEvent,
  DeliveryFailedEvent,
  LeakSuspectedEvent,
  RegistryEvents,
  RemovedEvent,
} from './events.js';
export type { ExplainedVerdict, Explanation } from './explain.js';
export {
  createGatewayRegistry,
  type GatewayMaps,
  type GatewayOptions,
  type GatewayRegistry,
  type PendingLifecycleErrorFields,
  type RunContextFields,
  type SubagentRunFields,
} from './gateway.js';
export type { MapHandle } from './map-handle.js';
export type { BeforeSweepContext, Lifetimes, Policy, RemovalReason, Rule } from './policy.js';
export { type CloseResult, createRegistry, type Registry } from './registry.js';
export type {
  EndedPolicy,
  KeyOf,
  PolicyOf,
  RegistryMaps,
  RegistryOptions,
  ValueOf,
} from './registry-options.js';
export type { EndingsReport, MapReport, RegistryReport } from './report.js';
export type { KeyCodec, RegistrySnapshot } from './snapshot-format.js';
export type { MapSweepReport, SweepReport } from './sweep-report.js';
export type { ClockJump } from './timeline.js';
export { TrackedMap, type TrackedMapOptions } from './tracked-map.js';
