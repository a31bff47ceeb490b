/*
 * What this plugin uses of the gateway's plugin API: the part that the gateway's "Plugin SDK overview" and "Gateway HTTP
 * routes" document. Written down here, so that the plugin needs no file of the gateway, neither to build nor to test.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Writes to the gateway's log. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Answers a request; `true` where it did. */
export type RouteHandler = (request: IncomingMessage, response: ServerResponse) => Promise<boolean> | boolean;

/** A path of the gateway's own HTTP server. */
export interface Route {
  readonly path: string;
  /** `gateway`: the gateway asks for its own authentication first. `plugin`: the handler asks for its own. */
  readonly auth: 'gateway' | 'plugin';
  /** `prefix`: what is below the path too. */
  readonly match: 'exact' | 'prefix';
  readonly handler: RouteHandler;
}

/** Runs as long as the plugin is loaded. It may be started again after it was stopped. */
export interface Service {
  readonly id: string;
  start(context: { readonly logger: Logger }): void | Promise<void>;
  stop(): void | Promise<void>;
}

/** What `register` gets. */
export interface PluginApi {
  /** `full` in a gateway that starts; in the other modes it only looks at what the plugin is. */
  readonly registrationMode: string;
  /** `plugins.entries.mapsweep.config`. */
  readonly pluginConfig?: unknown;
  readonly logger: Logger;
  /** `version`: the release of the gateway. */
  readonly runtime?: { readonly version?: unknown };
  registerHttpRoute(route: Route): void;
  registerService(service: Service): void;
}
