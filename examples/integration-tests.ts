import { Supervisor } from "castellan";
import type { MockApi } from "castellan/testing";

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
