import { expect, test } from "vitest";
import { loadPool } from "../session-on-fake/pool-load.ts";

const SEED = Number(process.env["POOL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

test(`Pool: answers 10,000 turns of eight members with random crashes, each with its own reply (POOL_SEED=${SEED})`, {
  timeout: 120_000,
}, async () => {
  const load = await loadPool(10_000, SEED);
  console.log(`POOL_SEED=${SEED}`, load);
  expect(load.answered).toBeGreaterThan(9_000);
  expect(load.crashes).toBeGreaterThan(0);
});
