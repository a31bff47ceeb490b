import { afterEach, describe, expect, it } from 'vitest';
import { serve } from '../../examples/demo/serve.ts';
import { browsing, isTooWide, violations } from './browser.ts';

const open = browsing();

let end: (() => Promise<unknown>) | undefined;
afterEach(() => end?.());

/** Serves what `npm run demo -- --serve` does, and returns where. */
function serving(): Promise<string> {
  const stop = new AbortController();
  return new Promise((resolve, reject) => {
    const served = serve({ port: 0, seed: 52, onReady: resolve, signal: stop.signal });
    served.catch(reject);
    end = () => {
      stop.abort();
      return served;
    };
  });
}

describe('what the demo serves, in a browser', () => {
  it('has both gateways side by side, each with its page, asks again by itself, and sees the leak within two minutes', async () => {
    const address = await serving();
    const beganAt = performance.now();
    const { page, wrongs } = await open(address, { viewport: { width: 360, height: 640 } });
    const sizeOf = (column: number) =>
      page.textContent(`tbody tr:has-text("subagentRuns") >> td.number >> nth=${column}`).then(Number);
    const first = await sizeOf(0);
    await expect.poll(() => sizeOf(0), { timeout: 40_000, interval: 500 }).toBeGreaterThan(first + 40);
    expect(await sizeOf(1)).toBeLessThan(await sizeOf(0));
    expect(await page.locator('tbody polyline').count()).toBe(8);
    expect(await violations(page)).toEqual([]);
    expect(await isTooWide(page)).toBe(false);

    for (const [name, words] of [
      ['Plain Maps', 'which only observes'],
      ['mapsweep', 'A sweep every 1s.'],
    ] as const) {
      await page.goto(address);
      await page.click(`h2 a:text-is("${name}")`);
      expect(await page.textContent('.sweeping')).toContain(words);
      expect(await page.locator('#maps polyline').count()).toBe(4);
      await page.click('#maps a:has-text("subagentRuns")');
      expect(await page.textContent('#opened')).toMatch(/gateway\.ts:\d+/);
      expect(await violations(page)).toEqual([]);
    }

    // The two minutes are what is promised to whoever looks.
    await page.goto(address);
    await page.waitForSelector('#plain .sentence.bad', { timeout: 120_000 - (performance.now() - beganAt) });
    expect(await page.textContent('#live')).toMatch(/Something is wrong: \d of 4 maps leaks?/);
    expect(await page.getAttribute('#mapsweep .sentence', 'data-tone')).not.toBe('bad');
    expect(await violations(page)).toEqual([]);
    expect(wrongs).toEqual([]);
    await page.context().close();
  }, 180_000);
});
