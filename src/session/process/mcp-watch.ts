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
  readonly #look: () => Promise<readonly McpServer[]>;
  readonly #clock: Clock;
  readonly #told: (servers: readonly McpServer[]) => void;
  /** When each connecting server began to connect, on the monotonic clock. */
  #connecting: ReadonlyMap<string, number> = new Map();
  #looking: Promise<void> | undefined;
  #timer: Timer | undefined;
  #over = false;

  /** `look` asks the process; `told` receives each answer. */
  constructor(look: () => Promise<readonly McpServer[]>, clock: Clock, told: (servers: readonly McpServer[]) => void) {
    this.#look = look;
    this.#clock = clock;
    this.#told = told;
  }

  /**
   * Polls now, and keeps polling as long as there are servers.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`; polling continues regardless
   */
  async look(): Promise<void> {
    this.#looking ??= this.#see().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /** Stops polling, because the process is gone. */
  stop(): void {
    this.#over = true;
    this.#timer?.cancel();
  }

  async #see(): Promise<void> {
    this.#timer?.cancel();
    let nextMs: number | undefined = CONNECTED_MS;
    try {
      const servers = await this.#look();
      if (this.#over) return;
      this.#told(this.#withSilence(servers));
      nextMs = this.#connecting.size > 0 ? CONNECTING_MS : servers.length > 0 ? CONNECTED_MS : undefined;
    } finally {
      if (!this.#over && nextMs !== undefined) this.#after(nextMs);
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

  #after(ms: number): void {
    // Liveness detects and replaces a process that does not answer.
    this.#timer = this.#clock.schedule(ms, () => void this.look().catch(() => {}), { background: true });
  }
}
