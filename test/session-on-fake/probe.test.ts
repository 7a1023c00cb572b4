import { expect, test } from "vitest";
import { probe, session } from "../../src/index.ts";
import { failure, Scene, unique } from "./scene.ts";

test("probe(): asks the model in a separate process, and leaves the session and its conversation alone", async () => {
  await using scene = await Scene.open({
    session: { model: "claude-haiku-4-5", hooks: { Stop: [{ hooks: [async () => ({})] }] } },
  });
  expect(await probe(scene.name)).toEqual({ ok: true, durationMs: expect.any(Number), costUsd: 0.01 });
  expect(scene.transcript()).toEqual([]);
  expect(scene.fake.processes.map(({ model }) => model)).toEqual(["claude-haiku-4-5", "claude-haiku-4-5"]);
  expect(scene.fake.running).toHaveLength(1);
  await session(scene.name).hibernate();
  expect((await probe(scene.session)).ok).toBe(true);
  expect(scene.session.status().state).toBe("hibernated");
});

test("probe(): returns the model's error, and rejects an unknown name and a wrong option", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.fail({ status: 401 }) });
  const result = await probe(scene.name);
  expect(result).toMatchObject({ ok: false, error: { details: { class: "auth" } } });
  await failure(probe(unique()), "SESSION_NOT_FOUND");
  await failure(probe(scene.name, { timeout: "soon" }), "INVALID_OPTIONS");
});
