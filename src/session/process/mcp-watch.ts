import type { McpServer } from "../../claude/mcp-servers.ts";
import type { Clock, Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";

/** How often servers are looked at while some of them are being connected, and otherwise. */
const CONNECTING_MS = 500;
const CONNECTED_MS = 10_000;

/** For how long a server may be silent before somebody should know. Claude Code itself gives up after thirty seconds. */
const SILENT_MS = 10_000;

/** Looks again and again at the MCP servers of one process. */
export class McpWatch {
  readonly #look: () => Promise<readonly McpServer[]>;
  readonly #clock: Clock;
  readonly #told: (servers: readonly McpServer[]) => void;
  /** Since when each is being connected, on the monotonic clock. */
  #connecting: ReadonlyMap<string, number> = new Map();
  #looking: Promise<void> | undefined;
  #timer: Timer | undefined;
  #over = false;

  /** `look` asks the process; `told` is called with each of its answers. */
  constructor(look: () => Promise<readonly McpServer[]>, clock: Clock, told: (servers: readonly McpServer[]) => void) {
    this.#look = look;
    this.#clock = clock;
    this.#told = told;
  }

  /**
   * Looks now, and goes on looking for as long as there are any servers.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`; it is tried again all the same
   */
  async look(): Promise<void> {
    this.#looking ??= this.#see().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /** The process is gone. */
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
    // A process that does not answer is found out, and replaced, by others.
    this.#timer = this.#clock.schedule(ms, () => void this.look().catch(() => {}), { background: true });
  }
}
