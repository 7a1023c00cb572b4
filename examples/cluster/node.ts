import { once } from "node:events";
import { createServer } from "node:http";
import { global, healthHandlers, pool, Supervisor, template } from "castellan";

/** A value that the machine must set. */
function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`Set ${name}.`);
  return value;
}

// #region node
const supervisor = await Supervisor.start(
  [
    { name: global("reviewer"), systemPrompt: "You review code for bugs and improvements" },
    template(global("support"), (userId: number) => ({
      systemPrompt: `You help user ${userId}`,
      idleTimeout: "10m",
    })),
    pool(global("summaries"), { size: 2 }),
  ],
  {
    name: "support",
    journal: "memory", // for sessions that are not global; the database is the journal of global ones
    cluster: {
      postgres: required("DATABASE_URL"),
      secret: required("CASTELLAN_SECRET").split(","),
      advertise: required("CASTELLAN_ADVERTISE"), // where other nodes reach it: http://10.0.0.7:7700
      name: required("NODE_NAME"),
      maxProcesses: 16,
      beat: process.env["CASTELLAN_BEAT"] ?? "1s",
      staleAfter: process.env["CASTELLAN_STALE_AFTER"] ?? "5s",
    },
  },
);
supervisor.stopOnSignals({ deadline: "45s" });
// #endregion

// #region probes
const { livez, readyz } = healthHandlers(supervisor);
const probes = createServer((request, response) => {
  const { status } = request.url === "/livez" ? livez() : readyz();
  response.writeHead(status).end();
});
probes.listen(Number(process.env["PROBES_PORT"] ?? 8080));
void supervisor.closed.then(() => probes.close());
// #endregion

await once(probes, "listening");
console.log("ready");
