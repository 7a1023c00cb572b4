import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Approval } from "../../src/session/conversation/approval.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { eventually, failure, Scene, unique, within } from "./scene.ts";

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
    { type: "approval_settled", id, outcome: "approved", turnId },
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
