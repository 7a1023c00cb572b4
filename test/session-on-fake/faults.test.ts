import { expect, test } from "vitest";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { eventually, Scene } from "./scene.ts";

const MIRROR = {
  type: "system",
  subtype: "mirror_error",
  error: "the store is full",
  key: { projectKey: "p", sessionId: "c", subpath: "subagents/agent-1" },
};

const LOST = {
  type: "system",
  subtype: "session_writes_lost",
  error_code: "ENOSPC",
  lost: ["transcript", "global_config"],
};

test("Session faults: a failed write to a session store is an event, and shows in status and health until `clear()`", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "mirror") await turn.emit(MIRROR);
      await turn.text("fine");
      if (turn.prompt === "after") turn.afterResult(() => turn.emit(MIRROR));
    },
  });
  const events: SessionEvent[] = [];
  void (async () => {
    for await (const event of scene.session.events()) events.push(event);
  })();
  expect((await scene.session.query("mirror")).text).toBe("fine");
  const [fault] = scene.session.status().faults;
  expect(fault).toMatchObject({ kind: "mirror_error", message: expect.stringContaining("the store is full") });
  expect(fault?.message).toContain("subagents/agent-1");
  expect(await scene.session.health()).toEqual({ status: "degraded", reason: fault?.message });
  expect((await scene.session.query("after")).text).toBe("fine");
  await eventually(() => events.filter(({ type }) => type === "fault").length === 2);
  expect(scene.session.status().faults).toHaveLength(2);
  // `clear()` drops the conversation to which the fault belongs.
  await scene.session.clear();
  expect(scene.session.status().faults).toEqual([]);
  expect(await scene.session.health()).toEqual({ status: "healthy" });
});

test("Session faults: a full disk while Claude Code wrote its transcript degrades the health", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.text("fine");
      turn.afterResult(() => turn.emit(LOST));
    },
  });
  await scene.session.query("go");
  await eventually(() => scene.session.status().faults.length === 1);
  const health = await scene.session.health();
  expect(health).toMatchObject({ status: "degraded", reason: expect.stringContaining("ENOSPC") });
  expect(JSON.stringify(health)).toContain("a resume may miss a part");
});

test("session.status().faults: keeps the last eight", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      for (let n = 0; n < 12; n++) await turn.emit({ ...MIRROR, error: `no ${n}` });
      await turn.text("fine");
    },
  });
  await scene.session.query("go");
  const { faults } = scene.session.status();
  expect(faults.map(({ message }) => message.split(" ").at(-1))).toEqual(["4", "5", "6", "7", "8", "9", "10", "11"]);
});
