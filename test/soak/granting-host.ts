import { Supervisor, session } from "../../src/index.ts";
import { allowCommand } from "./allowing.ts";

/*
 * An application that runs the given prompts, approves everything, and prints a line when it is done. The test then
 * kills it.
 */

const [name = "", prompts = "", journal = "", cwd = "", env = "{}"] = process.argv.slice(2);
await Supervisor.start([{ name, approvals: true, permissionMode: "acceptEdits" }], {
  name: "application",
  journal: { sqlite: journal },
  defaults: { env: JSON.parse(env), cwd },
});
void (async () => {
  for await (const event of session(name).events({ types: ["approval_requested"] })) {
    const approval = session(name)
      .approvals()
      .find(({ id }) => id === event.id);
    approval?.approve({ rules: [allowCommand("git:*")] });
  }
})();
for (const prompt of prompts.split(",")) await session(name).query(prompt);
process.stdout.write("done\n");
