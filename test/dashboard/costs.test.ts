import fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { RequestOptions } from "../../src/client/index.ts";
import { budgetLeft, untilText } from "../../src/page/store/budgets.ts";
import { changeText, orderedRows, rowsOf, seriesOf, shareText, totalOf } from "../../src/page/store/costs.ts";
import { CostsFeed } from "../../src/page/store/costs-feed.ts";
import {
  COLUMNS,
  type CostsView,
  costsQueryOf,
  costsViewOf,
  GROUPINGS,
  orderedBy,
} from "../../src/page/store/costs-view.ts";
import { csvOf } from "../../src/page/store/csv.ts";
import {
  dayAfter,
  daysOf,
  isDay,
  LENGTHS,
  lengthOf,
  periodBefore,
  periodBetween,
  periodOf,
  withEnd,
} from "../../src/page/store/period.ts";
import { labelled, plotScale } from "../../src/page/store/plot-scale.ts";
import type { UsageReport } from "../../src/wire/usage.ts";

const VIEW = costsViewOf(new URLSearchParams());

function report(costUsd: number, of: Partial<UsageReport> = {}): UsageReport {
  const usage = { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3, cacheCreationInputTokens: 4 };
  return { costUsd, usage, turns: 1, ...of };
}

describe("periods", () => {
  test("end today in UTC, whatever the time zone of the reader", () => {
    // 23:30 in UTC is the next day in Asia.
    const late = Date.UTC(2026, 10, 24, 23, 30);
    expect(periodOf(7, late)).toEqual({ from: "2026-11-18", to: "2026-11-24" });
    expect(periodOf(30, late)).toEqual({ from: "2026-10-26", to: "2026-11-24" });
    expect(periodOf(90, late + 3_600_000).to).toBe("2026-11-25");
  });

  test("contain each day once, over months, years and a change of the clock", () => {
    for (const [from, to, days] of [
      ["2026-11-24", "2026-11-24", 1],
      ["2024-02-27", "2024-03-02", 5],
      ["2026-12-30", "2027-01-02", 4],
      ["2026-03-27", "2026-03-31", 5],
    ] as const) {
      const period = { from, to };
      expect(lengthOf(period)).toBe(days);
      expect(new Set(daysOf(period)).size).toBe(days);
      expect(daysOf(period).at(-1)).toBe(to);
      expect(lengthOf(periodBefore(period))).toBe(days);
      expect(dayAfter(periodBefore(period).to, 1)).toBe(from);
    }
  });

  test("of somebody's own days begin at the earlier one, and have at most 366 days", () => {
    expect(periodBetween("2026-11-24", "2026-11-01")).toEqual({ from: "2026-11-01", to: "2026-11-24" });
    expect(periodBetween("1999-01-01", "2026-11-24").from).toBe("2025-11-24");
    const year = { from: "2026-01-01", to: "2026-11-24" };
    expect(withEnd(year, "from", "2020-01-01")).toEqual({ from: "2020-01-01", to: "2020-12-31" });
    expect(withEnd(year, "from", "2026-12-01")).toEqual({ from: "2026-12-01", to: "2026-12-01" });
    expect(withEnd(year, "from", "2026-02-01")).toEqual({ from: "2026-02-01", to: "2026-11-24" });
    expect(withEnd(year, "to", "2025-02-01")).toEqual({ from: "2025-02-01", to: "2025-02-01" });
    expect(withEnd(year, "to", "2026-02-01")).toEqual({ from: "2026-01-01", to: "2026-02-01" });
    expect(["2026-02-30", "2026-2-3", "", "x", "2026-11-24T00:00", "0000-00-00"].filter(isDay)).toEqual([]);
  });
});

describe("the view of the costs", () => {
  test("is the same after it was in an address", () => {
    const days = fc.constantFrom("2026-11-24", "2026-01-01", "2026-06-30");
    const period = fc.oneof(
      fc.constantFrom(...LENGTHS),
      fc.tuple(days, days).map(([one, other]) => periodBetween(one, other)),
    );
    const view = fc
      .record({
        period,
        by: fc.constantFrom(...GROUPINGS),
        label: fc.string(),
        order: fc.constantFrom(...COLUMNS),
        descending: fc.boolean(),
      })
      .map((given): CostsView => ({ ...given, label: given.by === "label" ? given.label : "" }));
    fc.assert(
      fc.property(view, (given) => {
        expect(costsViewOf(new URLSearchParams(costsQueryOf(given)))).toEqual(given);
      }),
    );
    expect(costsQueryOf(VIEW)).toBe("");
  });

  test.each(["?days=8", "?days=-7", "?by=user", "?order=price", "?from=2026-11-01", "?from=x&to=y", "?label=team"])(
    "ignores what it does not know: %s",
    (query) => {
      expect(costsViewOf(new URLSearchParams(query))).toEqual(VIEW);
    },
  );

  test("orders numbers from the largest, names from A, and turns round at the second click", () => {
    const byCost = orderedBy(VIEW, "cost");
    expect(byCost).toMatchObject({ order: "cost", descending: true });
    expect(orderedBy(byCost, "cost")).toMatchObject({ descending: false });
    expect(orderedBy(byCost, "name")).toMatchObject({ order: "name", descending: false });
  });
});

describe("sums", () => {
  const days = ["2026-11-23", "2026-11-24"];
  const daily = [
    report(1, { day: "2026-11-23", model: "opus" }),
    report(2, { day: "2026-11-24", model: "opus" }),
    report(5, { day: "2026-11-24", model: "haiku" }),
    report(9, { day: "2026-11-25", model: "haiku" }),
  ];

  test("a row has what its value has spent, and the total all of it", () => {
    const rows = rowsOf(daily, "model");
    expect(rows.map(({ label, costUsd, turns, written }) => [label, costUsd, turns, written])).toEqual([
      ["opus", 3, 2, 8],
      ["haiku", 14, 2, 8],
    ]);
    expect(totalOf(daily)).toEqual({ costUsd: 17, turns: 4, input: 4, output: 8, read: 12, written: 16 });
    expect(totalOf(rowsOf([], "day").map(() => report(1))).costUsd).toBe(0);
  });

  test("a row is named by its session, its value, or the lack of one", () => {
    const names = ["a\u202eb", ["user", 7], { global: ["user", 7] }] as const;
    expect(
      rowsOf(
        names.map((session) => report(1, { session })),
        "session",
      ).map(({ label }) => label),
    ).toEqual(["a\\u202eb", "user / 7", "global user / 7"]);
    expect(rowsOf([report(1, { label: "" }), report(1)], "label").map(({ label }) => label)).toEqual([
      "(empty)",
      "without the label",
    ]);
  });

  test("rows are ordered by any column, equal ones by their name", () => {
    const rows = rowsOf([report(1, { model: "m10" }), report(1, { model: "m9" }), report(3, { model: "m1" })], "model");
    const ordered = (order: CostsView["order"], descending: boolean): string[] =>
      orderedRows(rows, { ...VIEW, by: "model", order, descending }).map(({ label }) => label);
    expect(ordered("cost", true)).toEqual(["m1", "m9", "m10"]);
    expect(ordered("cost", false)).toEqual(["m9", "m10", "m1"]);
    expect(ordered("name", true)).toEqual(["m10", "m9", "m1"]);
  });

  test("bars have the values by day, the largest value first, and nothing of other days", () => {
    expect(seriesOf(daily, "model", days)).toEqual([
      { key: '"haiku"', label: "haiku", values: [0, 5], total: 5 },
      { key: '"opus"', label: "opus", values: [1, 2], total: 3 },
    ]);
  });

  test.each([8, 9, 10, 40])("of %i values, at most nine parts have their sum", (count) => {
    const many = Array.from({ length: count }, (_, index) =>
      report(count - index, { day: "2026-11-24", model: `m${index}` }),
    );
    const series = seriesOf(many, "model", days);
    expect(series).toHaveLength(Math.min(count, 9));
    expect(series.reduce((sum, { total }) => sum + total, 0)).toBe((count * (count + 1)) / 2);
    expect(series.at(-1)?.label).toBe(count > 9 ? `${count - 8} others` : `m${count - 1}`);
  });

  test("a change is told against what was before, if there was anything", () => {
    const changes = [
      [112, 100],
      [50, 100],
      [100.2, 100],
      [5_000, 100],
      [0, 100],
      [1, 0],
    ] as const;
    expect(changes.map(([now, before]) => changeText(now, before))).toEqual([
      "+12%",
      "−50%",
      "no change",
      "50 times",
      "−100%",
      undefined,
    ]);
    expect([shareText(1, 2), shareText(1, 500), shareText(0, 5), shareText(0, 0)]).toEqual(["50%", "<1%", "0%", "0%"]);
  });
});

test("a budget has at least nothing left, and says when it is whole again", () => {
  expect(budgetLeft({ limitUsd: 5, spentUsd: 1.5, per: "day" })).toBe(3.5);
  expect(budgetLeft({ limitUsd: 5, spentUsd: 7, per: "ever" })).toBe(0);
  expect([0, 30_000, 600_000, 5 * 3_600_000].map((left) => untilText(left, 0))).toEqual([
    "a moment",
    "1 min",
    "10 min",
    "5 h",
  ]);
});

describe("the table as CSV", () => {
  test.each([
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["  =1+1", "'  =1+1"],
    ["\t=1", "'\t=1"],
    ['say "hi"', '"say ""hi"""'],
    ["a,b", '"a,b"'],
    ["two\nlines", '"two\nlines"'],
    ['=HYPERLINK("http://a.example","x")', '"\'=HYPERLINK(""http://a.example"",""x"")"'],
    ["a-b=c", "a-b=c"],
    ["", ""],
  ])("%j is a harmless field", (given, field) => {
    expect(csvOf(["name"], [[given]])).toBe(`name\r\n${field}\r\n`);
  });

  test("keeps numbers as they are", () => {
    expect(
      csvOf(
        ["a", "b"],
        [
          [1.5, "x"],
          [0, "-"],
        ],
      ),
    ).toBe("a,b\r\n1.5,x\r\n0,'-\r\n");
  });

  test("is read back as it was, except for the apostrophes", () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.string({ unit: "grapheme" }), { minLength: 2, maxLength: 2 })), (rows) => {
        const read = parsed(csvOf(["a", "b"], rows)).slice(1);
        expect(read.map((row) => row.map((field) => field.replace(/^'/, "")))).toEqual(
          rows.map((row) => row.map((field) => field.replace(/^'/, ""))),
        );
        for (const field of read.flat()) expect(field).not.toMatch(/^[=+\-@\t\r]/);
      }),
    );
  });
});

describe("the axis of a plot", () => {
  test("ends at or above the largest value, in steps that people count in", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (most) => {
        const { end, ticks } = plotScale(most);
        expect(end).toBeGreaterThanOrEqual(most * (1 - 1e-9));
        expect(end).toBeLessThanOrEqual(most * 2.5);
        expect(ticks.length).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(6);
        expect(String(Number((ticks[1] ?? 0).toPrecision(6)))).toMatch(/^[0.]*[125]0*(e[+-]\d+)?$/);
      }),
    );
    expect(plotScale(60)).toEqual({ end: 60, ticks: [0, 20, 40, 60] });
    expect(plotScale(0)).toEqual({ end: 1, ticks: [0] });
  });

  test.each([1, 7, 30, 90, 366])("labels the last of %i bars, and no more than there is room for", (count) => {
    const has = labelled(count, 8);
    const indexes = Array.from({ length: count }, (_, index) => index).filter(has);
    expect(indexes.at(-1)).toBe(count - 1);
    expect(indexes.length).toBeLessThanOrEqual(9);
  });
});

/** Reads CSV as RFC 4180 defines it. */
function parsed(csv: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const [, quoted, bare = "", end] of csv.matchAll(/(?:"((?:[^"]|"")*)"|([^,\r\n"]*))(,|\r\n)/g)) {
    row.push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end === ",") continue;
    rows.push(row);
    row = [];
  }
  return rows;
}

describe("the feed", () => {
  /** A feed of a server that takes so long for an answer. */
  function feedOf(answerMs: number): { readonly feed: CostsFeed; readonly answered: () => number } {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    let answered = 0;
    const answer = async <Value>(value: Value, { signal }: RequestOptions = {}): Promise<Value> => {
      await new Promise((resolve) => setTimeout(resolve, answerMs));
      signal?.throwIfAborted();
      answered += 1;
      return value;
    };
    const client: ConstructorParameters<typeof CostsFeed>[0]["client"] = {
      usage: (_, options) => answer([report(1, { day: "2026-11-24" })], options),
      budgets: (options) => answer([], options),
    };
    return { feed: new CostsFeed({ client }), answered: () => answered };
  }

  test.each([10, 900, 3_000])(
    "shows the costs although turns end all the time and an answer takes %i ms",
    async (ms) => {
      const { feed, answered } = feedOf(ms);
      feed.show(VIEW, false);
      for (let at = 0; at < 60_000; at += 250) {
        feed.showSoon(VIEW, false);
        await vi.advanceTimersByTimeAsync(250);
      }
      expect(feed.state.value).toBe("ready");
      // Three questions at once.
      const reads = answered() / 3;
      expect(reads).toBeGreaterThan(3);
      expect(reads * ms).toBeLessThan(60_000 * 0.35);
      feed.stop();
      await vi.advanceTimersByTimeAsync(60_000);
      expect(answered() / 3 - reads).toBeLessThanOrEqual(1);
    },
  );

  test("shows what was spent while an answer was awaited, and nothing after it is left", async () => {
    const { feed, answered } = feedOf(500);
    feed.show(VIEW, false);
    await vi.advanceTimersByTimeAsync(100);
    feed.showSoon(VIEW, false);
    await vi.advanceTimersByTimeAsync(30_000);
    const twice = answered();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(answered()).toBe(twice);
    feed.showSoon(VIEW, false);
    feed.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(answered()).toBe(twice);
  });
});
