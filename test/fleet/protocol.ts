import type { ConnectionOptions } from '../postgres/server.js';

/** How a gateway begins. */
export interface BeginGateway {
  /** Through a proxy that can be cut. */
  readonly connection: ConnectionOptions;
  readonly redisPort: number;
  readonly queue: string;
  readonly instance: string;
  readonly takeOverAfterMs: number;
  /** Its entries come back by themselves after a restart; else they have to be set again, which nobody does. */
  readonly decodes: boolean;
  readonly runsASecond: number;
}

/** How the consumer of the outbox and of the queue begins. */
export interface BeginConsumer {
  readonly connection: ConnectionOptions;
  readonly redisPort: number;
  readonly queue: string;
}

/** What a gateway says. */
export type GatewayWord =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'dead letter'; readonly recipient: string; readonly cause: string };

/** What a gateway is told: to register runs, to register none any more and end those it has. */
export type GatewayCommand = 'go' | 'wind down';
