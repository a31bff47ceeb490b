import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path));

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
