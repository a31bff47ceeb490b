import { createServer } from 'node:http';
import { createRegistry, type MapReport } from 'mapsweep';
import { statusPage } from 'mapsweep/page';
import { createManualClock } from 'mapsweep/testing';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { openNow } from '../../src/restart/open-journal.ts';
import { listening } from '../http/serving.ts';
import { distinct, gateway, leaking, served } from '../page/setting.ts';
import { MemoryVolume } from '../restart/memory-journal.ts';
import { browsing, isTooWide, violations } from './browser.ts';

const open = browsing();
const token = 'correct horse battery';

const toneOf = (page: Page) => page.getAttribute('.sentence', 'data-tone');

async function busy() {
  const { registry, die, clock, held } = gateway();
  for (let index = 0; index < 12; index += 1) registry.maps.runs.set(`run-${index}`, {});
  await die('dead');
  await clock.advance(60_000);
  return { registry, held, clock };
}

/** A registry in which a map and a watched size leak, and one that has a journal. */
async function wrong() {
  const { registry, grow } = await leaking(0);
  let size = 0;
  registry.watch('listeners', () => {
    size += 5;
    return size;
  });
  await grow(14);
  const journaled = createRegistry({
    maps: { runs: {} },
    persistTo: openNow(new MemoryVolume().open(), { maxWaitMs: 5_000 }),
    clock: createManualClock(),
  });
  return { registry, journaled };
}

describe('the page in a browser', () => {
  it.each(['light', 'dark'] as const)(
    'breaks no policy and no rule of accessibility: %s',
    async (colorScheme) => {
      const { registry } = await busy();
      const address = await served(registry, { allow: 'actions' });
      for (const query of ['', '?map=runs', '?filter=none']) {
        const { page, wrongs } = await open(`${address}/${query}`, { colorScheme });
        expect(await violations(page)).toEqual([]);
        expect(wrongs).toEqual([]);
        await page.context().close();
      }
    },
  );

  it.each(['light', 'dark'] as const)(
    'breaks none either with a leak, watched sizes and a journal, nor as the form for the token: %s',
    async (colorScheme) => {
      const { registry, journaled } = await wrong();
      const leaks = await served(registry, { allow: 'actions' });
      const { page, wrongs } = await open(`${leaks}/?map=runs`, { colorScheme });
      expect(await toneOf(page)).toBe('bad');
      expect(await page.textContent('#watched')).toContain('leaking');
      expect(await violations(page)).toEqual([]);
      await page.goto(await served(journaled));
      expect(await page.locator('#journal').count()).toBe(1);
      expect(await violations(page)).toEqual([]);
      expect(wrongs).toEqual([]);

      await page.goto(await served(registry, { token }));
      expect(await violations(page)).toEqual([]);
      await page.fill('input[name=token]', 'wrong horse battery');
      await page.click('button');
      expect(await page.textContent('[role=alert]')).toBe('That is not the token.');
      expect(await violations(page)).toEqual([]);
      await page.context().close();
      for (const of of [registry, journaled]) of.stop();
    },
  );

  it('is dark for whoever has it dark, each of its colours', async () => {
    const { registry } = await wrong();
    const address = await served(registry);
    const colours = async (colorScheme: 'light' | 'dark') => {
      const { page } = await open(address, { colorScheme });
      const used = (await page.evaluate(
        `['body', 'a', '.sentence', '.leaking .verdict'].map((where) => {
          const { color, backgroundColor } = getComputedStyle(document.querySelector(where));
          return { color, backgroundColor };
        })`,
      )) as { color: string; backgroundColor: string }[];
      await page.context().close();
      return used;
    };
    const [light, dark] = [await colours('light'), await colours('dark')];
    for (const [index, { color }] of light.entries()) expect(dark[index]?.color).not.toBe(color);
    const brightness = (colour: string | undefined) =>
      (colour?.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
    for (const index of [0, 2]) {
      expect(brightness(light[index]?.backgroundColor)).toBeGreaterThan(200);
      expect(brightness(dark[index]?.backgroundColor)).toBeLessThan(60);
    }
    registry.stop();
  });

  it('says of a map and of the endings what report() says', async () => {
    const registry = await distinct();
    const { page } = await open(await served(registry));
    const columns = await page.locator('#maps thead th').allTextContents();
    const cells = await page.locator('#maps tbody tr:has-text("tokens") > *').allTextContents();
    const of = registry.report().maps.find(({ name }) => name === 'tokens') as MapReport;
    expect(Object.fromEntries(columns.map((column, index) => [column, cells[index]]))).toMatchObject({
      Map: of.name,
      Verdict: of.leak.state,
      Entries: `${of.size}`,
      Oldest: `${(of.oldestAgeMs as number) / 3_600_000}h`.replace(/\..*h/, 'h'),
      Overdue: `${of.overdue}`,
      Orphaned: `${of.orphaned}`,
      Guarded: `${of.guarded}`,
      Held: `${of.held}`,
      Waiting: `${of.waiting}`,
      Weight: `${((of.estimatedBytes as number) / 1_000).toFixed(1)} kB`,
    });
    registry.stop();

    const { registry: dying } = await busy();
    await page.goto(`${await served(dying)}/?map=runs`);
    const { endings, callbackErrors, maps } = dying.report();
    expect(await page.textContent('#endings h3')).toBe(`Dead letters (${endings?.deadLetters})`);
    expect(await page.textContent('#endings li')).toContain(
      `0 delivered, 0 pending, ${endings?.failedAttempts} attempts failed, 1 dead letters`,
    );
    const [failure] = callbackErrors;
    expect(await page.textContent('#failures li')).toBe(
      `${failure?.map === '' ? '' : `${failure?.map}.`}${failure?.callback}: ${failure?.count}`,
    );
    const runs = maps.find(({ name }) => name === 'runs') as MapReport;
    expect(await page.textContent('#opened')).toContain(`${runs.registered} registered; left:`);
    expect(await page.textContent('#opened code')).toBe(runs.sites[0]?.site);
    await page.context().close();
  });

  it('is used by the keyboard alone, and shows where one is', async () => {
    const { registry } = await busy();
    const { page } = await open(await served(registry, { allow: 'actions' }));
    const focused = (what: string) => page.evaluate(`document.activeElement.${what}`) as Promise<string>;
    /** Goes on by Tab to what has this text, name or label, past nothing that does not show that one is there. */
    const tabTo = async (text: string) => {
      for (let steps = 0; steps < 60; steps += 1) {
        await page.keyboard.press('Tab');
        expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
        const names = await focused("name + '|' + document.activeElement.textContent.trim()");
        if (names.split('|').includes(text)) return;
      }
      throw new Error(`there is no way to ${text}`);
    };
    await tabTo('runs');
    await Promise.all([page.waitForURL(/map=runs/), page.keyboard.press('Enter')]);
    await tabTo('key');
    await page.keyboard.type('run-7');
    await Promise.all([page.waitForURL(/entry=/), page.keyboard.press('Enter')]);
    expect(await page.textContent('#opened dl')).toMatch(/'run-7'live: due by maxIdle/);
    await tabTo('sort');
    await page.keyboard.type('size');
    await tabTo('Show');
    await Promise.all([page.waitForURL(/sort=size/), page.keyboard.press('Enter')]);
    await tabTo('Redeliver all');
    await Promise.all([page.waitForURL(/done=/), page.keyboard.press('Enter')]);
    expect(await page.textContent('.done')).toContain('Given a new round');
    await page.context().close();
  });

  it('fits into 360 px', async () => {
    const { registry } = await busy();
    const address = await served(registry, { allow: 'actions' });
    const { page } = await open(`${address}/?map=runs`, { viewport: { width: 360, height: 640 } });
    expect(await isTooWide(page)).toBe(false);
    await page.context().close();
  });

  it('turns its sentence red within two polls of a leak, and says so to a screen reader', async () => {
    const { registry, grow } = await leaking(5);
    const { page, wrongs } = await open(await served(registry, { refresh: 1_000 }));
    expect(await toneOf(page)).toBe('doubtful');
    await grow(9);
    let polls = 0;
    page.on('response', () => {
      polls += 1;
    });
    await page.waitForSelector('.sentence.bad');
    expect(polls).toBeLessThanOrEqual(2);
    expect(await page.textContent('#live')).toMatch(/Something is wrong: 1 of 2 maps leaks/);
    expect(await page.textContent('#maps')).toContain('leaking');
    expect(wrongs).toEqual([]);
    await page.context().close();
  });

  it('shows what comes while it is open, and no more what has gone', async () => {
    const registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    const added = registry.adopt('added', new Map([['a', 1]]));
    const { page } = await open(`${await served(registry, { refresh: 1_000 })}/?map=added`);
    expect(await page.locator('#opened').count()).toBe(1);
    added.release();
    registry.watch('listeners', () => 7);
    await page.waitForSelector('#watched:has-text("listeners")');
    expect(await page.textContent('#opened')).toBe('There is no such map any more.');
    const order = "[...document.querySelectorAll('main > section[id]')].map(({ id }) => id).join()";
    const live = await page.evaluate(order);
    await page.reload();
    expect(await page.evaluate(order)).toBe(live);
    registry.adopt('added', new Map([['a', 1]]));
    await page.waitForSelector('#opened:has-text("The map added")');
    await page.context().close();
  });

  it('keeps the focus, and asks nothing while it is hidden', async () => {
    const { registry } = await busy();
    const { page } = await open(await served(registry, { refresh: 1_000 }));
    await page.focus('#maps a');
    const focused = () => page.evaluate('document.activeElement.getAttribute("href")');
    const before = await focused();
    (registry.maps.sockets as Map<string, number>).set('new', 1);
    await page.waitForSelector('#maps tr:has-text("sockets") >> td.number:text-is("1")');
    expect(await focused()).toBe(before);
    await page.evaluate(
      "Object.defineProperty(document, 'hidden', { value: true, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))",
    );
    let polls = 0;
    page.on('request', () => {
      polls += 1;
    });
    await page.waitForTimeout(2_500);
    expect(polls).toBe(0);
    await page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))");
    await page.waitForTimeout(500);
    expect(polls).toBe(1);
    await page.context().close();
  });

  it('says since when a process that is blocked has not answered, and goes on when it does', async () => {
    const { registry } = await busy();
    const { page } = await open(await served(registry, { refresh: 1_000 }));
    let asked = 0;
    // Takes the requests, and answers none.
    await page.route('**/*', () => {
      asked += 1;
    });
    await page.waitForSelector('#live:text-matches("No answer since .*\\\\d\\\\d")');
    expect(asked).toBe(1);
    await page.unroute('**/*');
    (registry.maps.sockets as Map<string, number>).set('new', 1);
    await page.waitForSelector('#maps tr:has-text("sockets") >> td.number:text-is("1")');
    expect(await page.textContent('#live')).toBe('');
    await page.context().close();
  });

  it('says that its tone has changed, and what was done, no longer than until it asks again', async () => {
    const { registry, held } = await busy();
    const { page } = await open(`${await served(registry, { refresh: 1_000 })}/?done=swept`);
    held.isDown = false;
    expect(await page.locator('.done').count()).toBe(1);
    registry.redeliver();
    await page.waitForSelector('#live:has-text("All is well")');
    await page.waitForSelector('#live:empty', { state: 'attached' });
    expect(await page.locator('.done').count()).toBe(0);
    await page.context().close();
  });

  it('stays as it is while another page answers in its place, says so, and goes on', async () => {
    const { registry } = await busy();
    const { page, wrongs } = await open(await served(registry, { refresh: 1_000 }));
    const sections = "[...document.querySelectorAll('main > section[id]')].map(({ id }) => id).join()";
    const before = await page.evaluate(sections);
    await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<main>Back soon' }));
    await page.waitForSelector('#live:text-matches("No answer since .*\\\\d")');
    expect(await page.evaluate(sections)).toBe(before);
    await page.unroute('**/*');
    await page.waitForSelector('#live:empty', { state: 'attached' });
    expect(await page.evaluate(sections)).toBe(before);
    expect(wrongs).toEqual([]);
    await page.context().close();
  });

  it('leads to where one has to log in, and not away for a single redirect', async () => {
    const { registry } = await busy();
    let isLoggedIn = true;
    let redirects = 0;
    const handler = statusPage(registry as never, { refresh: 1_000 });
    const port = await listening(
      createServer((request, response) => {
        if (isLoggedIn) return void handler(request, response);
        if (request.url === '/login') return void response.end('Log in');
        redirects += 1;
        if (redirects === 1) isLoggedIn = true;
        response.writeHead(302, { location: '/login' }).end();
      }),
    );
    const { page } = await open(`http://127.0.0.1:${port}/`);
    isLoggedIn = false;
    await page.waitForSelector('#live:text-matches("No answer since .*\\\\d")');
    await page.waitForSelector('#live:empty', { state: 'attached' });
    expect(page.url()).toBe(`http://127.0.0.1:${port}/`);
    isLoggedIn = false;
    await page.waitForURL(/login$/);
    await page.context().close();
  });

  it.each([true, false])(
    'takes the token, finds a key and redelivers, with JavaScript %s',
    async (javaScriptEnabled) => {
      const { registry, held } = await busy();
      const address = await served(registry, { token, allow: 'actions' });
      const { page } = await open(`${address}/`, { javaScriptEnabled });
      await page.fill('input[name=token]', token);
      await page.click('button');
      await page.click('#maps a:has-text("runs")');
      await page.fill('input[name=key]', 'run-7');
      await page.click('form.find button');
      expect(await page.textContent('#opened dl')).toMatch(/'run-7'live: due by maxIdle/);
      expect(page.url()).not.toMatch(/run-7|horse/);
      held.isDown = false;
      await page.click('button:has-text("Redeliver all")');
      expect(await page.textContent('.done')).toContain('Given a new round');
      expect(registry.report().endings).toMatchObject({ delivered: 1, deadLetters: 0 });
      await page.click('button:has-text("Sweep now")');
      expect(await page.textContent('.done')).toContain('Swept');
      await page.context().close();
    },
  );

  it.each([
    ['markup', '"><script>alert(1)</script><img src=x onerror=alert(1)>'],
    ['marks that reverse', 'abc\u202etxt.exe\u2066'],
    ['a terminal sequence', '\u001b[2J\u0007'],
    ['a megabyte', 'x'.repeat(1_000_000)],
  ])('neither runs nor is broken by hostile keys and names: %s', async (_, text) => {
    const name = text.slice(0, 100);
    const registry = createRegistry<Record<string, Map<string, number>>>({
      maps: { [name]: {} } as never,
      clock: createManualClock(),
    });
    (registry.maps[name] as unknown as Map<string, number>).set(text, 1);
    const address = await served(registry);
    const { page, wrongs } = await open(`${address}/?map=${encodeURIComponent(name)}`, {
      viewport: { width: 360, height: 640 },
    });
    expect(await page.locator('#opened dt').count()).toBe(1);
    expect(await page.locator('img').count()).toBe(0);
    expect(await isTooWide(page)).toBe(false);
    expect(await violations(page)).toEqual([]);
    expect(wrongs).toEqual([]);
    await page.context().close();
  });
});
