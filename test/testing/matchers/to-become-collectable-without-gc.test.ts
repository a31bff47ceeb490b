import 'mapsweep/vitest';
import { afterEach, describe, expect, it, vi } from 'vitest';

vi.mock('node:v8', () => ({ setFlagsFromString: () => {} }));
vi.mock('node:vm', () => ({ runInNewContext: () => undefined }));

const { gc } = globalThis;

afterEach(() => {
  globalThis.gc = gc;
});

describe('expect(weakRef).toBecomeCollectable() where nothing can collect', () => {
  it('fails instead of passing or skipping, also under .not', async () => {
    globalThis.gc = undefined;
    const why =
      'this runtime cannot be made to collect garbage, so nothing can be proved: run it with --expose-gc';
    const reference = new WeakRef({});
    await expect(expect(reference).toBecomeCollectable()).rejects.toThrow(why);
    await expect(expect(reference).not.toBecomeCollectable()).rejects.toThrow(why);
  });
});
