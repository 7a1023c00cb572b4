import type { Activation } from "../../claude/activation.ts";
import { isHeldUp } from "../../claude/patience.ts";
import type { Clock, Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";
import { CastellanError } from "../../errors.ts";

/** How often a process is asked for a sign of life, at the least, and how long it may take to give one. */
const PING_MS = 30_000;
const PING_LIMIT_MS = 10_000;

/** How many questions in a row may go without an answer. */
const MOST_MISSES = 2;

/** What is known of a process's work at a moment. */
export interface Work {
  /** Whether it has a turn. */
  readonly busy: boolean;
  /** How many tools and callbacks of the application it waits for. */
  readonly waitsFor: number;
  /** Milliseconds since it last said anything, or since it got its turn. */
  readonly silentMs: number;
}

/** The part of the session's context that is read here. */
interface LivenessContext {
  readonly clock: Clock;
  readonly settings: { readonly stallTimeout: number };
}

/** Whether a process has stalled: it has a turn, waits for nobody but the model, and has been silent for too long. */
export function hasStalled(work: Work, stallTimeoutMs: number): boolean {
  return work.busy && work.waitsFor === 0 && work.silentMs >= stallTimeoutMs;
}

/**
 * Watches that a process is alive, and kills it when it is not. One that is stopped, or hangs, answers no question; one
 * that answers can still be stuck in its turn, which only its silence shows.
 */
export class Liveness {
  readonly #context: LivenessContext;
  readonly #activation: Pick<Activation, "ping" | "kill">;
  readonly #work: () => Work;
  readonly #timers = new Map<() => void, Timer>();
  #misses = 0;
  /** When the next look at its silence is due, and when the last one was. */
  #lookDue = 0;
  #looked = 0;
  /** How much of its silence is this host's own. */
  #heldUpMs = 0;
  #wasHeldUp = false;
  #over = false;

  /** `work` tells what the process is known to do; it is asked at each look. */
  constructor(context: LivenessContext, activation: Pick<Activation, "ping" | "kill">, work: () => Work) {
    this.#context = context;
    this.#activation = activation;
    this.#work = work;
    this.#looked = context.clock.monotonic();
    this.#lookAgain();
    this.#after(PING_MS, this.#ping);
  }

  stop(): void {
    this.#over = true;
    for (const timer of this.#timers.values()) timer.cancel();
  }

  get #lookMs(): number {
    return Math.min(PING_MS, this.#context.settings.stallTimeout / 4);
  }

  #after(ms: number, act: () => void): void {
    if (!this.#over) this.#timers.set(act, this.#context.clock.schedule(ms, act, { background: true }));
  }

  #lookAgain(): void {
    const ms = this.#lookMs;
    this.#lookDue = this.#context.clock.monotonic() + ms;
    this.#after(ms, this.#look);
  }

  readonly #look = (): void => {
    const now = this.#context.clock.monotonic();
    const lateMs = now - this.#lookDue;
    const work = this.#work();
    const spoke = work.silentMs < now - this.#looked;
    this.#looked = now;
    this.#heldUpMs = (spoke ? 0 : this.#heldUpMs) + (isHeldUp(lateMs) ? lateMs : 0);
    // What it said while this host was held up is read only now. A host that is held up all the time does not wait for that.
    const unread = isHeldUp(lateMs) && !this.#wasHeldUp;
    this.#wasHeldUp = unread;
    if (
      !unread &&
      hasStalled({ ...work, silentMs: work.silentMs - this.#heldUpMs }, this.#context.settings.stallTimeout)
    ) {
      this.#kill(`it said nothing for ${formatDuration(this.#context.settings.stallTimeout)} in the middle of a turn`);
    } else this.#lookAgain();
  };

  readonly #ping = (): void => {
    void this.#answers().then((answers) => {
      this.#misses = answers ? 0 : this.#misses + 1;
      if (this.#misses === 0) this.#after(PING_MS, this.#ping);
      else if (this.#misses < MOST_MISSES) this.#ping();
      else this.#kill("it answers no question; it hangs or has been stopped");
    });
  };

  async #answers(): Promise<boolean> {
    const asked = this.#context.clock.monotonic();
    try {
      await this.#activation.ping(PING_LIMIT_MS);
      return true;
    } catch (error) {
      // A refusal is an answer, and a death is found out elsewhere.
      if (!CastellanError.is(error, "CONTROL_TIMEOUT")) return true;
      // One that speaks all the time lives: its answer stands behind all that it said before.
      return this.#work().silentMs < this.#context.clock.monotonic() - asked;
    }
  }

  #kill(message: string): void {
    if (!this.#over) void this.#activation.kill({ class: "stalled", message });
  }
}
