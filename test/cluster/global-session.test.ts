import { createSdkMcpServer } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type GlobalReach, GlobalSession } from "../../src/cluster/global-session.ts";
import type { GlobalTurn, GlobalTurnRequest } from "../../src/cluster/global-turn.ts";
import { CALL_METHODS, type CallMethod, isPoolMethod } from "../../src/cluster/protocol/call-methods.ts";
import { CastellanError } from "../../src/errors.ts";
import { global } from "../../src/index.ts";
import { nameKey } from "../../src/names.ts";
import { isRemoteControl } from "../../src/session/controls.ts";
import type { Approval } from "../../src/session/conversation/approval.ts";
import { command } from "../../src/session/options/command.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { keyedTurnId } from "../../src/session/turns/turn-id.ts";

const NAME = ["global", "support", 42] as const;
const KEY = '["global","support",42]';

/** Returns a handle and records what it asks of its cluster. */
function scene(answer: (method: CallMethod, args: readonly unknown[]) => unknown = () => null) {
  const calls: (readonly [method: string, ...args: unknown[]])[] = [];
  const turns: GlobalTurnRequest[] = [];
  const moves: string[] = [];
  /** What was to be erased on other nodes, and the preceding call. */
  const elsewhere: unknown[] = [];
  const events: SessionEvent[] = [];
  let ids = 0;
  const reach: GlobalReach = {
    turn: (request): GlobalTurn => {
      turns.push(request);
      throw new Error("as far as it gets");
    },
    call: async (key, method, ...args) => {
      expect(key).toBe(KEY);
      calls.push([method, ...args]);
      return await answer(method, args);
    },
    events: async function* () {
      yield* events;
    },
    move: async (_, node) => void moves.push(node),
    fork: async (from, to) => void calls.push(["fork", from, to]),
    eraseElsewhere: async (key) => void elsewhere.push([key, calls.at(-1)?.[0]]),
    newId: () => `id-${++ids}`,
  };
  return { session: new GlobalSession(NAME, reach), calls, turns, moves, elsewhere, events };
}

describe("GlobalSession turns", () => {
  test("have an idempotency key, which makes a retry the same turn", async () => {
    const { session, turns } = scene();
    await expect(session.query("hi")).rejects.toThrow("as far as it gets");
    expect(() => session.stream("hi", { idempotencyKey: "mine", timeout: "2m", whenBusy: "reject" })).toThrow();
    await expect(session.enqueue("hi", { queueTimeout: 500 })).rejects.toThrow();
    expect(turns).toMatchObject([
      { key: KEY, turnId: keyedTurnId(KEY, "id-1"), messages: false, ask: { prompt: "hi", idempotencyKey: "id-1" } },
      {
        turnId: keyedTurnId(KEY, "mine"),
        messages: true,
        ask: { prompt: "hi", idempotencyKey: "mine", timeoutMs: 120_000, whenBusy: "reject" },
      },
      { messages: false, ask: { queueTimeoutMs: 500 } },
    ]);
  });

  test("pass on how the prompt is to be interpreted, and leave the decision to the node", async () => {
    const { session, turns } = scene();
    await expect(session.query("/model opus", { verbatimPrompts: false })).rejects.toThrow("as far as it gets");
    await expect(session.query(command("greet", "@Ada"))).rejects.toThrow("as far as it gets");
    await expect(session.compact("keep the names", { timeout: 5 })).rejects.toThrow("as far as it gets");
    expect(turns.map(({ ask }) => ask)).toMatchObject([
      { prompt: "/model opus", command: undefined, verbatimPrompts: false },
      { prompt: "/greet @Ada", command: { name: "greet", args: "@Ada" }, verbatimPrompts: undefined },
      { prompt: "/compact keep the names", command: { name: "compact", args: "keep the names" }, timeoutMs: 5 },
    ]);
  });

  test("are found by id alone", async () => {
    const { session, turns } = scene();
    await expect(session.turn("some-id")).rejects.toThrow();
    expect(turns).toEqual([
      { key: KEY, turnId: "some-id", ask: undefined, messages: true, output: undefined, signal: undefined },
    ]);
  });

  test("are refused with INVALID_OPTIONS or TURN_CANCELLED before any call", async () => {
    const { session, turns } = scene();
    await expect(session.query("")).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    await expect(session.query("hi", { timeout: "soon" })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    // @ts-expect-error: a caller without types may pass this
    await expect(session.query("hi", { timeOut: 5 })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    const reason = new Error("not today");
    const asked = session.query("hi", { signal: AbortSignal.abort(reason) });
    await expect(asked).rejects.toMatchObject({ code: "TURN_CANCELLED", cause: reason });
    expect(turns).toEqual([]);
  });

  test("pass on their output schema", () => {
    const { session, turns } = scene();
    const outputSchema = z.object({ total: z.number() });
    expect(() => session.stream("hi", { outputSchema })).toThrow();
    expect(turns).toMatchObject([{ output: outputSchema }]);
  });
});

describe("GlobalSession calls", () => {
  test("call the method of the same name on the node", async () => {
    const { session, calls, elsewhere } = scene();
    await session.status();
    await session.inspect();
    await session.health();
    await session.interrupt();
    await session.hibernate();
    await session.wake();
    await session.restart({ conversation: "clear" });
    await session.clear();
    await session.stop({ conversation: "clear" });
    expect(elsewhere).toEqual([[KEY, "clear"]]);
    await session.transcript({ limit: 3 });
    await session.usage({ by: ["day"] });
    await session.approvalHistory({ limit: 3 });
    await session.setModel("haiku");
    await session.setPermissionMode("plan");
    await session.mcpStatus();
    await session.reconnectMcpServer("db");
    await session.toggleMcpServer("db", false);
    await session.contextUsage();
    await session.rewindFiles("uuid", { dryRun: true });
    await session.stopTask("task");
    await session.supportedCommands();
    await session.supportedModels();
    await session.supportedAgents();
    await session.accountInfo();
    await session.schedules();
    expect(await session.cancelSchedule("id")).toBe(false);
    await session.enqueue("later", { runAt: new Date(5), every: "1h", metadata: { n: 1 } });
    expect(await session.content({ $content: "hash", size: 3, mediaType: "text/plain" })).toBeUndefined();
    expect(calls).toEqual([
      ["status"],
      ["inspect"],
      ["health"],
      ["interrupt"],
      ["hibernate"],
      ["wake"],
      ["restart", { conversation: "clear" }],
      ["clear"],
      ["stop", { conversation: "clear" }],
      ["transcript", { limit: 3 }],
      ["usage", { by: ["day"] }],
      ["approvalHistory", { limit: 3 }],
      ["setModel", "haiku"],
      ["setPermissionMode", "plan"],
      ["mcpStatus"],
      ["reconnectMcpServer", "db"],
      ["toggleMcpServer", "db", false],
      ["contextUsage"],
      ["rewindFiles", "uuid", { dryRun: true }],
      ["stopTask", "task"],
      ["supportedCommands"],
      ["supportedModels"],
      ["supportedAgents"],
      ["accountInfo"],
      ["schedules"],
      ["cancelSchedule", "id"],
      [
        "enqueueLater",
        { prompt: "later", idempotencyKey: "id-1" },
        { runAt: 5, every: "1h", metadata: { n: 1 }, idempotencyKey: "id-1" },
      ],
      ["content", "hash"],
    ]);
    const erasing = ["conversations", "erase", "eraseFiles", "export"];
    const others = [
      "activities",
      "begin",
      "cancel",
      "release",
      "fork",
      "approvals",
      "approve",
      "answer",
      "deny",
      "steer",
      ...erasing,
    ];
    // The table of controls may have more. Its own test covers them.
    const own = CALL_METHODS.filter(
      (method) => !isRemoteControl(method) && !isPoolMethod(method) && !others.includes(method),
    );
    expect(calls.map(([method]) => method)).toEqual(expect.arrayContaining(own));
  });

  test("fork to a global name, and describe the fork", async () => {
    const { session, calls } = scene();
    await session.fork(global("copy"));
    expect(calls).toEqual([["fork", KEY, nameKey(["global", "copy"])]]);
    // @ts-expect-error: a caller without types may pass this
    await expect(session.fork("copy")).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    // @ts-expect-error: the name's declaration has the options
    await expect(session.fork(global("copy"), { model: "haiku" })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    expect(calls).toHaveLength(1);
  });

  test("send MCP servers, and refuse in-process ones", async () => {
    const { session, calls } = scene();
    const web = { type: "http", url: "http://127.0.0.1:9/mcp" } as const;
    await session.setMcpServers({ web, own: { command: "own" } });
    expect(calls).toEqual([["setMcpServers", { web, own: { command: "own" } }]]);
    const own = createSdkMcpServer({ name: "own" });
    const error = await session.setMcpServers({ web, own } as never).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "INVALID_OPTIONS", details: { problems: [{ field: "setMcpServers.own" }] } });
    expect(calls).toHaveLength(1);
  });

  test("throw the node's error, except health, which reports it", async () => {
    const details = { reason: "unreachable" } as const;
    const away = new CastellanError("CLUSTER_UNAVAILABLE", "nobody is there", { details });
    const { session, moves } = scene(() => Promise.reject(away));
    await expect(session.status()).rejects.toBe(away);
    expect(await session.health()).toEqual({ status: "unhealthy", reason: "nobody is there" });
    await session.move("two");
    expect(moves).toEqual(["two"]);
  });
});

describe("GlobalSession approvals", () => {
  const approval: Omit<Approval, "approve" | "answer" | "deny"> = {
    id: "a1",
    session: NAME,
    tool: "Bash",
    input: { command: "ls" },
    suggestions: [],
    requestedAt: 0,
    expiresAt: 1,
  };

  test("are approved and denied on the node", async () => {
    const answers: Partial<Record<CallMethod, unknown>> = {
      approvals: [approval],
      approve: true,
      answer: true,
      deny: false,
    };
    const { session, calls } = scene((method) => answers[method] ?? null);
    const [first] = await session.approvals();
    expect(first).toMatchObject(approval);
    expect(await first?.approve({ input: { command: "ls -l" } })).toBe(true);
    expect(await first?.approve()).toBe(true);
    expect(await first?.deny("not today")).toBe(false);
    expect(await first?.deny()).toBe(false);
    expect(await first?.approve({ by: "ann" })).toBe(true);
    expect(await first?.answer({ "Why?": ["a", "b"] }, { by: "ann" })).toBe(true);
    expect(await first?.deny("no", { by: "ann" })).toBe(false);
    expect(await first?.deny(undefined, { by: "ann" })).toBe(false);
    expect(calls.slice(1)).toEqual([
      ["approve", "a1", { input: { command: "ls -l" } }],
      ["approve", "a1", {}],
      ["deny", "a1", "not today"],
      ["deny", "a1"],
      ["approve", "a1", { by: "ann" }],
      ["answer", "a1", { "Why?": ["a", "b"] }, { by: "ann" }],
      ["deny", "a1", "no", { by: "ann" }],
      ["deny", "a1", null, { by: "ann" }],
    ]);
  });

  test("arrive as events", async () => {
    const { session, events } = scene();
    const envelope = { v: 1, at: 0 };
    const { id, tool, expiresAt } = approval;
    const asked = { type: "approval_requested", id, tool, input: {}, suggestions: [], expiresAt } as const;
    events.push(
      { ...envelope, number: 1, ...asked },
      { ...envelope, number: 2, type: "approval_settled", id, outcome: "approved" },
    );
    expect(await Array.fromAsync(session.events({ after: 0 }))).toEqual(events);
  });
});
