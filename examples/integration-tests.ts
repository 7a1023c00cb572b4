import assert from "node:assert/strict";
import { query, Supervisor, session } from "castellan";
import { type MockApi, mockApi } from "castellan/testing";

// #region start
export async function startReal(api: MockApi): Promise<Supervisor> {
  return await Supervisor.start([{ name: "assistant", allowedTools: ["Bash"] }], {
    journal: "memory",
    defaults: { env: { ...api.env }, cwd: api.cwd },
  });
}
// #endregion

// #region replies
export function rehearse(api: MockApi): void {
  api.reply("capital of France", "Paris");
  api.reply("list", { text: "Let me look.", toolUses: [{ name: "Bash", input: { command: "echo a$((1+1))b" } }] });
  api.reply("busy", { error: { status: 529, message: "Overloaded" } }, { times: 1 });
}
// #endregion

// #region test
export async function remembersAfterAKill(): Promise<void> {
  await using api = await mockApi();
  rehearse(api);
  await using _supervisor = await startReal(api);
  const reply = await query("assistant", "list it");
  assert.equal(reply.text, "The tool said: a2b");

  process.kill(session("assistant").status().pid ?? 0, "SIGKILL");
  const { text } = await query("assistant", "What did I just say?");
  assert.equal(text, "You just said: list it");
}
// #endregion
