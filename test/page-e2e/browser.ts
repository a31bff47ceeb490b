import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path));

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What went wrong in a page: refusals by its content security policy, errors, dialogs. */
export interface Opened {
  readonly page: Page;
  readonly wrongs: string[];
}

/** Has a browser run for the tests of a file. */
export function browsing(): (
  address: string,
  options?: Parameters<Browser['newContext']>[0],
) => Promise<Opened> {
  let browser: Browser;
  beforeAll(async () => {
    if (executablePath === undefined) throw new Error('there is no chromium: apt-get install chromium');
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());
  return async (address, options = {}) => {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const wrongs: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') wrongs.push(message.text());
    });
    page.on('pageerror', (error) => wrongs.push(String(error)));
    page.on('dialog', (dialog) => {
      wrongs.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.goto(address);
    return { page, wrongs };
  };
}

/** What axe finds, by rule. */
export async function violations(page: Page): Promise<string[]> {
  // As an expression of the debugger's, to which the policy of the page does not apply.
  await page.evaluate(axe);
  const found = (await page.evaluate('axe.run().then(({ violations }) => violations)')) as {
    id: string;
    nodes: { html: string; failureSummary: string }[];
  }[];
  return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
}

/** Whether one has to scroll aside. */
export const isTooWide = (page: Page) =>
  page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');
