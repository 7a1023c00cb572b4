import type { McpServerConfig, McpSetServersResult } from "@anthropic-ai/claude-agent-sdk";
import type { SessionServer } from "./session-server.ts";

/** The servers of a handle's last `setMcpServers`, and the process that received them. */
interface Named {
  readonly servers: Readonly<Record<string, McpServerConfig>>;
  readonly starts: number;
}

/** By handle, because the next borrower of a pool member has named none. */
const lastNamed = new WeakMap<object, Named>();

/**
 * Replaces the MCP servers of earlier calls and all in-process ones, for this process and all later ones.
 *
 * @param target the handle, and the session that it stands for
 */
export async function nameMcpServers(
  target: { readonly server: SessionServer },
  servers: Record<string, McpServerConfig>,
): Promise<McpSetServersResult> {
  const named = lastNamed.get(target);
  const { result, starts } = await target.server.withProcess("setMcpServers", async (process) => {
    // A process that started with these servers only removes those that such a call has named to it.
    const { starts } = target.server.status();
    if (named !== undefined && named.starts !== starts) await process.request("setMcpServers", { ...named.servers });
    return { result: await process.request("setMcpServers", servers), starts };
  });
  lastNamed.set(target, { servers, starts });
  const { mcpServers = {} } = target.server.settings.sdk;
  const stay = Object.entries(mcpServers).filter(
    ([name, config]) => config.type !== "sdk" && named?.servers[name] === undefined,
  );
  target.server.remember({ mcpServers: { ...Object.fromEntries(stay), ...servers } });
  target.server.refreshServers();
  return result;
}
