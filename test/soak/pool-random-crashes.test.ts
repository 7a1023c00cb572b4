import { expect, test } from "vitest";
import { loadPool } from "../session-on-fake/pool-load.ts";

const SEED = Number(process.env["POOL_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

test(`Pool: 1,000 turns on eight members with random crashes each end once in their own conversation (POOL_SEED=${SEED})`, async () => {
  const { answered, crashes } = await loadPool(1_000, SEED);
  expect(answered).toBeGreaterThan(900);
  expect(crashes).toBeGreaterThan(0);
});
