/** What the blocks of this chapter presume. */
import assert from 'node:assert/strict';
import { createRegistry, type Registry } from 'mapsweep';

export { createRegistry };

export interface Session {
  user: string;
  endedAt?: number;
}

export interface Connected {
  socket: { close(): void };
}

export interface Request {
  socketId: string;
}

export const id = 'a';
export const live = new Map<string, Session>();
export const registry = createRegistry<{ sessions: Map<string, Session> }>({
  maps: { sessions: { maxIdle: '30m' } },
});
registry.maps.sessions.set(id, { user: 'ann' });

export const runTool = async (of: string): Promise<string> => of;
export const saveTranscript = async (_of: string): Promise<void> => {};
const asked: unknown[] = [];
export const database = {
  query: async (_text: string, values: unknown[]): Promise<void> => void asked.push(...values),
};

type Names = Readonly<Record<string, unknown>>;
const mapsOf = ({ registry: made }: Names) =>
  (made as Registry).maps as Readonly<Record<string, Map<unknown, unknown>>>;

/** Something that can be closed, and how often it was. */
function closable() {
  return {
    closed: 0,
    close() {
      this.closed += 1;
    },
  };
}

/** Does something so many minutes later, as far as clocks tell. */
async function after(minutes: number, act: () => Promise<unknown>): Promise<void> {
  const clocks = [Date, performance];
  const real = clocks.map(({ now }) => now);
  clocks.forEach((clock, index) => {
    const now = real[index] as () => number;
    clock.now = () => now.call(clock) + minutes * 60_000;
  });
  await act();
  clocks.forEach((clock, index) => {
    clock.now = real[index] as () => number;
  });
}

export const afterwards: Readonly<Record<string, (names: Names) => unknown>> = {
  'What a value holds': (names) => {
    const { sessions } = mapsOf(names);
    const [one, other] = [closable(), closable()];
    sessions?.set('a', { socket: one }).set('a', { socket: one, turns: 7 });
    assert.equal(one.closed, 0);
    sessions?.set('a', { socket: other });
    sessions?.delete('a');
    assert.deepEqual([one.closed, other.closed], [1, 1]);
  },
  'Several keys, one life': (names) => {
    const { sockets, requests } = mapsOf(names);
    sockets?.set('s', { socket: closable() });
    requests?.set('r', { socketId: 's' }).set('q', { socketId: 't' });
    sockets?.delete('s');
    assert.deepEqual([...(requests?.keys() ?? [])], ['q']);
  },
  'While it is in use': ({ answer }) => {
    const say = answer as (request: string) => string;
    assert.deepEqual([say('a'), say('b')], ['held', 'there is no such session']);
  },
  'Clean-up before it leaves': async (names) => {
    const made = names.registry as Registry;
    const { sessions } = mapsOf(names);
    sessions?.set('a', { user: 'ann' });
    assert.equal(made.explain('sessions', 'a').rule, 'maxIdle');
    await after(29, () => made.sweep());
    assert.deepEqual(asked, []);
    await after(31, async () => {
      await made.sweep();
      while (sessions?.size !== 0) await new Promise(setImmediate);
    });
    assert.deepEqual(asked, [['a']]);
  },
  'Caps and owners': (names) => {
    const { sessions } = mapsOf(names);
    const mayOpen = names.mayOpen as (user: string) => boolean;
    for (let index = 0; index < 20; index += 1) sessions?.set(`s${index}`, { user: 'ann' });
    assert.deepEqual([mayOpen('ann'), mayOpen('ben')], [false, true]);
  },
  'By map and key': () => assert.equal(registry.maps.sessions.size, 0),
};
