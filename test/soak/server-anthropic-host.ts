import { template } from "../../src/application/options/template.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { clientTools, listen } from "../../src/server/index.ts";

/* An application with a server, in a process of its own, which tests kill. */

const [env = "{}", cwd = "", sqlite = "", port = "0"] = process.argv.slice(2);
const supervisor = await Supervisor.start(
  [
    template("support", (id: string) => ({
      approvals: true,
      permissionMode: "default",
      mcpServers: { client: clientTools(["support", id]) },
    })),
  ],
  { journal: { sqlite, waitForOwner: "30s" }, defaults: { env: JSON.parse(env), cwd } },
);
supervisor.stopOnSignals();
const server = await listen(supervisor, { port: Number(port), tokens: false });
process.stdout.write(`${JSON.stringify({ url: server.url })}\n`);
