// npx tsx examples/websocket-server/main.ts [port]
import { startWebSocketServer } from './server.ts';

const server = await startWebSocketServer({ port: Number(process.argv[2] ?? 0) });
console.log(`WebSocket server at ${server.url}`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close());
