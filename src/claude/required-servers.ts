import { type Clock, pause } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import type { ExitClass } from "../errors.ts";
import { didYouMean, nearMisses } from "../names.ts";
import type { McpServer } from "./mcp-servers.ts";

/** How often servers are looked at, and how long they have to be connected. Claude Code gives up after thirty seconds. */
const LOOK_MS = 100;
const LIMIT_MS = 60_000;

/** Which servers a start waits for: those of these names, or all that there are. */
export type RequiredServers = true | readonly string[];

/** Why a start is of no use: a server that it needs is not there. */
export interface ServerProblem {
  readonly class: ExitClass;
  readonly message: string;
}

/**
 * Waits until all required servers are connected. Resolves with what is in the way as soon as that is known, or when they have had a
 * minute.
 */
export async function awaitRequiredServers(
  required: RequiredServers,
  look: () => Promise<readonly McpServer[]>,
  clock: Clock,
  signal: AbortSignal,
): Promise<ServerProblem | undefined> {
  const since = clock.monotonic();
  const over = pause(clock, LIMIT_MS, { signal }).then(() => undefined);
  let servers: readonly McpServer[] = [];
  while (!signal.aborted && clock.monotonic() - since < LIMIT_MS) {
    // A process that hangs does not answer.
    const seen = await Promise.race([look(), over]);
    if (seen === undefined) break;
    servers = seen;
    const problem = checkServers(servers, required);
    if (problem !== "pending") return problem;
    await pause(clock, LOOK_MS, { signal });
  }
  const silent = servers.flatMap(({ name, status }) => (status === "pending" ? [JSON.stringify(name)] : []));
  const which = silent.length === 0 ? "" : `: ${silent.join(", ")}`;
  const message = `MCP servers that it requires did not answer within ${formatDuration(LIMIT_MS)}${which}`;
  return { class: "crash", message };
}

/** What is in the way of a start with these servers; `pending` while that cannot be told. */
export function checkServers(
  servers: readonly McpServer[],
  required: RequiredServers,
): ServerProblem | "pending" | undefined {
  const wanted = required === true ? servers.map(({ name }) => name) : required;
  let pending = false;
  for (const name of wanted) {
    const server = servers.find((one) => one.name === name);
    if (server === undefined) return unknownServer(name, servers);
    if (server.status === "pending") pending = true;
    else if (server.status !== "connected") return problemOf(server);
  }
  return pending ? "pending" : undefined;
}

function unknownServer(name: string, servers: readonly McpServer[]): ServerProblem {
  const near = didYouMean(
    nearMisses(
      name,
      servers.map((server) => server.name),
    ),
  );
  return {
    class: "bad_config",
    message: `it requires the MCP server ${JSON.stringify(name)}, which it does not have${near}`,
  };
}

function problemOf({ name, status, reason = `it is ${status}` }: McpServer): ServerProblem {
  // What is not there to be started will not be there at the next try.
  const hopeless = status === "needs-auth" || status === "disabled" || / ENOENT\b/.test(reason);
  const message = `the MCP server ${JSON.stringify(name)}, which it requires: ${reason}`;
  return { class: hopeless ? "bad_config" : "crash", message };
}
