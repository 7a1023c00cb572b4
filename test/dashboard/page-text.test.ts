import { describe, expect, test } from "vitest";
import { addressOf, pathOf } from "../../src/page/store/address.ts";
import {
  agoText,
  bytesText,
  dollarsText,
  durationText,
  fullTimeText,
  partText,
  plural,
  shortText,
  timeText,
} from "../../src/page/store/format.ts";
import { plain, plainLines, shownName } from "../../src/page/store/shown-name.ts";

describe("addresses", () => {
  test.each([
    "assistant",
    ["support", 42],
    { global: ["a", "b"] },
    "a/b?c#d%",
    '<img src=x onerror="x">',
    "\u202e",
    "..",
  ] as const)("the session %j has an address of its own", (name) => {
    const path = pathOf({ page: "session", name });
    const { pathname, search, hash } = new URL(`http://a.example/base${path}`);
    expect([search, hash]).toEqual(["", ""]);
    expect(addressOf(pathname.slice("/base".length))).toEqual({ page: "session", name });
  });

  test.each([
    "/x",
    "/sessions",
    "/sessions/%",
    "/sessions/assistant",
    "/sessions/42",
    "/sessions/null",
    "/sessions/[]",
    "/sessions/%22a%22/x",
    "/sessions/{}",
  ])("%s shows nothing", (path) => {
    expect(addressOf(path)).toEqual({ page: "missing" });
  });

  test.each(["", "/", "//"])("%j shows the fleet", (path) => {
    expect(addressOf(path)).toEqual({ page: "fleet" });
  });
});

describe("what others wrote", () => {
  test("a name shows its hidden, reordering and terminal characters", () => {
    expect(shownName("a\u202eb\u0000\u200b\n")).toBe("a\\u202eb\\u0000\\u200b\\u000a");
    expect(shownName(["user", 42])).toBe("user / 42");
    expect(shownName({ global: ["user", "ä"] })).toBe("global user / ä");
    expect(plain("\u001b]0;title\u0007")).toBe("\\u001b]0;title\\u0007");
  });

  test("a text of several lines loses colours and cursor movements, and keeps its lines, tabs and emoji", () => {
    expect(plainLines("\u001b[31mred\u001b[0m\r\nline\t2\u001b]8;;https://x\u0007link\u001b]8;;\u001b\\")).toBe(
      "red\nline\t2link",
    );
    expect(plainLines("a\u202eb\u0007")).toBe("a\\u202eb\\u0007");
    expect(plainLines("👩‍💻 می‌خواهم")).toBe("👩‍💻 می‌خواهم");
    expect(plainLines("\u001b[")).toBe("\\u001b[");
    expect(plainLines("<b>&amp;</b>")).toBe("<b>&amp;</b>");
  });
});

describe("numbers and times", () => {
  test("sizes, money and counts", () => {
    expect([0, 999, 1_024, 412 * 2 ** 20, 1_023_600, 3.12 * 2 ** 30, 3_000 * 2 ** 40].map(bytesText)).toEqual([
      "0 B",
      "999 B",
      "1 kB",
      "412 MB",
      "1 MB",
      "3.1 GB",
      "3000 TB",
    ]);
    expect(partText(3.12 * 2 ** 30, 8 * 2 ** 30)).toBe("3.1 of 8 GB");
    expect(partText(412 * 2 ** 20, 1.5 * 2 ** 30)).toBe("412 MB of 1.5 GB");
    expect(partText(0, 100)).toBe("0 of 100 B");
    expect([0, 0.00001, 0.00423, 1.254, 1_250.4].map(dollarsText)).toEqual([
      "$0",
      "<$0.0001",
      "$0.0042",
      "$1.25",
      "$1,250",
    ]);
    expect([9_999, 12_345, 1_250_000, 1.52e9].map(shortText)).toEqual(["9,999", "12 k", "1.3 M", "1.5 bn"]);
    expect([plural(1, "turn"), plural(0, "turn"), plural(2_000, "turn")]).toEqual(["1 turn", "0 turns", "2,000 turns"]);
  });

  test("how long something took", () => {
    expect([-1, 440, 9_949, 9_960, 59_400, 185_000, 7_800_000].map(durationText)).toEqual([
      "0.0 s",
      "0.4 s",
      "9.9 s",
      "10 s",
      "59 s",
      "3 min 5 s",
      "2 h 10 min",
    ]);
  });

  test("how long ago, also if the clocks differ", () => {
    const now = 1_000_000_000;
    expect([-5_000, 2_000, 12_400, 300_000, 7_200_000, 400_000_000].map((ago) => agoText(now - ago, now))).toEqual([
      "now",
      "now",
      "12 s",
      "5 min",
      "2 h",
      "4 d",
    ]);
  });

  test("times are those of the reader's zone, with the date unless it is the reader's today", () => {
    const at = Date.UTC(2026, 10, 24, 23, 30);
    const now = Date.UTC(2026, 10, 25, 1, 0);
    expect(timeText(at, now, "UTC")).toBe("2026-11-24 23:30");
    expect(timeText(at, now, "Europe/Berlin")).toBe("00:30");
    expect(timeText(at, now, "America/New_York")).toBe("18:30");
    expect(fullTimeText(at, "Asia/Kolkata")).toMatch(/25 Nov 2026.*05:00:00 GMT\+5:30/);
  });
});
