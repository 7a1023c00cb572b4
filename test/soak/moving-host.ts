import { query, Supervisor, session } from "../../src/index.ts";

/*
 * An application with a session `nomad`, which asks one prompt, or counts the messages of its history. It prints the
 * outcome as a line of JSON.
 */

const [journal = "", cwd = "", prompt = ""] = process.argv.slice(2);
await using _ = await Supervisor.start(
  [{ name: "nomad", allowedTools: ["Bash"], activation: prompt === "" ? "lazy" : "eager" }],
  { journal: { sqlite: journal }, defaults: { cwd } },
);
const outcome =
  prompt === ""
    ? { messages: (await session("nomad").transcript()).length }
    : { text: (await query("nomad", prompt)).text };
process.stdout.write(`${JSON.stringify({ ...outcome, faults: session("nomad").status().faults })}\n`);
