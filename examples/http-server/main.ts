// npx tsx examples/http-server/main.ts --folder /tmp/http-server [--port 3002] [--order-takes 1000] [--notice 0]
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startHttpServer } from './server.ts';

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    port: { type: 'string', default: '0' },
    'order-takes': { type: 'string', default: '1000' },
    notice: { type: 'string', default: '0' },
  },
});

const server = await startHttpServer({
  folder: values.folder,
  port: Number(values.port),
  placeOrder: async (order) => {
    console.log('placing an order');
    await sleep(Number(values['order-takes']));
    return { number: randomUUID(), order };
  },
});
console.log(`HTTP server at ${server.url}`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Nothing is left that keeps the process alive then, so that it ends by itself, with 0.
  process.once(signal, () => void server.close({ notice: Number(values.notice) }));
}
