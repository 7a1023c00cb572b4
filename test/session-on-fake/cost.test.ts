import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { command } from "../../src/session/options/command.ts";
import type { Prompt } from "../../src/session/options/prompt.ts";
import { failure, Scene } from "./scene.ts";

test("Reply: has the turn's own cost and tokens, not the process's running total", async () => {
  await using scene = await Scene.open({
    script: (turn) =>
      turn.result({
        text: "ok",
        costUsd: Number(turn.prompt),
        usage: { inputTokens: 10, outputTokens: turn.index + 1 },
      }),
  });
  const costs: number[] = [];
  const tokens: number[] = [];
  for (const prompt of ["0.5", "0.25", "2"]) {
    const { costUsd, usage } = await query(scene.name, prompt);
    costs.push(costUsd);
    tokens.push(usage.outputTokens);
    expect(usage.inputTokens).toBe(10);
  }
  expect(costs).toEqual([0.5, 0.25, 2]);
  expect(tokens).toEqual([1, 2, 3]);
});

test("Reply.costUsd: is the turn's own after a crash, a restart and `/clear`", async () => {
  await using scene = await Scene.open({
    fake: { costPerTurnUsd: 0.5 },
    script: async (turn) => {
      if (turn.prompt === "die" && turn.process === scene.fake.processes[0]) await turn.crash();
      await turn.text("ok");
    },
  });
  const cost = async (prompt: Prompt) => (await query(scene.name, prompt)).costUsd;
  expect(await cost("one")).toBeCloseTo(0.5);
  expect(await cost("die")).toBeCloseTo(0.5);
  expect(await cost("two")).toBeCloseTo(0.5);
  await scene.session.restart();
  expect(await cost("three")).toBeCloseTo(0.5);
  expect(await cost(command("clear"))).toBe(0);
  expect(await cost("four")).toBeCloseTo(0.5);
  await scene.session.restart({ conversation: "clear" });
  expect(await cost("five")).toBeCloseTo(0.5);
});

test("Reply.costUsd: leaves out the cost of a failed turn before it", async () => {
  await using scene = await Scene.open({
    fake: { costPerTurnUsd: 0.5 },
    script: async (turn) => {
      if (turn.prompt === "fail") await turn.result({ subtype: "error_max_turns" });
      else await turn.text("ok");
    },
  });
  await failure(query(scene.name, "fail"), "TURN_FAILED");
  expect((await query(scene.name, "go")).costUsd).toBeCloseTo(0.5);
});
