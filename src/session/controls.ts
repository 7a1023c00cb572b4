import type {
  AccountInfo,
  AgentInfo,
  McpServerConfig,
  McpServerStatus,
  McpSetServersResult,
  ModelInfo,
  PermissionMode,
  Query,
  RewindFilesResult,
  SDKControlGetContextUsageResponse,
  SessionMessage,
  SlashCommand,
} from "@anthropic-ai/claude-agent-sdk";
import type { HistoryOptions } from "./history.ts";
import type { SessionServer } from "./session-server.ts";

/**
 * How a session does: `degraded` means that turns wait and will be answered, or that something else went wrong, see
 * `status().faults`; `unhealthy` that turns will not be answered.
 */
export type SessionHealth =
  | { readonly status: "healthy" }
  | { readonly status: "degraded" | "unhealthy"; readonly reason: string };

/**
 * What can be asked of a session's process besides turns. A call waits for the process to be up, wakes a session that
 * hibernates, costs no tokens, and has a deadline of ten seconds; none can take the session down.
 *
 * Every method throws `CONTROL_TIMEOUT`, `CONTROL_FAILED` if the process refuses or dies, or why the session has no
 * process: `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`, `CAPACITY_EXHAUSTED`.
 */
export class Controls {
  readonly #seat: { readonly server: SessionServer };
  /** The MCP servers that the last `setMcpServers` named. */
  #named: { readonly servers: Readonly<Record<string, McpServerConfig>>; readonly activation: number } | undefined;

  constructor(seat: { readonly server: SessionServer }) {
    this.#seat = seat;
  }

  /** Changes the model, for this process and all later ones. */
  async setModel(model: string): Promise<void> {
    await this.#ask("set_model", (sdk) => sdk.setModel(model));
    this.#seat.server.remember({ model });
  }

  /**
   * Changes the permission mode, for this process and all later ones that go on with the conversation, also after a restart of the
   * application. An empty conversation, and a changed option, begin with the mode of the options.
   */
  async setPermissionMode(mode: PermissionMode): Promise<void> {
    await this.#ask("set_permission_mode", async (sdk) => {
      const { mode: now = mode } = (await sdk.setPermissionMode(mode)) ?? {};
      this.#seat.server.toldMode(now);
    });
    // Whoever is told that it holds may count on that, whatever becomes of the application.
    await this.#seat.server.conversationWritten();
  }

  /**
   * Whether the session does its work, by a question to its process that costs no tokens. Never throws: no answer within ten
   * seconds is an answer too.
   */
  async health(): Promise<SessionHealth> {
    const { state, lastExit, waitingFor } = this.#seat.server.status();
    if (state === "quarantined" || state === "stopped") {
      return { status: "unhealthy", reason: this.#seat.server.refusal()?.message ?? `the session is ${state}` };
    }
    if (state === "starting" || state === "restarting") {
      const why = lastExit === undefined ? "" : `; its last process: ${lastExit.message}`;
      return { status: "degraded", reason: `the session is ${state}${why}` };
    }
    try {
      // One that hibernates is not woken to say that it is well.
      if (state !== "hibernated") await this.#seat.server.ask();
    } catch (error) {
      return { status: "unhealthy", reason: error instanceof Error ? error.message : String(error) };
    }
    const { faults } = this.#seat.server.status();
    const reasons = [
      ...(waitingFor === undefined || waitingFor.for === "approval"
        ? []
        : [`turns are held back for ${waitingFor.for}`]),
      ...[this.#seat.server.journalFault, ...faults].flatMap((fault) => fault?.message ?? []),
    ];
    return reasons.length === 0 ? { status: "healthy" } : { status: "degraded", reason: reasons.join("; ") };
  }

  /** Claude's id of the conversation. */
  get sessionId(): string {
    return this.#seat.server.status().conversationId;
  }

  /** The MCP servers and whether they are connected. */
  mcpStatus(): Promise<McpServerStatus[]> {
    return this.#ask("mcp_status", (sdk) => sdk.mcpServerStatus());
  }

  /** Connects an MCP server of the process again. */
  async reconnectMcpServer(name: string): Promise<void> {
    await this.#ask("mcp_reconnect", (sdk) => sdk.reconnectMcpServer(name)).finally(() => {
      this.#seat.server.lookAtServers();
    });
  }

  /** Switches an MCP server of the process on or off. */
  async toggleMcpServer(name: string, enabled: boolean): Promise<void> {
    await this.#ask("mcp_toggle", (sdk) => sdk.toggleMcpServer(name, enabled));
    this.#seat.server.lookAtServers();
  }

  /** Replaces the MCP servers that were added so, and all in-process ones; for this process and all later ones. */
  async setMcpServers(servers: Record<string, McpServerConfig>): Promise<McpSetServersResult> {
    const named = this.#named;
    const { result, activation } = await this.#ask("mcp_set_servers", async (sdk) => {
      // A process that was started with them takes away only what such a call has named to it.
      const { activation } = this.#seat.server.status();
      if (named !== undefined && named.activation !== activation) await sdk.setMcpServers({ ...named.servers });
      return { result: await sdk.setMcpServers(servers), activation };
    });
    this.#named = { servers, activation };
    const { mcpServers = {} } = this.#seat.server.settings.sdk;
    const stay = Object.entries(mcpServers).filter(
      ([name, config]) => config.type !== "sdk" && named?.servers[name] === undefined,
    );
    this.#seat.server.remember({ mcpServers: { ...Object.fromEntries(stay), ...servers } });
    this.#seat.server.lookAtServers();
    return result;
  }

  /** How full the context is, and with what. */
  contextUsage(): Promise<SDKControlGetContextUsageResponse> {
    return this.#ask("get_context_usage", (sdk) => sdk.getContextUsage({ detail: "summary" }));
  }

  /**
   * Takes files back to what they were before the prompt with this id, if the session has `enableFileCheckpointing`. With
   * `dryRun` it only says what would change.
   */
  rewindFiles(userMessageId: string, options: { readonly dryRun?: boolean } = {}): Promise<RewindFilesResult> {
    return this.#ask("rewind_files", (sdk) => sdk.rewindFiles(userMessageId, options));
  }

  /** Ends a background task. */
  async stopTask(taskId: string): Promise<void> {
    await this.#ask("stop_task", (sdk) => sdk.stopTask(taskId));
  }

  /** The commands and skills that the process knows, see `command()`. Those of MCP servers are among them after the first turn. */
  supportedCommands(): Promise<SlashCommand[]> {
    return this.#ask("supported_commands", (sdk) => sdk.supportedCommands());
  }

  /** The models that the process can be switched to. */
  supportedModels(): Promise<ModelInfo[]> {
    return this.#ask("supported_models", (sdk) => sdk.supportedModels());
  }

  /** The agents that the process can hand work to. */
  supportedAgents(): Promise<AgentInfo[]> {
    return this.#ask("supported_agents", (sdk) => sdk.supportedAgents());
  }

  /** Whose account the process uses. */
  accountInfo(): Promise<AccountInfo> {
    return this.#ask("account_info", (sdk) => sdk.accountInfo());
  }

  /** What has been said in the conversation, oldest first, read from its transcript. Needs no process. */
  async history(options: HistoryOptions = {}): Promise<SessionMessage[]> {
    const { server } = this.#seat;
    // Which conversation it is the journal has to tell first.
    return await server.history(options);
  }

  #ask<Answer>(what: string, request: (sdk: Query) => Promise<Answer>): Promise<Answer> {
    return this.#seat.server.control(what, request);
  }
}
