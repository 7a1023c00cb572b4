import { query, Supervisor } from "../../src/index.ts";

/* A host application in a process of its own. It starts a conversation, prints its id, and runs until it is killed. */

const [env = "{}", cwd = "", sqlite = ""] = process.argv.slice(2);
await Supervisor.start([{ name: "holder" }], { journal: { sqlite }, defaults: { env: JSON.parse(env), cwd } });
const { sessionId } = await query("holder", "hello");
process.stdout.write(`${sessionId}\n`);
