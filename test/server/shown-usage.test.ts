import { expect, test } from "vitest";
import { shownUsage } from "../../src/server/native/shown-usage.ts";
import { usageAnswerSchema } from "../../src/wire/usage.ts";

test("reports of a node of an earlier release, which counts no turns, are valid answers", () => {
  const usage = { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 };
  const answer = shownUsage(
    [
      { costUsd: 1, usage },
      { costUsd: 2, usage, turns: 3, session: ["a", 1] },
    ],
    (name) => name,
  );
  expect(usageAnswerSchema.parse(answer)).toEqual(answer);
  expect(answer.reports).toEqual([
    { costUsd: 1, usage, turns: 0 },
    { costUsd: 2, usage, turns: 3, session: ["a", 1] },
  ]);
});
