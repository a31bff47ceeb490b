import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { served } from '../page/setting.ts';
import { browsing } from './browser.ts';

/** Set to write the pictures of the README anew. */
const isWriting = process.env.MAPSWEEP_PICTURES !== undefined;
/** A README is loaded as a whole. */
const mostBytes = 80_000;

const open = browsing();

const scenes = [
  { file: 'page.png', search: '', shown: 'body', colorScheme: 'light', width: 1_080, height: 590 },
  {
    file: 'page-narrow.png',
    search: '?map=transports',
    shown: '#opened',
    colorScheme: 'dark',
    width: 360,
    height: 700,
  },
] as const;

const pathOf = (file: string) => fileURLToPath(new URL(`../../examples/demo/${file}`, import.meta.url));

/** So that the page names a file of a service, and not this one. */
const openTransport = new Function(`return function openTransport(map, key) {
  map.set(key, {});
}
//# sourceURL=/srv/gateway/src/transports.js`)() as (
  map: Map<string, object> | undefined,
  key: string,
) => void;

/** A day of a service that forgets the transports of sessions that were aborted. */
async function service() {
  const clock = createManualClock({ startAt: Date.UTC(2026, 2, 23, 9) });
  const registry = createRegistry({
    name: 'gateway',
    maps: {
      sessions: { ttl: '5m', since: (session: { endedAt?: number }) => session.endedAt, maxIdle: '24h' },
      contexts: { follows: 'sessions' },
      transports: {},
      sockets: { maxIdle: '10m', keepWhile: (socket: { isOpen: boolean }) => socket.isOpen },
      thumbnails: { maxEntries: 40_000, weigh: () => 2_000 },
    },
    ended: {
      map: 'sessions',
      attempts: 1,
      deliver: ({ key }) => {
        if (key === 'session-700') throw new Error('connect ECONNREFUSED 127.0.0.1:5672');
      },
    },
    captureSites: 1,
    clock,
  });
  const { sessions, contexts, transports, sockets, thumbnails } = registry.maps as unknown as Record<
    string,
    Map<string, object>
  >;
  for (let socket = 0; socket < 14; socket += 1) sockets?.set(`socket-${socket}`, { isOpen: socket < 9 });
  const begun: string[] = [];
  for (let minute = 0; minute < 20 * 60; minute += 1) {
    const id = `session-${minute}`;
    sessions?.set(id, { endedAt: undefined });
    contexts?.set(id, { prompt: '' });
    openTransport(transports, id);
    begun.push(id);
    for (let picture = 0; picture < 7; picture += 1) thumbnails?.set(`${id}/${picture}`, {});
    const over = begun.length > 12 ? (begun.shift() as string) : undefined;
    if (over !== undefined) {
      const session = sessions?.get(over);
      if (session !== undefined) Object.assign(session, { endedAt: clock.now() });
      registry.end(over, { reason: 'completed' });
      if (minute % 5 !== 0) transports?.delete(over);
    }
    await clock.advance(60_000);
  }
  registry.hold('sessions', 'session-1199');
  return registry;
}

describe('the pictures of the README', () => {
  it('show the maps with the one that leaks, and that one opened', async () => {
    const registry = await service();
    const address = await served(registry, { allow: 'actions' });
    for (const { file, search, shown, colorScheme, width, height } of scenes) {
      const { page, wrongs } = await open(`${address}/${search}`, {
        colorScheme,
        viewport: { width, height },
      });
      expect(await page.textContent('.sentence')).toMatch(/1 of 5 maps leaks/);
      expect(await page.textContent('#maps tbody tr')).toMatch(/^transports.*leaking/);
      await page.evaluate(`document.querySelector('${shown}').scrollIntoView()`);
      const picture = await page.screenshot();
      expect(picture.length).toBeLessThan(mostBytes);
      if (isWriting) {
        writeFileSync(pathOf(file), picture);
      }
      expect(wrongs).toEqual([]);
      await page.context().close();
    }
    registry.stop();
  });

  it.each(scenes)('are in the README, small, and of the page as it is shown here: $file', (scene) => {
    const picture = readFileSync(pathOf(scene.file));
    expect(picture.length).toBeGreaterThan(10_000);
    expect(picture.length).toBeLessThan(mostBytes);
    // Where a PNG says how large it is.
    expect(picture.subarray(1, 4).toString('latin1')).toBe('PNG');
    expect([picture.readUInt32BE(16), picture.readUInt32BE(20)]).toEqual([scene.width, scene.height]);
    const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');
    expect(readme).toContain(`<img src="examples/demo/${scene.file}"`);
  });
});
