import { defineConfig } from "vitest/config";

const OTHER_SUITES = ["test/soak/**", "test/kills/**", "test/chaos/**"];
const ALONE = ["test/clock.test.ts", "test/journal/postgres-database.test.ts"];

export default defineConfig({
  // The examples import the package by its name, which is its sources here, as `paths` says to the type checker.
  resolve: {
    alias: [
      { find: /^castellan$/, replacement: `${import.meta.dirname}/src/index.ts` },
      { find: /^castellan\/testing$/, replacement: `${import.meta.dirname}/src/testing/index.ts` },
      { find: /^castellan\/cluster$/, replacement: `${import.meta.dirname}/src/connect.ts` },
      { find: /^castellan\/(otel|prometheus)$/, replacement: `${import.meta.dirname}/src/telemetry/$1.ts` },
    ],
  },
  test: {
    projects: [
      // Files share a process, which spares each of them the time to load everything anew ...
      {
        extends: true,
        test: { name: "shared", include: ["test/**/*.test.ts"], exclude: [...OTHER_SUITES, ...ALONE], isolate: false },
      },
      // ... but for those that hold the time of the whole process.
      { extends: true, test: { name: "alone", include: ALONE } },
    ],
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
