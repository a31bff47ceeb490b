import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nameOf, typedBlocks } from '../documents/blocks.js';
import { Project } from '../documents/project.js';
import { PostgresServer } from './server.js';

const project = new Project(typedBlocks('postgres'));
project.emit();

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(() => {
  server?.dispose();
  project.remove();
});

describe('a block of the documents that needs PostgreSQL', () => {
  it.each(project.files.map((file) => [nameOf(file.block), file] as const))(
    'of %s runs, and ends by itself',
    async (_name, file) => {
      const database = `of_${file.block.document.replace(/\W/g, '_').toLowerCase()}`;
      if (server.sql(`select 1 from pg_database where datname = '${database}'`) === '') {
        server.sql(`create database ${database}`);
      }
      const { host, port, user } = server.options;
      const { status, output } = await project.run(file, {
        DATABASE_URL: `postgres://${user}@${host}:${port}/${database}`,
      });
      expect(status, output).toBe(0);
    },
  );
});
