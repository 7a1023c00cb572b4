import { describe, expect, it } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { appending, event, OWNER } from "../../src/testing/conformance/journal-case.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";

describe("memoryJournal", () => {
  for (const { name, run } of journalConformance(memoryJournal)) it(name, run);

  it("keeps at most 32 MB of a session's events, the latest ones", async () => {
    const journal = memoryJournal();
    await journal.open(OWNER);
    const body = { text: "x".repeat(1024 * 1024) };
    for (let number = 1; number <= 100; number++) {
      await journal.write({ number, changes: appending(event(number, { session: "a", body })), durable: false });
    }
    const extent = await journal.eventExtent("a");
    expect(extent?.last).toBe(100);
    expect(extent?.bytes).toBeGreaterThan(27 * 1024 * 1024);
    expect(extent?.bytes).toBeLessThanOrEqual(32 * 1024 * 1024);
    const [first] = await journal.events({ session: "a", limit: 1 });
    expect(first?.number).toBe(extent?.first);
    await journal.close();
  });
});
