import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { MemoryPressureEvent } from 'mapsweep';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MemoryReport } from '../../src/registry/memory-report.js';
import { compileChild } from './compile.js';

let scratch: string;
let child: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'mapsweep-memory-'));
  child = join(dirname(compileChild(join(scratch, 'code'))), 'memory-child.js');
}, 60_000);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function run(how: string) {
  const reportTo = join(scratch, how);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--max-old-space-size=96', child, how, reportTo],
    { encoding: 'utf8', timeout: 580_000, maxBuffer: 2 ** 26 },
  );
  const told = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as MemoryPressureEvent & Record<string, unknown>);
  const names = readdirSync(reportTo).sort();
  const read = (extension: string) =>
    readFileSync(join(reportTo, names.find((name) => name.endsWith(extension)) ?? extension), 'utf8');
  return { status, stderr, told, names, reportTo, text: () => read('.txt'), json: () => read('.json') };
}

describe('with a heap of 96 MB', () => {
  it('a process that leaks through a Map dies, and has left a report that names the map and the line', () => {
    const { stderr, told, names, reportTo, text, json } = run('leak');
    expect(stderr).toMatch(/heap out of memory/);
    expect(told[0]).toMatchObject({ kind: 'heap', level: 'warn', shedding: [] });
    expect(told[0]?.ratio).toBeGreaterThanOrEqual(0.8);
    expect(told[0]?.report).toBe(join(reportTo, names.find((name) => name.endsWith('.txt')) as string));
    expect(names.map((name) => name.split('.').slice(1).join('.'))).toEqual(['json', 'txt']);
    // It has keys of the owner's in it.
    expect(names.map((name) => statSync(join(reportTo, name)).mode & 0o777)).toEqual([0o600, 0o600]);
    const { maps, pressure } = JSON.parse(json()) as MemoryReport;
    expect(pressure).toMatchObject({ kind: 'heap', limitBytes: 96 * 2 ** 20 });
    expect(maps[0]).toMatchObject({
      name: 'contexts',
      oldest: [{ key: 'context-0' }, { key: 'context-1' }, { key: 'context-2' }],
    });
    expect(maps[0]?.shareOfEntries).toBeGreaterThan(0.99);
    expect(maps[0]?.sites[0]?.site).toMatch(/^startRun \(.*memory-child\.js:\d+:\d+\)$/);
    expect(text()).toMatch(/the largest maps:\n {2}contexts: \d+ entries, /);
    expect(text()).toMatch(
      /contexts registered \d+ times \(sampled\) at startRun \(.*memory-child\.js:\d+:\d+\)/,
    );
  }, 130_000);

  it('a cache that may shed takes a million entries and lives, and has kept what was guarded and what is new', () => {
    const { status, stderr, told } = run('shed');
    expect(/FATAL ERROR[^\n]*/.exec(stderr)?.[0]).toBeUndefined();
    expect(status).toBe(0);
    const end = told.pop();
    expect(end).toMatchObject({ guarded: 1_000, hasNewest: true, hasOldest: false });
    expect(Number(end?.size) + Number(end?.evicted)).toBe(1_000_000);
    const sheds = told.filter(({ shedding }) => shedding.length > 0);
    expect(sheds.length).toBeGreaterThan(5);
    expect(new Set(sheds.map(({ kind, level }) => `${kind} ${level}`))).toEqual(new Set(['heap shed']));
  }, 600_000);

  it('the same cache dies if it may not shed', () => {
    const { status, stderr } = run('keep');
    expect(stderr).toMatch(/heap out of memory/);
    expect(status).not.toBe(0);
  }, 300_000);

  it('buffers that fill the container while the heap is flat are told of as what they are', () => {
    const { status, told, json, text } = run('resident');
    expect(status).toBe(0);
    expect(told).toMatchObject([{ kind: 'rss', level: 'warn' }]);
    const { memory, pressure, maps } = JSON.parse(json()) as MemoryReport;
    expect(pressure).toMatchObject({ kind: 'rss', limitBytes: 300 * 2 ** 20 });
    expect(memory.arrayBuffers).toBeGreaterThan(100 * 2 ** 20);
    expect(memory.heapUsed).toBeLessThan(40 * 2 ** 20);
    expect(maps[0]?.name).toBe('sockets');
    expect(text()).toMatch(/^the resident set is at 8\d\.\d %/m);
  }, 60_000);
});
