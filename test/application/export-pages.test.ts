import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { ExportPages } from "../../src/application/export-pages.ts";
import { failure } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const clock = new SimulatedClock();

/** Yields lines of this length, and tells in `over` whether the reader has stopped. */
function lines(count: number, length: number): { begin(): AsyncGenerator<string, void, undefined>; over: boolean } {
  const read = {
    over: false,
    async *begin() {
      try {
        for (let n = 0; n < count; n++) yield `${n}`.padEnd(length);
      } finally {
        read.over = true;
      }
    },
  };
  return read;
}

test.each<[what: string, count: number, length: number, pages: number]>([
  ["nothing", 0, 1, 1],
  ["few lines", 10, 10, 1],
  ["many lines", 2_500, 10, 3],
  ["a full page", 1_000, 1, 2],
  ["long lines", 5, 800_000, 3],
])("ExportPages: serves an export of %s in pages, each line once", async (_, count, length, expected) => {
  const [pages, source] = [new ExportPages(clock, randomUUID), lines(count, length)];
  const all: string[] = [];
  let asked = 0;
  for (let next: string | undefined; ; ) {
    const page = await pages.page(() => source.begin(), next);
    all.push(...page.lines);
    asked += 1;
    next = page.next;
    if (next === undefined) break;
  }
  expect(all.map(Number)).toEqual(Array.from({ length: count }, (_line, n) => n));
  expect(asked).toBe(expected);
  expect(source.over).toBe(true);
});

test("ExportPages: serves a page once, drops it after a minute, and the oldest beyond 64 exports", async () => {
  const pages = new ExportPages(clock, randomUUID);
  const source = lines(5_000, 1);
  const { next } = await pages.page(() => source.begin());
  await pages.page(() => source.begin(), next);
  expect(
    (
      await failure(
        pages.page(() => source.begin(), next),
        "CLUSTER_UNAVAILABLE",
      )
    ).details,
  ).toEqual({
    reason: "uncertain",
  });
  const late = lines(5_000, 1);
  const first = await pages.page(() => late.begin());
  await clock.advance(60_000);
  expect(late.over).toBe(true);
  await failure(
    pages.page(() => late.begin(), first.next),
    "CLUSTER_UNAVAILABLE",
  );
  const readers = Array.from({ length: 65 }, () => lines(5_000, 1));
  for (const reader of readers) await pages.page(() => reader.begin());
  await clock.advance(0);
  expect(readers.filter(({ over }) => over)).toEqual([readers[0]]);
});
