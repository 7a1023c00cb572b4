import type { Activation } from "../../claude/activation.ts";
import { isHeldUp } from "../../claude/patience.ts";
import type { Clock, Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";
import { CastellanError } from "../../errors.ts";

/** How often to ping a process at the least, and how long it may take to answer. */
const PING_MS = 30_000;
const PING_LIMIT_MS = 10_000;

/** How many consecutive pings may go unanswered. */
const MOST_MISSES = 2;

/** What the process is doing. */
export interface Work {
  /** Whether it has a turn. */
  readonly busy: boolean;
  /** How many tools and application callbacks it waits for. */
  readonly waitsFor: number;
  /** Milliseconds since its last output, or since it got its turn. */
  readonly silentMs: number;
}

/** The part of the session's context that liveness reads. */
interface LivenessContext {
  readonly clock: Clock;
  readonly settings: { readonly stallTimeout: number };
}

/** Whether a process has stalled: it has a turn, waits only for the model, and has been silent for too long. */
export function hasStalled(work: Work, stallTimeoutMs: number): boolean {
  return work.busy && work.waitsFor === 0 && work.silentMs >= stallTimeoutMs;
}

/**
 * Kills a process that has stopped living. A hung or stopped process answers no ping; a process that answers pings can
 * still be stuck in its turn, which only its silence shows.
 */
export class Liveness {
  readonly #context: LivenessContext;
  readonly #activation: Pick<Activation, "ping" | "kill">;
  readonly #work: () => Work;
  readonly #timers = new Map<() => void, Timer>();
  #misses = 0;
  /** When the next check for silence is due, and when the last one happened. */
  #nextCheck = 0;
  #lastCheck = 0;
  /** How much of the silence is due to this host being held up. */
  #heldUpMs = 0;
  #wasHeldUp = false;
  #stopped = false;

  /** `work` returns what the process is doing; every check calls it. */
  constructor(context: LivenessContext, activation: Pick<Activation, "ping" | "kill">, work: () => Work) {
    this.#context = context;
    this.#activation = activation;
    this.#work = work;
    this.#lastCheck = context.clock.monotonic();
    this.#scheduleCheck();
    this.#schedule(PING_MS, this.#ping);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
  }

  get #checkMs(): number {
    return Math.min(PING_MS, this.#context.settings.stallTimeout / 4);
  }

  #schedule(ms: number, act: () => void): void {
    if (!this.#stopped) this.#timers.set(act, this.#context.clock.schedule(ms, act, { background: true }));
  }

  #scheduleCheck(): void {
    const ms = this.#checkMs;
    this.#nextCheck = this.#context.clock.monotonic() + ms;
    this.#schedule(ms, this.#check);
  }

  readonly #check = (): void => {
    const now = this.#context.clock.monotonic();
    const lateMs = now - this.#nextCheck;
    const work = this.#work();
    const spoke = work.silentMs < now - this.#lastCheck;
    this.#lastCheck = now;
    this.#heldUpMs = (spoke ? 0 : this.#heldUpMs) + (isHeldUp(lateMs) ? lateMs : 0);
    // Output from the time in which this host was held up is only read now, so wait one more check. Only one: a host
    // may be held up all the time.
    const unread = isHeldUp(lateMs) && !this.#wasHeldUp;
    this.#wasHeldUp = unread;
    if (
      !unread &&
      hasStalled({ ...work, silentMs: work.silentMs - this.#heldUpMs }, this.#context.settings.stallTimeout)
    ) {
      this.#kill(`it produced no output for ${formatDuration(this.#context.settings.stallTimeout)} during a turn`);
    } else this.#scheduleCheck();
  };

  readonly #ping = (): void => {
    void this.#answers().then((answers) => {
      this.#misses = answers ? 0 : this.#misses + 1;
      if (this.#misses === 0) this.#schedule(PING_MS, this.#ping);
      else if (this.#misses < MOST_MISSES) this.#ping();
      else this.#kill("it does not answer pings; it hangs or was stopped");
    });
  };

  async #answers(): Promise<boolean> {
    const asked = this.#context.clock.monotonic();
    try {
      await this.#activation.ping(PING_LIMIT_MS);
      return true;
    } catch (error) {
      // A refusal is an answer, and others notice a death.
      if (!CastellanError.is(error, "CONTROL_TIMEOUT")) return true;
      // A process that keeps writing is alive: its answer queues behind its other output.
      return this.#work().silentMs < this.#context.clock.monotonic() - asked;
    }
  }

  #kill(message: string): void {
    if (!this.#stopped) void this.#activation.kill({ class: "stalled", message });
  }
}
