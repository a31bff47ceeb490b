/**
 * Whether an error of ours says that PostgreSQL has answered with one: that it does not do what it was asked, and not that
 * a connection is broken, or that it has no room or is about to stop.
 */
export function isRefusal(error: unknown): boolean {
  const { code } = ((error as { cause?: unknown }).cause ?? {}) as { code?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^(08|53|57)/.test(code);
}
