import { describe, expect, it } from 'vitest';
import { callSite, firstForeignFrame } from '../../src/diagnosis/call-site.ts';

const stack = (...frames: string[]) => ['Error', ...frames.map((frame) => `    at ${frame}`)].join('\n');

describe('callSite', () => {
  it('names this function, this file and a line of it, although the library runs from src here', () => {
    function startRun() {
      return callSite();
    }
    expect(startRun()).toMatch(/^startRun \(\/.*\/test\/diagnosis\/call-site\.test\.ts:\d+:\d+\)$/);
  });

  it('leaves Error.stackTraceLimit as it was, and works where that is 0', () => {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      expect(callSite()).toContain('call-site.test.ts');
      expect(Error.stackTraceLimit).toBe(0);
    } finally {
      Error.stackTraceLimit = limit;
    }
  });

  it('is one short and printable line, whatever functions are called', () => {
    const start = { run: () => callSite() };
    Object.defineProperty(start.run, 'name', { value: '\x1b[2J\u202e' });
    expect(start.run()).toMatch(/^\P{Cc}*\\u\{1b\}\[2J\\u\{202e\} .*\(/u);
    Object.defineProperty(start.run, 'name', { value: ' ('.repeat(500_000) });
    expect(start.run().length).toBeLessThan(300);
  });

  it('is unknown where a prepareStackTrace throws', () => {
    const prepare = Error.prepareStackTrace;
    Error.prepareStackTrace = () => {
      throw new Error('no');
    };
    try {
      expect(callSite()).toBe('unknown');
    } finally {
      Error.prepareStackTrace = prepare;
    }
  });
});

describe('firstForeignFrame', () => {
  const dist = 'callSite (file:///app/node_modules/mapsweep/dist/diagnosis/call-site.js:20:9)';
  // What source maps turn that into.
  const src = 'callSite (/app/node_modules/mapsweep/src/diagnosis/call-site.ts:20:9)';

  it.each([
    [
      'skips dist in node_modules',
      [
        dist,
        'TrackedMap.set (file:///app/node_modules/mapsweep/dist/maps/tracked-map.js:64:11)',
        'startRun (file:///app/runs.js:3:4)',
      ],
      'startRun (/app/runs.js:3:4)',
    ],
    [
      'skips src, to which source maps lead from dist',
      [
        src,
        'TrackedMap.set (/app/node_modules/mapsweep/src/maps/tracked-map.ts:64:11)',
        'startRun (/app/runs.ts:3:4)',
      ],
      'startRun (/app/runs.ts:3:4)',
    ],
    [
      'skips frames of Node and of the engine',
      [
        dist,
        'Array.forEach (<anonymous>)',
        'node:internal/process/task_queues:95:5',
        'async restore (/app/restore.ts:7:9)',
      ],
      'restore (/app/restore.ts:7:9)',
    ],
    [
      'takes other packages for the application, as long as they are not this one',
      [dist, 'load (/app/node_modules/mapsweep-store/dist/load.js:1:2)', 'main (/app/main.js:3:4)'],
      'load (/app/node_modules/mapsweep-store/dist/load.js:1:2)',
    ],
    ['shows a frame without a name by its place', [dist, 'file:///app/main.js:3:4'], '/app/main.js:3:4'],
    ['drops the query of a loader', [dist, 'main (file:///app/main.ts?t=1:3:4)'], 'main (/app/main.ts:3:4)'],
    [
      'decodes a URL',
      [dist, 'main (file:///app/with%20space/main.js:3:4)'],
      'main (/app/with space/main.js:3:4)',
    ],
    ['keeps parentheses in a path', [dist, 'main (/app (old)/main.js:3:4)'], 'main (/app (old)/main.js:3:4)'],
    [
      'keeps the alias of a method',
      [dist, 'Runs.start [as begin] (/app/main.js:3:4)'],
      'Runs.start [as begin] (/app/main.js:3:4)',
    ],
    [
      'says of code made of a string who made it',
      [dist, 'eval (eval at main (/app/main.js:3:4), <anonymous>:1:1)'],
      'eval (eval at main (/app/main.js:3:4), <anonymous>:1:1)',
    ],
    ['is unknown on an empty stack', [], 'unknown'],
    [
      'is unknown where all of it is the library',
      [dist, 'TrackedMap.set (file:///app/node_modules/mapsweep/dist/maps/tracked-map.js:64:11)'],
      'unknown',
    ],
  ])('%s', (_, frames, site) => {
    expect(firstForeignFrame(stack(...frames))).toBe(site);
  });

  it('tells application and library apart in a bundle where source maps do, and else does not guess', () => {
    const set = 'TrackedMap.set (/app/node_modules/mapsweep/src/maps/tracked-map.ts:64:11)';
    expect(firstForeignFrame(stack(src, set, 'startRun (/app/src/runs.ts:3:4)'))).toBe(
      'startRun (/app/src/runs.ts:3:4)',
    );
    const bundled = [
      'c (/app/dist/bundle.js:1:99)',
      't.set (/app/dist/bundle.js:1:9)',
      's (/app/dist/bundle.js:1:4)',
    ];
    expect(firstForeignFrame(stack(...bundled))).toBe('unknown');
    expect(firstForeignFrame(stack(...bundled, 'load (/app/dist/chunk.js:1:4)'))).toBe(
      'load (/app/dist/chunk.js:1:4)',
    );
  });
});
