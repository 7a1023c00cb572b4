import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { contest } from "../claude/lock-contest.ts";

it("conversation lock: has one holder in 10,000 rounds of eight processes that are killed at random", {
  timeout: 300_000,
}, async () => {
  const home = await mkdtemp(join(tmpdir(), "castellan-contest-"));
  const { rounds, killedHolding, violations } = await contest(home, { processes: 8, rounds: 10_000 });
  console.log(`${rounds} rounds, ${killedHolding} of them after one that was killed over it`);
  expect(violations).toEqual([]);
  expect(rounds).toBeGreaterThanOrEqual(10_000);
  expect(killedHolding).toBeGreaterThan(0);
  await rm(home, { recursive: true });
});
