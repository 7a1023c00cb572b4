import { type Clock, pause } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import type { ExitClass } from "../errors.ts";
import { didYouMean, nearMisses } from "../names.ts";
import type { McpServer } from "./mcp-servers.ts";

/** How often to poll the servers, and how long they may take to connect. Claude Code gives up after thirty seconds. */
const LOOK_MS = 100;
const LIMIT_MS = 60_000;

/** The servers that a start waits for: those with these names, or all. */
export type RequiredServers = true | readonly string[];

/** Why a start fails: a required server is not available. */
export interface ServerProblem {
  readonly class: ExitClass;
  readonly message: string;
}

/**
 * Waits until all required servers are connected. Resolves with a problem as soon as there is one, after a minute at
 * the latest.
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
    // A hung process does not answer.
    const seen = await Promise.race([look(), over]);
    if (seen === undefined) break;
    servers = seen;
    const problem = checkServers(servers, required);
    if (problem !== "pending") return problem;
    await pause(clock, LOOK_MS, { signal });
  }
  const silent = servers.flatMap(({ name, status }) => (status === "pending" ? [JSON.stringify(name)] : []));
  const which = silent.length === 0 ? "" : `: ${silent.join(", ")}`;
  const message = `required MCP servers did not answer within ${formatDuration(LIMIT_MS)}${which}`;
  return { class: "crash", message };
}

/** Returns the problem of a start with these servers; `pending` while that is open; undefined if there is none. */
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
    message: `the required MCP server ${JSON.stringify(name)} does not exist${near}`,
  };
}

function problemOf({ name, status, reason = `it is ${status}` }: McpServer): ServerProblem {
  // A missing command will still be missing at the next attempt.
  const hopeless = status === "needs-auth" || status === "disabled" || / ENOENT\b/.test(reason);
  const message = `the required MCP server ${JSON.stringify(name)}: ${reason}`;
  return { class: hopeless ? "bad_config" : "crash", message };
}
