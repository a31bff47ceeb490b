import type { TimerQueue, TimerTicket } from './timer-queue.js';

/**
 * Waits for a promise until an instant, and keeps the process alive meanwhile.
 *
 * @param deadlineAt monotonic ms
 * @returns whether it was fulfilled by then; not so if it was rejected
 */
export async function isFulfilledBy(
  deadlineAt: number,
  promise: Promise<unknown>,
  timers: TimerQueue,
): Promise<boolean> {
  const releaseProcess = timers.holdProcess();
  let deadline: TimerTicket | undefined;
  const isFulfilled = await Promise.race([
    promise.then(
      () => true,
      () => false,
    ),
    new Promise<boolean>((resolve) => {
      deadline = timers.schedule(deadlineAt, () => resolve(false));
    }),
  ]);
  timers.cancel(deadline);
  releaseProcess();
  return isFulfilled;
}
