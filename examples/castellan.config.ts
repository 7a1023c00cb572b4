// #region config
import { defineConfig } from "castellan";

export default defineConfig({
  name: "assistants",
  defaults: { timeout: "2m", model: { env: "CLAUDE_MODEL", default: "claude-sonnet-5" } },
  children: [
    { name: "reviewer", systemPrompt: "You review code for bugs and improvements" },
    { template: "support", sessions: { idleTimeout: "10m" } },
  ],
  $test: { journal: "memory" },
  $production: {
    journal: { postgres: { env: "DATABASE_URL" } },
    capacity: { maxProcesses: { env: "MAX_PROCESSES", as: "number", default: 16 } },
    children: [{ name: "reviewer", maxTurns: 20 }],
  },
  $env: { staging: { capacity: { maxProcesses: 2 } } },
});
// #endregion
