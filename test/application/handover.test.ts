import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { HandoverProcess } from "./handover-process.ts";

async function journalOf(waitForOwner = "20s"): Promise<{ sqlite: string; waitForOwner: string }> {
  const folder = await mkdtemp(join(tmpdir(), "handover-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return { sqlite: join(folder, "castellan.db"), waitForOwner };
}

describe("Supervisor: the next process of an application takes over", { timeout: 60_000 }, () => {
  test("while a turn runs in the old process, which writes its end through the new one", async () => {
    const journal = await journalOf();
    await using old = new HandoverProcess("old", journal);
    await old.said({ ready: "old" });
    expect(await old.does("query", "two", "hi")).toBe("old: hi");
    const long = old.does("query", "one", "wait for it");
    await old.said({ began: "wait for it" });
    const behind = old.does("query", "one", "next");

    await using next = new HandoverProcess("new", journal);
    await next.said({ ready: "new" });
    expect(await next.does("query", "two", "hello")).toBe("new: hello");
    // The old process passes on what it is asked.
    expect(await old.does("query", "two", "and from here")).toBe("new: and from here");
    expect(await old.does("query", ["user", 1], "a new one")).toBe("new: a new one");
    const queued = next.does("query", "one", "queued there");
    await old.does("go");
    expect(await long).toBe("old: wait for it");
    expect(await behind).toBe("new: next");
    expect(await queued).toBe("new: queued there");
    await old.said({ handedOver: true });
    const turns = ["queued there completed", "next completed", "wait for it completed"];
    expect(await next.does("history", "one")).toEqual(turns.toReversed());
    expect(await old.does("history", "one")).toEqual(turns.toReversed());
    expect(await old.does("drain")).toEqual({ completed: true });
    expect(await old.does("warnings")).toEqual([]);
    expect(await next.does("warnings")).toEqual([]);
  });
});
