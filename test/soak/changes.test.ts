import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { query, Supervisor, session, stream } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

const start = (
  children: Parameters<typeof Supervisor.start>[0],
  strategy: "one_for_one" | "one_for_all" = "one_for_one",
) =>
  Supervisor.start(children, { strategy, defaults: { env: api.env, cwd: api.cwd }, logger: { info() {}, warn() {} } });

const pids = (supervisor: Supervisor) => supervisor.listSessions().map(({ pid }) => pid);

describe("Supervisor on the real Claude Code", () => {
  it("reconciles its children: keeps the process of unchanged ones, the conversation of changed ones, and changes live options live", async () => {
    await using supervisor = await start([{ name: "same" }, { name: "live" }, { name: "anew" }, { name: "gone" }]);
    for (const name of ["same", "live", "anew"]) await query(name, `I am ${name}.`);
    const [same, live, anew] = pids(supervisor);

    const report = await supervisor.reconcile([
      { name: "same" },
      { name: "live", model: "claude-haiku-4-5", timeout: "1m" },
      { name: "anew", allowedTools: ["Bash"] },
      { name: "new" },
    ]);

    expect(report).toEqual({ added: ["new"], removed: ["gone"], changed: ["live", "anew"], failed: [] });
    expect((await query("live", "What did I just say?")).text).toBe("You just said: I am live.");
    expect(api.lastRequest?.model).toBe("claude-haiku-4-5");
    expect((await query("anew", "What did I just say?")).text).toBe("You just said: I am anew.");
    expect((await query("new", "hello")).text).toBe("You said: hello");
    const now = pids(supervisor);
    expect(now.slice(0, 2)).toEqual([same, live]);
    expect(now[2]).not.toBe(anew);
  });

  it("drains: finishes the running and the waiting turn, and leaves no process", async () => {
    const supervisor = await start([{ name: "draining" }]);
    const mark = `CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`;
    api.reply("slowly", { text: "one two three four", tokensPerSecond: 8 });
    const turns = [stream("draining", "Count slowly."), stream("draining", "And then?")];
    await api.requested(1);

    const drained = supervisor.drain({ deadline: "15s" });
    await expect(query("draining", "too late")).rejects.toMatchObject({ code: "SUPERVISOR_STOPPED" });

    expect(await drained).toEqual({ completed: true });
    expect(await Promise.all(turns.map(async (turn) => (await turn.result()).text))).toEqual([
      "one two three four",
      "You said: And then?",
    ]);
    expect(processesWith(mark)).toEqual([]);
  });

  it("restarts siblings by its strategy, each with its conversation", async () => {
    await using supervisor = await start(
      [
        { name: "group", strategy: "one_for_all", children: [{ name: "first" }, { name: "second" }] },
        { name: "apart" },
      ],
      "one_for_one",
    );
    for (const name of ["first", "second", "apart"]) await query(name, `I am ${name}.`);
    const before = pids(supervisor);
    process.kill(before[0] ?? 0, "SIGKILL");
    for (const name of ["first", "second", "apart"]) {
      expect((await query(name, "What did I just say?")).text).toBe(`You just said: I am ${name}.`);
    }
    const after = pids(supervisor);
    expect(after[0]).not.toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
    expect(after[2]).toBe(before[2]);
  });

  it("holds turns while the API is overloaded, counts no restart, and resumes", async () => {
    await using supervisor = await start([{ name: "overloaded" }]);
    // A failed first turn replaces the process.
    await query("overloaded", "good morning");
    api.reply(/./, { error: { status: 529, message: "Overloaded" } }, { times: 1 });
    const since = Date.now();
    const failed = query("overloaded", "hello");
    const next = query("overloaded", "again");
    await expect(failed).rejects.toMatchObject({
      code: "TURN_FAILED",
      details: { class: "overload", status: 529, retryAt: expect.any(Number) },
    });
    expect(supervisor.session("overloaded").status()).toMatchObject({
      state: "waiting",
      waitingFor: { for: "overload" },
      restarts: 0,
    });
    expect((await next).text).toContain("again");
    expect(Date.now() - since).toBeGreaterThan(750);
    expect(supervisor.session("overloaded").status()).toMatchObject({ state: "idle", starts: 1, restarts: 0 });
  });
});

describe("Session on the real Claude Code", () => {
  it("is forked and cleared, and has Claude's own session id", async () => {
    await using supervisor = await start([{ name: "origin" }]);
    const { sessionId } = await query("origin", "Remember the keep.");
    expect(session("origin").sessionId).toBe(sessionId);
    const fork = await session("origin").fork("branch");
    await session("origin").clear();
    expect((await fork.query("What did I just say?")).text).toBe("You just said: Remember the keep.");
    expect((await query("origin", "What did I just say?")).text).toBe("You have not said anything yet.");
    expect(await session("origin").health()).toEqual({ status: "healthy" });
    expect(supervisor.countSessions()).toBe(2);
  });

  it("is read as server-sent events and as the AI SDK's stream", async () => {
    await using _ = await start([{ name: "page" }]);
    api.reply("count", "one, two, three, four, five, six");
    const turn = stream("page", "count");
    const [sse, ui] = await Promise.all([turn.toResponse().text(), turn.toUIMessageStreamResponse().text()]);
    const said = [...sse.matchAll(/^event: text\ndata: (.*)$/gm)].map(
      ([, data = ""]) => JSON.parse(data).text as string,
    );
    expect(said.length).toBeGreaterThan(2);
    expect(said.join("")).toBe("one, two, three, four, five, six");
    expect(sse).toContain("event: result");
    for (const page of [sse, ui]) expect(page).not.toMatch(/costUsd|inputTokens|sessionId/);
    const all = await turn.toResponse({ view: "operator" }).text();
    for (const field of ["costUsd", "inputTokens", "sessionId"]) expect(all).toContain(`"${field}":`);
    const deltas = [...ui.matchAll(/"type":"text-delta".*?"delta":"(.*?)"/g)].map(([, delta]) => delta);
    expect(deltas.join("")).toBe("one, two, three, four, five, six");
    expect(ui.trimEnd().endsWith("data: [DONE]")).toBe(true);
  });
});
