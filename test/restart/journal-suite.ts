import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Journal } from '../../src/restart/journal.js';

/** Where journals are kept by one implementation, one owner at a time. */
export interface Medium {
  open(): Promise<Journal>;
  /** What the next owner would find if the present one died now. */
  copy(): Medium;
  /** Lets writes fail after some bytes or records of them, until it is called with `false`. */
  fail(isFailing: boolean): void;
  /** Removes whatever was made. */
  dispose(): void;
}

const record = (...content: unknown[]): string => JSON.stringify(content);

/** All that the owners before have left, as one list of records. */
const pastOf = (journal: Journal): unknown[] => [...journal.takePast()].flat();

const readAll = async (medium: Medium): Promise<unknown[]> => {
  const journal = await medium.open();
  const past = pastOf(journal);
  journal.release();
  return past;
};

const settled = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
};

/** What every journal promises, whatever it is kept in. */
export function describeJournal(name: string, makeMedium: () => Medium): void {
  describe(name, () => {
    let medium: Medium;
    let opened: Journal[];

    beforeEach(() => {
      medium = makeMedium();
      opened = [];
    });

    afterEach(() => {
      medium.fail(false);
      for (const journal of opened) journal.release();
      medium.dispose();
    });

    const open = async (preamble: string[] = []): Promise<Journal> => {
      const journal = await medium.open();
      opened.push(journal);
      journal.begin(() => preamble);
      return journal;
    };

    it('has no past at first', async () => {
      expect(pastOf(await open())).toEqual([]);
    });

    it('hands over what was appended, in its order, to the next owner', async () => {
      const journal = await open();
      await journal.append([record('a', 1), record('b', 2)]);
      await journal.append([record('c', 3)]);
      journal.release();
      expect(await readAll(medium)).toEqual([
        ['a', 1],
        ['b', 2],
        ['c', 3],
      ]);
    });

    it('has all that was acknowledged when its owner dies', async () => {
      const journal = await open();
      for (let index = 0; index < 50; index += 1) {
        await journal.append([record(index)]);
        if (index % 10 === 0)
          expect(await readAll(medium.copy())).toEqual(Array.from({ length: index + 1 }, (_, n) => [n]));
      }
    });

    it('hands over the past once', async () => {
      const journal = await open();
      await journal.append([record('a')]);
      journal.release();
      const next = await open();
      expect(pastOf(next)).toEqual([['a']]);
      expect(pastOf(next)).toEqual([]);
    });

    it('hands over the past as it was at the beginning, also after something was appended', async () => {
      const journal = await open();
      await journal.append([record('a')]);
      journal.release();
      const next = await open();
      await next.append([record('b')]);
      expect(pastOf(next)).toEqual([['a']]);
    });

    it('hands over what three owners have left, oldest first', async () => {
      for (const owner of ['a', 'b', 'c']) {
        const journal = await open([record('owner', owner)]);
        await journal.append([record(owner)]);
        journal.release();
      }
      expect(await readAll(medium)).toEqual([
        ['owner', 'a'],
        ['a'],
        ['owner', 'b'],
        ['b'],
        ['owner', 'c'],
        ['c'],
      ]);
    });

    it('keeps every text: odd names, all of Unicode, half of a pair, 1 MB', async () => {
      const texts = [
        '__proto__',
        'constructor',
        '',
        '\0\n"\\',
        'ü€😀',
        '\ud800',
        '\udc00x',
        'x'.repeat(1 << 20),
      ];
      const journal = await open();
      await journal.append(texts.map((text) => record('key', text)));
      journal.release();
      expect(await readAll(medium)).toEqual(texts.map((text) => ['key', text]));
    });

    it('keeps 100,000 records of one append in their order', async () => {
      const journal = await open();
      await journal.append(Array.from({ length: 100_000 }, (_, index) => record('run', index)));
      journal.release();
      const past = await readAll(medium);
      expect(past.length).toBe(100_000);
      expect(past.every((item, index) => (item as unknown[])[1] === index)).toBe(true);
    });

    it('keeps what it gives to nobody else: records of one owner are not those of the next', async () => {
      const journal = await open();
      await journal.append([record({ deep: [1] })]);
      journal.release();
      const [[first]] = (await readAll(medium)) as [[{ deep: number[] }]];
      first.deep.push(2);
      expect(await readAll(medium)).toEqual([[{ deep: [1] }]]);
    });

    it('writes nothing for an append without records', async () => {
      const journal = await open([record('preamble')]);
      const { size } = journal;
      await journal.append([]);
      expect(journal.size).toBe(size);
      expect(await readAll(medium.copy())).toEqual([]);
    });

    it('grows by what is appended', async () => {
      const journal = await open();
      await journal.append([record('x'.repeat(1000))]);
      const { size } = journal;
      expect(size).toBeGreaterThan(1000);
      await journal.append([record('x'.repeat(1000))]);
      expect(journal.size - size).toBeGreaterThan(1000);
    });

    it('puts the preamble before the first record, as it is then', async () => {
      let state = 'before';
      const journal = await open();
      journal.begin(() => [record('preamble', state)]);
      state = 'at the first append';
      await journal.append([record('a')]);
      state = 'later';
      await journal.append([record('b')]);
      journal.release();
      const past = await readAll(medium);
      expect(past.slice(0, 2)).toEqual([['preamble', 'at the first append'], ['a']]);
      expect(past.at(-1)).toEqual(['b']);
    });

    describe('with a checkpoint', () => {
      it('leaves out what a completed checkpoint has superseded, and keeps what came after', async () => {
        const journal = await open([record('preamble')]);
        await journal.append([record('old')]);
        await journal.beginCheckpoint();
        await journal.append([record('live')]);
        await journal.endCheckpoint();
        await journal.append([record('new')]);
        const past = await readAll(medium.copy());
        expect(past.filter((item) => (item as string[])[0] !== 'preamble')).toEqual([['live'], ['new']]);
        expect(past[0]).toEqual(['preamble']);
      });

      it('keeps old and new while a checkpoint is under way', async () => {
        const journal = await open();
        await journal.append([record('old')]);
        await journal.beginCheckpoint();
        expect(await readAll(medium.copy())).toEqual([['old']]);
        await journal.append([record('live')]);
        expect(await readAll(medium.copy())).toEqual([['old'], ['live']]);
      });

      it('supersedes what earlier owners have left', async () => {
        const first = await open();
        await first.append([record('old')]);
        first.release();
        const second = await open();
        await second.beginCheckpoint();
        await second.append([record('live')]);
        await second.endCheckpoint();
        second.release();
        expect(await readAll(medium)).toEqual([['live']]);
      });

      it('leaves what was there if its owner dies before the end, and the next one supersedes that', async () => {
        const first = await open();
        await first.append([record('old')]);
        await first.beginCheckpoint();
        await first.append([record('half')]);
        first.release();
        const second = await open();
        expect(pastOf(second)).toEqual([['old'], ['half']]);
        await second.beginCheckpoint();
        await second.append([record('whole')]);
        await second.endCheckpoint();
        second.release();
        expect(await readAll(medium)).toEqual([['whole']]);
      });

      it('supersedes all if nothing is live', async () => {
        const journal = await open();
        await journal.append([record('old')]);
        await journal.beginCheckpoint();
        await journal.endCheckpoint();
        expect(await readAll(medium.copy())).toEqual([]);
        await journal.append([record('new')]);
        journal.release();
        expect(await readAll(medium)).toEqual([['new']]);
      });

      it('begins anew if it is begun again', async () => {
        const journal = await open();
        await journal.beginCheckpoint();
        await journal.append([record('first')]);
        await journal.beginCheckpoint();
        await journal.append([record('second')]);
        await journal.endCheckpoint();
        expect(await readAll(medium.copy())).toEqual([['second']]);
      });

      it('does not end what was not begun', async () => {
        const journal = await open();
        await expect(journal.endCheckpoint()).rejects.toThrow('without beginCheckpoint');
      });

      it('can be had 20 times in a row, and the journal stays as small as what is live', async () => {
        const journal = await open([record('preamble')]);
        for (let round = 0; round < 20; round += 1) {
          await journal.append([record('x'.repeat(10_000))]);
          await journal.beginCheckpoint();
          await journal.append([record('live', round)]);
          await journal.endCheckpoint();
        }
        await settled(() => journal.size < 10_000);
        const past = await readAll(medium.copy());
        expect(past.filter((item) => (item as string[])[0] !== 'preamble')).toEqual([['live', 19]]);
      });
    });

    describe('with an owner', () => {
      it('refuses another one, and says so by its code', async () => {
        await open();
        await expect(medium.open()).rejects.toMatchObject({ code: 'ERR_JOURNAL_LOCKED' });
      });

      it('admits the next one at once after a release', async () => {
        for (let turn = 0; turn < 5; turn += 1) {
          const journal = await open();
          journal.release();
        }
      });

      it('may be given back twice', async () => {
        const journal = await open();
        journal.release();
        const next = await open();
        journal.release();
        await next.append([record('a')]);
        next.release();
        expect(await readAll(medium)).toEqual([['a']]);
      });

      it('takes nothing after it was given back', async () => {
        const journal = await open();
        journal.release();
        await expect(journal.append([record('late')])).rejects.toMatchObject({ code: 'ERR_CLOSED' });
        await expect(journal.beginCheckpoint()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
        expect(() => journal.appendNow([record('late')])).toThrow(
          expect.objectContaining({ code: 'ERR_CLOSED' }),
        );
        expect(await readAll(medium)).toEqual([]);
      });

      it('acknowledges nothing that was under way when it was given back', async () => {
        const journal = await open();
        await journal.append([record('a')]);
        const append = journal.append([record('b')]);
        journal.release();
        await expect(append).rejects.toMatchObject({ code: 'ERR_CLOSED' });
        expect((await readAll(medium)).slice(0, 1)).toEqual([['a']]);
      });

      it('refuses a call before the one before it has ended', async () => {
        const journal = await open();
        const append = journal.append([record('a')]);
        await expect(journal.append([record('b')])).rejects.toThrow('before the next one');
        await append;
      });
    });

    describe('with last words', () => {
      it('has them when the call returns', async () => {
        const journal = await open();
        await journal.append([record('a')]);
        journal.appendNow([record('b')]);
        expect(await readAll(medium.copy())).toEqual([['a'], ['b']]);
      });

      it('has what was under way before them, and acknowledges that too', async () => {
        const journal = await open([record('preamble')]);
        await journal.append([record('a')]);
        const append = journal.append([record('b'), record('c')]);
        journal.appendNow([record('d')]);
        const copy = medium.copy();
        await append;
        journal.release();
        for (const where of [copy, medium]) {
          const past = await readAll(where);
          expect(past.filter((item) => (item as string[])[0] !== 'preamble')).toEqual([
            ['a'],
            ['b'],
            ['c'],
            ['d'],
          ]);
        }
      });

      it('has what was under way once, however many last words there are', async () => {
        const journal = await open();
        await journal.append([record('a')]);
        const append = journal.append([record('b')]);
        for (const word of ['c', 'd', 'e']) journal.appendNow([record(word)]);
        await append;
        journal.release();
        expect((await readAll(medium)).flat()).toEqual(['a', 'b', 'c', 'd', 'e']);
      });

      it('goes on after them', async () => {
        const journal = await open();
        const append = journal.append([record('a')]);
        journal.appendNow([]);
        await append;
        await journal.append([record('b')]);
        await journal.beginCheckpoint();
        await journal.append([record('c')]);
        await journal.endCheckpoint();
        expect(await readAll(medium.copy())).toEqual([['c']]);
      });

      it('loses nothing of a checkpoint that was just ending', async () => {
        const journal = await open();
        await journal.append([record('old')]);
        await journal.beginCheckpoint();
        await journal.append([record('live')]);
        const end = journal.endCheckpoint();
        journal.appendNow([record('last')]);
        await end;
        journal.release();
        expect((await readAll(medium)).slice(-2)).toEqual([['live'], ['last']]);
      });
    });

    describe('with a medium that fails', () => {
      it('rejects, and takes the same records later, once and in their place', async () => {
        const journal = await open([record('preamble')]);
        await journal.append([record('a')]);
        medium.fail(true);
        for (let attempt = 0; attempt < 3; attempt += 1)
          await expect(journal.append([record('b'), record('x'.repeat(9999))])).rejects.toThrow();
        expect(() => journal.appendNow([record('b')])).toThrow();
        medium.fail(false);
        expect(await readAll(medium.copy())).toEqual([['preamble'], ['a']]);
        await journal.append([record('b'), record('x'.repeat(9999))]);
        await journal.append([record('c')]);
        journal.release();
        const past = await readAll(medium);
        expect(past.filter((item) => (item as string[])[0] !== 'preamble')).toEqual([
          ['a'],
          ['b'],
          ['x'.repeat(9999)],
          ['c'],
        ]);
      });

      it('starts on a medium that fails, and takes the first records once it does not', async () => {
        medium.fail(true);
        const journal = await open();
        await expect(journal.append([record('a')])).rejects.toThrow();
        medium.fail(false);
        await journal.append([record('a')]);
        journal.release();
        expect(await readAll(medium)).toEqual([['a']]);
      });

      it('ends a checkpoint that could not be ended', async () => {
        const journal = await open();
        await journal.append([record('old')]);
        await journal.beginCheckpoint();
        await journal.append([record('live')]);
        medium.fail(true);
        await expect(journal.endCheckpoint()).rejects.toThrow();
        medium.fail(false);
        expect(await readAll(medium.copy())).toEqual([['old'], ['live']]);
        await journal.endCheckpoint();
        expect(await readAll(medium.copy())).toEqual([['live']]);
      });

      it('acknowledges what was under way only if last words did come through', async () => {
        const journal = await open();
        await journal.append([record('a')]);
        const append = journal.append([record('b')]);
        medium.fail(true);
        expect(() => journal.appendNow([record('c')])).toThrow();
        medium.fail(false);
        const outcome = await append.then(
          () => 'there',
          () => 'not there',
        );
        const past = await readAll(medium.copy());
        if (outcome === 'there') expect(past).toEqual([['a'], ['b']]);
        await journal.append([record('c')]);
        journal.release();
        expect((await readAll(medium)).at(-1)).toEqual(['c']);
      });
    });
  });
}
