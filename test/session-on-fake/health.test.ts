import { expect, test } from "vitest";
import { stream } from "../../src/castellan.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, Scene, within } from "./scene.ts";

test("session.health(): is healthy when idle or busy, and starts no turn", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.hang() });
  expect(await scene.session.health()).toEqual({ status: "healthy" });
  const turn = stream(scene.name, "hi");
  await scene.fake.prompted(1);
  expect(await scene.session.health()).toEqual({ status: "healthy" });
  await turn.interrupt();
  expect(scene.fake.processes[0]?.prompts).toEqual(["hi"]);
});

test("session.health(): is unhealthy when the process does not answer, and leaves it running", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock });
  scene.fake.processes[0]?.freeze();
  const health = await within(clock, scene.session.health());
  expect(health).toMatchObject({ status: "unhealthy", reason: expect.stringContaining("did not answer") });
  scene.fake.processes[0]?.thaw();
  expect(await scene.session.health()).toEqual({ status: "healthy" });
});

test("session.health(): is unhealthy, with the reason, when quarantined or stopped", async () => {
  await using scene = await Scene.open({ options: { maxRestarts: 0 } });
  const { session } = scene;
  scene.fake.processes[0]?.crash({ code: 3 });
  await eventually(() => session.status().state === "quarantined");
  expect(await session.health()).toMatchObject({ status: "unhealthy", reason: expect.stringContaining("code 3") });
  await session.stop();
  expect(await session.health()).toMatchObject({ status: "unhealthy", reason: expect.stringContaining("stopped") });
});

test("session.sessionId: is Claude's id of the conversation", async () => {
  await using scene = await Scene.open();
  const { sessionId } = await scene.session.query("hi");
  expect(scene.session.sessionId).toBe(sessionId);
});
