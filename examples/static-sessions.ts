import { Supervisor, type SupervisorOptions } from "castellan";

// #region sessions
export async function startAssistants(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start(
    [
      { name: "code-reviewer", systemPrompt: "You review code for bugs and improvements" },
      { name: "test-writer", systemPrompt: "You write tests with Vitest", allowedTools: ["Read", "Write"] },
      { name: "front-desk", model: "claude-haiku-4-5", mailboxLimit: 10, whenBusy: "reject" },
    ],
    {
      ...options,
      name: "assistants",
      strategy: "one_for_one",
      maxRestarts: 3,
      maxSeconds: 5,
      defaults: { maxTurns: 5, timeout: "2m", ...options.defaults },
    },
  );
}
// #endregion

// #region tree
export async function startTree(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start(
    [
      { name: "front", strategy: "one_for_all", children: [{ name: "planner" }, { name: "writer" }] },
      { name: "back", defaults: { model: "claude-haiku-4-5" }, children: [{ name: "tagger" }] },
    ],
    options,
  );
}
// #endregion
