import { defineConfig } from "vitest/config";

const OTHER_SUITES = ["test/soak/**", "test/kills/**", "test/chaos/**"];
const ALONE = ["test/clock.test.ts", "test/journal/postgres-database.test.ts"];

export default defineConfig({
  // The examples import the package by its name. Resolves to the sources, like `paths` in the TypeScript configuration.
  resolve: {
    alias: [
      { find: /^castellan$/, replacement: `${import.meta.dirname}/src/index.ts` },
      { find: /^castellan\/testing$/, replacement: `${import.meta.dirname}/src/testing/index.ts` },
      { find: /^castellan\/(client|dashboard|server)$/, replacement: `${import.meta.dirname}/src/$1/index.ts` },
      { find: /^castellan\/cluster$/, replacement: `${import.meta.dirname}/src/connect.ts` },
      { find: /^castellan\/(otel|prometheus)$/, replacement: `${import.meta.dirname}/src/telemetry/$1.ts` },
    ],
  },
  test: {
    projects: [
      // Test files share a process, which saves the time to load all modules again ...
      {
        extends: true,
        test: { name: "shared", include: ["test/**/*.test.ts"], exclude: [...OTHER_SUITES, ...ALONE], isolate: false },
      },
      // ... except those that mock the timers of the whole process.
      { extends: true, test: { name: "alone", include: ALONE } },
    ],
    globalSetup: "test/temporary-files.ts",
    pool: "forks",
    // Keeps tests from sharing the default journal file. Tests of journals set a path.
    env: { CASTELLAN_JOURNAL: "memory" },
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: process.env["CI"] ? ["default", "json"] : ["default"],
    outputFile: { json: "reports/vitest.json" },
  },
});
