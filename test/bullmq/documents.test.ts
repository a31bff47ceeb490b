import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nameOf, typedBlocks } from '../documents/blocks.js';
import { Project } from '../documents/project.js';
import { RedisServer } from './redis.js';

const project = new Project(typedBlocks('redis'));
project.emit();

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start(['--maxmemory-policy', 'noeviction']);
});

afterAll(async () => {
  await server?.dispose();
  project.remove();
});

describe('a block of the documents that needs Redis', () => {
  it.each(project.files.map((file) => [nameOf(file.block), file] as const))(
    'of %s runs, and ends by itself',
    async (_name, file) => {
      const { status, output } = await project.run(file, { REDIS_PORT: String(server.port) });
      expect(status, output).toBe(0);
    },
  );
});
