import { defineConfig } from "vitest/config";

/* Slow tests, and tests whose results change only with Claude Code, apart from `npm test`. */
export default defineConfig({
  // As in vitest.config.ts: examples import the sources by the name of the package.
  resolve: { alias: [{ find: /^castellan$/, replacement: `${import.meta.dirname}/src/index.ts` }] },
  test: {
    include: ["test/soak/**/*.test.ts"],
    pool: "forks",
    env: { CASTELLAN_JOURNAL: "memory" },
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
