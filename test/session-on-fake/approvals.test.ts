import type { HookJSONOutput, PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Approval } from "../../src/session/conversation/approval.ts";
import type { QuestionAnswers } from "../../src/session/record/approval-questions.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { serverOf } from "../../src/session/session.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { CrashingJournal } from "./crashing-journal.ts";
import { collect, eventually, failure, Scene, unique, within } from "./scene.ts";

/** Asks for a permission and replies with the decision. */
const asking: FakeScript = async (turn) => {
  if (!turn.prompt.startsWith("ask")) return turn.text(`re: ${turn.prompt}`);
  const decision = await turn.askPermission("Write", { file_path: "/tmp/a", content: turn.prompt });
  await turn.text(JSON.stringify(decision));
};

/** Waits for the session's first pending approval. */
async function requested(scene: Scene): Promise<Approval> {
  await eventually(() => scene.session.approvals().length > 0);
  const [approval] = scene.session.approvals();
  if (approval === undefined) throw new Error("none");
  return approval;
}

test("session.approvals(): lists a requested permission, and the session waits until it is approved", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const events: SessionEvent[] = [];
  const over = (async () => {
    for await (const event of scene.session.events()) events.push(event);
  })();
  const reply = query(scene.name, "ask");
  const approval = await requested(scene);
  expect(approval).toMatchObject({
    session: scene.name,
    tool: "Write",
    input: { file_path: "/tmp/a", content: "ask" },
    suggestions: [],
  });
  expect(approval.expiresAt - approval.requestedAt).toBe(600_000);
  expect(scene.session.status()).toMatchObject({
    state: "waiting",
    waitingFor: { for: "approval", until: approval.expiresAt, approvals: 1 },
  });
  expect(approval.approve()).toBe(true);
  expect(scene.session.approvals()).toEqual([]);
  expect(scene.session.status()).toMatchObject({ state: "busy" });
  expect(scene.session.status().waitingFor).toBeUndefined();
  expect(JSON.parse((await reply).text)).toMatchObject({ behavior: "allow", updatedInput: approval.input });
  await scene.session.stop();
  await over;
  const told = events.filter(({ type }) => type === "state" || type.startsWith("approval_"));
  const { id, tool, input, suggestions, expiresAt, turnId } = approval;
  expect(turnId).toBe((await reply).turnId);
  expect(told).toMatchObject([
    { type: "state", state: "busy" },
    { type: "approval_requested", id, tool, input, suggestions, expiresAt, turnId },
    { type: "state", state: "waiting" },
    { type: "approval_settled", id, outcome: "approved", turnId, tool: "Write", toolUseId: approval.toolUseId },
    { type: "state", state: "busy" },
    { type: "state", state: "idle" },
    { type: "state", state: "stopped" },
  ]);
});

test("approval.approve(): passes another input and permission rules to Claude", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const reply = query(scene.name, "ask");
  const rule: PermissionUpdate = {
    type: "addRules",
    rules: [{ toolName: "Write" }],
    behavior: "allow",
    destination: "session",
  };
  (await requested(scene)).approve({ input: { file_path: "/tmp/b" }, rules: [rule] });
  expect(JSON.parse((await reply).text)).toMatchObject({
    behavior: "allow",
    updatedInput: { file_path: "/tmp/b" },
    updatedPermissions: [rule],
  });
});

test("approval.deny(): gives Claude the reason, and the turn continues", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const reply = query(scene.name, "ask");
  (await requested(scene)).deny("not on a Friday");
  expect(JSON.parse((await reply).text)).toMatchObject({ behavior: "deny", message: "not on a Friday" });
});

test("Approval: returns true for the first answer and false for every later one", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const reply = query(scene.name, "ask");
  const approval = await requested(scene);
  const answers = [approval.deny("no"), approval.approve(), approval.deny(), approval.approve()];
  expect(answers).toEqual([true, false, false, false]);
  expect(JSON.parse((await reply).text)).toMatchObject({ behavior: "deny", message: "no" });
  expect(approval.approve()).toBe(false);
});

test("Approvals: keeps two simultaneous requests apart and answers each on its own", async () => {
  await using scene = await Scene.open({
    session: { approvals: true },
    script: async (turn) => {
      const decisions = await Promise.all(["a", "b"].map((command) => turn.askPermission("Bash", { command })));
      await turn.text(decisions.map(({ behavior }) => behavior).join(" "));
    },
  });
  const reply = query(scene.name, "hi");
  await eventually(() => scene.session.approvals().length === 2);
  const [one, two] = scene.session.approvals();
  expect([one?.input, two?.input]).toEqual([{ command: "a" }, { command: "b" }]);
  two?.deny();
  expect(scene.session.status()).toMatchObject({ state: "waiting", waitingFor: { approvals: 1 } });
  expect(scene.session.approvals()).toEqual([one]);
  one?.approve();
  expect((await reply).text).toBe("allow deny");
});

test("Approvals: denies a request that nobody answers within its timeout", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: asking, session: { approvals: { timeout: "2m" } } });
  const events = scene.session.events();
  const reply = query(scene.name, "ask");
  const approval = await requested(scene);
  expect(approval.expiresAt).toBe(120_000);
  await clock.advance(119_999);
  expect(scene.session.approvals()).toHaveLength(1);
  await clock.advance(1);
  const decision: unknown = JSON.parse((await reply).text);
  expect(decision).toMatchObject({ behavior: "deny", message: expect.stringContaining("2m") });
  expect(approval.approve()).toBe(false);
  for await (const event of events) {
    if (event.type !== "approval_settled") continue;
    expect(event.outcome).toBe("expired");
    break;
  }
});

test("stallTimeout: does not count the time in which an approval is pending", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: asking,
    session: { approvals: { timeout: "30m" }, stallTimeout: "1m" },
  });
  const reply = query(scene.name, "ask");
  const approval = await requested(scene);
  await clock.advance(20 * 60_000);
  approval.approve();
  expect((await within(clock, reply)).text).toContain("allow");
  expect(scene.session.status().restarts).toBe(0);
});

test("Approvals: withdraws a request when its turn is interrupted", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const turn = stream(scene.name, "ask");
  const approval = await requested(scene);
  await turn.interrupt();
  await failure(turn.result(), "TURN_INTERRUPTED");
  await eventually(() => scene.session.approvals().length === 0);
  expect(approval.approve()).toBe(false);
  expect((await query(scene.name, "next")).text).toBe("re: next");
  expect(scene.session.status().state).toBe("idle");
});

test("Approvals: withdraws a request when its process dies, and the retried turn asks again", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const events = scene.session.events();
  const reply = query(scene.name, "ask");
  const approval = await requested(scene);
  scene.fake.processes[0]?.crash({ signal: "SIGKILL" });
  await eventually(() => scene.session.approvals()[0]?.id !== approval.id);
  expect(approval.approve()).toBe(false);
  (await requested(scene)).approve();
  expect((await reply).text).toContain("allow");
  for await (const event of events) {
    if (event.type !== "approval_settled") continue;
    expect(event).toMatchObject({ id: approval.id, outcome: "withdrawn" });
    break;
  }
});

test("Approvals: withdraws a request when its session stops", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const { session } = scene;
  const cut = failure(query(scene.name, "ask"), "TURN_INTERRUPTED");
  const approval = await requested(scene);
  await session.stop();
  await cut;
  expect(session.approvals()).toEqual([]);
  expect(approval.deny()).toBe(false);
});

test("canUseTool: decides as the application says, and is rejected beside `approvals`", async () => {
  await using scene = await Scene.open({
    script: asking,
    session: { canUseTool: async () => ({ behavior: "deny", message: "by the application" }) },
  });
  expect((await query(scene.name, "ask")).text).toContain("by the application");
  const canUseTool = async () => ({ behavior: "deny", message: "no" }) as const;
  for (const answers of [
    { canUseTool },
    { permissionPromptToolName: "mcp__a__b" },
    { canUseTool, approvals: { timeout: 5 } },
  ]) {
    const starting = scene.supervisor.startSession({ name: unique(), approvals: true, ...answers });
    const error = await failure(starting, "INVALID_OPTIONS");
    expect(error.details.problems.map(({ field }) => field)).toEqual(["approvals"]);
  }
});

test("supervisor.reconcile(): applies a changed `approvals.timeout` to the next request", async () => {
  const name = unique();
  await using scene = await Scene.open({ script: asking, children: [{ name }] });
  await scene.supervisor.reconcile([{ name, approvals: { timeout: "1h" } }]);
  const reply = query(name, "ask");
  const approval = await requested(scene);
  expect(approval.expiresAt - approval.requestedAt).toBe(3_600_000);
  approval.approve();
  expect((await reply).text).toContain("allow");
});

test("session.approvalHistory(): returns answered and withdrawn requests after a restart of the application", async () => {
  const both = { fake: fakeClaude(asking), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name, approvals: true }]);
  const asked = async (): Promise<Approval> => {
    await eventually(() => first.session(name).approvals().length > 0);
    const [approval] = first.session(name).approvals();
    if (approval === undefined) throw new Error("none");
    return approval;
  };
  const reply = first.query(name, "ask");
  const answered = await asked();
  answered.deny("no");
  await reply;
  const open = first.query(name, "ask again").catch(() => {});
  const { id } = await asked();
  await first.stop();
  await open;
  await using second = await run(both, [{ name, approvals: true }]);
  const [last, before] = await second.session(name).approvalHistory();
  expect(last).toMatchObject({ id, outcome: "withdrawn" });
  expect(before).toMatchObject({ id: answered.id, tool: "Write", input: answered.input, outcome: "denied" });
  expect(await second.session(name).approvalHistory({ limit: 1 })).toEqual([last]);
});

/** Returns a turn's approvals and its end, as its events tell them. */
async function told(turn: Turn | undefined): Promise<SessionEvent[]> {
  const events: SessionEvent[] = [];
  for await (const event of turn?.events() ?? []) {
    if (event.type.startsWith("approval_") || event.type === "turn_ended") events.push(event);
  }
  return events;
}

test("turn.events(): tells who answered an approval and what the answer changed", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const rules: PermissionUpdate[] = [{ type: "setMode", mode: "acceptEdits", destination: "session" }];
  const turn = stream(scene.name, "ask");
  const { id, approve, toolUseId } = await requested(scene);
  approve({ by: "ann@example.com", input: { file_path: "/tmp/b" }, rules });
  const other = stream(scene.name, "ask again");
  (await requested(scene)).deny("not today", { by: "bob" });
  expect(await told(turn)).toMatchObject([
    { type: "approval_requested", id, toolUseId },
    {
      type: "approval_settled",
      id,
      toolUseId,
      outcome: "approved",
      by: "ann@example.com",
      input: { file_path: "/tmp/b" },
      rules,
    },
    { type: "turn_ended", state: "completed" },
  ]);
  expect(await told(other)).toMatchObject([
    { type: "approval_requested" },
    { type: "approval_settled", outcome: "denied", by: "bob", message: "not today" },
    { type: "turn_ended" },
  ]);
  const history = await scene.session.approvalHistory();
  expect(history.map(({ outcome, by, message }) => [outcome, by, message])).toEqual([
    ["denied", "bob", "not today"],
    ["approved", "ann@example.com", undefined],
  ]);
});

const QUESTIONS = [
  {
    question: "Which library?",
    header: "Library",
    options: [
      { label: "date-fns", description: "small" },
      { label: "luxon", description: "complete", preview: "DateTime.now()" },
    ],
    multiSelect: false,
  },
  {
    question: "Which tests?",
    header: "Tests",
    options: [
      { label: "unit", description: "fast" },
      { label: "end to end", description: "slow" },
    ],
    multiSelect: true,
  },
];

/** Asks questions and replies with the decision. */
const questioning: FakeScript = async (turn) => {
  await turn.text(JSON.stringify(await turn.askPermission("AskUserQuestion", { questions: QUESTIONS })));
};

test("approval.answer(): gives Claude the answers to its questions, and the record who answered", async () => {
  await using scene = await Scene.open({ script: questioning, session: { approvals: true } });
  const turn = stream(scene.name, "hi");
  const approval = await requested(scene);
  expect(approval.questions).toEqual(QUESTIONS);
  expect(approval.answer({ "Which library?": "my own", "Which tests?": ["unit", "end to end"] }, { by: "ann" })).toBe(
    true,
  );
  expect(approval.answer({ "Which library?": "luxon" })).toBe(false);
  const answers = { "Which library?": "my own", "Which tests?": "unit, end to end" };
  const { text } = await turn.result();
  expect(JSON.parse(text)).toMatchObject({ behavior: "allow", updatedInput: { questions: QUESTIONS, answers } });
  expect(await told(turn)).toMatchObject([
    { type: "approval_requested", input: { questions: QUESTIONS } },
    { type: "approval_settled", outcome: "approved", by: "ann", answers },
    { type: "turn_ended" },
  ]);
});

test.each<[string, QuestionAnswers, string]>([
  ["no answer", {}, "answers"],
  ["an unknown question", { "Which one?": "a" }, 'answers["Which one?"]'],
  [
    "several answers to a question that takes one",
    { "Which library?": ["luxon", "date-fns"] },
    'answers["Which library?"]',
  ],
  ["an empty answer", { "Which library?": " " }, 'answers["Which library?"]'],
  ["an empty list", { "Which tests?": [] }, 'answers["Which tests?"]'],
  ["an answer that is not a text", { "Which tests?": 7 as unknown as string }, "answers"],
])("approval.answer(): rejects %s, and the request stays pending", async (_what, answers, field) => {
  await using scene = await Scene.open({ script: questioning, session: { approvals: true } });
  const reply = query(scene.name, "hi");
  const approval = await requested(scene);
  const error = await failure((async () => approval.answer(answers))(), "INVALID_OPTIONS");
  expect(error.details.problems.map((problem) => problem.field)).toEqual([field]);
  expect(scene.session.approvals()).toEqual([approval]);
  expect(approval.answer({ "Which tests?": "unit" })).toBe(true);
  expect(JSON.parse((await reply).text)).toMatchObject({ updatedInput: { answers: { "Which tests?": "unit" } } });
});

test("approval.answer(): is rejected for a tool that asks no question", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const reply = query(scene.name, "ask");
  const approval = await requested(scene);
  expect(approval.questions).toBeUndefined();
  const { message } = await failure((async () => approval.answer({ "Why?": "because" }))(), "INVALID_OPTIONS");
  expect(message).toContain("approve or deny");
  approval.deny();
  await reply;
});

test("Approval: rejects an answer by nobody in particular, and stays pending", async () => {
  await using scene = await Scene.open({ script: asking, session: { approvals: true } });
  const reply = query(scene.name, "ask");
  const approval = await requested(scene);
  for (const by of ["", "x".repeat(257), 7 as unknown as string]) {
    for (const answer of [() => approval.approve({ by }), () => approval.deny("no", { by })]) {
      const error = await failure((async () => answer())(), "INVALID_OPTIONS");
      expect(error.details.problems.map(({ field }) => field)).toEqual(["by"]);
    }
  }
  expect(scene.session.approvals()).toEqual([approval]);
  approval.approve();
  expect((await reply).text).toContain("allow");
});

describe("turn.events(): tells before the turn's end why an approval was withdrawn", () => {
  type Cut = (turn: Turn, scene: Scene) => unknown;
  const cuts: Record<string, readonly [cause: string, Cut]> = {
    "turn.interrupt()": ["turn_stopped", (turn) => turn.interrupt()],
    "session.interrupt()": ["turn_stopped", (_turn, { session }) => session.interrupt()],
    'whenBusy: "interrupt"': ["turn_stopped", (_turn, { name }) => query(name, "next", { whenBusy: "interrupt" })],
    'whenBusy: "rollback"': ["turn_stopped", (_turn, { name }) => query(name, "next", { whenBusy: "rollback" })],
    "session.stop()": ["session_stopped", (_turn, { session }) => session.stop()],
    "session.restart()": ["process_ended", (_turn, { session }) => session.restart()],
    "a crash of the process": ["process_ended", (_turn, { fake }) => fake.processes[0]?.crash({ signal: "SIGKILL" })],
  };
  test.each(Object.entries(cuts))("%s", async (_name, [cause, cut]) => {
    const session = { approvals: true, onInterruptedTurn: "fail" } as const;
    await using scene = await Scene.open({ script: asking, session });
    const turn = stream(scene.name, "ask");
    const { id, approve, toolUseId } = await requested(scene);
    const events = told(turn);
    const cutting = cut(turn, scene);
    await failure(turn.result(), "TURN_INTERRUPTED");
    expect(approve()).toBe(false);
    expect(await events).toMatchObject([
      { type: "approval_requested", id },
      { type: "approval_settled", id, toolUseId, outcome: "withdrawn", cause, message: expect.any(String) },
      { type: "turn_ended", state: "interrupted" },
    ]);
    await cutting;
    expect(scene.fake.errors).toEqual([]);
  });
});

test.each(["timeout", "signal"])(
  "turn.events(): tells before the end by %s that an approval was withdrawn",
  async (how) => {
    const clock = new SimulatedClock();
    await using scene = await Scene.open({ clock, script: asking, session: { approvals: true } });
    const abort = new AbortController();
    const turn = stream(scene.name, "ask", how === "timeout" ? { timeout: "1m" } : { signal: abort.signal });
    const { id } = await requested(scene);
    if (how === "signal") abort.abort();
    else await clock.advance(60_000);
    await turn.result().catch(() => {});
    expect(await told(turn)).toMatchObject([
      { type: "approval_requested", id },
      { type: "approval_settled", id, outcome: "withdrawn", cause: "turn_stopped" },
      { type: "turn_ended" },
    ]);
    expect((await within(clock, query(scene.name, "next"))).text).toBe("re: next");
  },
);

test("SessionServer.handOver(): withdraws an approval because the session moves, and ignores a late answer", async () => {
  const journal = memoryJournal();
  await using scene = await Scene.open({ script: asking, session: { approvals: true }, options: { journal } });
  const events = collect(scene.session.events({ types: ["approval_settled"] }));
  const left = failure(query(scene.name, "ask", { idempotencyKey: "mine" }), "SUPERVISOR_STOPPED");
  const { id, approve } = await requested(scene);
  await serverOf(scene.session)?.handOver(0);
  expect(approve()).toBe(false);
  await left;
  await scene.session.stop().catch(() => {});
  expect(await events).toMatchObject([{ id, outcome: "withdrawn", cause: "moved" }]);
});

test("pool.approvals(): has the requests of the pool's turns, whose events tell the answers", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: asking, children: [pool(name, { size: 2, approvals: true })] });
  const lent = scene.supervisor.pool(name);
  const turns = ["ask a", "ask b"].map((prompt) => lent.stream(prompt));
  await eventually(() => lent.approvals().length === 2);
  for (const turn of turns) {
    const approval = lent.approvals().find(({ turnId }) => turnId === turn.id);
    expect(approval?.deny("no", { by: turn.id })).toBe(true);
    await turn.result();
    expect(await told(turn)).toMatchObject([
      { type: "approval_requested", id: approval?.id },
      { type: "approval_settled", id: approval?.id, outcome: "denied", by: turn.id },
      { type: "turn_ended", state: "completed" },
    ]);
  }
  expect(lent.approvals()).toEqual([]);
});

test("Approvals: records that Claude Code took a request back", async () => {
  const taken = Promise.withResolvers<void>();
  const allowed = async (): Promise<HookJSONOutput> => {
    await taken.promise;
    return { hookSpecificOutput: { hookEventName: "PermissionRequest", decision: { behavior: "allow" } } };
  };
  await using scene = await Scene.open({
    session: {
      approvals: true,
      hooks: { PermissionRequest: [{ hooks: [allowed] }] },
    },
    script: async (turn) => {
      await turn.toolUse("Bash", { command: "ls" }, { ask: true });
      await turn.text("done");
    },
  });
  const turn = stream(scene.name, "hi");
  const { id } = await requested(scene);
  taken.resolve();
  await turn.result();
  expect(await told(turn)).toMatchObject([
    { type: "approval_requested", id },
    { type: "approval_settled", id, outcome: "withdrawn", cause: "taken_back" },
    { type: "turn_ended", state: "completed" },
  ]);
});

test.each(["kept", "removed"])(
  "turn.events(): tells after a kill of the application that an approval was withdrawn; `approvals` is %s",
  async (option) => {
    const [fake, crashing, name] = [fakeClaude(asking), new CrashingJournal(), unique()];
    const clock = new SimulatedClock();
    const first = await run({ fake, journal: crashing.journal, clock }, [
      { name, approvals: true, onInterruptedTurn: "fail" },
    ]);
    const id = await first.session(name).enqueue("ask");
    for await (const { type } of first.session(name).events({ after: 0 })) if (type === "approval_requested") break;
    const [approval] = first.session(name).approvals();
    crashing.crash();
    await within(clock, first.stop({ kill: true }));
    const session = { name, onInterruptedTurn: "fail", ...(option === "kept" ? { approvals: true } : {}) } as const;
    await using second = await run({ fake, journal: await crashing.left(), clock }, [session]);
    const turn = await second.session(name).turn(id);
    expect(await told(turn)).toMatchObject([
      { type: "approval_requested", id: approval?.id },
      {
        type: "approval_settled",
        id: approval?.id,
        tool: "Write",
        toolUseId: approval?.toolUseId,
        outcome: "withdrawn",
        cause: "application_ended",
      },
      { type: "turn_ended", state: "interrupted" },
    ]);
    expect(await second.session(name).approvalHistory()).toMatchObject([{ id: approval?.id, outcome: "withdrawn" }]);
  },
);
