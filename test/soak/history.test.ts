import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type HistoryPage, pool, type Session, Supervisor, template } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

const journal = () => ({ sqlite: join(dirname(api.cwd), "journal.db") });

/** Stops the real process with SIGKILL while it answers the turn. */
async function killIn(session: Session, prompt: string, by: string): Promise<void> {
  const turn = session.stream(prompt, { by });
  for await (const event of turn.events()) {
    if (event.type !== "text_delta" || !event.text.includes("word")) continue;
    process.kill(session.status().pid ?? Number.NaN, "SIGKILL");
    break;
  }
  await expect(turn.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
}

/** Checks what a person reads of the three turns. */
function expectTold({ entries }: HistoryPage): void {
  const [looked, wrote, talked] = entries.filter((entry) => entry.type === "turn");
  expect(looked).toMatchObject({ prompt: "Please look.", by: "ann", metadata: { ticket: 7 }, state: "completed" });
  expect(looked?.parts).toMatchObject([
    { type: "tool", name: "Bash", input: { command: "echo hello" }, result: { failed: false }, approvals: [] },
    { type: "text", text: expect.stringContaining("hello") },
  ]);
  expect(wrote).toMatchObject({ prompt: "Please write.", by: "bob", state: "completed" });
  expect(wrote?.parts[0]).toMatchObject({
    type: "tool",
    name: "Write",
    result: { failed: false },
    approvals: [{ tool: "Write", outcome: "approved", by: "carol" }],
  });
  expect(talked).toMatchObject({
    by: "dan",
    state: "interrupted",
    error: { code: "TURN_INTERRUPTED", class: "crash" },
  });
  expect(talked?.parts).toMatchObject([{ type: "text", cut: true }]);
  expect(entries.filter(({ type }) => type === "exit")).toHaveLength(1);
}

it("session.history(): has who asked, a tool, an approval and a crash, also of a let-go name and after a restart", {
  timeout: 90_000,
}, async () => {
  const family = unique("family");
  const name = [family, "ann"] as const;
  const start = () =>
    Supervisor.start(
      [
        template(
          family,
          { approvals: true, allowedTools: ["Bash(echo:*)"], recordMessages: true, includePartialMessages: true },
          { maxSessions: 1 },
        ),
      ],
      { name: "application", journal: journal(), defaults: { env: api.env, cwd: api.cwd } },
    );
  api.reply("look", { toolUses: [{ name: "Bash", input: { command: "echo hello" } }] }, { times: 1 });
  const file = { file_path: join(api.cwd, "note.txt"), content: "noted" };
  api.reply("write", { toolUses: [{ name: "Write", input: file }] }, { times: 1 });
  api.reply("forever", { text: "word ".repeat(500), tokensPerSecond: 20 });
  const first = await start();
  const own = first.session(name);
  const { turnId } = await own.query("Please look.", { by: "ann", metadata: { ticket: 7 } });
  const asking = own.stream("Please write.", { by: "bob" });
  for await (const { type } of asking.events()) if (type === "approval_requested") break;
  expect(own.approvals()[0]?.approve({ by: "carol" })).toBe(true);
  await asking.result();
  await killIn(own, "Talk forever.", "dan");
  const told = await own.history();
  expectTold(told);
  expect((await own.turns()).map(({ by }) => by)).toEqual(["dan", "bob", "ann"]);
  const messages = await Array.fromAsync(own.events({ types: ["message_recorded"], live: false }));
  const ofLook = messages.filter((event) => event.turnId === turnId).map(({ raw }) => JSON.stringify(raw));
  // What the process said, in its own words: the call, the tool's output, and the result.
  for (const word of ['"tool_use"', '"tool_result"', '"type":"result"']) {
    expect(ofLook.some((raw) => raw.includes(word))).toBe(true);
  }

  // The name gives way to another one.
  await vi.waitUntil(() => own.status().state === "hibernated", { timeout: 20_000 });
  expect(await first.session([family, "bob"]).history()).toEqual({ entries: [] });
  expect(first.listSessions().map((status) => status.name)).toEqual([[family, "bob"]]);
  expect(await first.session(name).history()).toEqual(told);
  await first.stop();
  await using second = await start();
  const again = second.session(name);
  expect(await again.history()).toEqual(told);
  const page = await again.history({ limit: 1 });
  expect(page.entries.filter(({ type }) => type === "turn")).toMatchObject([{ by: "dan" }]);
  const earlier = await again.history({ limit: 2, before: page.next });
  expect(earlier.entries.filter(({ type }) => type === "turn")).toMatchObject([{ by: "ann" }, { by: "bob" }]);
  expect(await Array.fromAsync(again.events({ types: ["message_recorded"], live: false }))).toEqual(messages);
  expect(api.errors).toEqual([]);
});

it("eraseSession(pool): leaves nothing of its jobs in the journal and in the files of the real Claude Code", {
  timeout: 90_000,
}, async () => {
  const name = unique("pool");
  const secret = `secret-${name}`;
  const holding = (): string[] => {
    try {
      return execFileSync("grep", ["-rlaF", secret, dirname(api.cwd)], { encoding: "utf8" })
        .split("\n")
        .filter(Boolean);
    } catch {
      // `grep` exits with 1 if it finds nothing.
      return [];
    }
  };
  await using supervisor = await Supervisor.start([pool(name, { size: 2, includePartialMessages: true })], {
    name: "application",
    journal: journal(),
    defaults: { env: api.env, cwd: api.cwd },
  });
  const jobs = supervisor.pool(name);
  const ends = (id: string) => jobs.turn(id).then((turn) => turn?.result());
  const done = await Promise.all([1, 2].map((n) => jobs.enqueue(`${secret} done ${n}`, { by: secret })));
  await Promise.all(done.map(ends));
  api.reply("forever", { text: "word ".repeat(500), tokensPerSecond: 20 });
  const running = await Promise.all([1, 2].map((n) => jobs.enqueue(`${secret} forever ${n}`)));
  await api.requested(4);
  const waiting = await jobs.enqueue(`${secret} waits`);
  const cancelled = await jobs.enqueue(`${secret} cancelled`);
  await (await jobs.turn(cancelled))?.interrupt();
  const cut = Promise.allSettled([...running, waiting].map(ends));
  expect((await jobs.turns()).filter(({ member }) => member !== undefined)).toHaveLength(4);
  expect(holding().length).toBeGreaterThan(1);

  const report = await supervisor.eraseSession(name);
  expect(report).toMatchObject({ turns: 5, jobs: 1, left: [] });
  expect(report.transcripts).toBeGreaterThanOrEqual(2);
  const codes = (await cut).map((end) => (end.status === "rejected" ? end.reason.code : "completed"));
  expect(codes).toEqual(["TURN_INTERRUPTED", "TURN_INTERRUPTED", "TURN_CANCELLED"]);
  expect(holding()).toEqual([]);
  expect(await jobs.turns()).toEqual([]);
  const after = await jobs.enqueue("And now?");
  expect((await ends(after))?.text).toBe("You said: And now?");
});
