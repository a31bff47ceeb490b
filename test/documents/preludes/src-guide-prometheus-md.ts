/** What the blocks of this chapter presume. */
import { createRegistry } from 'mapsweep';

export const registry = createRegistry({ maps: { sessions: { maxIdle: '30m' } } });
