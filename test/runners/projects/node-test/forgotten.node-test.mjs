// Every test in here forgets an await, and has to fail.

import { afterEach, beforeEach, it } from 'node:test';
import { createRegistry } from 'mapsweep';
import { createManualClock, returnToBaseline } from 'mapsweep/testing';

let registry;

beforeEach(() => {
  registry = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
});

afterEach(() => registry.close({ deadline: 0 }));

it('of returnToBaseline, whose outcome nobody asks for', () => {
  returnToBaseline((run) => registry.maps.runs.set(run, {}), { registry }).catch(() => {});
});
