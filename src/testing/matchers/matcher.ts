/** What the matchers read of the context that a test runner calls them in. */
export interface MatcherContext {
  readonly isNot?: boolean;
}

/** What a matcher answers. The message is for the outcome that was not asked for: with `pass`, for that of `.not`. */
export interface MatcherResult {
  readonly pass: boolean;
  message(): string;
}
