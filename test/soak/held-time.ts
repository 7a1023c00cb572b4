import { readFileSync } from "node:fs";

/**
 * Measures how long this thread's event loop is blocked, without the time in which it waited for a processor. On a
 * busy machine that wait is most of what `monitorEventLoopDelay` reports. Only Linux reports the wait; elsewhere it is
 * included.
 */
export class HeldTime {
  readonly #resolutionMs: number;
  #timer: NodeJS.Timeout | undefined;
  #longest = 0;
  #longestCpu = 0;

  constructor(resolutionMs: number) {
    this.#resolutionMs = resolutionMs;
  }

  get longestMs(): number {
    return this.#longest;
  }

  /** The most CPU time that this thread used without a pause, independent of other processes. */
  get longestCpuMs(): number {
    return this.#longestCpu;
  }

  start(): void {
    let last = { at: performance.now(), waited: waitedMs(), cpu: computedMs() };
    this.#timer = setInterval(() => {
      const now = { at: performance.now(), waited: waitedMs(), cpu: computedMs() };
      this.#longestCpu = Math.max(this.#longestCpu, now.cpu - last.cpu);
      this.#longest = Math.max(this.#longest, now.at - last.at - this.#resolutionMs - (now.waited - last.waited));
      last = now;
    }, this.#resolutionMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function computedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** Returns how long this thread has waited for a processor. */
function waitedMs(): number {
  try {
    const [, waited = 0] = readFileSync("/proc/thread-self/schedstat", "utf8").split(" ").map(Number);
    return waited / 1e6;
  } catch {
    return 0;
  }
}
