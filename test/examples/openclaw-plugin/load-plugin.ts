import type { Logger, Service } from '../../../examples/openclaw-plugin/gateway-api.ts';
import type { createPlugin } from '../../../examples/openclaw-plugin/index.ts';

/** Loads the plugin as a gateway of 2026.4.8 does. Returns the service that it registers. */
export function loadPlugin(plugin: ReturnType<typeof createPlugin>, logger: Logger): Service {
  let service: Service | undefined;
  plugin.register({
    registrationMode: 'full',
    logger,
    runtime: { version: '2026.4.8' },
    registerHttpRoute: () => {},
    registerService: (registered) => {
      service = registered;
    },
  });
  if (service === undefined) throw new Error('no service');
  return service;
}
