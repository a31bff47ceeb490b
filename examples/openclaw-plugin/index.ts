import { registerMetrics } from 'mapsweep/prometheus';
import { Registry as MetricsRegister } from 'prom-client';
import { type PluginConfig, readConfig } from './config.ts';
import type { Logger, PluginApi } from './gateway-api.ts';
import { releaseOf } from './gateway-release.ts';
import { knownMapsOf, unknownRelease } from './known-maps.ts';
import { MapFollower, type Surroundings } from './map-follower.ts';
import { oneLine } from './one-line.ts';
import { routesOf, type Shown } from './routes.ts';

const NOT_STARTED = 'not started';

/**
 * Makes the plugin's entry. The gateway calls `register` each time it loads its plugins; nothing begins before it starts
 * the service, and all of it ends when it stops the service.
 *
 * @param surroundings other than those of the process, for tests
 */
export function createPlugin(surroundings: Surroundings = {}) {
  // A gateway may register the plugin several times and take the routes of one registration and the service of another.
  const stage: Stage = { shown: NOT_STARTED };
  return {
    id: 'mapsweep',
    name: 'mapsweep',
    description: 'Finds and sweeps registries of the gateway that leak, in place.',
    register(api: PluginApi): void {
      if (api.registrationMode !== 'full') return;
      const plugin = new RunningPlugin(api, stage, surroundings);
      for (const route of plugin.routes) api.registerHttpRoute(route);
      api.registerService({
        id: 'mapsweep',
        start: ({ logger }) => plugin.start(logger),
        stop: () => plugin.stop(),
      });
    },
  };
}

export default createPlugin();

interface Stage {
  /** Or why there is nothing to show. */
  shown: Shown | string;
}

class RunningPlugin {
  readonly #stage: Stage;
  readonly #surroundings: Surroundings;
  /** Or what is wrong with it. */
  readonly #config: PluginConfig | string;
  readonly #release: string | undefined;
  #follower: MapFollower | undefined;

  constructor(api: PluginApi, stage: Stage, surroundings: Surroundings) {
    this.#stage = stage;
    this.#surroundings = surroundings;
    this.#release = releaseOf(api);
    try {
      this.#config = readConfig(api.pluginConfig, knownMapsOf(this.#release));
    } catch (error) {
      this.#config = `plugins.entries.mapsweep.config is wrong, so nothing is tracked: ${(error as Error).message}`;
    }
  }

  get routes() {
    // Where the config is wrong nobody knows what its token would have been: the gateway's own rules hold then.
    const config = this.#config;
    if (typeof config === 'string') return routesOf(() => config, undefined);
    return routesOf(() => this.#stage.shown, config.scrapeToken);
  }

  async start(logger: Logger): Promise<void> {
    const log = prefixed(logger);
    if (typeof this.#config === 'string') return log.error(this.#config);
    await this.stop();
    if (this.#config.defaults && knownMapsOf(this.#release) === undefined)
      log.warn(unknownRelease(this.#release));
    try {
      this.#follower = new MapFollower(this.#config, log, this.#surroundings);
      const register = new MetricsRegister();
      const { registry } = this.#follower;
      registerMetrics(registry, { register });
      this.#stage.shown = { registry, register };
    } catch (error) {
      // A gateway without its sweeper is better than none.
      log.error(`could not start: ${error instanceof Error ? error.stack : String(error)}`);
      await this.stop();
    }
  }

  async stop(): Promise<void> {
    const follower = this.#follower;
    this.#follower = undefined;
    if (follower === undefined) return;
    const { shown } = this.#stage;
    if (typeof shown !== 'string' && shown.registry === follower.registry) this.#stage.shown = NOT_STARTED;
    await follower.close();
  }
}

function prefixed(logger: Logger): Logger {
  return {
    info: (message) => logger.info(`mapsweep: ${oneLine(message)}`),
    warn: (message) => logger.warn(`mapsweep: ${oneLine(message)}`),
    error: (message) => logger.error(`mapsweep: ${oneLine(message)}`),
  };
}
