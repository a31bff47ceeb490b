import { AsyncResource } from 'node:async_hooks';

// Taken while the module loads, so before any request: what runs in it sees, and keeps alive, no request's stores.
const atLoad = new AsyncResource('mapsweep');

// Before Node 24, an `enterWith()` writes to the resource it runs in. In the shared one it would stay for good and
// every later callback would see it, so each call gets a resource of its own.
const resourceOfOneCall = () => new AsyncResource('mapsweep');

/**
 * Runs `fn` now, in the async context that was current when mapsweep was loaded, and returns its result. What `fn`
 * starts (timers, promises) therefore pins nobody's request. What it throws passes through.
 */
export function detached<T>(fn: () => T): T {
  return atLoad.runInAsyncScope(resourceOfOneCall).runInAsyncScope(fn);
}
