import { execFile } from "node:child_process";
import type { Clock, Timer } from "../../clock.ts";

/** Sends a state to systemd, such as `READY=1`. Resolves once it is sent, or cannot be. */
export type Notify = (...state: readonly string[]) => Promise<void>;

export interface ServiceManagerDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly pid: number;
  readonly clock: Clock;
  /** Whether the process is alive, so that systemd need not restart it. */
  readonly isLive: () => boolean;
  readonly notify: Notify;
}

/** Tells systemd when a service of `Type=notify` is ready and ends, and that it is alive, as often as its `WatchdogSec` asks. */
export class ServiceManager {
  readonly #deps: ServiceManagerDeps;
  readonly #isThere: boolean;
  readonly #everyMs: number | undefined;
  #timer: Timer | undefined;
  #hasStopped = false;

  constructor(deps: ServiceManagerDeps) {
    this.#deps = deps;
    this.#isThere = Boolean(deps.env["NOTIFY_SOCKET"]);
    this.#everyMs = watchdogMs(deps.env, deps.pid);
  }

  /** @param status what `systemctl status` shows */
  async ready(status: string): Promise<void> {
    if (!this.#isThere) return;
    this.#beat();
    await this.#deps.notify("--ready", `--status=${status}`);
  }

  /** The service ends from now on. Its watchdog runs until {@link ServiceManager.stop}. */
  async stopping(): Promise<void> {
    if (this.#isThere) await this.#deps.notify("STOPPING=1");
  }

  stop(): void {
    this.#hasStopped = true;
    this.#timer?.cancel();
  }

  #beat(): void {
    const { clock, isLive, notify } = this.#deps;
    if (this.#everyMs === undefined || this.#hasStopped) return;
    const beat = async (): Promise<void> => {
      if (isLive()) await notify("WATCHDOG=1");
      this.#beat();
    };
    this.#timer = clock.schedule(this.#everyMs, () => void beat(), { background: true });
  }
}

/** Returns half the time after which systemd would end this process; undefined without a watchdog. */
function watchdogMs(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const us = Number(env["WATCHDOG_USEC"]);
  const isFor = env["WATCHDOG_PID"] === undefined || env["WATCHDOG_PID"] === String(pid);
  return Number.isFinite(us) && us > 0 && isFor ? us / 2_000 : undefined;
}

/** Node has no datagrams on unix sockets, and systemd brings this program. Without it the service would count as failed. */
export const systemdNotify: Notify = async (...state) => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  execFile("systemd-notify", [...state], (error) => (error === null ? resolve() : reject(error)));
  await promise.catch((error: unknown) => {
    const words = error instanceof Error ? error.message : String(error);
    process.emitWarning(`systemd cannot be told ${state.join(" ")}: ${words}`, { type: "CastellanWarning" });
  });
};
