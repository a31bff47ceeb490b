export type { ExplainedState, Explanation } from './diagnosis/explain.js';
export type { LeakDetectionOptions } from './diagnosis/leak-judge.js';
export type { LeakState, LeakVerdict } from './diagnosis/leak-verdict.js';
export type { EndedPolicy } from './endings/ended-policy.js';
export type { EndOptions, EndResult, TransferResult } from './endings/endings.js';
export { MapsweepError, type MapsweepErrorCode, MapsweepRangeError, MapsweepTypeError } from './errors.js';
export type { DeadLetter } from './events/dead-letter.js';
export type { DeliveryMessage, EndedMessage, SweepMessage } from './events/diagnostics-channels.js';
export type { Deliver, DeliveryContext, EndedEvent } from './events/ended-event.js';
export type {
  CallbackFailedEvent,
  DeadLetterEvent,
  DeliveryFailedEvent,
  JournalFailedEvent,
  LeakSuspectedEvent,
  MemoryPressureEvent,
  RegistryEvents,
  RemovedEvent,
} from './events/event-bus.js';
export type { Logger } from './events/log-lines.js';
export type { RemovalReason } from './events/reasons.js';
export type { MapSweepReport, SweepReport } from './events/sweep-report.js';
export type {
  PendingLifecycleErrorFields,
  RunContextFields,
  SubagentRunFields,
} from './gateway/gateway-policies.js';
export {
  createGatewayRegistry,
  type GatewayMaps,
  type GatewayOptions,
  type GatewayRegistry,
} from './gateway/preset.js';
export type { Handler, HandlerReply, HandlerRequest, HandlerResponse } from './http/answer.js';
export { type HealthHandlerOptions, healthHandler } from './http/health-handler.js';
export { type AdoptOptions, adopt } from './maps/adopt.js';
export type { KeyOf, MapName, RegistryMaps, ValueOf } from './maps/collection-types.js';
export type { MapHandle } from './maps/map-handle.js';
export { TrackedMap, type TrackedMapOptions } from './maps/tracked-map.js';
export type { Duration } from './policy/duration.js';
export type {
  BatchedHook,
  BeforeSweepContext,
  Follows,
  Instant,
  Lifetimes,
  MaxPerOwner,
  Persist,
  Policy,
  Rule,
} from './policy/policy.js';
export type { CallbackErrors, RecipientReport, WatchedFigures } from './registry/figures.js';
export type { Health } from './registry/health.js';
export type { MemoryOptions } from './registry/memory-options.js';
export type { PolicyOf } from './registry/policy-types.js';
export { type CloseResult, createRegistry, type DetachResult, type Registry } from './registry/registry.js';
export type { RegistryOptions } from './registry/registry-options.js';
export type {
  EndingsReport,
  HeldReport,
  MapReport,
  RegistryReport,
} from './registry/report.js';
export type { OpenJournal } from './restart/open-journal.js';
export { type JournalFolder, openJournal, type PersistTo } from './restart/persist-to.js';
export type { RegistrySnapshot } from './restart/snapshot.js';
export type { EntryStamps } from './stamps/entry-stamps.js';
export type { Hold } from './sweeping/holds.js';
export type { Clock } from './time/clock.js';
export type { ClockJump } from './time/timeline.js';
