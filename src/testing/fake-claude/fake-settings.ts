import type { FakeArguments } from "./fake-arguments.ts";
import { ownServers, sdkServers, sdkTools } from "./fake-control.ts";
import { initMessage } from "./fake-messages.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import { FakePermissions } from "./fake-permissions.ts";
import type { WireObject } from "./fake-wire.ts";

/** The settings of a process, from its command line, the handshake and later control requests. */
export class FakeSettings {
  readonly cwd: string;
  readonly partialMessages: boolean;
  /** Whether the host has requested session state events. */
  readonly reportsState: boolean;
  /** Whether the session has a `canUseTool`. */
  readonly asksHost: boolean;
  model: string;
  readonly permissions: FakePermissions;
  /** The status of the MCP servers that are not in-process. */
  readonly mcpServer: FakeClaudeOptions["mcpServer"];
  /** The payload of the handshake; `undefined` before it. */
  initialize: WireObject | undefined;

  /** `reportMode` is called when the permission mode changes. */
  constructor(
    args: FakeArguments,
    cwd: string,
    env: Readonly<Record<string, string | undefined>>,
    reportMode: (mode: string) => void,
    mcpServer?: FakeClaudeOptions["mcpServer"],
  ) {
    this.cwd = cwd;
    this.mcpServer = mcpServer;
    this.reportsState = env["CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS"] === "1";
    this.partialMessages = args.partialMessages;
    this.asksHost = args.askHost;
    this.model = args.model;
    this.permissions = new FakePermissions(args, cwd, reportMode);
  }

  get permissionMode(): string {
    return this.permissions.mode;
  }

  /** The `init` message of a turn. */
  init(promptUuids: readonly string[]): WireObject {
    const { initialize = {} } = this;
    const inProcess = sdkServers(initialize);
    const tools = inProcess.flatMap((server) => sdkTools(server, initialize).map((tool) => `mcp__${server}__${tool}`));
    const mcpServers = [
      ...inProcess.map((name) => ({ name, status: "connected", source: "sdk" })),
      ...ownServers(initialize, this.mcpServer).map(({ error: _, ...server }) => server),
    ];
    const { cwd, model, permissionMode } = this;
    return initMessage({
      cwd,
      model,
      permissionMode,
      tools: ["Task", "Bash", "Edit", "Read", "Write", ...tools],
      mcpServers,
      directories: this.permissions.directories,
      promptUuids,
    });
  }
}
