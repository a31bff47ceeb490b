import { once } from 'node:events';
import { createServer, get } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { setTimeout as realTimeout } from 'node:timers/promises';
import { createRegistry } from 'mapsweep';
import { createManualClock, returnToBaseline } from 'mapsweep/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';

afterEach(() => {
  vi.useRealTimers();
});

const hint = {
  code: 'ERR_NO_CLOCK',
  message: expect.stringMatching(/^returnToBaseline: run 3 of the scenario waits, and all that is going on/),
};

const setUp = (deliver?: () => unknown) => {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<number, object> }>({
    maps: { runs: { ttl: '5m' } },
    ended: { map: 'runs', deliver },
    clock,
  });
  return { clock, registry, runs: registry.maps.runs };
};

// More than those of vitest that were there before and may be over by now: each of these hides one.
const someTimers = (ms: number) => Array.from({ length: 5 }, () => setTimeout(() => {}, ms));

// Real time passes in these, since that is what a scenario which hangs would take.
describe('a scenario that waits for time which nobody lets pass', () => {
  it('is told so where it waits for the manual clock', async () => {
    const { clock, registry, runs } = setUp();
    const scenario = (run: number) => {
      runs.set(run, {});
      return run < 3 || new Promise<void>((resolve) => clock.setTimeout(resolve, 50));
    };
    await expect(returnToBaseline(scenario, { registry })).rejects.toMatchObject(hint);
  });

  it('is told so where the test runner sets its timer only after the test was called, as mocha does', async () => {
    const { clock, registry } = setUp();
    const scenario = (run: number) =>
      run < 3 || new Promise<void>((resolve) => clock.setTimeout(resolve, 50));
    const check = returnToBaseline(scenario, { registry, runTimeout: '2s' });
    const timers = someTimers(60_000);
    await expect(check).rejects.toMatchObject(hint);
    for (const timer of timers) clearTimeout(timer);
  });

  it('is told so where a short real timer runs now and then, as those of Jest do', async () => {
    const { clock, registry } = setUp();
    const scenario = (run: number) =>
      run < 3 || new Promise<void>((resolve) => clock.setTimeout(resolve, 50));
    const heartbeat = setInterval(() => someTimers(200), 700).unref();
    await expect(returnToBaseline(scenario, { registry, runTimeout: '4s' })).rejects.toMatchObject(hint);
    clearInterval(heartbeat);
  });

  it('is told so where it advances the clock by too little', async () => {
    const { clock, registry, runs } = setUp();
    const scenario = async (run: number) => {
      runs.set(run, {});
      if (run < 3) return;
      const done = new Promise<void>((resolve) => clock.setTimeout(resolve, 2_000));
      await clock.advance(1_000);
      await done;
    };
    await expect(returnToBaseline(scenario, { registry })).rejects.toMatchObject(hint);
  });

  it('is told so where it waits for the fake timers of vitest', async () => {
    vi.useFakeTimers();
    const registry = createRegistry<{ runs: Map<number, object> }>({ maps: { runs: { ttl: '5m' } } });
    const scenario = (run: number) => {
      registry.maps.runs.set(run, {});
      return run < 3 || new Promise((resolve) => setTimeout(resolve, 50));
    };
    const clock = { advance: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
    await expect(returnToBaseline(scenario, { registry, clock })).rejects.toMatchObject(hint);
    registry.stop();
  });

  it('is told so where it waits for the retry of a delivery', async () => {
    let tell = (): void => {};
    const { registry, runs } = setUp(() => {
      if (runs.size > 0) throw new Error('busy');
      tell();
    });
    const scenario = (run: number) => {
      if (run < 3) return;
      runs.set(run, {});
      registry.end(run);
      return new Promise<void>((resolve) => {
        tell = resolve;
      });
    };
    await expect(returnToBaseline(scenario, { registry })).rejects.toMatchObject(hint);
  });
});

describe('a run that never settles', () => {
  it.each<[string, (wait: () => void) => unknown]>([
    ['nothing goes on', () => {}],
    ['timers go on and on', (wait) => setInterval(wait, 10)],
  ])('is told with its number, where %s', async (_what, begin) => {
    const { registry, runs } = setUp();
    let going: unknown;
    const scenario = (run: number) => {
      runs.set(run, {});
      if (run < 3) return;
      going = begin(() => {});
      return new Promise(() => {});
    };
    await expect(returnToBaseline(scenario, { registry, runTimeout: '300ms' })).rejects.toMatchObject({
      code: 'ERR_CALLBACK_TIMEOUT',
      message: expect.stringMatching(/^returnToBaseline: run 3 of the scenario has not settled within 300ms/),
    });
    clearInterval(going as NodeJS.Timeout);
  });
});

describe('a scenario that takes its time', () => {
  it('is left alone while a real timer runs, with a fake one beside it', async () => {
    const { clock, registry, runs } = setUp();
    const scenario = async (run: number) => {
      runs.set(run, {});
      clock.setTimeout(() => {}, 60_000);
      if (run === 0) await realTimeout(900);
    };
    expect(await returnToBaseline(scenario, { registry, times: 2, warmup: 1 })).toMatchObject({ held: true });
  });

  it('is left alone while a request is under way, with a fake timer as its time-out', async () => {
    const server = createServer((_request, response) => {
      setTimeout(() => response.end('done'), 900);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const { clock, registry, runs } = setUp();
    const scenario = async (run: number) => {
      runs.set(run, {});
      const timer = clock.setTimeout(() => {}, 60_000);
      if (run === 0) {
        await new Promise((resolve) =>
          get({ port, host: '127.0.0.1' }, (response) => resolve(response.resume())),
        );
      }
      clock.clearTimeout(timer);
    };
    expect(await returnToBaseline(scenario, { registry, times: 2, warmup: 1 })).toMatchObject({ held: true });
    await new Promise((resolve) => server.close(resolve));
  });

  it('is left alone while it waits for an answer over a connection that was there before', async () => {
    const server = createTcpServer((peer) => {
      peer.on('data', () => setTimeout(() => peer.write('done'), 1_800).unref());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    const { clock, registry, runs } = setUp();
    const scenario = async (run: number) => {
      runs.set(run, {});
      const timer = clock.setTimeout(() => {}, 60_000);
      if (run === 0) {
        socket.write('do');
        await once(socket, 'data');
      }
      clock.clearTimeout(timer);
    };
    expect(await returnToBaseline(scenario, { registry, times: 2, warmup: 1 })).toMatchObject({ held: true });
    socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  it('is left alone while it advances the clock itself', async () => {
    const { clock, registry, runs } = setUp();
    const scenario = async (run: number) => {
      runs.set(run, {});
      const waited = new Promise<void>((resolve) => clock.setTimeout(resolve, 60_000));
      await clock.advance(60_000);
      await waited;
    };
    expect(await returnToBaseline(scenario, { registry, times: 5 })).toMatchObject({ held: true });
  });
});
