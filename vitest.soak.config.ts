import { defineConfig } from "vitest/config";

/* Apart from `npm test`: what takes long, or changes only with Claude Code itself. */
export default defineConfig({
  // As in the other configuration: what examples import by the name of the package is its sources.
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
