import type { McpServerStatus } from "@anthropic-ai/claude-agent-sdk";
import { type Clock, pause } from "../clock.ts";
import { printable } from "../printable.ts";
import { buildEnvironment } from "./environment.ts";
import type { Launch } from "./launch.ts";
import { McpLog, type McpTrace, mcpLogFolder } from "./mcp-log.ts";
import { type McpServer, mcpServerOf } from "./mcp-servers.ts";
import { hide, type Secrets } from "./secrets.ts";
import { transcriptLocationOf } from "./transcript-location.ts";

/** How long Claude Code may take to log the output of a server that failed. */
const WORDS_MS = 1_000;

/** Reports the MCP servers of one process. */
export class McpSurvey {
  readonly #launch: Launch;
  readonly #since: number;
  readonly #clock: Clock;
  readonly #secrets: () => Secrets;
  #log: Promise<McpLog | undefined> | undefined;
  /** The servers whose last output has been waited for. */
  readonly #awaited = new Set<string>();

  /** Called when the process starts. `secrets` returns values to hide. */
  constructor(launch: Launch, clock: Clock, secrets: () => Secrets) {
    this.#secrets = secrets;
    this.#launch = launch;
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** Completes Claude Code's reports with what only its logs show. */
  async of(statuses: readonly McpServerStatus[]): Promise<McpServer[]> {
    return await Promise.all(
      statuses.map(async (status) => {
        const isRead = status.source !== "sdk" && (status.status === "connected" || status.status === "failed");
        const shown =
          status.error === undefined ? status : { ...status, error: printable(hide(status.error, this.#secrets())) };
        return mcpServerOf(shown, isRead ? await this.#read(status) : undefined);
      }),
    );
  }

  async #read({ name, status, config, error = "" }: McpServerStatus): Promise<McpTrace | undefined> {
    this.#log ??= this.#open();
    const log = await this.#log;
    const trace = await log?.read(name);
    const speaks = status === "failed" && !(config !== undefined && "url" in config) && !error.startsWith("ENOENT");
    if (log === undefined || !speaks || trace?.words !== undefined || this.#awaited.has(name)) return trace;
    // The output, if any, is logged in a moment.
    this.#awaited.add(name);
    await pause(this.#clock, WORDS_MS);
    return await log.read(name);
  }

  async #open(): Promise<McpLog | undefined> {
    const { options, inheritEnv, conversation } = this.#launch;
    // A process that the application spawns may run on another machine, with other files.
    if (options.spawnClaudeCodeProcess !== undefined) return undefined;
    const environment = buildEnvironment({ host: process.env, inheritEnv, env: options.env });
    const { cwd } = await transcriptLocationOf(options.cwd ?? process.cwd(), environment);
    return new McpLog(mcpLogFolder(cwd, environment), conversation.id, this.#since, this.#secrets());
  }
}
