import { createHistogram, monitorEventLoopDelay } from "node:perf_hooks";

/** How late the event loop of a thread was, in milliseconds. */
export interface LoopFigures {
  /** The intervals between two runs of a timer of one millisecond. Nothing is subtracted: an idle loop has about 1.1. */
  readonly delay: Quantiles;
  /** The CPU time of the thread between two runs of such a timer: the part of a delay that is not the machine's. */
  readonly busy: Quantiles;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const INTERVAL_MS = 1;

/** Measures the event loop of this thread from its creation until `end`. */
export class LoopMeter {
  readonly #delay = monitorEventLoopDelay({ resolution: INTERVAL_MS });
  /** In microseconds. */
  readonly #busy = createHistogram();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let before = cpuTime();
    this.#timer = setInterval(() => {
      const now = cpuTime();
      this.#busy.record(Math.max(1, Math.round(now - before)));
      before = now;
    }, INTERVAL_MS);
    this.#delay.enable();
  }

  end(): LoopFigures {
    this.#delay.disable();
    clearInterval(this.#timer);
    return { delay: quantilesOf(this.#delay, 1e6), busy: quantilesOf(this.#busy, 1e3) };
  }
}

/** The CPU time of this thread, in microseconds. */
function cpuTime(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

function quantilesOf(
  histogram: { percentile(percentile: number): number; readonly max: number },
  perMs: number,
): Quantiles {
  const [p50, p99] = [histogram.percentile(50) / perMs, histogram.percentile(99) / perMs];
  return { p50, p99, max: histogram.max / perMs };
}
