import { CastellanError } from "../errors.ts";
import { endsSupervisor } from "./auto-shutdown.ts";
import { backoffDelay, CHILD_BACKOFF } from "./backoff.ts";
import { reasonOf } from "./child-exit.ts";
import type { ChildSlot, SlotOwner } from "./child-slot.ts";
import type { ChildExit, Shutdown } from "./child-spec.ts";
import { isActive, type Rest } from "./child-state.ts";
import { withExit } from "./history.ts";
import type { Intensity } from "./intensity.ts";
import { Round } from "./round.ts";
import { restartedWith } from "./strategy.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import type { SupervisorSettings } from "./supervisor-settings.ts";
import { judge } from "./verdict.ts";

/** Keeps the children of one supervisor: sees what happens to them and carries out what the rules say. */
export class Keeper implements SlotOwner {
  /** In start order. */
  readonly slots: Map<string, ChildSlot> = new Map();
  /** Resolves with why the supervisor ended, when all its children are gone. */
  readonly ended: Promise<ChildExit>;
  readonly #settings: SupervisorSettings;
  readonly #deps: SupervisorDeps;
  readonly #resolveEnded: (exit: ChildExit) => void;
  readonly #rounds: Set<Round> = new Set();
  #open = true;
  /** The restarts that count toward the intensity that all children share, with `escalate`. */
  #counted: readonly number[] = [];
  /** The children whose first start has come to nothing yet, good or bad, and whom to tell when there are none left. */
  #opening: { readonly slots: Set<ChildSlot>; readonly done: () => void } | undefined;

  constructor(settings: SupervisorSettings, deps: SupervisorDeps) {
    const { promise, resolve } = Promise.withResolvers<ChildExit>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    this.#settings = settings;
    this.#deps = deps;
  }

  /** False from the moment the supervisor begins to end. */
  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Starts all children in order. Resolves when each has come up or failed to, or when the supervisor begins to end.
   */
  async openUp(): Promise<void> {
    if (this.slots.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#opening = { slots: new Set(this.slots.values()), done: resolve };
    this.begin(this.slots.values(), 0);
    await promise;
    this.#opening = undefined;
  }

  /**
   * Begins a round: stops those of the children that are alive, waits for `delay` milliseconds and starts them. It
   * takes over every round that still had to start one of them, with all whom that had still to stop and start.
   */
  begin(children: Iterable<ChildSlot>, delay: number): void {
    const all = new Set(children);
    for (const slot of [...all]) for (const other of slot.round?.cancel() ?? []) all.add(other);
    const inOrder = all.size === 1 ? [...all] : [...this.slots.values()].filter((slot) => all.has(slot));
    const starts = inOrder.filter((slot) => !slot.leavingForGood);

    const due: Rest = delay > 0 ? { name: "due", retryAt: this.#deps.clock.now() + delay } : { name: "due" };
    for (const slot of starts) slot.leave(due);
    const round = new Round(inOrder, starts, delay, this.#deps.clock);
    this.#rounds.add(round);
    void round.run().then(() => this.#rounds.delete(round));
  }

  /** Stops a child until somebody restarts it. Resolves when it is gone. */
  terminate(slot: ChildSlot): Promise<void> {
    this.#release(slot, cancelled(slot));
    return slot.halt();
  }

  /**
   * Ends the supervisor: stops all children in reverse order, then resolves {@link ended}. Only the exit of the first
   * call counts; a `brutal_kill` counts whenever it comes.
   */
  end(exit: ChildExit, shutdown: Shutdown = "infinity"): void {
    const first = this.#open;
    this.#open = false;
    if (first) this.#letGo();
    if (shutdown === "brutal_kill") this.kill();
    if (first) void this.#endChildren().then(() => this.#resolveEnded(exit));
  }

  #letGo(): void {
    for (const round of this.#rounds) round.cancel();
    for (const slot of this.slots.values())
      this.#release(slot, new CastellanError("SUPERVISOR_STOPPED", "the supervisor ended"));
  }

  /** Ends with a kill what is still there. For use after {@link end}. */
  kill(): void {
    for (const slot of this.slots.values()) slot.kill();
  }

  arrived(slot: ChildSlot): void {
    slot.round?.drop(slot);
    slot.history = { ...slot.history, failedStarts: 0 };
    slot.tell({ type: "started", restarts: slot.restarts });
    this.#opened(slot);
  }

  failed(slot: ChildSlot, exit: ChildExit): void {
    const { id } = slot.settings;
    slot.round?.drop(slot);
    this.#note(slot, exit);
    if (exit.disposition !== "free") slot.history = { ...slot.history, failedStarts: slot.history.failedStarts + 1 };
    slot.tell({ type: "start_failed", exit });
    const error = new CastellanError("CHILD_START_FAILED", `child ${id} did not come up`, { cause: exit.cause });
    slot.refuse(error);
    if (this.#opening?.slots.has(slot) === true && this.#settings.onStartFailure === "abort") {
      slot.end({ name: "terminated" });
      this.end({ reason: "abnormal", cause: error });
    } else if (slot.restIfFailed === undefined) {
      this.#conclude(slot, exit);
    } else {
      this.#rest(slot, restAfterFailure(slot.restIfFailed, exit), exit);
    }
    this.#opened(slot);
  }

  exited(slot: ChildSlot, exit: ChildExit): void {
    this.#note(slot, exit);
    slot.tell({ type: "exited", exit });
    this.#conclude(slot, exit);
  }

  gone(slot: ChildSlot, error: unknown): void {
    const { id } = slot.settings;
    slot.tell(error === undefined ? { type: "terminated" } : { type: "terminated", error });
    if (slot.state.name === "forgotten") this.slots.delete(id);
    if (slot.state.name !== "due") this.#opened(slot);
    if (slot.state.name !== "quarantined") return;
    slot.round?.drop(slot);
    const exit: ChildExit = { reason: "abnormal", disposition: "quarantine", cause: error };
    this.#note(slot, exit);
    slot.tell({ type: "quarantined", exit });
    slot.refuse(new CastellanError("CHILD_NOT_GONE", `child ${id} could not be ended`, { cause: error }));
  }

  /** Carries out the verdict on a child that ended by itself or did not come up. */
  #conclude(slot: ChildSlot, exit: ChildExit): void {
    const { intensity, onMaxRestarts, autoShutdown } = this.#settings;
    const { restart, significant } = slot.settings;
    const now = this.#deps.clock.monotonic();
    const shared = onMaxRestarts === "escalate";
    const counted = shared ? this.#counted : slot.history.counted;
    const { failedStarts } = slot.history;
    const verdict = judge({ restart, exit, counted, now, intensity, failedStarts, onMaxRestarts });
    switch (verdict.outcome) {
      case "restart":
        if (shared) this.#counted = verdict.counted;
        else slot.history = { ...slot.history, counted: verdict.counted };
        this.#restart(slot);
        break;
      case "quarantine":
        this.#rest(slot, { name: "quarantined" }, exit);
        break;
      case "escalate":
        this.#rest(slot, { name: "terminated" }, exit);
        slot.tell({ type: "escalated", exit });
        this.end({ reason: "abnormal", cause: escalation(slot, intensity, exit) });
        break;
      case "rest":
      case "forget":
        this.#rest(slot, { name: verdict.outcome === "rest" ? "terminated" : "forgotten" }, exit);
        if (!endsSupervisor(autoShutdown, significant, () => this.#anySignificantActive())) break;
        slot.tell({ type: "auto_shutdown", exit });
        this.end({ reason: "shutdown" });
        break;
    }
  }

  #restart(slot: ChildSlot): void {
    const { strategy } = this.#settings;
    const restarts = slot.restarts + 1;
    const delay = backoffDelay(restarts, CHILD_BACKOFF, () => this.#deps.random());
    slot.history = { ...slot.history, restarts, delay };
    slot.end({ name: "due" });
    slot.tell({ type: "restarting", delay, attempt: restarts });

    // A child that has never been up is one that no sibling can have leaned on.
    const group = slot.everUp ? restartedWith(strategy, this.slots.values(), slot) : [slot];
    const members = group.filter((member) => member.state.name !== "quarantined");
    for (const member of members) {
      if (member.restIfFailed?.name !== "forgotten") member.restIfFailed = undefined;
      if (member.settings.restart !== "temporary" || !member.alive) continue;
      member.refuse(cancelled(member));
      member.leave({ name: "forgotten" });
    }
    this.begin(members, delay);
  }

  /** Lays a child to rest that ended by itself or did not come up. */
  #rest(slot: ChildSlot, wanted: Rest, exit: ChildExit): void {
    const { id } = slot.settings;
    slot.end(wanted);
    if (wanted.name === "forgotten") this.slots.delete(id);
    if (wanted.name === "quarantined") slot.tell({ type: "quarantined", exit });
  }

  /** Lets go of a child for good, whatever it is doing. One that rests already stays as it is. */
  #release(slot: ChildSlot, refusal: CastellanError): void {
    if (!slot.alive && slot.state.name !== "due") return;
    slot.round?.drop(slot);
    slot.refuse(refusal);
    slot.leave({ name: slot.settings.restart === "temporary" ? "forgotten" : "terminated" });
  }

  async #endChildren(): Promise<void> {
    for (const slot of [...this.slots.values()].toReversed()) if (slot.alive) await slot.halt();
  }

  #note(slot: ChildSlot, exit: ChildExit): void {
    slot.history = withExit(slot.history, exit, this.#deps.clock.now());
  }

  #opened(slot: ChildSlot): void {
    if (this.#opening?.slots.delete(slot) === true && this.#opening.slots.size === 0) this.#opening.done();
  }

  #anySignificantActive(): boolean {
    return [...this.slots.values()].some((slot) => slot.settings.significant && isActive(slot.state));
  }
}

/** A start by hand may be the one that shows that a stopped child must be set aside. */
function restAfterFailure(wanted: Rest, exit: ChildExit): Rest {
  return wanted.name === "terminated" && exit.disposition === "quarantine" ? { name: "quarantined" } : wanted;
}

function cancelled(slot: ChildSlot): CastellanError {
  return new CastellanError("CHILD_START_FAILED", `the start of child ${slot.settings.id} was called off`);
}

function escalation({ settings, history }: ChildSlot, intensity: Intensity, exit: ChildExit): CastellanError {
  const { id } = settings;
  const message = `child ${id} ended ${excess(history.failedStarts, intensity, exit)}; the last time: ${reasonOf(exit.cause)}`;
  return new CastellanError("SUPERVISOR_STOPPED", message, { cause: exit.cause });
}

function excess(failedStarts: number, { maxRestarts, maxSeconds }: Intensity, exit: ChildExit): string {
  if (exit.disposition === "quarantine") return "in a way that no restart mends";
  const starts = failedStarts > maxRestarts ? `, ${failedStarts} failed starts in a row` : "";
  return `once too often: more than ${maxRestarts} restarts in ${maxSeconds} s${starts}`;
}
