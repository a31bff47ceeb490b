// npx tsx examples/mcp-server/main.ts [port]
import { setTimeout as sleep } from 'node:timers/promises';
import { startMcpServer } from './server.ts';

const server = await startMcpServer({
  port: Number(process.argv[2] ?? 0),
  research: async (topic, signal) => {
    await sleep(5_000, undefined, { signal });
    return `All there is to know of ${topic}.`;
  },
});
console.log(`MCP server at ${server.url}`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close());
