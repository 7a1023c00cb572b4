import assert from "node:assert/strict";
import { CastellanError, query, Supervisor, type SupervisorOptions, session } from "castellan";
import { claudeStubs, type FakeClaude, fakeClaude, says, uses } from "castellan/testing";

// #region application
export async function startSupport(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([{ name: "support", systemPrompt: "You help customers" }], options);
}

export async function answer(question: string): Promise<string> {
  try {
    const { text } = await query("support", question);
    return text;
  } catch (error) {
    if (CastellanError.is(error, "TURN_INTERRUPTED")) return "Please ask again.";
    throw error;
  }
}
// #endregion

// #region script
export function scripted(): FakeClaude {
  return fakeClaude(async (turn) => {
    if (turn.prompt === "die") {
      await turn.partial("I was about to");
      await turn.crash({ signal: "SIGKILL" });
    }
    if (turn.prompt === "refuse") await turn.fail({ status: 401 });
    if (turn.prompt === "look") await turn.toolUse("Read", { file_path: "README.md" }, { result: "# Shop" });
    await turn.text(`Answer number ${turn.history.length / 2 + 1}`);
  });
}
// #endregion

// #region options
export function onFake(fake: FakeClaude): SupervisorOptions {
  return { journal: "memory", defaults: { spawnClaudeCodeProcess: fake.spawn } };
}
// #endregion

// #region test
export async function asksAgainAfterACrash(): Promise<void> {
  const fake = scripted();
  await using _supervisor = await startSupport(onFake(fake));
  assert.equal(await answer("die"), "Please ask again.");
  const [first, second] = [await fake.started(1), await fake.started(2)];
  assert.equal(second.resumedFrom, first.sessionId);
  assert.equal(session("support").status().restarts, 1);
}
// #endregion

// #region stubs
export async function stubbed(): Promise<string> {
  using claude = claudeStubs();
  claude.install(); // every supervisor started from now on uses the fake
  claude.stub("support", [uses("Read", { file_path: "hours.md" }, { result: "9-17" }), says("We open at nine.")]);
  await using _supervisor = await startSupport({ journal: "memory" });
  return await answer("When do you open?");
}
// #endregion
