import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { FakeProcess } from "../../src/testing/index.ts";
import { eventually, failure, Scene, ticks } from "../session-on-fake/scene.ts";

/** Returns the arguments of a process without those that name its conversation. */
function shape(process: FakeProcess | undefined): readonly string[] {
  const args = process?.args ?? [];
  return args.filter((arg, at) => {
    const names = ["--resume", "--session-id", "--resume-session-at"];
    const belongs = names.some((name) => arg.startsWith(name) || (args[at - 1] === name && !arg.startsWith("--")));
    return !belongs;
  });
}

test("restartSession(): keeps conversation, options and handshake", async () => {
  await using scene = await Scene.open({
    script: (turn) => turn.text(`${turn.history.length}`),
    session: {
      systemPrompt: "You are terse.",
      allowedTools: ["Read", "Grep"],
      maxTurns: 5,
      model: "claude-own",
      agents: { helper: { description: "helps", prompt: "help" } },
      hooks: { PreToolUse: [{ matcher: "Bash", hooks: [async () => ({})] }] },
    },
  });
  expect((await query(scene.name, "one")).text).toBe("0");
  const { conversationId } = scene.session.status();
  await scene.supervisor.restartSession(scene.name);
  expect((await query(scene.name, "two")).text).toBe("2");
  const [before, after] = scene.fake.processes;
  expect(scene.fake.processes).toHaveLength(2);
  expect(after?.resumedFrom).toBe(conversationId);
  expect(shape(after)).toEqual(shape(before));
  expect(shape(before)).toContain("--include-partial-messages");
  expect(before?.initialize).toBeDefined();
  expect(after?.initialize).toEqual(before?.initialize);
  expect(scene.session.status()).toMatchObject({ conversationId, starts: 2, restarts: 0, state: "idle" });
});

test("Restart after a crash: keeps conversation, options and handshake", async () => {
  await using scene = await Scene.open({ session: { systemPrompt: "Be kind.", disallowedTools: ["Bash"] } });
  await query(scene.name, "one");
  scene.fake.processes[0]?.kill("SIGKILL");
  await scene.fake.started(2);
  await query(scene.name, "two");
  const [before, after] = scene.fake.processes;
  expect(shape(after)).toEqual(shape(before));
  expect(after?.initialize).toEqual(before?.initialize);
  expect(after?.env["ANTHROPIC_API_KEY"]).toBe(before?.env["ANTHROPIC_API_KEY"]);
  expect(scene.transcript()).toEqual([
    "user: one",
    "assistant: You said: one",
    "user: two",
    "assistant: You said: two",
  ]);
  expect(scene.session.status()).toMatchObject({ restarts: 1, lastExit: { class: "crash", signal: "SIGKILL" } });
});

test('session.restart({ conversation: "clear" }): starts an empty conversation under the same name', async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text(`${turn.history.length}`) });
  const before = await query(scene.name, "one");
  await scene.session.restart({ conversation: "clear" });
  const after = await query(scene.name, "two");
  expect(after.text).toBe("0");
  expect(after.sessionId).not.toBe(before.sessionId);
  expect(scene.transcript()).toEqual(["user: two", "assistant: 0"]);
  // The former conversation still exists under its id.
  expect(scene.fake.transcript(before.sessionId)).toHaveLength(2);
});

test('session.restart({ conversation: "clear" }): stays in force after a crash', async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text(`${turn.history.length}`) });
  await query(scene.name, "one");
  await scene.session.restart({ conversation: "clear" });
  scene.fake.running[0]?.crash();
  await scene.fake.started(3);
  expect((await query(scene.name, "two")).text).toBe("0");
  scene.fake.running[0]?.crash();
  await scene.fake.started(4);
  expect((await query(scene.name, "three")).text).toBe("2");
});

test("restartSession(): keeps the mailbox in order", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.process === scene.fake.processes[0]) await turn.hang();
      await turn.text(`did ${turn.prompt}`);
    },
  });
  const replies = ["one", "two", "three"].map((prompt) => query(scene.name, prompt));
  await scene.fake.prompted(1);
  await scene.supervisor.restartSession(scene.name);
  const texts = (await Promise.all(replies)).map(({ text }) => text);
  expect(texts).toEqual(["did one", "did two", "did three"]);
  expect(scene.fake.processes[0]?.prompts).toEqual(["one"]);
  expect(scene.fake.processes[1]?.prompts).toEqual(["one", "two", "three"]);
  expect(scene.transcript().filter((line) => line === "user: one")).toHaveLength(1);
});

test("restartSession(): rejects a turn that had begun to answer with TURN_INTERRUPTED", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index > 0) return turn.text("fine");
      await turn.partial("so f");
      await turn.hang();
    },
  });
  const turn = stream(scene.name, "one");
  for await (const _ of turn.text()) break;
  await scene.supervisor.restartSession(scene.name);
  const error = await failure(turn.result(), "TURN_INTERRUPTED");
  expect(error.details).toMatchObject({ partialText: "so f", exit: { class: "done" } });
  expect((await query(scene.name, "two")).text).toBe("fine");
});

test.each(["fail", "retry_if_untouched"] as const)(
  "restartSession(): a turn that is asked for during it runs on the next process (%s)",
  async (onInterruptedTurn) => {
    await using scene = await Scene.open({ session: { onInterruptedTurn } });
    const restarted = scene.supervisor.restartSession(scene.name);
    const replies: Promise<string>[] = [];
    for (let n = 0; n < 5; n++) {
      replies.push(query(scene.name, `${n}`).then(({ text }) => text));
      await ticks(1);
    }
    await restarted;
    expect(await Promise.all(replies)).toEqual([0, 1, 2, 3, 4].map((n) => `You said: ${n}`));
    expect(scene.fake.processes[0]?.prompts).toEqual([]);
  },
);

test("session.restart(): runs once for two simultaneous calls", async () => {
  await using scene = await Scene.open();
  await Promise.all([scene.session.restart(), scene.session.restart()]);
  expect(scene.fake.processes).toHaveLength(2);
  expect(scene.fake.running).toHaveLength(1);
});

test.each(["transient", "temporary"] as const)("restartSession(): restarts a %s session", async (restart) => {
  await using scene = await Scene.open({ session: { restart } });
  await query(scene.name, "one");
  await scene.supervisor.restartSession(scene.name);
  expect((await query(scene.name, "two")).text).toBe("You said: two");
  expect(scene.transcript()).toHaveLength(4);
});

test("restartSession(): rejects when the session fails to start", async () => {
  await using scene = await Scene.open({
    fake: { startup: (process, n) => (n > 1 ? process.crash({ code: 9, stderr: "out of order" }) : undefined) },
  });
  const error = await failure(scene.supervisor.restartSession(scene.name), "SESSION_QUARANTINED");
  expect(error.message).toContain("out of order");
  expect(scene.session.status().state).toBe("quarantined");
});

test("session.status(): is `restarting` with the new pid, and without `startedAt`, while the process starts after a crash", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({ fake: { startup: (_, n) => (n === 2 ? gate.promise : undefined) } });
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.fake.processes.length === 2);
  const status = scene.session.status();
  expect(status.state).toBe("restarting");
  expect(status.pid).toBe(scene.fake.processes[1]?.pid);
  expect(status.startedAt).toBeUndefined();
  expect(status.retryAt).toBeUndefined();
  gate.resolve();
  await scene.fake.started(2);
  await query(scene.name, "hi");
});
