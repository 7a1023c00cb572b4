import { query, Supervisor } from "../../src/index.ts";

/*
 * A host application, run as a process of its own: it has a conversation, says which, and keeps it until it is killed.
 */

const [env = "{}", cwd = "", sqlite = ""] = process.argv.slice(2);
await Supervisor.start([{ name: "holder" }], { journal: { sqlite }, defaults: { env: JSON.parse(env), cwd } });
const { sessionId } = await query("holder", "hello");
process.stdout.write(`${sessionId}\n`);
