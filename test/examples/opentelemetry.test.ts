import { expect, it, vi } from 'vitest';

it('shows the sweep, every attempt with its error, and what deliver did in it, on the real SDK', async () => {
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  try {
    await import('../../examples/opentelemetry/main.ts');
  } finally {
    log.mockRestore();
  }
  const attempts = lines.filter((line) => line.startsWith('span mapsweep deliver'));
  expect(attempts.sort()).toEqual([
    'span mapsweep deliver default, ok',
    'span mapsweep deliver default, ok',
    'span mapsweep deliver default, the dispatcher is away',
    'span mapsweep deliver default, the dispatcher is away',
  ]);
  expect(lines.filter((line) => line.startsWith('span tell'))).toEqual(
    Array(4).fill('span tell the dispatcher, child of mapsweep deliver default, ok'),
  );
  expect(lines).toEqual(
    expect.arrayContaining([
      'span mapsweep sweep, ok',
      'metric mapsweep.sweep.duration{registry=default} 1 of them',
      'metric mapsweep.swept{registry=default, map=runs} 1',
      'metric mapsweep.ended{registry=default, reason=completed} 1',
      'metric mapsweep.ended{registry=default, reason=swept} 1',
      'metric mapsweep.delivery.attempts{registry=default, recipient=default, outcome=failed} 2',
      'metric mapsweep.delivery.attempts{registry=default, recipient=default, outcome=delivered} 2',
    ]),
  );
});
