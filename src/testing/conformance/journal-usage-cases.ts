import { deepEqual } from "node:assert/strict";
import type { UsageEntry, UsageQuery } from "../../journal/model/usage-entry.ts";
import { type JournalCases, ordered, SPENDER, spent } from "./journal-case.ts";

/** The cases about spending. */
export const USAGE_CASES: JournalCases = {
  "sums spending by any dimension": async ({ journal, write }) => {
    const [day1, day2, day3] = ["2026-01-30", "2026-01-31", "2026-02-01"] as const;
    const a = { supervisor: "s1", session: '"a"' };
    const b = { supervisor: "s2", session: '"b"' };
    await write({ type: "spent", ...a, day: day1, models: [spent("opus", 1), spent("haiku", 0.25)] });
    await write({ type: "spent", ...a, day: day1, models: [spent("opus", 2)] });
    await write({ type: "spent", ...a, day: day2, models: [spent("opus", 4)] });
    await write({ type: "spent", ...b, day: day3, models: [spent("haiku", 8)] });
    const costs = async (query: UsageQuery): Promise<unknown[]> =>
      (await journal.usage(query))
        .map((entry) => [...query.by.map((dimension) => entry[dimension]), entry.costUsd])
        .toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
    deepEqual(await costs({ by: [] }), [[15.25]]);
    deepEqual(await costs({ by: ["model"] }), [
      ["haiku", 8.25],
      ["opus", 7],
    ]);
    deepEqual(await costs({ by: ["session", "day"] }), [
      ['"a"', day1, 3.25],
      ['"a"', day2, 4],
      ['"b"', day3, 8],
    ]);
    deepEqual(await costs({ by: ["supervisor"] }), [
      ["s1", 7.25],
      ["s2", 8],
    ]);
    deepEqual(await costs({ by: [], supervisor: "s2" }), [[8]]);
    deepEqual(await costs({ by: [], session: '"a"', since: day2 }), [[4]]);
    deepEqual(await costs({ by: [], since: day1, until: day2 }), [[7.25]]);
    deepEqual(await costs({ by: [], session: '"c"' }), []);
  },

  "counts turns for the model that cost most": async ({ journal, write }) => {
    const [day1, day2] = ["2026-01-30", "2026-01-31"] as const;
    const one = { type: "spent", ...SPENDER, day: day1, turns: 1 } as const;
    await write({ ...one, models: [spent("haiku", 1), spent("opus", 2)] });
    await write({ ...one, models: [spent("haiku", 1)] }, { ...one, models: [spent("opus", 4)] });
    await write({ ...one, turns: 0, models: [spent("opus", 4)] });
    await write({ ...one, day: day2, models: [spent("opus", 4)] });
    const counts = async (query: UsageQuery): Promise<unknown[]> =>
      ordered((await journal.usage(query)).map(({ model, day, turns }) => [model ?? day ?? "", turns]));
    deepEqual(await counts({ by: [] }), [["", 4]]);
    deepEqual(await counts({ by: ["day"] }), [
      [day1, 3],
      [day2, 1],
    ]);
    deepEqual(await counts({ by: ["model"] }), [
      ["haiku", 1],
      ["opus", 3],
    ]);
    await write({ type: "session_erased", session: SPENDER.session, as: "erased" });
    deepEqual(await counts({ by: [], session: "erased" }), [["", 4]]);
  },

  "sums tokens": async ({ journal, write }) => {
    await write({ type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1), spent("m", 1)] });
    await write({ type: "spent", ...SPENDER, day: "2026-01-01", models: [spent("m", 1)] });
    const expected: UsageEntry = {
      costUsd: 3,
      usage: {
        inputTokens: 30,
        outputTokens: 60,
        cacheReadInputTokens: 90,
        cacheCreationInputTokens: 9_000_000_000_000,
      },
      turns: 0,
    };
    deepEqual(await journal.usage({ by: [] }), [expected]);
  },
};
