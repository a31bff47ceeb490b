import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { served } from '../page/setting.ts';
import { browsing } from './browser.ts';

const open = browsing();

/** A registry of so many maps with one entry each, but for one that has ten. */
function registryOf(count: number, busiest: number) {
  const maps = Object.fromEntries(Array.from({ length: count }, (_, index) => [`map-${index}`, {}]));
  const registry = createRegistry({ maps: maps as Record<string, object>, clock: createManualClock() });
  for (const [name, map] of Object.entries(registry.maps)) {
    const entries = name === `map-${busiest}` ? 10 : 1;
    for (let key = 0; key < entries; key += 1) (map as unknown as Map<number, number>).set(key, key);
  }
  return registry;
}

describe('ten thousand maps in a browser', () => {
  it.each([true, false])(
    'are 200 at a time, the worst first, and the rest by pages and by filter, with JavaScript %s',
    async (javaScriptEnabled) => {
      const address = await served(registryOf(10_000, 7_777), { refresh: 1_000 });
      const { page, wrongs } = await open(address, { javaScriptEnabled });
      const names = () => page.locator('#maps tbody th').allTextContents();
      expect(await page.textContent('#maps-title')).toBe('Maps (10000)');
      const first = await names();
      expect([first.length, first[0]]).toEqual([200, 'map-7777']);

      await page.click('text=Next');
      expect(await page.textContent('#maps nav')).toContain('Page 2 of 50');
      const second = await names();
      expect([second.length, second.some((name) => first.includes(name))]).toEqual([200, false]);

      await page.fill('input[name=filter]', 'map-999');
      await page.selectOption('select[name=sort]', 'name');
      await page.click('text=Show');
      expect(await page.textContent('#maps-title')).toBe('Maps (11 of 10000)');
      expect(await names()).toEqual([
        'map-999',
        ...Array.from({ length: 10 }, (_, digit) => `map-999${digit}`),
      ]);

      await page.click('#maps a:has-text("map-9994")');
      expect(await page.textContent('#opened-title')).toContain('map-9994');
      expect(wrongs).toEqual([]);
      await page.context().close();
    },
  );

  it('keep the page live, and cost a poll no more than ten times what a hundred do', async () => {
    /** How long a poll takes to be answered, the quickest of some. */
    const quickest = async (count: number): Promise<number> => {
      const registry = registryOf(count, 50);
      const { page } = await open(await served(registry, { refresh: 1_000 }));
      // So that there is something to put in place, and to wait for.
      const grows = (size: number) => {
        for (let key = 0; key < size; key += 1)
          (registry.maps['map-50'] as unknown as Map<number, number>).set(key, key);
      };
      let least = Number.POSITIVE_INFINITY;
      for (let size = 11; size < 16; size += 1) {
        grows(size);
        const began = await page.evaluate('performance.now()');
        await page.waitForSelector(`#maps tbody tr:first-child td.number:text-is("${size}")`);
        const polls = (await page.evaluate(
          `performance.getEntriesByType('resource').filter(({ initiatorType, startTime }) => initiatorType === 'fetch' && startTime >= ${began}).map(({ duration }) => duration)`,
        )) as number[];
        least = Math.min(least, ...polls);
      }
      await page.context().close();
      return least;
    };
    expect((await quickest(10_000)) / (await quickest(100))).toBeLessThan(10);
  });
});
