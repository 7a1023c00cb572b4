import { parseArgs } from "node:util";
import { PostgresServer } from "../test/journal/postgres-server.ts";
import { claims } from "./cluster-claims.ts";
import { DEFAULTS, failover, TUNED } from "./cluster-failover.ts";
import { large } from "./cluster-large.ts";
import { loss } from "./cluster-loss.ts";
import { names } from "./cluster-names.ts";
import { remote } from "./cluster-remote.ts";
import { tables } from "./cluster-tables.ts";

/*
 * Measures the cost of a session on another node, the time of a failover, and what many sessions and turns cost. All nodes are processes on this machine, so the network adds
 * almost nothing.
 */

const LINES: Readonly<Record<string, (server: PostgresServer) => Promise<Readonly<Record<string, string>>>>> = {
  remote,
  claims,
  "failover-defaults": (server) => failover(server, DEFAULTS, rounds()),
  "failover-tuned": (server) => failover(server, TUNED, rounds()),
  names: (server) => names(server, Number(options.names)),
  loss: (server) => loss(server, Number(options.names)),
  large: (server) => large(server, Number(options.names)),
  tables: (server) => tables(server, Number(options.turns)),
};

const USAGE = `npm run bench:cluster -- [options]
  --only <line>   run only this line; repeatable: ${Object.keys(LINES).join(", ")}
  --rounds <n>    the number of killed owners in each failover line (10)
  --names <n>     the number of global names (10000)
  --turns <n>     the number of turns whose tables are measured, twice (100000)
  --help          this text`;

const { values: options } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    rounds: { type: "string", default: "10" },
    names: { type: "string", default: "10000" },
    turns: { type: "string", default: "100000" },
    help: { type: "boolean", default: false },
  },
});

if (options.help) console.log(USAGE);
else await run();

function rounds(): number {
  return Number(options.rounds);
}

async function run(): Promise<void> {
  const unknown = options.only.filter((name) => LINES[name] === undefined);
  if (unknown.length > 0) throw new Error(`unknown line ${unknown.join(", ")}; see --help`);
  const server = await PostgresServer.start();
  try {
    for (const [name, line] of Object.entries(LINES)) {
      if (options.only.length > 0 && !options.only.includes(name)) continue;
      for (const [what, figure] of Object.entries(await line(server))) console.log(`${name}: ${what}: ${figure}`);
    }
  } finally {
    await server.remove();
  }
}
