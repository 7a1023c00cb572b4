import { defineConfig } from "vitest/config";

/* Long runs, apart from `npm test`. */
export default defineConfig({
  test: {
    include: ["test/soak/**/*.test.ts"],
    pool: "forks",
    env: { CASTELLAN_JOURNAL: "memory" },
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 20_000,
  },
});
