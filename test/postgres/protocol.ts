import type { ConnectionOptions } from './server.js';

/** How a gateway begins. */
export interface Begin {
  /** Of its journal: maybe through a proxy. */
  readonly connection: ConnectionOptions;
  /** Of what it delivers to. */
  readonly direct: ConnectionOptions;
  readonly instance: string;
  readonly takeOverAfter: number;
  readonly maxWait?: number;
  readonly mode?: 'sweep' | 'observe';
  /** The name of the map whose runs end. Default `runs`. */
  readonly map?: string;
  /** Has no `deliver`. */
  readonly isSilent?: boolean;
}

/** What a gateway is told to do. */
export interface Command {
  readonly id: number;
  readonly do: 'set' | 'end' | 'flushed';
  readonly keys?: string[];
}

/** What a gateway says. */
export type Word =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly id: number; readonly result?: unknown; readonly error?: string }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly isFinal: boolean };
