import { formatMemory } from "../../capacity/memory-size.ts";
import type { MemoryWatch } from "../../capacity/memory-watch.ts";
import type { Activation } from "../../claude/activation.ts";
import type { Timer } from "../../clock.ts";
import type { SessionContext } from "../context/session-context.ts";

/** A process that has grown to this many times its `maxMemory` is not let finish what it is at. */
const TOO_MUCH = 2;

/**
 * What is to become of a process that uses so much: nothing, another one in its place when it has nothing to do, or its death. `works`
 * says whether a turn or a background task runs, which may go on for long.
 */
export function verdictOn(bytes: number, maxMemory: number | undefined, works: boolean): "fine" | "recycle" | "kill" {
  if (maxMemory === undefined || bytes <= maxMemory) return "fine";
  return works && bytes > maxMemory * TOO_MUCH ? "kill" : "recycle";
}

/** What the recycling of a process tells about it. */
export interface RecyclingEvents {
  /** How much the process uses is known. */
  measured(bytes: number): void;
  /** The process is to be replaced as soon as it has nothing to do. */
  due(): void;
}

/** Sees to it that a process is replaced when it has become too old or too large. */
export class Recycling {
  readonly #watch: MemoryWatch;
  readonly #activation: Activation;
  readonly #session: { readonly at: "turn" | "background task" | undefined };
  readonly #events: RecyclingEvents;
  readonly #context: SessionContext;
  readonly #since: number;
  #timer: Timer | undefined;
  #due = false;
  /** Whether it has had a turn; one that is too large without would only be replaced by another that is. */
  #worked = false;

  /** `session` tells what the process is at, if that has to end before it can be replaced. */
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

  /** Whether the process is to be replaced. */
  get due(): boolean {
    return this.#due;
  }

  /** Begins, or goes on with changed limits; `budgeted` says whether its memory is of interest to others. */
  watch(budgeted: boolean): void {
    this.stop();
    const { maxMemory, maxAge } = this.#context.settings;
    if (budgeted || maxMemory !== undefined) this.#watch.watch(this.#activation.marker, (bytes) => this.#judge(bytes));
    if (maxAge === undefined) return;
    const leftMs = Math.max(0, this.#since + maxAge - this.#context.clock.monotonic());
    this.#timer = this.#context.clock.schedule(leftMs, () => this.demand(), { background: true });
  }

  /** The process has a turn. */
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
    const message = `it used ${formatMemory(bytes)} in the middle of a ${at}, more than twice its \`maxMemory\``;
    void this.#activation.kill({ class: "out_of_memory", message });
  }

  /** The process is to be replaced, whatever it is like. */
  demand(): void {
    this.#due = true;
    this.#events.due();
  }
}
