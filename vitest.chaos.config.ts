import { defineConfig } from "vitest/config";

/* Tests with random faults that run for a given time or number of kills, apart from `npm test`. See scripts/chaos.ts. */
export default defineConfig({
  test: {
    include: ["test/chaos/**/*.test.ts", "test/kills/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 1,
    hookTimeout: 60_000,
  },
});
