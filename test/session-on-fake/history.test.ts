import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import type { HistoryEntry, HistoryOptions, HistoryTurn } from "../../src/session/record/history-entry.ts";
import type { Session } from "../../src/session/session.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { expectNothingLeft, run } from "./application.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

/** Reads all pages, the newest first. */
async function pagesOf(session: Session, options: HistoryOptions): Promise<(readonly HistoryEntry[])[]> {
  const pages: (readonly HistoryEntry[])[] = [];
  for (let before: number | undefined; ; ) {
    const { entries, next } = await session.history({ ...options, before });
    pages.push(entries);
    if (next === undefined) return pages;
    before = next;
  }
}

/** Entries as short texts. */
function short(entries: readonly HistoryEntry[]): string[] {
  return entries.map((entry) => {
    if (entry.type === "pruned") return `pruned before ${entry.oldest}`;
    if (entry.type !== "turn") return entry.type === "exit" ? `exit ${entry.exit.class}` : entry.type;
    const words = entry.parts.flatMap((part) => (part.type === "text" ? String(part.text) : part.type));
    return `${String(entry.prompt)} ${entry.state}: ${words.join(" ")}`;
  });
}

function turnIn(entries: readonly HistoryEntry[], id: string): HistoryTurn | undefined {
  return entries.find((entry) => entry.type === "turn" && entry.id === id) as HistoryTurn | undefined;
}

test("session.history(): has turns, their ends and what happened between them, in the order in which they ran", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "die") return await turn.crash({ signal: "SIGKILL" });
      if (turn.prompt === "fail") return await turn.fail({ status: 500, message: "boom" });
      await turn.thinking("hm");
      await turn.toolUse("Bash", { command: "ls" }, { result: "a" });
      await turn.text(`re: ${turn.prompt}`);
    },
    session: { onInterruptedTurn: "fail" },
  });
  const { session } = scene;
  expect(await session.history()).toEqual({ entries: [] });
  const reply = await session.query("one", { metadata: { user: "ann" } });
  await failure(session.query("fail"), "TURN_FAILED");
  await failure(session.query("die"), "TURN_INTERRUPTED");
  await eventually(() => session.status().state === "idle");
  await session.clear();
  await session.query("two");
  const { entries, next } = await session.history();
  expect(next).toBeUndefined();
  expect(short(entries).filter((line) => !line.endsWith("_changed"))).toEqual([
    "one completed: tool re: one",
    "fail failed: ",
    "die interrupted: ",
    "exit crash",
    "conversation",
    "two completed: tool re: two",
  ]);
  const { costUsd, usage, model, turnId } = reply;
  const first = turnIn(entries, turnId);
  expect(first).toMatchObject({ origin: "caller", metadata: { user: "ann" }, costUsd, usage, model, attempts: 1 });
  expect(first?.parts[0]).toMatchObject({ type: "tool", name: "Bash", result: { output: "a", failed: false } });
  const thoughtful = await session.history({ thinking: true });
  expect(turnIn(thoughtful.entries, turnId)?.parts[0]).toMatchObject({ type: "thinking", text: "hm" });
  for (const options of [{ limit: 0 }, { limit: 101 }, { before: -1 }, { after: 3 }]) {
    await failure(session.history(options), "INVALID_OPTIONS");
  }
});

test("session.history(): has each turn and event once, whatever the size of the pages", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text(`re: ${turn.prompt}`) });
  const { session } = scene;
  for (let n = 0; n < 7; n++) {
    // Turns that wait are accepted before the turn that runs has ended.
    await Promise.all([session.query(`${n}a`), session.query(`${n}b`)]);
    if (n % 3 === 0) await session.clear();
  }
  const whole = short((await session.history({ limit: 100 })).entries);
  expect(whole.filter((line) => line.includes("completed"))).toHaveLength(14);
  for (const limit of [1, 2, 3, 5, 14]) {
    const pages = await pagesOf(session, { limit });
    expect(pages.reverse().flatMap(short).toSorted()).toEqual(whole.toSorted());
    for (const page of pages) expect(page.filter(({ type }) => type === "turn").length).toBeLessThanOrEqual(limit);
  }
});

test("session.history(): has a running turn as far as it is recorded, after those that have ended and before those that wait", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.text(`re: ${turn.prompt}`);
      if (turn.prompt !== "hold") return;
      await turn.toolUse("Bash", { command: "ls" }, { result: "a" });
      await released;
    },
  });
  const { session } = scene;
  await session.query("first");
  const running = session.stream("hold");
  const waiting = session.stream("next");
  for await (const _ of session.events({ after: 0, types: ["tool_result"] })) break;
  const { entries } = await session.history();
  expect(short(entries).filter((line) => !line.endsWith("_changed"))).toEqual([
    "first completed: re: first",
    "hold running: re: hold tool",
    "next queued: ",
  ]);
  release();
  await Promise.all([running.result(), waiting.result()]);
  expect(short((await session.history({ limit: 1 })).entries)).toEqual(["next completed: re: next"]);
});

test("session.history(): tells retries, and shows only the attempt that counts", async () => {
  let isFirst = true;
  await using scene = await Scene.open({
    script: async (turn) => {
      if (isFirst) {
        isFirst = false;
        await turn.text("void");
        return await turn.crash({ signal: "SIGKILL" });
      }
      await turn.text("good");
    },
    session: { onInterruptedTurn: "retry" },
  });
  const { session } = scene;
  const { turnId } = await session.query("go");
  const { entries } = await session.history();
  expect(short(entries)).toContain("go completed: good");
  expect(turnIn(entries, turnId)).toMatchObject({ attempts: 2, retries: [{ reason: "process_ended" }] });
  expect(short(entries)).toContain("exit crash");
});

test("session.history(): has approvals with who answered, and what was steered", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.toolUse("Bash", { command: "ls" }, { ask: true, result: "a" });
      await released;
      await turn.toolUse("Read", { file_path: "b" });
      await turn.text("done");
    },
    session: { approvals: true },
  });
  const { session } = scene;
  const turn = session.stream("go");
  await eventually(() => session.approvals().length === 1);
  for await (const _ of session.events({ after: 0, types: ["approval_requested"] })) break;
  const [asked] = turnIn((await session.history()).entries, turn.id)?.parts ?? [];
  expect(asked).toMatchObject({ type: "tool", approvals: [{ tool: "Bash", expiresAt: expect.any(Number) }] });
  expect(asked).not.toHaveProperty("approvals.0.outcome");
  session.approvals()[0]?.approve({ by: "ann" });
  await turn.steer("quickly", { by: "bob" });
  release();
  await turn.result();
  const { parts } = turnIn((await session.history()).entries, turn.id) ?? { parts: [] };
  const tool = parts.find(({ type }) => type === "tool");
  expect(tool).toMatchObject({ result: { failed: false }, approvals: [{ outcome: "approved", by: "ann" }] });
  expect(parts.find(({ type }) => type === "steered")).toMatchObject({ text: "quickly", by: "bob", outcome: "read" });
});

test("session.history(): is the same after a restart of the application, and tells what its death has cut", async () => {
  const journal = memoryJournal();
  const name = unique();
  const fake = fakeClaude((turn) => turn.text(`re: ${turn.prompt}`));
  const first = await run({ fake, journal }, [{ name }]);
  await first.session(name).query("one");
  const before = await first.session(name).history();
  await first.stop();
  const second = await run({ fake, journal }, [{ name, activation: "lazy" }]);
  const after = await second.session(name).history();
  expect(after).toEqual(before);
  await second.stop();
  expectNothingLeft(fake);
});

test("session.history(): has the end of a turn that is too long for a page, and says so", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      for (let n = 0; n < 2_100; n++) await turn.text(`${n}`);
    },
  });
  const { session } = scene;
  const turn = session.stream("go");
  await turn.steer("and be quick", { by: "ann" });
  await turn.result();
  const { entries } = await session.history();
  const { parts = [] } = turnIn(entries, turn.id) ?? {};
  expect(parts.slice(0, 2)).toMatchObject([
    { type: "steered", by: "ann" },
    { type: "missing", reason: "too_long" },
  ]);
  expect(parts.at(-1)).toMatchObject({ type: "text", text: "2099" });
  expect(parts.length).toBeGreaterThan(1_900);
});

const journals: [string, () => Journal][] = [
  ["memory", () => memoryJournal()],
  ["sqlite", () => sqliteJournal({ sqlite: `${newFolder()}/castellan.db` })],
];

test.each(journals)("session.history(): tells what retention has cut: %s", async (_, open) => {
  const journal = open();
  await using scene = await Scene.open({
    script: (turn) => turn.text(`re: ${turn.prompt}`),
    options: { journal },
  });
  const { session } = scene;
  for (const prompt of ["one", "two", "three"]) await session.query(prompt);
  const accepted = (await session.pastEvents({ types: ["turn_accepted"] })).reverse();
  // Cuts within the second turn.
  const oldest = (accepted[1]?.number ?? 0) + 2;
  const [last] = await session.pastEvents({ limit: 1 });
  const keep = (last?.number ?? 0) - oldest + 1;
  const events = { since: 0, perSession: keep, bytesPerSession: Number.POSITIVE_INFINITY };
  await journal.prune({ endedSince: 0, turnsPerSession: 100, events });
  const { entries, next } = await session.history();
  expect(next).toBeUndefined();
  expect(short(entries).filter((line) => !line.endsWith("_changed"))).toEqual([
    `pruned before ${oldest}`,
    "two completed: missing re: two",
    "three completed: re: three",
  ]);
  expect((await pagesOf(session, { limit: 1 })).reverse().flatMap(short)).toEqual(short(entries));
});
