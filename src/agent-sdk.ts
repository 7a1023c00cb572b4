/** The module of the Agent SDK. */
export type AgentSdk = typeof import("@anthropic-ai/claude-agent-sdk");

let loading: Promise<AgentSdk> | undefined;

/**
 * Returns the Agent SDK. It is loaded at the first call, because it takes as long as everything else that an application
 * imports with Castellan, and a process that only reads a journal needs none of it.
 */
export function agentSdk(): Promise<AgentSdk> {
  loading ??= import("@anthropic-ai/claude-agent-sdk").catch((error: unknown) => {
    // Without free file descriptors nothing is loaded; the next call tries again.
    loading = undefined;
    throw error;
  });
  return loading;
}
