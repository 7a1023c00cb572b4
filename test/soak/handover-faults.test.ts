import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { HandoverProcess } from "../application/handover-process.ts";

async function journalOf(waitForOwner = "20s"): Promise<{ sqlite: string; waitForOwner: string }> {
  const folder = await mkdtemp(join(tmpdir(), "handover-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return { sqlite: join(folder, "castellan.db"), waitForOwner };
}

describe("Supervisor: a hand-over to the next process of an application", { timeout: 60_000 }, () => {
  test("goes back to the old process if the new one dies, with what that had accepted", async () => {
    const journal = await journalOf();
    await using old = new HandoverProcess("old", journal);
    await old.said({ ready: "old" });
    const long = old.does("query", "one", "wait for it");
    await old.said({ began: "wait for it" });
    const next = new HandoverProcess("new", journal);
    await next.said({ ready: "new" });
    await next.does("query", "two", "hello");
    // It runs in the new process when that dies.
    const accepted = await next.does("enqueue", ["user", 1], "wait there");
    await next.said({ began: "wait there" });
    next.kill("SIGKILL");
    await next.ended;
    expect(await old.does("query", "two", "who is there?")).toBe("old: who is there?");
    await old.does("go");
    expect(await long).toBe("old: wait for it");
    expect(JSON.stringify(await old.does("turn", ["user", 1], String(accepted)))).toMatch(
      /old: wait there|TURN_INTERRUPTED/,
    );
    expect(await old.does("history", "one")).toEqual(["wait for it completed"]);
    expect(await old.does("history", "two")).toEqual(["hello completed", "who is there? completed"]);
    // It can hand over again.
    await using last = new HandoverProcess("last", journal);
    await last.said({ ready: "last" });
    expect(await old.does("query", "two", "and now?")).toBe("last: and now?");
    expect(await old.does("warnings")).toEqual([]);
  });

  test("settles the turn of an old process that dies once, and runs what waited behind it once", async () => {
    const journal = await journalOf();
    const old = new HandoverProcess("old", journal);
    await old.said({ ready: "old" });
    void old.does("query", "one", "wait for it");
    await old.said({ began: "wait for it" });
    void old.does("enqueue", "one", "behind it");
    await using next = new HandoverProcess("new", journal);
    await next.said({ ready: "new" });
    const queued = next.does("query", "one", "there");
    old.kill("SIGKILL");
    expect(await queued).toBe("new: there");
    const turns = ["wait for it interrupted", "behind it completed", "there completed"];
    expect(await next.does("history", "one")).toEqual(turns);
    expect(next.lines.filter(({ began }) => began === "behind it")).toHaveLength(1);
  });

  test("happens three times in a row, while turns of the processes before run or wait", async () => {
    const journal = await journalOf();
    await using first = new HandoverProcess("1", journal);
    await first.said({ ready: "1" });
    const long = first.does("query", "one", "wait for it");
    await first.said({ began: "wait for it" });
    await using second = new HandoverProcess("2", journal);
    await second.said({ ready: "2" });
    const there = second.does("query", "two", "wait as well");
    await second.said({ began: "wait as well" });
    await using third = new HandoverProcess("3", journal);
    await using fourth = new HandoverProcess("4", journal);
    // The second keeps the journal until the first has returned its session.
    expect(await first.does("query", ["user", 1], "hi")).toBe("2: hi");
    await first.does("go");
    expect(await long).toBe("1: wait for it");
    const takers = [third.said({ ready: "3" }).then(() => third), fourth.said({ ready: "4" }).then(() => fourth)];
    await Promise.race(takers);
    await second.does("go");
    expect(await there).toBe("2: wait as well");
    await Promise.all(takers);
    const owner = String(await first.does("query", ["user", 1], "who?")).at(0);
    expect(["3", "4"]).toContain(owner);
    expect(await second.does("query", ["user", 1], "who?")).toBe(`${owner}: who?`);
    expect(await third.does("history", ["user", 1])).toEqual(["hi completed", "who? completed", "who? completed"]);
    for (const one of [first, second, third, fourth]) expect(await one.does("warnings")).toEqual([]);
  });

  test("does not happen while the old process is stopped: the new one waits as long as it may", async () => {
    const journal = await journalOf("2s");
    await using old = new HandoverProcess("old", journal);
    await old.said({ ready: "old" });
    old.kill("SIGSTOP");
    await using next = new HandoverProcess("new", journal);
    await next.said({ failed: "JOURNAL_IN_USE" });
    old.kill("SIGCONT");
    expect(await old.does("query", "one", "hi")).toBe("old: hi");
  });

  test("takes the sessions back from an old process that is stopped afterwards, which learns it", async () => {
    const journal = await journalOf("1s");
    await using old = new HandoverProcess("old", journal);
    await old.said({ ready: "old" });
    const long = old.does("query", "one", "wait for it");
    await old.said({ began: "wait for it" });
    await using next = new HandoverProcess("new", { ...journal, waitForOwner: "1s" });
    await next.said({ ready: "new" });
    old.kill("SIGSTOP");
    expect(await next.does("query", "one", "hi")).toBe("new: hi");
    old.kill("SIGCONT");
    await old.does("go");
    expect(await long).toMatchObject({ error: expect.stringMatching(/TURN_INTERRUPTED|NOT_OWNER/) });
    await old.said({ closed: "journal_lost" });
    expect(await next.does("history", "one")).toEqual(["wait for it interrupted", "hi completed"]);
  });

  test("ends at the deadline, also for a turn that still runs", async () => {
    const journal = await journalOf("3s");
    await using old = new HandoverProcess("old", journal);
    await old.said({ ready: "old" });
    const long = old.does("query", "one", "wait for it");
    await old.said({ began: "wait for it" });
    await using next = new HandoverProcess("new", journal);
    await next.said({ ready: "new" });
    expect(await next.does("query", "one", "hi")).toBe("new: hi");
    expect(await long).toMatchObject({ error: "TURN_INTERRUPTED" });
    expect(await next.does("history", "one")).toEqual(["wait for it interrupted", "hi completed"]);
    await old.said({ handedOver: true });
  });
});
