import { readFileSync } from "node:fs";

/**
 * How long the event loop of this thread stands still, without the time in which it could run and other processes had the processors:
 * on a machine that is busy that is most of what `monitorEventLoopDelay` tells. Only Linux says how much it is; elsewhere it is in it.
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

  /** The most that this thread has computed without a pause: what no other process and no other machine has a part in. */
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

/** How long this thread has waited for a processor. */
function waitedMs(): number {
  try {
    const [, waited = 0] = readFileSync("/proc/thread-self/schedstat", "utf8").split(" ").map(Number);
    return waited / 1e6;
  } catch {
    return 0;
  }
}
