import { subscribe } from "node:diagnostics_channel";
import { Supervisor, template } from "../../src/index.ts";
import { listen } from "../../src/server/index.ts";

/*
 * A release of an application behind a socket that it inherits as descriptor 3, as from systemd. It ends by itself once the
 * next release has everything.
 */

const { release, sqlite, cwd, env, waitForOwner } = JSON.parse(process.argv[2] ?? "{}");
const say = (line: object): void => void process.stdout.write(`${JSON.stringify({ release, ...line })}\n`);
subscribe("castellan:supervisor:handover", (event) => say({ handover: event }));
process.on("warning", ({ message }) => say({ warning: message }));
const defaults = { cwd, env, settingSources: [], includePartialMessages: true, approvals: false, mailboxLimit: 10_000 };
const supervisor = await Supervisor.start([template("user", () => ({}))], {
  name: "app",
  journal: { sqlite, waitForOwner },
  defaults,
  capacity: { spares: 1 },
  logger: { info: () => {}, warn: (message: string) => say({ warning: message }) },
});
const server = await listen(supervisor, { fd: 3, tokens: false });
say({ ready: true, at: Date.now() });
void supervisor.closed.then(({ reason }) => say({ closed: reason }));
process.once("SIGTERM", () => void end());
void supervisor.handedOver.then(async () => {
  say({ handedOver: true, at: Date.now() });
  await server.close({ deadline: "30s" });
  await end();
});

async function end(): Promise<void> {
  server.drain();
  const { completed } = await supervisor.drain({ deadline: "30s" });
  await server.close();
  say({ ended: true, completed });
  process.exit();
}
