import type { FakeClaudeOptions } from "./fake-options.ts";
import { isObject, listOf, objectOf, stringOf, type WireObject } from "./fake-wire.ts";

/** The facts of the process that answers to a host's requests contain. */
export interface FakeControlFacts {
  readonly pid: number;
  readonly model: string;
  readonly permissionMode: string;
  readonly initialize: WireObject;
  readonly characters: number;
  /** The names of the commands that are not built in. */
  readonly commands: readonly string[];
  readonly version: string;
  readonly mcpServer?: FakeClaudeOptions["mcpServer"];
}

/** The answer to `initialize`: the handshake. */
export function handshake(facts: FakeControlFacts): WireObject {
  return {
    commands: [
      { name: "clear", description: "Start a new session with empty context", argumentHint: "", builtin: true },
      {
        name: "compact",
        description: "Free up context by summarizing the conversation so far",
        argumentHint: "",
        builtin: true,
      },
      ...facts.commands.map((name) => ({ name, description: "", argumentHint: "" })),
    ],
    agents: [
      { name: "general-purpose", description: "General-purpose agent" },
      ...Object.entries(objectOf(facts.initialize, "agents")).map(([name, agent]) => ({
        name,
        description: isObject(agent) ? (stringOf(agent, "description") ?? "") : "",
      })),
    ],
    output_style: "default",
    available_output_styles: ["default"],
    user_output_styles_dir: "",
    models: [
      {
        value: "default",
        resolvedModel: facts.model,
        displayName: "Default (recommended)",
        description: "The fake model",
      },
    ],
    account: { tokenSource: "none", apiKeySource: "ANTHROPIC_API_KEY", apiProvider: "firstParty" },
    pid: facts.pid,
    claude_code_version: facts.version,
    current_permission_mode: facts.permissionMode,
    hook_on_failure_supported: true,
    hooks_when_unanswered_kept: 0,
    other_hook_ask_outranks_host: true,
    feedback_mode: { kind: "disabled" },
    analytics_disabled: true,
    sandbox_enabled: false,
    remote_control_auto_enable: false,
    remote_control_auto_connect_default: false,
    remote_control_available: false,
    remote_control_auto_on_by_default: false,
    ide_rc_auto_enable_gate: false,
    fast_mode_state: "off",
    fast_mode_disabled_reason: "sdk_opt_in_required",
    session_state: "idle",
    capabilities: [],
    // The SDK ends a process that does not confirm the MCP servers of its handshake.
    ...(facts.initialize["mcpServers"] === undefined ? {} : { mcp_servers_applied: true }),
  };
}

/** The answer to a query, or `undefined` for an unknown request. */
export function answerTo(request: WireObject, facts: FakeControlFacts): WireObject | undefined {
  switch (request["subtype"]) {
    case "get_context_usage":
      return contextUsage(facts);
    case "mcp_status":
      return {
        mcpServers: [
          ...sdkServers(facts.initialize).map((name) => serverStatus(name, facts.initialize)),
          ...ownServers(facts.initialize, facts.mcpServer).map((server) => ({ ...server, scope: "dynamic" })),
        ],
      };
    case "list_models":
      return { models: [{ value: "default", displayName: "Default (recommended)", description: "The fake model" }] };
    case "get_session_cost":
      return { text: "" };
    case "get_binary_version":
      return { version: facts.version };
    case "mcp_set_servers":
      return { added: Object.keys(objectOf(request, "servers")), removed: [], errors: {} };
    case "rewind_files":
      return { canRewind: false, error: "The fake keeps no file checkpoints" };
    case "set_max_thinking_tokens":
    case "mcp_reconnect":
    case "mcp_toggle":
    case "stop_task":
    case "background_tasks":
    case "set_has_subscribers":
    case "reload_plugins":
    case "rename_session":
      return {};
    default:
      return undefined;
  }
}

/** The names of the in-process MCP servers that the host announced. */
export function sdkServers(initialize: WireObject): string[] {
  return listOf(initialize, "sdkMcpServers").filter((name) => typeof name === "string");
}

/** The MCP servers that Claude Code runs or connects to itself, with their status. */
export function ownServers(initialize: WireObject, mcpServer: FakeClaudeOptions["mcpServer"]): WireObject[] {
  const names = Object.keys(objectOf(initialize, "mcpServers"));
  return names.map((name) => ({ name, source: "dynamic", ...(mcpServer?.(name) ?? { status: "connected" }) }));
}

/** The tools of an announced server. */
export function sdkTools(server: string, initialize: WireObject): string[] {
  const manifest = objectOf(objectOf(initialize, "sdkMcpServerManifests"), server);
  return listOf(objectOf(manifest, "toolsListResult"), "tools")
    .filter(isObject)
    .map((tool) => stringOf(tool, "name") ?? "");
}

function serverStatus(name: string, initialize: WireObject): WireObject {
  return {
    name,
    status: "connected",
    serverInfo: { name, version: "1.0.0" },
    transport: "sdk",
    scope: "dynamic",
    source: "sdk",
    tools: sdkTools(name, initialize).map((tool) => ({ name: tool, annotations: {} })),
  };
}

function contextUsage(facts: FakeControlFacts): WireObject {
  const messages = Math.ceil(facts.characters / 4);
  const maxTokens = 200_000;
  return {
    categories: [
      { id: "messages", name: "Messages", tokens: messages, color: "purple_FOR_SUBAGENTS_ONLY", kind: "used" },
      { id: "free_space", name: "Free space", tokens: maxTokens - messages, color: "promptBorder", kind: "free" },
    ],
    totalTokens: messages,
    maxTokens,
    rawMaxTokens: maxTokens,
    autocompactSource: "auto",
    percentage: Math.round((messages / maxTokens) * 100),
    gridRows: [],
    model: facts.model,
    memoryFiles: [],
    mcpTools: [],
    agents: [],
    isAutoCompactEnabled: true,
    apiUsage: null,
  };
}
