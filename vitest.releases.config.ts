import { defineConfig } from "vitest/config";

/** The tests whose results depend on the release of the Agent SDK, by folder. */
const FACTS = {
  real: ["hibernation", "prompts", "recording", "start", "transcripts"],
  soak: [
    "background-tasks",
    "configuration",
    "conversation-fate",
    "crash",
    "fidelity",
    "granted",
    "half-compaction",
    "half-compaction-in-store",
    "mcp-servers",
    "old-conversations",
    "option-advice",
    "prompt-blocks",
    "prompts",
    "questions",
    "release-in-use",
    "session-store",
    "sessions",
    "skill-commands",
    "stale-leaf",
    "steering",
    "transcript-location",
    "unprompted-turns",
  ],
};

/* Tests of the facts that Castellan relies on. test/soak/agent-sdk-releases.test.ts runs them on several releases of the Agent SDK. */
export default defineConfig({
  // As in vitest.soak.config.ts.
  resolve: { alias: [{ find: /^castellan$/, replacement: `${import.meta.dirname}/src/index.ts` }] },
  test: {
    include: Object.entries(FACTS).flatMap(([folder, names]) => names.map((name) => `test/${folder}/${name}.test.ts`)),
    pool: "forks",
    // Most tests wait for processes and deadlines.
    maxWorkers: 3,
    env: { CASTELLAN_JOURNAL: "memory" },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
