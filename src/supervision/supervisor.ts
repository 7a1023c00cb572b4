import { CastellanError } from "../errors.ts";
import { ChildSlot } from "./child-slot.ts";
import {
  type Child,
  type ChildExit,
  type ChildInfo,
  type ChildSpec,
  childSettings,
  type Shutdown,
} from "./child-spec.ts";
import type { NotRunning } from "./child-state.ts";
import { RestartEngine } from "./restart-engine.ts";
import { afterManualStart, answerTo, type Call } from "./rules.ts";
import {
  type SupervisorDeps,
  type SupervisorSettings,
  type SupervisorSpec,
  supervisorSettings,
} from "./supervisor-spec.ts";

/** The numbers of a supervisor's children. */
export interface ChildCounts {
  /** All children, running or not. */
  readonly specs: number;
  /** Running children. */
  readonly active: number;
  /** Supervisors, running or not. */
  readonly supervisors: number;
  /** Workers, running or not. */
  readonly workers: number;
}

/**
 * Starts children in order, restarts them by OTP's rules when they exit, and stops them in reverse order. It is a
 * {@link Child} itself, so supervisors nest.
 *
 * All calls may be made at any time, also while children start, stop or wait for a restart; none blocks the supervisor. Once the
 * supervisor is ending, every call that would change something rejects with `SUPERVISOR_STOPPED`.
 *
 * @example
 * const supervisor = await ChildSupervisor.start(
 *   [
 *     { id: "store", start: () => openStore() },
 *     {
 *       id: "workers",
 *       type: "supervisor",
 *       start: ({ signal }) => ChildSupervisor.start(workers, {}, { ...deps, signal }),
 *     },
 *   ],
 *   { strategy: "rest_for_one" },
 *   deps,
 * );
 */
export class ChildSupervisor implements Child {
  /**
   * Resolves with the supervisor's exit once all its children are gone: `shutdown` after {@link stop} or an automatic shutdown,
   * `abnormal` with a `SUPERVISOR_STOPPED` error as its cause after an escalation. Never rejects.
   */
  readonly exited: Promise<ChildExit>;
  readonly #settings: SupervisorSettings;
  readonly #deps: SupervisorDeps;
  readonly #engine: RestartEngine;

  private constructor(settings: SupervisorSettings, deps: SupervisorDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#engine = new RestartEngine(settings, deps);
    this.exited = this.#engine.ended;
  }

  /**
   * Starts a supervisor and its children, one after the other. Resolves once each start has succeeded or failed.
   *
   * Rejects with `INVALID_OPTIONS` or `MAX_CHILDREN` before it starts any child; with `CHILD_START_FAILED` when the start of a child failed
   * and `onStartFailure` is `abort`; with `SUPERVISOR_STOPPED` when the supervisor escalated or `deps.signal` aborted. All children are
   * gone by then.
   */
  static async start(
    specs: readonly ChildSpec[],
    options: SupervisorSpec,
    deps: SupervisorDeps,
  ): Promise<ChildSupervisor> {
    const supervisor = new ChildSupervisor(supervisorSettings(options), deps);
    for (const spec of specs) supervisor.#add(spec);
    await supervisor.#startAll();
    return supervisor;
  }

  /**
   * Adds a child at the end of the start order and starts it. Resolves once it runs. Discards its spec if its start fails.
   *
   * Rejects with `CHILD_ALREADY_STARTED`, `CHILD_ALREADY_PRESENT`, `MAX_CHILDREN`, or with `CHILD_START_FAILED`, also when the child was
   * terminated before it ran.
   */
  async startChild(spec: ChildSpec): Promise<Child> {
    while (this.#isLeaving(spec.id)) await this.#whenGone(spec.id);
    this.#checkOpen();
    if (this.#engine.slots.has(spec.id)) this.#answered("start", spec.id);
    return this.#start(this.#add(spec), { name: "deleted" });
  }

  /**
   * Stops a child, or cancels its start or restart. Resolves once it is gone. Has no effect on a child that does not run. The supervisor
   * keeps the spec unless the child is temporary; depending on the strategy, a sibling's exit may restart the child.
   *
   * Rejects with `CHILD_NOT_FOUND`.
   */
  async terminateChild(id: string): Promise<void> {
    await this.#engine.terminate(this.#find(id));
  }

  /**
   * Starts a terminated or quarantined child. Resolves once it runs. If its start fails, its state does not change.
   *
   * Rejects with `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING` or `CHILD_START_FAILED`.
   */
  async restartChild(id: string): Promise<Child> {
    while (this.#isLeaving(id)) await this.#whenGone(id);
    const { slot } = this.#answered("restart", id);
    return this.#start(slot, { name: slot.state.name === "quarantined" ? "quarantined" : "terminated" });
  }

  /**
   * Deletes the spec of a child that does not run.
   *
   * Rejects with `CHILD_NOT_FOUND`, `CHILD_RUNNING` or `CHILD_RESTARTING`.
   */
  async deleteChild(id: string): Promise<void> {
    while (this.#isLeaving(id)) await this.#whenGone(id);
    this.#answered("delete", id);
    this.#engine.slots.delete(id);
  }

  /**
   * Restarts a child manually: stops it if it runs, and starts it. Does not affect siblings, does not count, lifts a quarantine, skips a
   * back-off. Resolves once the child runs. A failed start is treated like a crash.
   *
   * Rejects with `CHILD_NOT_FOUND`, `CHILD_START_FAILED` or `CHILD_NOT_GONE`.
   */
  async recycleChild(id: string): Promise<Child> {
    while (this.#isLeaving(id)) await this.#whenGone(id);
    const { slot, answer } = this.#answered("recycle", id);
    if (answer === "proceed") return this.#start(slot, undefined);
    slot.history = afterManualStart(slot.history);
    const running = slot.nextRun();
    this.#engine.skipDelay(slot);
    return running;
  }

  /** Whether the supervisor is ending or has ended. */
  get ending(): boolean {
    return this.#engine.isEnding;
  }

  /** A snapshot of a child, or `undefined` if it does not exist. */
  child(id: string): ChildInfo | undefined {
    return this.#engine.slots.get(id)?.describe();
  }

  /** A snapshot of each child, in start order. */
  whichChildren(): ChildInfo[] {
    return [...this.#engine.slots.values()].map((slot) => slot.describe());
  }

  /** Counts the children, by type, and the running ones. */
  countChildren(): ChildCounts {
    const slots = [...this.#engine.slots.values()];
    const supervisors = slots.filter((slot) => slot.settings.type === "supervisor").length;
    const active = slots.filter((slot) => slot.state.name === "running").length;
    return { specs: slots.length, active, supervisors, workers: slots.length - supervisors };
  }

  /**
   * Stops all children in reverse start order, each as its spec says, and resolves once they are gone. After `shutdown` milliseconds it
   * kills the remaining children; `brutal_kill` kills all children at once. All calls share one ending, and a later call may shorten it.
   * Default `infinity`.
   */
  async stop(shutdown: Shutdown = "infinity"): Promise<void> {
    this.#engine.end({ reason: "shutdown" }, shutdown);
    const timer =
      typeof shutdown === "number" ? this.#deps.clock.schedule(shutdown, () => this.#engine.kill()) : undefined;
    await this.exited;
    timer?.cancel();
  }

  async #startAll(): Promise<void> {
    const { signal } = this.#deps;
    const cancel = (): void => {
      const cause = new CastellanError("SUPERVISOR_STOPPED", "the start of the supervisor was cancelled");
      this.#engine.end({ reason: "abnormal", cause });
    };
    if (signal?.aborted === true) cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    if (!this.ending) await this.#engine.startAll();
    signal?.removeEventListener("abort", cancel);
    if (!this.ending) return;
    const { reason, cause } = await this.exited;
    if (reason === "abnormal") throw cause;
  }

  #add(spec: ChildSpec): ChildSlot {
    const { slots } = this.#engine;
    const { id } = spec;
    if (slots.has(id)) throw duplicate(id);
    if (slots.size >= this.#settings.maxChildren) {
      const message = `cannot add child ${id}: maxChildren is ${this.#settings.maxChildren}`;
      throw new CastellanError("MAX_CHILDREN", message);
    }
    const { intensity } = this.#settings;
    const slot = new ChildSlot(childSettings(spec), this.#engine, this.#deps.clock, intensity.maxSeconds);
    slots.set(id, slot);
    return slot;
  }

  #start(slot: ChildSlot, stateIfStartFails: NotRunning | undefined): Promise<Child> {
    slot.history = afterManualStart(slot.history);
    slot.stateIfStartFails = stateIfStartFails;
    const running = slot.nextRun();
    this.#engine.restart([slot], 0);
    return running;
  }

  /** The child of a call, and the answer. Throws if the call is not allowed. */
  #answered(call: Call, id: string): { slot: ChildSlot; answer: "proceed" | "await_start" } {
    const slot = this.#find(id);
    const answer = answerTo(call, slot.visibleState);
    if (answer === "proceed" || answer === "await_start") return { slot, answer };
    throw new CastellanError(answer, `cannot ${call} child ${id}: it is ${slot.visibleState}`);
  }

  #find(id: string): ChildSlot {
    this.#checkOpen();
    const slot = this.#engine.slots.get(id);
    if (slot === undefined) throw new CastellanError("CHILD_NOT_FOUND", `there is no child ${id}`);
    return slot;
  }

  #checkOpen(): void {
    if (this.ending) throw new CastellanError("SUPERVISOR_STOPPED", "the supervisor ended");
  }

  /** Whether a child is being stopped without a restart. Other calls about it wait, as in OTP's mailbox. */
  #isLeaving(id: string): boolean {
    return this.#engine.slots.get(id)?.isLeaving === true;
  }

  async #whenGone(id: string): Promise<void> {
    await this.#engine.slots.get(id)?.whenGone();
  }
}

function duplicate(id: string): CastellanError {
  const message = `two children have the id ${id}`;
  return new CastellanError("INVALID_OPTIONS", message, { details: { problems: [{ field: id, message }] } });
}
