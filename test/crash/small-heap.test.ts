import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileChild } from './compile.js';

let scratch: string;
let child: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'mapsweep-heap-'));
  child = join(dirname(compileChild(join(scratch, 'code'))), 'heap-child.js');
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('with a heap of 64 MB and 50,000 endings that nobody takes', () => {
  it.each(['without a journal', 'with a journal'])(
    'a process lives %s',
    (how) => {
      const journal = how === 'with a journal' ? [join(scratch, 'journal')] : [];
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['--max-old-space-size=64', child, '50000', ...journal],
        { encoding: 'utf8', timeout: 120_000 },
      );
      expect(/FATAL ERROR[^\n]*/.exec(stderr)?.[0]).toBeUndefined();
      expect([status, stdout]).toEqual([0, '50000']);
    },
    130_000,
  );
});
