import { closeSync, openSync } from "node:fs";
import { Supervisor, session } from "../../src/index.ts";
import { messagesApi } from "../../src/testing/index.ts";

/* An application that has no descriptors left when it starts, and gets them back. Says in which state its session is, and why. */

const api = await messagesApi();
const opened: number[] = [];
try {
  for (;;) opened.push(openSync("/dev/null", "r"));
} catch {
  // That was the last one.
}
const starting = Supervisor.start([{ name: "only" }], {
  journal: "memory",
  defaults: { env: api.env, cwd: api.cwd },
  logger: { info: () => {}, warn: () => {} },
});
const only = session("only");
while (only.status().lastExit === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
const { state, lastExit } = only.status();
for (const file of opened) closeSync(file);
await using supervisor = await starting;
const now = supervisor.session("only").status().state;
process.stdout.write(JSON.stringify({ state, class: lastExit?.class, message: lastExit?.message, now }));
await supervisor.stop();
await api.stop();
