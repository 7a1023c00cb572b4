import { defineConfig } from "vitest/config";

/* An application that is killed 200 times, on the real Claude Code: a quarter of an hour, apart from `npm test`. */
export default defineConfig({
  test: { include: ["test/kills/**/*.test.ts"], pool: "forks", maxWorkers: 1, hookTimeout: 60_000 },
});
