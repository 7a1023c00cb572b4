/** How a test ended on a release. */
export interface Outcome {
  /** The file, and the titles of the groups and of the test. */
  readonly test: string;
  readonly state: "passed" | "failed" | "skipped";
  /** The message of the failure. Empty unless the test failed. */
  readonly message: string;
  /** The lines in which the expected and the actual value differ, each once, without indentation. */
  readonly lines: readonly string[];
}

/** Returns the file of a test. */
export function fileOf({ test }: Pick<Outcome, "test">): string {
  return test.split(" > ", 1)[0] ?? test;
}
