import { query, Supervisor, stream } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";

/*
 * A host application in a process of its own, for tests that kill it. Claude runs a command that never ends beside an
 * MCP server. Each tool use is printed.
 */

const [mcpServer = ""] = process.argv.slice(2);
const api = await mockApi();
api.reply("run", { toolUses: [{ name: "Bash", input: { command: "tail -f /dev/null", description: "Wait" } }] });
const supervisor = await Supervisor.start(
  [
    {
      name: "worker",
      allowedTools: ["Bash"],
      mcpServers: { local: { command: process.execPath, args: [mcpServer] } },
    },
  ],
  { defaults: { env: api.env, cwd: api.cwd } },
);
await query("worker", "hello");
const turn = stream("worker", "Please run it.");
for await (const { name } of turn.toolUses()) {
  const { pid } = supervisor.session("worker").status();
  process.stdout.write(`${JSON.stringify({ tool: name, pid, config: api.env["CLAUDE_CONFIG_DIR"] })}\n`);
}
