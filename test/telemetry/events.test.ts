import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { type EventName, eventNames } from "../../src/events.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventsDuring, type PublishedEvent } from "./published-events.ts";

/** Every event except the messages of a process. */
const events = eventNames.filter((name) => name !== "castellan:session:message");

const short = ({ name, event }: PublishedEvent): string => {
  const detail = "state" in event ? ` ${String(event.state)}` : "outcome" in event ? ` ${String(event.outcome)}` : "";
  return `${name.replace("castellan:", "")}${detail}`;
};

test("eventNames: lists these channels", () => {
  expect(eventNames.toSorted()).toMatchInlineSnapshot(`
    [
      "castellan:activation:end",
      "castellan:activation:start",
      "castellan:approval:request",
      "castellan:approval:settle",
      "castellan:capacity:end",
      "castellan:capacity:wait",
      "castellan:clock:skew",
      "castellan:database:failover",
      "castellan:database:gap",
      "castellan:global:claim",
      "castellan:global:release",
      "castellan:node:join",
      "castellan:node:leave",
      "castellan:node:lose",
      "castellan:pool:add",
      "castellan:pool:checkin",
      "castellan:pool:checkout",
      "castellan:pool:exhausted",
      "castellan:pool:leave",
      "castellan:pool:remove",
      "castellan:pool:wait",
      "castellan:session:fault",
      "castellan:session:message",
      "castellan:session:quarantine",
      "castellan:session:rekey",
      "castellan:session:restart",
      "castellan:session:start",
      "castellan:session:state",
      "castellan:session:stop",
      "castellan:supervisor:handover",
      "castellan:turn:accept",
      "castellan:turn:begin",
      "castellan:turn:end",
      "castellan:webhook:attempt",
      "castellan:webhook:drop",
    ]
  `);
});

test("session events: report start, turn, approval, crash, restart and end, in order", async () => {
  const name = unique();
  const script: FakeScript = async (turn) => {
    if (turn.prompt === "ask") await turn.askPermission("Bash", { command: "date" });
    if (turn.prompt === "die") await turn.crash({ signal: "SIGKILL" });
    await turn.text("done");
  };
  const seen = await eventsDuring(async () => {
    await using scene = await Scene.open({ script, children: [{ name, approvals: true, onInterruptedTurn: "fail" }] });
    const asked = query(name, "ask");
    await eventually(() => session(name).approvals().length > 0);
    session(name).approvals()[0]?.approve();
    await asked;
    await failure(query(name, "die"), "TURN_INTERRUPTED");
    await eventually(() => session(name).status().state === "idle");
    await scene.supervisor.stop();
  }, events);
  expect(seen.map(short)).toEqual([
    "session:start",
    "activation:start",
    "session:state idle",
    "turn:accept",
    "session:state busy",
    "turn:begin",
    "session:state waiting",
    "approval:request",
    "session:state busy",
    "approval:settle approved",
    "session:state idle",
    "turn:end completed",
    "turn:accept",
    "session:state busy",
    "turn:begin",
    "activation:end",
    "session:state restarting",
    "session:restart",
    "turn:end interrupted",
    "session:start",
    "activation:start",
    "session:state idle",
    "session:stop",
    "session:state stopped",
    "activation:end",
  ]);
  const of = (name: EventName): object[] => seen.flatMap((one) => (one.name === name ? [one.event] : []));
  expect(of("castellan:turn:accept")[0]).toEqual({
    session: name,
    supervisor: "supervisor",
    turnId: expect.any(String),
    origin: "caller",
    prompt: "ask",
    recovered: false,
  });
  expect(of("castellan:turn:end")).toMatchObject([
    {
      session: name,
      state: "completed",
      left: false,
      attempts: 1,
      prompt: "ask",
      reply: { text: "done", costUsd: 0.01 },
    },
    { session: name, state: "interrupted", left: false, attempts: 1, error: { code: "TURN_INTERRUPTED" } },
  ]);
  expect(of("castellan:activation:start")).toMatchObject([
    { session: name, activation: 1, resumed: false, spare: false, pid: expect.any(Number) },
    { session: name, activation: 2, resumed: true, spare: false },
  ]);
  expect(of("castellan:session:restart")).toMatchObject([{ restarts: 1, exit: { class: "crash", signal: "SIGKILL" } }]);
});

test("capacity and quarantine events: report the wait for a process, and a quarantine with its exits", async () => {
  const [clock, broken, works, waits] = [new SimulatedClock(), unique("broken"), unique("works"), unique("waits")];
  const gate = Promise.withResolvers<void>();
  const seen = await eventsDuring(async () => {
    await using scene = await Scene.open({
      clock,
      script: async (turn) => {
        if (turn.prompt === "hold") await gate.promise;
        await turn.text("done");
      },
      children: [{ name: works }, { name: waits }],
      options: { capacity: { maxProcesses: 1 } },
    });
    const held = query(works, "hold");
    await scene.fake.prompted(1);
    const late = query(waits, "late");
    await eventually(() => session(waits).status().waitingFor !== undefined);
    await clock.advance(250);
    gate.resolve();
    await Promise.all([held, late]);
  });
  seen.push(
    ...(await eventsDuring(async () => {
      await using scene = await Scene.open({ children: [{ name: broken, apiKey: { env: "NOT_SET_ANYWHERE" } }] });
      expect(scene.supervisor.notStarted).toHaveLength(1);
    })),
  );
  const of = (name: EventName): object[] => seen.flatMap((one) => (one.name === name ? [one.event] : []));
  expect(of("castellan:capacity:wait")).toContainEqual({ session: waits, supervisor: "supervisor" });
  expect(of("castellan:capacity:end")[0]).toMatchObject({ session: waits, waitedMs: 250, granted: true });
  expect(of("castellan:session:quarantine")).toMatchObject([{ session: broken, lastExits: [{ class: "auth" }] }]);
});
