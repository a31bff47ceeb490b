import { createRegistry } from 'mapsweep';
import { statusPage } from 'mapsweep/page';
import { createManualClock } from 'mapsweep/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { dataAt, partsOf, served, textAt } from './setting.ts';

function registryOf(count: number) {
  const maps = Object.fromEntries(Array.from({ length: count }, (_, index) => [`map-${index}`, {}]));
  const registry = createRegistry({ maps: maps as Record<string, object>, clock: createManualClock() });
  for (const map of Object.values(registry.maps)) (map as unknown as Map<string, number>).set('a', 1);
  return registry;
}

/** Counts from now on how often a method is called. */
function callsOf<T extends object>(of: T, name: keyof T): { count: number } {
  const calls = { count: 0 };
  const method = (of[name] as (...args: unknown[]) => unknown).bind(of);
  Object.defineProperty(of, name, {
    configurable: true,
    value: (...args: unknown[]) => {
      calls.count += 1;
      return method(...args);
    },
  });
  return calls;
}

/** Counts from now on how often the maps of a registry are gone through. */
const looksAtMaps = ({ trackers }: ReturnType<typeof partsOf>['engine']): { count: number } =>
  callsOf(trackers, 'values');

describe('ten thousand maps', () => {
  let many: ReturnType<typeof registryOf>;

  beforeAll(() => {
    many = registryOf(10_000);
  }, 30_000);

  it('have the 200 worst on a page, and the rest by pages and by filter', async () => {
    for (let index = 0; index < 9; index += 1)
      (many.maps['map-7777'] as unknown as Map<number, number>).set(index, 1);
    const address = await served(many);
    const first = (await dataAt(`${address}/report.json`)).maps;
    expect([first.total, first.matching, first.pages, first.rows.length]).toEqual([10_000, 10_000, 50, 200]);
    expect(first.rows[0].name).toBe('map-7777');
    const page = await textAt(address);
    expect(page.match(/<tr class=/g)).toHaveLength(200);
    expect(page).toContain('href="./?page=2">Next');
    const seen = new Set<string>();
    for (let number = 1; number <= 50; number += 1) {
      for (const { name } of (await dataAt(`${address}/report.json?page=${number}`)).maps.rows)
        seen.add(name);
    }
    expect(seen.size).toBe(10_000);
    const found = (await dataAt(`${address}/report.json?filter=map-999`)).maps;
    expect([found.matching, found.rows.length]).toEqual([11, 11]);
    expect((await dataAt(`${address}/report.json?page=51`)).maps.page).toBe(50);
  }, 30_000);

  it('are glanced at a few times each, and only those that are shown are looked at', async () => {
    const { leaks, engine } = partsOf(many);
    const sizes = callsOf(leaks, 'sizesOf');
    const verdicts = callsOf(leaks, 'verdictOf');
    const rounds = looksAtMaps(engine);
    await textAt(await served(many));
    expect(sizes.count).toBe(200);
    // The sentence, the list and a row each have theirs.
    expect(verdicts.count).toBeLessThanOrEqual(3 * 10_000);
    expect(rounds.count).toBeLessThanOrEqual(3);
  }, 30_000);
});

it('watched sizes and callback failures are 200 each, those that matter most, and the rest is counted', async () => {
  const count = 1_000;
  const registry = registryOf(count);
  const { engine } = partsOf(registry);
  for (let index = 0; index < count; index += 1) {
    engine.failures.report(`map-${index}`, 'dispose', undefined, new Error('no'));
    registry.watch(`size-${index}`, () => index);
  }
  engine.failures.count('map-900', 'dispose');
  const address = await served(registry);
  const { watched, callbackErrors, leftOut, sentence } = await dataAt(`${address}/report.json`);
  expect([watched.length, callbackErrors.length]).toEqual([200, 200]);
  expect(leftOut).toEqual({ watched: 800, callbackErrors: 800 });
  expect(callbackErrors[0]).toEqual({ map: 'map-900', callback: 'dispose', count: 2 });
  expect(sentence.text).toContain('1000 maps and 1000 watched sizes');
  const page = await textAt(address);
  expect(page.match(/<li>and 800 more<\/li>/g)).toHaveLength(2);
  expect(page.match(/<li><bdi>/g)).toHaveLength(400);
  const text = await textAt(`${address}/report.txt`);
  expect(text.match(/^.*and 800 more.*$/gm)).toEqual([
    '  and 800 more watched',
    'callback failures: and 800 more',
  ]);
});

describe('the script', () => {
  it('is less than 40 kB, and all that a page loads besides is its style', async () => {
    const address = await served(registryOf(3));
    expect((await textAt(`${address}/page.js`)).length).toBeLessThan(40_000);
    const page = await textAt(address);
    expect([...page.matchAll(/<(script|link|img|iframe)[^>]*>/g)].map(([tag]) => tag)).toEqual([
      '<link rel="stylesheet" href="./page.css">',
      '<script src="./page.js">',
    ]);
    expect(page).not.toMatch(/<script>| (style|on\w+)=/);
  });
});

describe('while nobody looks', () => {
  it('has no timer, hears nothing of what happens, and looks at nothing', async () => {
    const registry = registryOf(3);
    const { engine } = partsOf(registry);
    const before = [process.getActiveResourcesInfo().length, engine.afterPass.size];
    statusPage(registry, { token: 'correct horse battery', allow: 'actions' });
    expect([process.getActiveResourcesInfo().length, engine.afterPass.size]).toEqual(before);
    const looks = looksAtMaps(engine);
    const address = await served(registry);
    expect(looks.count).toBe(0);
    await textAt(address);
    expect(looks.count).toBeGreaterThan(0);
  });

  it('does not look for somebody who may not see it, nor for the style and the script', async () => {
    const registry = registryOf(3);
    const { engine } = partsOf(registry);
    const looks = looksAtMaps(engine);
    const address = await served(registry, { token: 'correct horse battery' });
    for (const path of ['/', '/report.json', '/page.css', '/page.js']) await textAt(`${address}${path}`);
    expect(looks.count).toBe(0);
  });
});
