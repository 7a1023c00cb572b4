import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { eventually, failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";

test("startSession(): starts a session with the supervisor's defaults, which answers at once", async () => {
  await using scene = await Scene.open({ options: { defaults: { model: "claude-default" } } });
  const [name, other] = [unique("added"), unique("other")];
  const added = await scene.supervisor.startSession({ name });
  expect(added.status().state).toBe("idle");
  expect((await query(name, "hi")).text).toBe("You said: hi");
  expect(scene.fake.processes[1]?.model).toBe("claude-default");
  await scene.supervisor.startSession({ name: other, model: "claude-own" });
  expect(scene.fake.processes[2]?.model).toBe("claude-own");
  expect(scene.supervisor.countSessions()).toBe(3);
  expect(scene.supervisor.listSessions().map((status) => status.name)).toEqual([scene.name, name, other]);
});

test("startSession(): rejects a name in use, here and in another supervisor", async () => {
  await using scene = await Scene.open();
  await using other = await Scene.open();
  await failure(scene.supervisor.startSession({ name: scene.name }), "SESSION_ALREADY_STARTED");
  const error = await failure(other.supervisor.startSession({ name: scene.name }), "SESSION_ALREADY_STARTED");
  expect(error.details.supervisor).toBe(scene.supervisor.name);
  expect(other.supervisor.countSessions()).toBe(1);
});

test("startSession(): lets one of two simultaneous calls have the name", async () => {
  await using scene = await Scene.open();
  const name = unique("wanted");
  const both = [scene.supervisor.startSession({ name }), scene.supervisor.startSession({ name })];
  const [first, second] = await Promise.allSettled(both);
  expect(first?.status).toBe("fulfilled");
  expect(second).toMatchObject({ status: "rejected", reason: { code: "SESSION_ALREADY_STARTED" } });
  expect(scene.fake.processes).toHaveLength(2);
});

test.each(["permanent", "transient", "temporary"] as const)(
  "startSession(): rejects when a %s session fails to start, and frees the name",
  async (restart) => {
    let broken = true;
    await using scene = await Scene.open({
      fake: {
        startup: (process, n) => (n > 1 && broken ? process.crash({ code: 3, stderr: "not today" }) : undefined),
      },
    });
    const name = unique("failing");
    const error = await scene.supervisor.startSession({ name, restart }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: restart === "temporary" ? "SESSION_STOPPED" : "SESSION_QUARANTINED" });
    expect(String(error)).toContain("not today");
    await thrown(() => session(name), "SESSION_NOT_FOUND");
    expect(scene.supervisor.countSessions()).toBe(1);
    broken = false;
    const mended = await scene.supervisor.startSession({ name, restart });
    expect((await mended.query("hi")).text).toBe("You said: hi");
  },
);

test("startSession(): rejects wrong options, and frees the name", async () => {
  await using scene = await Scene.open();
  const name = unique();
  const error = await failure(scene.supervisor.startSession({ name, maxTurns: -1 }), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(["maxTurns"]);
  // @ts-expect-error: an unknown option
  const typo = await failure(scene.supervisor.startSession({ name, sistemPrompt: "x" }), "INVALID_OPTIONS");
  expect(typo.message).toContain("systemPrompt");
  expect(scene.fake.processes).toHaveLength(1);
  await scene.supervisor.startSession({ name });
});

test("terminateSession(): stops the process, frees the name, and leaves other sessions alone", async () => {
  const [a, b] = [unique("a"), unique("b")];
  await using scene = await Scene.open({ children: [{ name: a }, { name: b }] });
  await scene.supervisor.terminateSession(a);
  expect(scene.fake.running).toHaveLength(1);
  await thrown(() => session(a), "SESSION_NOT_FOUND");
  expect(scene.supervisor.countSessions()).toBe(1);
  expect((await query(b, "hi")).text).toBe("You said: hi");
  await scene.supervisor.startSession({ name: a });
  expect((await query(a, "hi")).text).toBe("You said: hi");
});

test("session.stop(): rejects the running turn with its partial text, and the queued ones", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("half an ans");
      await turn.hang();
    },
  });
  const running = stream(scene.name, "one");
  const waiting = stream(scene.name, "two");
  for await (const text of running.text()) {
    expect(text).toBe("half an ans");
    break;
  }
  await scene.session.stop();
  const cut = await failure(running.result(), "TURN_INTERRUPTED");
  expect(cut.details.partialText).toBe("half an ans");
  expect(cut.cause).toMatchObject({ code: "SESSION_STOPPED" });
  await failure(waiting.result(), "SESSION_STOPPED");
  expect([running.state, waiting.state]).toEqual(["interrupted", "cancelled"]);
  expect(scene.fake.running).toEqual([]);
});

test("terminateSession(): is idempotent while it runs, and later rejects with SESSION_NOT_FOUND", async () => {
  await using scene = await Scene.open();
  await Promise.all([scene.supervisor.terminateSession(scene.name), scene.supervisor.terminateSession(scene.name)]);
  await failure(scene.supervisor.terminateSession(scene.name), "SESSION_NOT_FOUND");
});

test("terminateSession() and stop(): may be called in the same tick, in either order", async () => {
  await using one = await Scene.open();
  await Promise.all([one.supervisor.terminateSession(one.name), one.supervisor.stop()]);
  await using two = await Scene.open();
  const stopped = two.supervisor.stop();
  await failure(two.supervisor.terminateSession(two.name), "SUPERVISOR_STOPPED");
  await stopped;
});

test("terminateSession(): cancels a running restart", async () => {
  await using scene = await Scene.open();
  const restarting = scene.supervisor.restartSession(scene.name);
  const terminated = scene.supervisor.terminateSession(scene.name);
  await failure(restarting, "SESSION_STOPPED");
  await terminated;
  expect(scene.fake.running).toEqual([]);
  expect(scene.supervisor.countSessions()).toBe(0);
});

test("abortController: stops its session, and no other", async () => {
  const abortController = new AbortController();
  const [tied, free] = [unique("tied"), unique("free")];
  await using scene = await Scene.open({
    script: (turn) => turn.hang(),
    children: [{ name: tied, abortController }, { name: free }],
  });
  const turn = query(tied, "hi");
  await scene.fake.prompted(1);
  abortController.abort();
  await failure(turn, "TURN_INTERRUPTED");
  await eventually(() => scene.fake.running.length === 1 && scene.supervisor.countSessions() === 1);
  await thrown(() => session(tied), "SESSION_NOT_FOUND");
  expect(session(free).status().state).toBe("idle");
});

test("abortController: does not stop a later session of the same name", async () => {
  const abortController = new AbortController();
  await using scene = await Scene.open({ session: { abortController } });
  await scene.session.stop();
  const later = await scene.supervisor.startSession({ name: scene.name });
  abortController.abort();
  expect((await later.query("hi")).text).toBe("You said: hi");
  expect(later.status().state).toBe("idle");
});

test("abortController: is rejected when it is aborted", async () => {
  await using scene = await Scene.open();
  const abortController = new AbortController();
  abortController.abort();
  const starting = scene.supervisor.startSession({ name: unique(), abortController });
  expect((await failure(starting, "INVALID_OPTIONS")).details.problems[0]?.field).toBe("abortController");
});
