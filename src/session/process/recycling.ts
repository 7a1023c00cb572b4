import { formatMemory } from "../../capacity/memory-size.ts";
import type { MemoryWatch } from "../../capacity/memory-watch.ts";
import type { Activation } from "../../claude/activation.ts";
import type { Timer } from "../../clock.ts";
import type { SessionContext } from "../context/session-context.ts";

/** At this many times its `maxMemory`, a process is killed rather than replaced after its work. */
const TOO_MUCH = 2;

/**
 * Returns what to do about a process's memory use: nothing, replace it once it is idle, or kill it. `works` tells
 * whether a turn or a background task runs, which may take long.
 */
export function verdictOn(bytes: number, maxMemory: number | undefined, works: boolean): "fine" | "recycle" | "kill" {
  if (maxMemory === undefined || bytes <= maxMemory) return "fine";
  return works && bytes > maxMemory * TOO_MUCH ? "kill" : "recycle";
}

/** What the recycling reports. */
export interface RecyclingEvents {
  /** Reports the measured memory use. */
  measured(bytes: number): void;
  /** Asks for a replacement as soon as the process is idle. */
  due(): void;
}

/** Has a process replaced that has become too old or too large. */
export class Recycling {
  readonly #watch: MemoryWatch;
  readonly #activation: Activation;
  readonly #session: { readonly at: "turn" | "background task" | undefined };
  readonly #events: RecyclingEvents;
  readonly #context: SessionContext;
  readonly #since: number;
  #timer: Timer | undefined;
  #due = false;
  /** Whether it has had a turn. If it is too large without one, its replacement would be, too. */
  #worked = false;

  /** `session.at` tells what the process has to finish before it can be replaced. */
  constructor(
    context: SessionContext,
    activation: Activation,
    watch: MemoryWatch,
    session: { readonly at: "turn" | "background task" | undefined },
    events: RecyclingEvents,
  ) {
    this.#activation = activation;
    this.#watch = watch;
    this.#session = session;
    this.#events = events;
    this.#context = context;
    this.#since = context.clock.monotonic();
  }

  /** Whether the process is due for replacement. */
  get due(): boolean {
    return this.#due;
  }

  /** Starts to watch, also after limits changed; `budgeted` tells whether to measure memory without a `maxMemory`. */
  watch(budgeted: boolean): void {
    this.stop();
    const { maxMemory, maxAge } = this.#context.settings;
    if (budgeted || maxMemory !== undefined) this.#watch.watch(this.#activation.marker, (bytes) => this.#judge(bytes));
    if (maxAge === undefined) return;
    const leftMs = Math.max(0, this.#since + maxAge - this.#context.clock.monotonic());
    this.#timer = this.#context.clock.schedule(leftMs, () => this.demand(), { background: true });
  }

  /** Records that the process has had a turn. */
  worked(): void {
    this.#worked = true;
  }

  stop(): void {
    this.#watch.unwatch(this.#activation.marker);
    this.#timer?.cancel();
  }

  #judge(bytes: number): void {
    this.#events.measured(bytes);
    const { maxMemory } = this.#context.settings;
    const at = this.#session.at;
    const verdict = verdictOn(bytes, maxMemory, at !== undefined);
    if (verdict === "recycle" && this.#worked) this.demand();
    if (verdict !== "kill") return;
    const message = `it used ${formatMemory(bytes)} during a ${at}, more than twice its \`maxMemory\``;
    void this.#activation.kill({ class: "out_of_memory", message });
  }

  /** Asks for a replacement regardless of age and size. */
  demand(): void {
    this.#due = true;
    this.#events.due();
  }
}
