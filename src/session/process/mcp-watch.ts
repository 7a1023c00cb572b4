import type { McpServer } from "../../claude/mcp-servers.ts";
import type { Clock, Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";

/** How often to poll while a server is connecting, and otherwise. */
const CONNECTING_MS = 500;
const CONNECTED_MS = 10_000;

/** How long a connecting server may take before it is reported. Claude Code itself gives up after thirty seconds. */
const SILENT_MS = 10_000;

/** Polls the MCP servers of one process. */
export class McpWatch {
  readonly #ask: () => Promise<readonly McpServer[]>;
  readonly #clock: Clock;
  readonly #report: (servers: readonly McpServer[]) => void;
  /** When each connecting server began to connect, on the monotonic clock. */
  #connecting: ReadonlyMap<string, number> = new Map();
  #polling: Promise<void> | undefined;
  #timer: Timer | undefined;
  #stopped = false;

  /** `ask` asks the process; `report` receives each answer. */
  constructor(ask: () => Promise<readonly McpServer[]>, clock: Clock, report: (servers: readonly McpServer[]) => void) {
    this.#ask = ask;
    this.#clock = clock;
    this.#report = report;
  }

  /**
   * Polls now, and keeps polling as long as there are servers.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`; polling continues regardless
   */
  async poll(): Promise<void> {
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined;
    });
    await this.#polling;
  }

  /** Stops polling, because the process is gone. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #poll(): Promise<void> {
    this.#timer?.cancel();
    let nextMs: number | undefined = CONNECTED_MS;
    try {
      const servers = await this.#ask();
      if (this.#stopped) return;
      this.#report(this.#withSilence(servers));
      nextMs = this.#connecting.size > 0 ? CONNECTING_MS : servers.length > 0 ? CONNECTED_MS : undefined;
    } finally {
      if (!this.#stopped && nextMs !== undefined) this.#schedule(nextMs);
    }
  }

  #withSilence(servers: readonly McpServer[]): McpServer[] {
    const now = this.#clock.monotonic();
    const pending = servers.filter(({ status }) => status === "pending");
    this.#connecting = new Map(pending.map(({ name }) => [name, this.#connecting.get(name) ?? now]));
    return servers.map((server) => {
      const since = this.#connecting.get(server.name);
      if (since === undefined || now - since < SILENT_MS) return server;
      return { ...server, reason: `it has not answered for ${formatDuration(SILENT_MS)}` };
    });
  }

  #schedule(ms: number): void {
    // Liveness detects and replaces a process that does not answer.
    this.#timer = this.#clock.schedule(ms, () => void this.poll().catch(() => {}), { background: true });
  }
}
