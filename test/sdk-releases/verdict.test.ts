import { describe, expect, test } from "vitest";
import type { KnownDifference } from "./known-differences.ts";
import type { Outcome } from "./outcome.ts";
import { findings } from "./verdict.ts";

const passed: Outcome = { test: "a.test.ts > starts", state: "passed", message: "", lines: [] };
const failed: Outcome = {
  test: "b.test.ts > a session > resumes",
  state: "failed",
  message: "expected 1 to be 2",
  lines: ["- 1", "+ 2"],
};
const known: KnownDifference = {
  releases: ["1.2.3"],
  differs: "It resumes twice.",
  tests: "b.test.ts > a session",
  message: "to be",
  lines: ["- 1", "+ 2"],
};

const messages = (outcomes: readonly Outcome[], differences: readonly KnownDifference[] = []): string[] =>
  findings("1.2.3", outcomes, differences).map(({ message }) => message);

const FAILS = "Agent SDK 1.2.3: b.test.ts > a session > resumes fails: expected 1 to be 2\n- 1\n+ 2";
const ABSENT =
  "Agent SDK 1.2.3: a known difference is absent: no test fails as expected of it in b.test.ts > a session. It says: It resumes twice.";

describe("findings", () => {
  test("are none if all tests pass, or fail as is known", () => {
    expect(messages([passed])).toEqual([]);
    expect(messages([passed, failed], [known])).toEqual([]);
  });

  test("name release and fact of a failure that is not known", () => {
    expect(messages([passed, failed])).toEqual([FAILS]);
    expect(messages([passed, failed], [{ ...known, releases: ["1.2.2"] }])).toEqual([FAILS]);
  });

  test.each<Partial<KnownDifference>>([
    { message: "Test timed out" },
    { lines: ["- 1"] },
    { tests: "b.test.ts > a sess" },
  ])("name a failure other than the known one, whose difference is then absent: %j", (other) => {
    const all = messages([passed, failed], [{ ...known, ...other }]);
    expect(all).toEqual([FAILS, ABSENT.replace(known.tests, other.tests ?? known.tests)]);
  });

  test.each(["passed", "skipped", "missing"])("name a known difference whose test is %s", (state) => {
    const outcomes = state === "missing" ? [passed] : [passed, { ...failed, state, message: "", lines: [] } as Outcome];
    expect(messages(outcomes, [known])).toEqual([ABSENT]);
  });

  test("say that no test passed", () => {
    expect(messages([])).toEqual(["Agent SDK 1.2.3: no test passed"]);
  });
});
