import { defineConfig } from "vitest/config";

export default defineConfig({
  // The examples import the package by its name, which is its sources here, as `paths` says to the type checker.
  resolve: {
    alias: [
      { find: /^castellan$/, replacement: `${import.meta.dirname}/src/index.ts` },
      { find: /^castellan\/testing$/, replacement: `${import.meta.dirname}/src/testing/index.ts` },
      { find: /^castellan\/(otel|prometheus)$/, replacement: `${import.meta.dirname}/src/telemetry/$1.ts` },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/soak/**", "test/kills/**", "test/chaos/**"],
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
