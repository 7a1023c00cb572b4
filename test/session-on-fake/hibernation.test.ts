import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

/** Opens a session that hibernates after a minute. */
async function withIdleTimeout(more: object = {}, script: FakeScript = count) {
  const clock = new SimulatedClock();
  const scene = await Scene.open({ clock, script, session: { idleTimeout: "1m", ...more } });
  return { clock, scene, hibernated: () => eventually(() => scene.fake.running.length === 0) };
}

test("idleTimeout: hibernates an idle session, which wakes with its conversation for the next turn", async () => {
  const { clock, scene, hibernated } = await withIdleTimeout();
  await using _ = scene;
  expect((await query(scene.name, "one")).text).toBe("0");
  await clock.advance(59_999);
  expect(scene.session.status().state).toBe("idle");
  await clock.advance(1);
  await hibernated();
  const { pid, ...status } = scene.session.status();
  expect(status).toMatchObject({ state: "hibernated", starts: 1, restarts: 0, mailbox: 0 });
  expect(pid).toBeUndefined();
  expect(status.waitingFor).toBeUndefined();
  expect((await query(scene.name, "two")).text).toBe("2");
  expect(scene.session.status()).toMatchObject({ state: "idle", starts: 2, restarts: 0 });
  // The idle time counts from the last turn.
  await clock.advance(60_000);
  await hibernated();
  expect((await query(scene.name, "three")).text).toBe("4");
});

test("idleTimeout: counts from the last turn; health() does not extend it", async () => {
  const { clock, scene, hibernated } = await withIdleTimeout();
  await using _ = scene;
  await clock.advance(50_000);
  await query(scene.name, "one");
  await clock.advance(50_000);
  expect(await scene.session.health()).toEqual({ status: "healthy" });
  expect(scene.fake.running).toHaveLength(1);
  await clock.advance(10_000);
  await hibernated();
});

test("Hibernation: health, lists, inspection and history do not wake the session", async () => {
  const { clock, scene, hibernated } = await withIdleTimeout();
  await using _ = scene;
  await clock.advance(60_000);
  await hibernated();
  expect(await scene.session.health()).toEqual({ status: "healthy" });
  expect(scene.supervisor.listSessions().map(({ state }) => state)).toEqual(["hibernated"]);
  expect(scene.supervisor.inspect().children).toMatchObject([{ kind: "session", status: { state: "hibernated" } }]);
  expect(scene.supervisor.countChildren()).toMatchObject({ active: 1 });
  expect(await scene.session.transcript()).toEqual([]);
  await ticks(20);
  expect(scene.fake.processes).toHaveLength(1);
});

test("Hibernation: a control wakes the session with its model and permission mode", async () => {
  const { clock, scene, hibernated } = await withIdleTimeout({ permissionMode: "plan" });
  await using _ = scene;
  await scene.session.setModel("claude-haiku-4-5");
  await scene.session.setPermissionMode("acceptEdits");
  await clock.advance(60_000);
  await hibernated();
  await scene.session.supportedModels();
  expect(scene.fake.processes).toHaveLength(2);
  const { args } = scene.fake.processes[1] ?? { args: [] };
  expect(args.join(" ")).toContain("claude-haiku-4-5");
  expect(args.join(" ")).toContain("acceptEdits");
});

test("session.wake() and session.hibernate(): are idempotent, start one process and stop it", async () => {
  await using scene = await Scene.open({ script: count, session: { activation: "lazy" } });
  expect(scene.session.status()).toMatchObject({ state: "hibernated", starts: 0 });
  expect(scene.fake.processes).toEqual([]);
  await Promise.all([scene.session.wake(), scene.session.wake()]);
  await scene.session.wake();
  expect(scene.fake.processes).toHaveLength(1);
  expect(scene.session.status().state).toBe("idle");
  await Promise.all([scene.session.hibernate(), scene.session.hibernate()]);
  await scene.session.hibernate();
  expect(scene.fake.running).toEqual([]);
  expect(scene.fake.processes[0]).toMatchObject({ exit: { code: 0 }, signals: [] });
});

test("session.hibernate(): waits for a control request of somebody else, and both calls of it end the one process", async () => {
  await using scene = await Scene.open({ script: count });
  scene.fake.processes[0]?.freeze();
  const asked = scene.session.mcpStatus();
  const hibernating = [scene.session.hibernate(), scene.session.hibernate()];
  await ticks(50);
  expect([scene.session.status().state, scene.fake.running.length]).toEqual(["idle", 1]);
  scene.fake.processes[0]?.thaw();
  expect(await asked).toEqual([]);
  await Promise.all(hibernating);
  expect([scene.session.status().state, scene.fake.processes.length]).toEqual(["hibernated", 1]);
});

test("session.hibernate(): is refused when a turn begins while it waits for a control request", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await gate.promise;
      await turn.text("done");
    },
  });
  scene.fake.processes[0]?.freeze();
  const asked = scene.session.mcpStatus();
  const hibernating = failure(scene.session.hibernate(), "SESSION_BUSY");
  const reply = scene.session.query("hello");
  await eventually(() => scene.session.status().state === "busy");
  scene.fake.processes[0]?.thaw();
  await asked;
  await hibernating;
  gate.resolve();
  expect((await reply).text).toBe("done");
});

test("session.hibernate(): ends a process that answers no control request", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: count });
  scene.fake.processes[0]?.freeze();
  const asked = failure(scene.session.mcpStatus(), "CONTROL_TIMEOUT");
  const hibernated = scene.session.hibernate();
  await within(clock, hibernated);
  await asked;
  expect([scene.session.status().state, scene.fake.running]).toEqual(["hibernated", []]);
});

test("Hibernation: does not happen during a turn, a pending approval or a background task", async () => {
  const begun = Promise.withResolvers<void>();
  const task = { task_id: "t1", task_type: "local_bash", description: "sleep" };
  const { clock, scene, hibernated } = await withIdleTimeout({ approvals: { timeout: "1h" } }, async (turn) => {
    const tasks = (tasks: object[]) => turn.emit({ type: "system", subtype: "background_tasks_changed", tasks });
    if (turn.prompt === "wait") await begun.promise;
    if (turn.prompt === "ask") await turn.askPermission("Write", {});
    if (turn.prompt === "go on") await tasks([task]);
    if (turn.prompt === "stop") await tasks([]);
    await turn.text("fine");
  });
  await using _ = scene;
  const stays = async (state: string): Promise<void> => {
    await eventually(() => scene.session.status().state === state);
    await clock.advance(120_000);
    await failure(scene.session.hibernate(), "SESSION_BUSY");
    expect(scene.session.status()).toMatchObject({ state, starts: 1 });
  };
  const turn = query(scene.name, "wait");
  await stays("busy");
  begun.resolve();
  await turn;
  const asked = query(scene.name, "ask");
  await stays("waiting");
  scene.session.approvals()[0]?.approve();
  await asked;
  await query(scene.name, "go on");
  await stays("busy");
  await query(scene.name, "stop");
  await clock.advance(60_000);
  await hibernated();
});

test("session.hibernate(): a simultaneous turn waits and wakes the session", async () => {
  await using scene = await Scene.open({ script: count });
  await query(scene.name, "one");
  const sleeping = scene.session.hibernate();
  const reply = query(scene.name, "two");
  await sleeping;
  expect((await reply).text).toBe("2");
  expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([["one"], ["two"]]);
});

test("session.hibernate(): turns within a few ticks of it run exactly once", async () => {
  for (let n = 0; n < 12; n++) {
    await using scene = await Scene.open({ script: count });
    const sleeping = scene.session.hibernate().catch(() => {});
    await ticks(n);
    const replies = await Promise.all([query(scene.name, "a"), scene.session.mcpStatus(), query(scene.name, "b")]);
    expect([replies[0].text, replies[2].text]).toEqual(["0", "2"]);
    await sleeping;
    expect(scene.fake.processes.flatMap(({ prompts }) => prompts)).toEqual(["a", "b"]);
    expect(scene.fake.running).toHaveLength(1);
  }
});

test("mailboxLimit: 0 still accepts a turn for a hibernated session", async () => {
  await using scene = await Scene.open({ script: count, session: { activation: "lazy", mailboxLimit: 0 } });
  const first = query(scene.name, "one");
  await failure(query(scene.name, "two"), "MAILBOX_FULL");
  expect((await first).text).toBe("0");
  await scene.session.hibernate();
  expect((await query(scene.name, "three", { whenBusy: "reject" })).text).toBe("2");
});

test("pinned: prevents idle hibernation, but not hibernate()", async () => {
  const { clock, scene } = await withIdleTimeout({ pinned: true });
  await using _ = scene;
  await clock.advance(600_000);
  expect(scene.session.status().state).toBe("idle");
  await scene.session.hibernate();
  expect(scene.fake.running).toEqual([]);
});

test("idleTimeout: a change applies at once without a new process", async () => {
  const { clock, scene, hibernated } = await withIdleTimeout();
  await using _ = scene;
  const own = { name: scene.name };
  await scene.supervisor.reconcile([{ ...own, idleTimeout: "10m" }]);
  await clock.advance(60_000);
  expect(scene.session.status()).toMatchObject({ state: "idle", starts: 1 });
  await scene.supervisor.reconcile([{ ...own, idleTimeout: "2m" }]);
  await clock.advance(60_000);
  await hibernated();
  // Options that change during hibernation apply to the next process.
  await scene.supervisor.reconcile([{ ...own, idleTimeout: "2m", systemPrompt: "Be brief." }]);
  await scene.supervisor.reconcile([
    { ...own, idleTimeout: "2m", systemPrompt: "Be brief.", model: "claude-haiku-4-5" },
  ]);
  expect(scene.fake.processes).toHaveLength(1);
  await query(scene.name, "one");
  expect(scene.fake.processes[1]?.args.join(" ")).toContain("claude-haiku-4-5");
});

test("Hibernation: restart, clear, fork and stop work on a hibernated session", async () => {
  await using scene = await Scene.open({ script: count, session: { activation: "lazy" } });
  await query(scene.name, "one");
  await scene.session.hibernate();
  const fork = await scene.session.fork(unique("fork"));
  expect(fork.status().state).toBe("hibernated");
  expect((await fork.query("in the fork")).text).toBe("2");
  await scene.session.restart();
  expect((await query(scene.name, "two")).text).toBe("2");
  await scene.session.hibernate();
  await scene.session.clear();
  expect((await query(scene.name, "three")).text).toBe("0");
  await scene.session.hibernate();
  const handle = scene.session;
  await scene.supervisor.terminateChild(scene.name);
  await failure(handle.query("four"), "SESSION_STOPPED");
  await scene.supervisor.restartChild(scene.name);
  expect((await query(scene.name, "four")).text).toBe("2");
  await scene.session.hibernate();
  await handle.stop();
  expect(scene.supervisor.listSessions().map(({ name }) => name)).toEqual([fork.name]);
});

test("supervisor.drain(): completes a turn that waits for a session to wake", async () => {
  const gate = Promise.withResolvers<void>();
  const name = unique();
  await using scene = await Scene.open({
    script: count,
    fake: { startup: () => gate.promise },
    children: [{ name, activation: "lazy" }],
  });
  const reply = query(name, "one");
  const drained = scene.supervisor.drain();
  await eventually(() => scene.fake.processes.length === 1);
  gate.resolve();
  expect((await reply).text).toBe("0");
  expect(await drained).toEqual({ completed: true });
});

test("session.wake(): failed starts are restarted and in the end quarantine the session", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    session: { activation: "lazy" },
    fake: { startup: (process) => process.crash({ code: 3 }) },
  });
  const reply = failure(query(scene.name, "one"), "SESSION_QUARANTINED");
  await within(clock, reply);
  expect(scene.session.status()).toMatchObject({ state: "quarantined", lastExit: { code: 3 } });
  await failure(scene.session.wake(), "SESSION_QUARANTINED");
  await failure(scene.session.hibernate(), "SESSION_QUARANTINED");
});

test("Hibernation: a crash counts as a restart, after which a lazy session hibernates and keeps its conversation", async () => {
  await using scene = await Scene.open({ script: count, session: { activation: "lazy" } });
  await query(scene.name, "one");
  scene.fake.running[0]?.crash();
  await eventually(() => scene.session.status().restarts === 1);
  // `activation: "lazy"` applies to the restarted session, too.
  await eventually(() => scene.session.status().state === "hibernated");
  expect((await query(scene.name, "two")).text).toBe("2");
});

test("Hibernation: the session wakes without a turn that was rolled back", async () => {
  await using scene = await Scene.open({
    session: { whenBusy: "rollback" },
    script: async (turn) => {
      if (turn.prompt === "long") await turn.hang();
      await turn.text(`${turn.history.length}`);
    },
  });
  await query(scene.name, "one");
  const long = stream(scene.name, "long");
  await scene.fake.prompted(2);
  const reply = query(scene.name, "instead");
  await failure(long.result(), "TURN_INTERRUPTED");
  expect((await reply).text).toBe("2");
  await scene.session.hibernate();
  expect((await query(scene.name, "two")).text).toBe("4");
});

test("session.events(): reports each change of state once", async () => {
  await using scene = await Scene.open({ script: count });
  const states: string[] = [];
  const reading = (async () => {
    for await (const event of session(scene.name).events()) if (event.type === "state") states.push(event.state);
  })();
  await scene.session.hibernate();
  await query(scene.name, "one");
  await scene.session.stop();
  await reading;
  expect(states).toEqual(["hibernated", "starting", "idle", "busy", "idle", "stopped"]);
});
