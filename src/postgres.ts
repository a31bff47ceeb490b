export type { EndingMessage, ValueForMessage } from './integrations/ending-message.js';
export type { PostgresClient, PostgresPool } from './integrations/postgres/database.js';
export {
  type DrainedOutbox,
  type DrainOptions,
  drainOutbox,
} from './integrations/postgres/drain-outbox.js';
export { type PostgresJournalOptions, postgresJournal } from './integrations/postgres/open.js';
export { type OutboxOptions, toOutbox } from './integrations/postgres/outbox.js';
export type { HandleEnding, OutboxAttempt } from './integrations/postgres/outbox-batches.js';
export { type PurgeOptions, purgeOutbox } from './integrations/postgres/purge-outbox.js';
