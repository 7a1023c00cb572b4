import { closeSync, openSync } from "node:fs";
import { isAlive, thisOwner } from "../../src/claude/marker.ts";
import { CastellanError, Supervisor, session } from "../../src/index.ts";
import { messagesApi } from "../../src/testing/index.ts";

/*
 * An application that starts with no file descriptors left and then frees them. It prints its session's state and why; with the path of a
 * journal, why it does not start, and what it answers when it starts again.
 */

const [journal] = process.argv.slice(2);

const api = await messagesApi();
const opened: number[] = [];
try {
  for (;;) opened.push(openSync("/dev/null", "r"));
} catch {
  // No descriptor is left.
}
if (journal !== undefined) {
  const start = (): Promise<Supervisor> =>
    Supervisor.start([{ name: "only" }], { journal: { sqlite: journal }, defaults: { env: api.env, cwd: api.cwd } });
  const refused = await start().catch((error: unknown) => error);
  for (const file of opened) closeSync(file);
  await using again = await start();
  const { text } = await again.query("only", "hello");
  process.stdout.write(JSON.stringify({ code: CastellanError.is(refused) ? refused.code : String(refused), text }));
  await again.stop();
  await api.stop();
  process.exit();
}
// Such a host must not end the processes of another one.
const spares = isAlive({ ...thisOwner(), startTime: "1" });
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
process.stdout.write(
  JSON.stringify({
    state,
    class: lastExit?.class,
    message: lastExit?.message,
    now,
    spares,
    owner: thisOwner().startTime,
  }),
);
await supervisor.stop();
await api.stop();
