import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { failure, Scene } from "./scene.ts";

/** Opens a session whose `PreToolUse` hook is pending until `gate` resolves. */
async function inHook() {
  const clock = new SimulatedClock();
  const gate = Promise.withResolvers<object>();
  const called = Promise.withResolvers<void>();
  const hook = () => {
    called.resolve();
    return gate.promise;
  };
  const scene = await Scene.open({
    clock,
    session: { stallTimeout: "5s", hooks: { PreToolUse: [{ hooks: [hook] }] } },
    script: async (turn) => {
      if (turn.prompt === "one") await turn.toolUse("Bash", { command: "ls" }, { result: "files" });
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const turn = stream(scene.name, "one");
  await called.promise;
  return { scene, clock, gate, turn };
}

test("Hooks: a pending hook delays neither status nor controls, and is no stall", async () => {
  const { scene, clock, gate, turn } = await inHook();
  await using _ = scene;
  await clock.advance(7_000);
  expect(scene.session.status()).toMatchObject({ state: "busy", restarts: 0 });
  expect(await scene.session.health()).toEqual({ status: "healthy" });
  expect(await scene.session.mcpStatus()).toEqual([]);
  await scene.session.setModel("claude-haiku-4-5");
  expect((await scene.session.contextUsage()).model).toBe("claude-haiku-4-5");
  gate.resolve({});
  expect((await turn.result()).text).toBe("re: one");
  expect(scene.fake.processes).toHaveLength(1);
});

test("turn.interrupt(): stops a turn with a pending hook at once, and the next turn runs", async () => {
  const { scene, clock, gate, turn } = await inHook();
  await using _ = scene;
  await clock.advance(7_000);
  const next = query(scene.name, "two");
  await turn.interrupt();
  expect((await failure(turn.result(), "TURN_INTERRUPTED")).details.toolUses).toMatchObject([{ name: "Bash" }]);
  expect((await next).text).toBe("re: two");
  // The late answer has no effect.
  gate.resolve({});
  expect((await query(scene.name, "three")).text).toBe("re: three");
  expect(scene.fake.processes).toHaveLength(1);
});

test("Hooks: a hook that rejects late does not fail the turn", async () => {
  const { scene, clock, gate, turn } = await inHook();
  await using _ = scene;
  await clock.advance(7_000);
  gate.reject(new Error("the hook is broken"));
  expect((await turn.result()).text).toBe("re: one");
});
