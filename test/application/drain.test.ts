import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { eventually, failure, Scene, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { Service } from "./service.ts";

/** Opens a session that answers once the gate is open. */
async function gated(clock?: SimulatedClock) {
  const gate = Promise.withResolvers<void>();
  const scene = await Scene.open({
    ...(clock === undefined ? {} : { clock }),
    script: async (turn) => {
      await turn.partial("so ");
      await gate.promise;
      await turn.text(`did ${turn.prompt}`);
    },
  });
  return { gate, scene };
}

test("supervisor.drain(): completes running and queued turns, rejects new ones, and stops", async () => {
  const { gate, scene } = await gated();
  await using _ = scene;
  const replies = ["one", "two", "three"].map((prompt) => query(scene.name, prompt));
  await scene.fake.prompted(1);
  const handle = scene.session;
  const drained = scene.supervisor.drain();
  await failure(query(scene.name, "four"), "SUPERVISOR_STOPPED");
  await failure(handle.query("four"), "SUPERVISOR_STOPPED");
  expect(scene.session.status().mailbox).toBe(2);
  gate.resolve();
  expect(await drained).toEqual({ completed: true });
  expect((await Promise.all(replies)).map(({ text }) => text)).toEqual(["so did one", "so did two", "so did three"]);
  expect(await scene.supervisor.closed).toEqual({ reason: "stopped" });
  expect(scene.fake.processes[0]).toMatchObject({ signals: [], exit: { code: 0 } });
});

test("supervisor.drain(): drains nested sessions, and stops workers after the last turn", async () => {
  const gate = Promise.withResolvers<void>();
  const [service, below] = [new Service("db"), unique("below")];
  await using scene = await Scene.open({
    children: [service.child(), { name: "inner", children: [{ name: below }] }],
    script: async (turn) => {
      await gate.promise;
      await turn.text(service.log.join());
    },
  });
  const reply = query(below, "hi");
  await scene.fake.prompted(1);
  const drained = scene.supervisor.drain();
  await failure(query(below, "late"), "SUPERVISOR_STOPPED");
  gate.resolve();
  expect((await reply).text).toBe("db started");
  expect(await drained).toEqual({ completed: true });
  expect(service.log).toEqual(["db started", "db stopped"]);
});

test("supervisor.drain(): stops at the deadline, interrupts the rest, and returns `completed: false`", async () => {
  const clock = new SimulatedClock();
  const { scene } = await gated(clock);
  await using _ = scene;
  const [running, waiting] = [query(scene.name, "one"), query(scene.name, "two")];
  const ended = [failure(running, "TURN_INTERRUPTED"), failure(waiting, "SUPERVISOR_STOPPED")] as const;
  await scene.fake.prompted(1);
  const drained = scene.supervisor.drain({ deadline: "20s" });
  await clock.advance(19_999);
  expect(scene.supervisor.inspect().state).toBe("running");
  await clock.advance(1);
  expect(scene.supervisor.inspect().state).toBe("terminated");
  const [cut] = await Promise.all(ended);
  expect(cut.details.partialText).toBe("so ");
  expect(cut.cause).toMatchObject({ code: "SUPERVISOR_STOPPED" });
  expect(await drained).toEqual({ completed: false });
});

test("supervisor.drain(): stops at once without turns, and leaves no timer", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, children: [new Service("db").child()] });
  expect(await scene.supervisor.drain()).toEqual({ completed: true });
  expect(clock.timers).toBe(0);
});

test("supervisor.drain(): is idempotent, also after the end", async () => {
  const { gate, scene } = await gated();
  await using _ = scene;
  const reply = query(scene.name, "one");
  await scene.fake.prompted(1);
  const both = [scene.supervisor.drain(), scene.supervisor.drain()];
  gate.resolve();
  expect(await Promise.all(both)).toEqual([{ completed: true }, { completed: true }]);
  expect((await reply).text).toBe("so did one");
  expect(await scene.supervisor.drain()).toEqual({ completed: true });
});

test("supervisor.drain(): returns `completed: false` when stop() cuts it short", async () => {
  const { scene } = await gated();
  await using _ = scene;
  const cut = failure(query(scene.name, "one"), "TURN_INTERRUPTED");
  await scene.fake.prompted(1);
  const drained = scene.supervisor.drain({ deadline: "1h" });
  await scene.supervisor.stop();
  await cut;
  expect(await drained).toEqual({ completed: false });
});

test("supervisor.stop({ kill: true }): kills at once, also during a stop without a limit", async () => {
  await using scene = await Scene.open({
    fake: { endOfInput: "ignore", ignoreSigterm: true },
    session: { shutdown: "infinity" },
  });
  const [process] = scene.fake.processes;
  const stopped = scene.supervisor.stop();
  await eventually(() => process?.signals.includes("SIGTERM") === true);
  expect(process?.signals).toEqual(["SIGTERM"]);
  await scene.supervisor.stop({ kill: true });
  await stopped;
  expect(process?.signals).toEqual(["SIGTERM", "SIGKILL"]);
});

test("supervisor.drain(): waits for turns on hold until the deadline", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      await turn.emit({ type: "rate_limit_event", rate_limit_info: { status: "rejected", resetsAt: 3_600 } });
      await turn.fail({ status: 429 });
    },
  });
  await failure(query(scene.name, "one"), "TURN_FAILED");
  const held = failure(query(scene.name, "two"), "SUPERVISOR_STOPPED");
  // The emptied conversation starts anew.
  await eventually(() => scene.session.status().state === "waiting");
  expect(scene.session.status()).toMatchObject({ mailbox: 1 });
  const drained = scene.supervisor.drain({ deadline: "30s" });
  await clock.advance(30_000);
  await held;
  expect(await drained).toEqual({ completed: false });
});

test("supervisor.drain(): completes turns whose process dies on the next process", async () => {
  await using scene = await Scene.open({
    script: (turn) => (turn.index === 0 ? turn.hang() : turn.text(`did ${turn.prompt}`)),
  });
  const replies = ["one", "two"].map((prompt) => query(scene.name, prompt));
  await scene.fake.prompted(1);
  const drained = scene.supervisor.drain();
  scene.fake.processes[0]?.crash();
  expect((await Promise.all(replies)).map(({ text }) => text)).toEqual(["did one", "did two"]);
  expect(await drained).toEqual({ completed: true });
});

test("supervisor.drain(): until its end, additions and reconcile() are rejected", async () => {
  const { gate, scene } = await gated();
  await using _ = scene;
  const reply = query(scene.name, "one");
  await scene.fake.prompted(1);
  const drained = scene.supervisor.drain();
  await failure(scene.supervisor.startSession({ name: unique() }), "SUPERVISOR_STOPPED");
  await failure(scene.supervisor.startChild(new Service("late").child()), "SUPERVISOR_STOPPED");
  await failure(scene.supervisor.reconcile([]), "SUPERVISOR_STOPPED");
  expect(session(scene.name).status().starts).toBe(1);
  gate.resolve();
  await reply;
  await drained;
});

test("supervisor.drain(): rejects a wrong deadline, and the supervisor runs on", async () => {
  await using scene = await Scene.open();
  const error = await failure(scene.supervisor.drain({ deadline: "soon" }), "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toBe("deadline");
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
});
