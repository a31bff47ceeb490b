import { once } from 'node:events';
import net from 'node:net';
import { expect, it, vi } from 'vitest';
import { startExample } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

it('examples/prometheus/gateway.ts answers a request whose path is no address, and those after it', async () => {
  const { url, child, exited } = await startExample('prometheus/gateway.ts', '--port', '0');
  const socket = net.connect(Number(new URL(url).port), '127.0.0.1');
  socket.write('GET // HTTP/1.1\r\nHost: gateway\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 404 /);
  expect((await fetch(`${url}/health?verbose`)).status).toBe(200);
  socket.destroy();
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});
