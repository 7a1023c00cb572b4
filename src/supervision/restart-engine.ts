import { CastellanError } from "../errors.ts";
import { paced } from "../paced.ts";
import { backoffDelay, CHILD_BACKOFF } from "./backoff.ts";
import type { ChildSlot, SlotOwner } from "./child-slot.ts";
import { type ChildExit, reasonOf, type Shutdown } from "./child-spec.ts";
import { isActive, type NotRunning } from "./child-state.ts";
import { RestartSequence } from "./restart-sequence.ts";
import { decide, endsSupervisor, restartGroup, withExit } from "./rules.ts";
import type { Intensity, SupervisorDeps, SupervisorSettings } from "./supervisor-spec.ts";

/** Watches the children of one supervisor and carries out the decisions of the rules. */
export class RestartEngine implements SlotOwner {
  /** The slots by child id, in start order. */
  readonly slots: Map<string, ChildSlot> = new Map();
  /** Resolves with the supervisor's exit once all its children are gone. */
  readonly ended: Promise<ChildExit>;
  readonly #settings: SupervisorSettings;
  readonly #deps: SupervisorDeps;
  readonly #resolveEnded: (exit: ChildExit) => void;
  readonly #sequences: Set<RestartSequence> = new Set();
  /** The sequence that will start each child that is due. */
  readonly #sequenceOf: Map<ChildSlot, RestartSequence> = new Map();
  #isEnding = false;
  /** With `escalate`: the restarts that count toward the common intensity of all children. */
  #counted: readonly number[] = [];
  /** The children whose first start has not ended, and the callback for the last one. */
  #firstStarts: { readonly slots: Set<ChildSlot>; readonly done: () => void } | undefined;

  constructor(settings: SupervisorSettings, deps: SupervisorDeps) {
    const { promise, resolve } = Promise.withResolvers<ChildExit>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    this.#settings = settings;
    this.#deps = deps;
  }

  /** Whether the supervisor is ending or has ended. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Starts all children in order. Resolves once each first start has ended, or once the supervisor begins to end. */
  async startAll(): Promise<void> {
    if (this.slots.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#firstStarts = { slots: new Set(this.slots.values()), done: resolve };
    this.restart(this.slots.values(), 0);
    await promise;
    this.#firstStarts = undefined;
  }

  /**
   * Stops the live children, waits for `delay` milliseconds and starts all. Merges every running sequence that has yet to start one of
   * them, with all its remaining stops and starts.
   */
  restart(children: Iterable<ChildSlot>, delay: number): void {
    const all = new Set(children);
    for (const slot of [...all]) for (const other of this.#cancel(this.#sequenceOf.get(slot))) all.add(other);
    const inOrder = all.size === 1 ? [...all] : [...this.slots.values()].filter((slot) => all.has(slot));
    const starts = inOrder.filter((slot) => !slot.isLeaving);

    const due: NotRunning = delay > 0 ? { name: "due", retryAt: this.#deps.clock.now() + delay } : { name: "due" };
    for (const slot of starts) slot.terminate(due);
    const sequence = new RestartSequence(inOrder, starts, delay, this.#deps.clock);
    for (const slot of starts) this.#sequenceOf.set(slot, sequence);
    this.#sequences.add(sequence);
    void sequence.run().then(() => this.#sequences.delete(sequence));
  }

  /** Skips the back-off of a child. */
  skipDelay(slot: ChildSlot): void {
    this.#sequenceOf.get(slot)?.skipDelay();
  }

  /** Stops a child until somebody restarts it. Resolves when it is gone. */
  terminate(slot: ChildSlot): Promise<void> {
    this.#terminate(slot, startCancelled(slot));
    return slot.stop();
  }

  /**
   * Ends the supervisor: stops all children in reverse order, then resolves {@link ended}. The first call determines the exit; a later
   * `brutal_kill` still applies.
   */
  end(exit: ChildExit, shutdown: Shutdown = "infinity"): void {
    const isFirst = !this.#isEnding;
    this.#isEnding = true;
    if (isFirst) this.#terminateAll();
    if (shutdown === "brutal_kill") this.kill();
    if (isFirst) void this.#stopAll().then(() => this.#resolveEnded(exit));
  }

  /** Kills all remaining children. Call it after {@link end}. */
  kill(): void {
    for (const slot of this.slots.values()) slot.kill();
  }

  started(slot: ChildSlot): void {
    this.#leaveSequence(slot);
    if (slot.history.failedStarts > 0) slot.history = { ...slot.history, failedStarts: 0 };
    slot.notify({ type: "started", restarts: slot.restarts });
    this.#firstStartOver(slot);
  }

  startFailed(slot: ChildSlot, exit: ChildExit): void {
    this.#leaveSequence(slot);
    this.#record(slot, exit);
    if (exit.disposition !== "free") slot.history = { ...slot.history, failedStarts: slot.history.failedStarts + 1 };
    slot.notify({ type: "start_failed", exit });
    const message = `child ${slot.settings.id} failed to start`;
    const error = new CastellanError("CHILD_START_FAILED", message, { cause: exit.cause });
    slot.rejectNextRun(error);
    if (this.#firstStarts?.slots.has(slot) === true && this.#settings.onStartFailure === "abort") {
      slot.settle({ name: "terminated" });
      this.end({ reason: "abnormal", cause: error });
    } else if (slot.stateIfStartFails === undefined) {
      this.#applyDecision(slot, exit);
    } else {
      this.#settle(slot, stateAfterFailure(slot.stateIfStartFails, exit));
    }
    this.#firstStartOver(slot);
  }

  exited(slot: ChildSlot, exit: ChildExit): void {
    this.#record(slot, exit);
    slot.notify({ type: "exited", exit });
    this.#applyDecision(slot, exit);
  }

  terminated(slot: ChildSlot, error: unknown): void {
    const { id } = slot.settings;
    slot.notify(error === undefined ? { type: "terminated" } : { type: "terminated", error });
    if (slot.state.name === "deleted") this.slots.delete(id);
    if (slot.state.name !== "due") this.#firstStartOver(slot);
    if (slot.state.name !== "quarantined") return;
    this.#leaveSequence(slot);
    const exit: ChildExit = { reason: "abnormal", disposition: "quarantine", cause: error };
    this.#record(slot, exit);
    slot.notify({ type: "quarantined", lastExits: slot.history.exits });
    slot.rejectNextRun(new CastellanError("CHILD_NOT_GONE", `child ${id} could not be stopped`, { cause: error }));
  }

  /** Carries out the decision on a child that exited by itself, or whose start failed. */
  #applyDecision(slot: ChildSlot, exit: ChildExit): void {
    const { intensity, onMaxRestarts, autoShutdown } = this.#settings;
    const { restart, significant } = slot.settings;
    const now = this.#deps.clock.monotonic();
    const shared = onMaxRestarts === "escalate";
    const counted = shared ? this.#counted : slot.history.counted;
    const { failedStarts } = slot.history;
    const decision = decide({ restart, exit, counted, now, intensity, failedStarts, onMaxRestarts });
    switch (decision.outcome) {
      case "restart":
        if (shared) this.#counted = decision.counted;
        else slot.history = { ...slot.history, counted: decision.counted };
        this.#restartGroupOf(slot);
        break;
      case "quarantine":
        this.#settle(slot, { name: "quarantined" });
        break;
      case "escalate":
        this.#settle(slot, { name: "terminated" });
        slot.notify({ type: "escalated", exit });
        this.end({ reason: "abnormal", cause: escalation(slot, intensity, exit) });
        break;
      case "terminate":
      case "delete":
        this.#settle(slot, { name: decision.outcome === "delete" ? "deleted" : "terminated" });
        if (!endsSupervisor(autoShutdown, significant, () => this.#anySignificantActive())) break;
        slot.notify({ type: "auto_shutdown", exit });
        this.end({ reason: "shutdown" });
        break;
    }
  }

  #restartGroupOf(slot: ChildSlot): void {
    const { strategy } = this.#settings;
    const restarts = slot.restarts + 1;
    const delay = backoffDelay(restarts, CHILD_BACKOFF, () => this.#deps.random());
    slot.history = { ...slot.history, restarts, delay };
    slot.settle({ name: "due" });
    slot.notify({ type: "restarting", delay, attempt: restarts });

    // No sibling can depend on a child that has never run.
    const group = slot.hasRun ? restartGroup(strategy, this.slots.values(), slot) : [slot];
    const members = group.filter((member) => member.state.name !== "quarantined");
    for (const member of members) {
      if (member.stateIfStartFails?.name !== "deleted") member.stateIfStartFails = undefined;
      if (member.settings.restart !== "temporary" || !member.isAlive) continue;
      member.rejectNextRun(startCancelled(member));
      member.terminate({ name: "deleted" });
    }
    this.restart(members, delay);
  }

  /** Settles a child that is not restarted after an exit or a failed start. */
  #settle(slot: ChildSlot, next: NotRunning): void {
    slot.settle(next);
    if (next.name === "deleted") this.slots.delete(slot.settings.id);
    if (next.name === "quarantined") slot.notify({ type: "quarantined", lastExits: slot.history.exits });
  }

  /** Terminates a child without a restart. Has no effect on a child that does not run. */
  #terminate(slot: ChildSlot, error: CastellanError): void {
    if (!slot.isAlive && slot.state.name !== "due") return;
    this.#leaveSequence(slot);
    slot.rejectNextRun(error);
    slot.terminate({ name: slot.settings.restart === "temporary" ? "deleted" : "terminated" });
  }

  #terminateAll(): void {
    for (const sequence of this.#sequences) this.#cancel(sequence);
    const error = new CastellanError("SUPERVISOR_STOPPED", "the supervisor ended");
    for (const slot of this.slots.values()) this.#terminate(slot, error);
  }

  async #stopAll(): Promise<void> {
    await paced([...this.slots.values()].toReversed(), async (slot) => {
      if (slot.isAlive) await slot.stop();
    });
  }

  #cancel(sequence: RestartSequence | undefined): ChildSlot[] {
    const left = sequence?.cancel() ?? [];
    for (const slot of left) if (this.#sequenceOf.get(slot) === sequence) this.#sequenceOf.delete(slot);
    return left;
  }

  #leaveSequence(slot: ChildSlot): void {
    this.#sequenceOf.get(slot)?.remove(slot);
    this.#sequenceOf.delete(slot);
  }

  #record(slot: ChildSlot, exit: ChildExit): void {
    slot.history = withExit(slot.history, exit, this.#deps.clock.now());
  }

  #firstStartOver(slot: ChildSlot): void {
    if (this.#firstStarts?.slots.delete(slot) === true && this.#firstStarts.slots.size === 0) this.#firstStarts.done();
  }

  #anySignificantActive(): boolean {
    return [...this.slots.values()].some((slot) => slot.settings.significant && isActive(slot.state));
  }
}

/** A failed manual start may require the quarantine of a terminated child. */
function stateAfterFailure(wanted: NotRunning, exit: ChildExit): NotRunning {
  return wanted.name === "terminated" && exit.disposition === "quarantine" ? { name: "quarantined" } : wanted;
}

function startCancelled({ settings }: ChildSlot): CastellanError {
  return new CastellanError("CHILD_START_FAILED", `the start of child ${settings.id} was cancelled`);
}

function escalation({ settings, history }: ChildSlot, intensity: Intensity, exit: ChildExit): CastellanError {
  const why = excess(history.failedStarts, intensity, exit);
  const message = `child ${settings.id} ended ${why}; the last time: ${reasonOf(exit.cause)}`;
  return new CastellanError("SUPERVISOR_STOPPED", message, { cause: exit.cause });
}

function excess(failedStarts: number, { maxRestarts, maxSeconds }: Intensity, exit: ChildExit): string {
  if (exit.disposition === "quarantine") return "in a way that a restart cannot repair";
  const starts = failedStarts > maxRestarts ? `, ${failedStarts} failed starts in a row` : "";
  return `once too often: more than ${maxRestarts} restarts in ${maxSeconds} s${starts}`;
}
