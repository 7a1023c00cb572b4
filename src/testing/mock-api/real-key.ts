/** The context of a test in vitest or `node:test`. */
export interface SkippableTest {
  /** Ends the test and reports it as skipped, with the reason. */
  skip(reason?: string): void;
}

/** The environment variable with the key of Anthropic's API. */
const VARIABLE = "ANTHROPIC_API_KEY";

/** Whether a key for the real API is set. */
export function hasRealKey(): boolean {
  return Boolean(process.env[VARIABLE]);
}

/**
 * Skips a test of the real API if no key is set.
 *
 * @returns whether a key is set, for runners whose `skip` returns
 * @example
 * test("the real model reviews", async (context) => {
 *   if (!needsRealKey(context)) return;
 *   …
 * });
 */
export function needsRealKey(test: SkippableTest): boolean {
  if (hasRealKey()) return true;
  test.skip(`${VARIABLE} is not set; this test needs the real API`);
  return false;
}
