/** What the context of a test of vitest's and of `node:test`'s has. */
export interface SkippableTest {
  /** Ends the test, which is then shown as skipped, with the reason. */
  skip(reason?: string): void;
}

/** The variable that has the key of Anthropic's API. */
const VARIABLE = "ANTHROPIC_API_KEY";

/** Whether there is a key for the real API. */
export function hasRealKey(): boolean {
  return Boolean(process.env[VARIABLE]);
}

/**
 * Skips a test that asks the real API where there is no key for it, and says so in the report.
 *
 * @returns whether there is one, for runners whose `skip` goes on
 * @example
 * test("the real model reviews", async (context) => {
 *   if (!needsRealKey(context)) return;
 *   …
 * });
 */
export function needsRealKey(test: SkippableTest): boolean {
  if (hasRealKey()) return true;
  test.skip(`${VARIABLE} is not set; this test asks the real API`);
  return false;
}
