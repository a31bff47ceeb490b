import { createRegistry } from '../../src/registry/registry.js';
import { openNow } from '../../src/restart/open-journal.js';
import type { Library } from './process.js';

/** The library itself. */
export const library: Library = { createRegistry, openNow };
