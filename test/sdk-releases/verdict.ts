import type { KnownDifference } from "./known-differences.ts";
import type { Outcome } from "./outcome.ts";

/** What is wrong about a release. */
export interface Finding {
  readonly test: string;
  /** Names the release and the fact. */
  readonly message: string;
}

/** The number of different lines that a finding shows. */
const MAX_LINES = 20;

/**
 * Compares the outcomes on a release with the known differences. Finds each failure that is not known, and each known
 * difference that is absent.
 */
export function findings(
  release: string,
  outcomes: readonly Outcome[],
  known: readonly KnownDifference[],
): readonly Finding[] {
  const here = known.filter(({ releases }) => releases.includes(release));
  const say = (test: string, text: string): Finding => ({ test, message: `Agent SDK ${release}: ${text}` });
  const failed = outcomes.filter(({ state }) => state === "failed");
  const unknown = failed
    .filter((outcome) => !here.some((difference) => explains(difference, outcome)))
    .map(({ test, message, lines }) =>
      say(test, [`${test} fails: ${message}`, ...lines.slice(0, MAX_LINES)].join("\n")),
    );
  const absent = here
    .filter((difference) => !failed.some((outcome) => explains(difference, outcome)))
    .map(({ tests, differs }) =>
      say(tests, `a known difference is absent: no test fails as expected of it in ${tests}. It says: ${differs}`),
    );
  const nothing = outcomes.some(({ state }) => state === "passed") ? [] : [say("", "no test passed")];
  return [...unknown, ...absent, ...nothing];
}

function explains(difference: KnownDifference, { test, message, lines }: Outcome): boolean {
  const isOneOf = test === difference.tests || test.startsWith(`${difference.tests} > `);
  return isOneOf && message.includes(difference.message) && lines.every((line) => difference.lines.includes(line));
}
