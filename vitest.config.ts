import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/soak/**", "test/kills/**"],
    pool: "forks",
    // Tests that want a journal on disk say where; the others must not meet in one.
    env: { CASTELLAN_JOURNAL: "memory" },
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: process.env["CI"] ? ["default", "json"] : ["default"],
    outputFile: { json: "reports/vitest.json" },
  },
});
