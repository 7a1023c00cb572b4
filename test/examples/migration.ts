import { expect, test } from "vitest";
import { before, first, second, start, startForAll, third } from "../../examples/migration.ts";
import { onFake } from "./on-fake.ts";

test("migration.ts: answers the same in each phase, with the same options", async () => {
  const { fake, options } = onFake(async (turn) => turn.text(`${turn.prompt}, ${turn.history.length / 2} before`));
  const spawnClaudeCodeProcess = fake.spawn;
  expect(await before("hi", { spawnClaudeCodeProcess })).toBe("hi, 0 before");
  expect(await first("hi", { spawnClaudeCodeProcess })).toBe("hi, 0 before");
  {
    await using _supervisor = await start(options);
    expect(await second("hi")).toBe("hi, 0 before");
    expect(await second("hi")).toBe("hi, 1 before");
  }
  await using _supervisor = await startForAll(options);
  expect(await third(7, "hi", "m1")).toBe("hi, 0 before");
  expect(await third(7, "hi", "m1")).toBe("hi, 0 before");
  expect(await third(7, "hi", "m2")).toBe("hi, 1 before");
  expect(await third(8, "hi", "m3")).toBe("hi, 0 before");
  for (const { args } of fake.processes) expect(args).toEqual(expect.arrayContaining(["--max-turns=5"]));
  const prompts = fake.processes.map(({ initialize }) => JSON.stringify(initialize?.["systemPrompt"]));
  expect(new Set(prompts)).toEqual(new Set(['["You help customers"]']));
});
