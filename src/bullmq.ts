export {
  type BullQueue,
  type BullQueueOptions,
  toBullQueue,
} from './integrations/bullmq/to-bull-queue.js';
export type { EndingMessage, ValueForMessage } from './integrations/ending-message.js';
