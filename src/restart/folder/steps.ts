/**
 * One system call, to be made either on the caller's time or in the thread pool.
 *
 * The folder journal is written once, as generators of such calls. `runNow` drives them to the end at once, as in
 * `createRegistry` and with the last words of a process; `run` gives the event loop a turn at each of them.
 */
export interface SystemCall {
  readonly now: () => unknown;
  readonly later: () => Promise<unknown>;
}

/** Work that makes system calls and returns a `T`. What a call throws is thrown where it was made. */
export type Steps<T> = Generator<SystemCall, T, unknown>;

/** Makes one system call. Both functions have to do the same. */
export function* call<T>(now: () => T, later: () => Promise<T>): Steps<T> {
  return (yield { now, later }) as T;
}

/** Does all the work on the caller's time. */
export function runNow<T>(steps: Steps<T>): T {
  let next = steps.next();
  while (!next.done) {
    let result: unknown;
    try {
      result = next.value.now();
    } catch (error) {
      next = steps.throw(error);
      continue;
    }
    next = steps.next(result);
  }
  return next.value;
}

/** Does the work up to the first system call on the caller's time, and the rest in a turn of the loop for each call. */
export async function run<T>(steps: Steps<T>): Promise<T> {
  let next = steps.next();
  while (!next.done) {
    let result: unknown;
    try {
      result = await next.value.later();
    } catch (error) {
      next = steps.throw(error);
      continue;
    }
    next = steps.next(result);
  }
  return next.value;
}
