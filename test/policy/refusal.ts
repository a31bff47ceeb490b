/** Returns what a call throws; throws if it throws nothing. */
export function refusalOf(call: () => unknown): Error & { code: string } {
  try {
    call();
  } catch (error) {
    if (error instanceof Error) return error as Error & { code: string };
    throw new TypeError(`no Error was thrown: ${String(error)}`);
  }
  throw new Error('nothing was thrown');
}
