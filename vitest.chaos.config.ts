import { defineConfig } from "vitest/config";

/* Everything that can go wrong, by chance, for as long as it is asked: `npm run test:chaos -- --seed N --minutes M`. */
export default defineConfig({
  test: { include: ["test/chaos/**/*.test.ts"], pool: "forks", maxWorkers: 1, hookTimeout: 60_000 },
});
