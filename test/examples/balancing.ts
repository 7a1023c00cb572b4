import { query, session } from "castellan";
import { expect, test } from "vitest";
import { ask, review, reviewFor, start, startOwn } from "../../examples/balancing.ts";
import { onFake } from "./on-fake.ts";

test("balancing.ts: takes sessions in turn, or always the same one for a key", async () => {
  const { fake, options } = onFake();
  await using _supervisor = await start(options);
  for (const source of ["1", "2", "3", "4"]) await review(source);
  expect(fake.processes.map(({ prompts }) => prompts.length)).toEqual([2, 1, 1, 0]);
  const first = await reviewFor("ada", "5");
  expect((await reviewFor("ada", "6")).sessionId).toBe(first.sessionId);
});

test("balancing.ts: answers from the second choice when the API refuses the first", async () => {
  const { fake, options } = onFake(async (turn) => {
    if (turn.index === 0) return await turn.fail({ status: 529 });
    await turn.text("from the backup");
  });
  await using _supervisor = await start(options);
  expect(await ask("hi")).toMatchObject({ text: "from the backup" });
  // The last process replaces the first, whose conversation starts empty.
  await expect.poll(() => fake.processes.map(({ prompts }) => prompts.length)).toEqual([1, 0, 0, 1, 0]);
  expect(session("reviewer-a").status()).toMatchObject({ waitingFor: { for: "overload" } });
});

test("balancing.ts: picks pool members with a custom balancer", async () => {
  const { options } = onFake();
  await using supervisor = await startOwn(options);
  expect(await query("summaries", "hi")).toMatchObject({ text: "You said: hi" });
  expect(supervisor.pool("summaries").status()).toMatchObject({ size: 2, waiting: 0 });
});
