import { defineConfig } from "vitest/config";

/** Files that measure time or memory, or load the whole machine. */
const ALONE = [
  "cluster-calls",
  "cluster-postgres",
  "cluster-rolling",
  "crowd",
  "dashboard-record-speed",
  "dashboard-speed",
  "flood",
  "health",
  "journal-delay",
  "load",
  "pool-load",
  "readers",
  "server-streams",
].map(fileOf);

/** Files with several nodes, databases or releases. */
const MACHINES = [
  "agent-sdk-releases",
  "cluster-*",
  "handover-faults",
  "hostile-peers",
  "kubernetes",
  "postgres-*",
  "two-releases",
].map(fileOf);

/** Files that use pages in Chromium. */
const PAGES = ["chat", "dashboard", "dashboard-*", "starter-page", "streaming-page"].map(fileOf);

function fileOf(name: string): string {
  return `test/soak/${name}.test.ts`;
}

/* Slow tests, and tests whose results change only with Claude Code, apart from `npm test`. */
export default defineConfig({
  // As in vitest.config.ts: examples import the sources by the name of the package.
  resolve: { alias: [{ find: /^castellan$/, replacement: `${import.meta.dirname}/src/index.ts` }] },
  test: {
    projects: [
      // Two files at a time: most wait for processes and deadlines ...
      {
        extends: true,
        test: {
          name: "together",
          include: ["test/soak/**/*.test.ts"],
          exclude: [...ALONE, ...MACHINES, ...PAGES],
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: { name: "machines", include: MACHINES, exclude: ALONE, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: { name: "pages", include: PAGES, exclude: ALONE, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      // ... and afterwards one at a time those whose measurements another file would disturb.
      { extends: true, test: { name: "alone", include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } } },
    ],
    globalSetup: ["test/soak/page-build.ts", "test/soak/caches.ts"],
    pool: "forks",
    env: { CASTELLAN_JOURNAL: "memory" },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
