import { CastellanError } from "../errors.ts";
import { admit, type Call } from "./admission.ts";
import type { ChildInfo } from "./child-info.ts";
import { childSettings } from "./child-settings.ts";
import { ChildSlot } from "./child-slot.ts";
import type { Child, ChildExit, ChildSpec, Shutdown } from "./child-spec.ts";
import type { Rest } from "./child-state.ts";
import { pardoned } from "./history.ts";
import { Keeper } from "./keeper.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import { type SupervisorSettings, supervisorSettings } from "./supervisor-settings.ts";
import type { SupervisorSpec } from "./supervisor-spec.ts";

/** How many children a supervisor has. */
export interface ChildCounts {
  /** All it knows, running or not. */
  readonly specs: number;
  /** Those that are up. */
  readonly active: number;
  /** Those of type `supervisor`, running or not. */
  readonly supervisors: number;
  /** Those of type `worker`, running or not. */
  readonly workers: number;
}

/**
 * Starts children in order, restarts them by OTP's rules when they end, and stops them in reverse order. It is a
 * {@link Child} itself, so supervisors nest.
 *
 * Every call may be made at any time, also while children start, stop or wait for a restart; none blocks the
 * supervisor. Once it ends, every call that would change something rejects with `SUPERVISOR_STOPPED`.
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
   * Resolves with why the supervisor ended when all its children are gone: `shutdown` after {@link stop} or an
   * automatic shutdown, `abnormal` with a `SUPERVISOR_STOPPED` error as its cause when it escalated. Never rejects.
   */
  readonly exited: Promise<ChildExit>;
  readonly #settings: SupervisorSettings;
  readonly #deps: SupervisorDeps;
  readonly #keeper: Keeper;

  private constructor(settings: SupervisorSettings, deps: SupervisorDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#keeper = new Keeper(settings, deps);
    this.exited = this.#keeper.ended;
  }

  /**
   * Starts a supervisor and its children, one after the other. Resolves when each of them has come up or failed to.
   *
   * Rejects with `INVALID_OPTIONS` or `MAX_CHILDREN` before anything is started; with `CHILD_START_FAILED` when a child
   * did not come up and `onStartFailure` is `abort`; with `SUPERVISOR_STOPPED` when it escalated meanwhile, or
   * `deps.signal` called it off. Whatever was up is gone by then.
   */
  static async start(
    specs: readonly ChildSpec[],
    options: SupervisorSpec,
    deps: SupervisorDeps,
  ): Promise<ChildSupervisor> {
    const supervisor = new ChildSupervisor(supervisorSettings(options), deps);
    for (const spec of specs) supervisor.#add(spec);
    await supervisor.#open();
    return supervisor;
  }

  /**
   * Adds a child at the end of the start order and starts it. Resolves when it is up. If it does not come up its spec
   * is discarded.
   *
   * Rejects with `CHILD_ALREADY_STARTED`, `CHILD_ALREADY_PRESENT`, `MAX_CHILDREN`, `INVALID_OPTIONS`, or
   * `CHILD_START_FAILED`, also when it was terminated before it was up.
   */
  async startChild(spec: ChildSpec): Promise<Child> {
    while (this.#isLeaving(spec.id)) await this.#whenGone(spec.id);
    this.#checkOpen();
    if (this.#keeper.slots.has(spec.id)) this.#admitted("start", spec.id);
    return this.#launch(this.#add(spec), { name: "forgotten" });
  }

  /**
   * Stops a child, calls off its start, or gives up its restart. Resolves when it is gone. The spec is kept unless
   * the child is temporary, and a sibling's end may bring it back where the strategy says so. One that does not run
   * stays as it is.
   *
   * Rejects with `CHILD_NOT_FOUND`.
   */
  async terminateChild(id: string): Promise<void> {
    await this.#keeper.terminate(this.#find(id));
  }

  /**
   * Starts a child that was stopped or quarantined. Resolves when it is up. If it does not come up it rests where it
   * was.
   *
   * Rejects with `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING` or `CHILD_START_FAILED`.
   */
  async restartChild(id: string): Promise<Child> {
    while (this.#isLeaving(id)) await this.#whenGone(id);
    const { slot } = this.#admitted("restart", id);
    return this.#launch(slot, { name: slot.state.name === "quarantined" ? "quarantined" : "terminated" });
  }

  /**
   * Forgets the spec of a child that does not run.
   *
   * Rejects with `CHILD_NOT_FOUND`, `CHILD_RUNNING` or `CHILD_RESTARTING`.
   */
  async deleteChild(id: string): Promise<void> {
    while (this.#isLeaving(id)) await this.#whenGone(id);
    this.#admitted("delete", id);
    this.#keeper.slots.delete(id);
  }

  /**
   * Restarts a child by hand: stops it if it runs, and starts it without regard to its past. No sibling is touched,
   * nothing is counted, a quarantine is lifted, a back-off is cut short. Resolves when the child is up. If it does
   * not come up, that is judged like any crash, and restarted if the rules say so.
   *
   * Rejects with `CHILD_NOT_FOUND`, `CHILD_START_FAILED` or `CHILD_NOT_GONE`.
   */
  async recycleChild(id: string): Promise<Child> {
    while (this.#isLeaving(id)) await this.#whenGone(id);
    const { slot, admission } = this.#admitted("recycle", id);
    if (admission === "go") return this.#launch(slot, undefined);
    slot.history = pardoned(slot.history);
    const up = slot.nextUp();
    slot.round?.hurry();
    return up;
  }

  /** Whether it has begun to end, or has ended. */
  get ending(): boolean {
    return !this.#keeper.isOpen;
  }

  /** What is known of a child, or nothing if there is none. */
  child(id: string): ChildInfo | undefined {
    return this.#keeper.slots.get(id)?.describe();
  }

  /** What is known of each child, in start order. */
  whichChildren(): ChildInfo[] {
    return [...this.#keeper.slots.values()].map((slot) => slot.describe());
  }

  /** How many children there are, by type and how many are up. */
  countChildren(): ChildCounts {
    const slots = [...this.#keeper.slots.values()];
    const supervisors = slots.filter((slot) => slot.settings.type === "supervisor").length;
    const active = slots.filter((slot) => slot.state.name === "up").length;
    return { specs: slots.length, active, supervisors, workers: slots.length - supervisors };
  }

  /**
   * Stops all children in reverse start order, each as its spec says, and resolves when they are gone. What is still
   * there after `shutdown` milliseconds is killed; `brutal_kill` kills at once and in no order. Calls share one
   * ending, and a later call may shorten it. Default `infinity`.
   */
  async stop(shutdown: Shutdown = "infinity"): Promise<void> {
    this.#keeper.end({ reason: "shutdown" }, shutdown);
    const timer =
      typeof shutdown === "number" ? this.#deps.clock.schedule(shutdown, () => this.#keeper.kill()) : undefined;
    await this.exited;
    timer?.cancel();
  }

  async #open(): Promise<void> {
    const { signal } = this.#deps;
    const callOff = (): void => {
      const cause = new CastellanError("SUPERVISOR_STOPPED", "the start of the supervisor was called off");
      this.#keeper.end({ reason: "abnormal", cause });
    };
    if (signal?.aborted === true) callOff();
    signal?.addEventListener("abort", callOff, { once: true });
    if (this.#keeper.isOpen) await this.#keeper.openUp();
    signal?.removeEventListener("abort", callOff);
    if (this.#keeper.isOpen) return;
    const { reason, cause } = await this.exited;
    if (reason === "abnormal") throw cause;
  }

  #add(spec: ChildSpec): ChildSlot {
    const { slots } = this.#keeper;
    const settings = childSettings(spec);
    const { id } = settings;
    if (slots.has(id)) throw twice(id);
    if (slots.size >= this.#settings.maxChildren) {
      const message = `there is no room for child ${id}: maxChildren is ${this.#settings.maxChildren}`;
      throw new CastellanError("MAX_CHILDREN", message);
    }
    const slot = new ChildSlot(settings, this.#keeper, this.#deps.clock, this.#settings.intensity.maxSeconds);
    slots.set(id, slot);
    return slot;
  }

  #launch(slot: ChildSlot, restIfFailed: Rest | undefined): Promise<Child> {
    slot.history = pardoned(slot.history);
    slot.restIfFailed = restIfFailed;
    const up = slot.nextUp();
    this.#keeper.begin([slot], 0);
    return up;
  }

  /** The child that a call is about, if the call may be made. Throws what forbids it. */
  #admitted(call: Call, id: string): { slot: ChildSlot; admission: "go" | "join" } {
    const slot = this.#find(id);
    const admission = admit(call, slot.standing);
    if (admission === "go" || admission === "join") return { slot, admission };
    throw new CastellanError(admission, `child ${id} is ${slot.standing}, it cannot take the call ${call}`);
  }

  #find(id: string): ChildSlot {
    this.#checkOpen();
    const slot = this.#keeper.slots.get(id);
    if (slot === undefined) throw new CastellanError("CHILD_NOT_FOUND", `there is no child ${id}`);
    return slot;
  }

  #checkOpen(): void {
    if (!this.#keeper.isOpen) throw new CastellanError("SUPERVISOR_STOPPED", "the supervisor ended");
  }

  /** Whether a child is being stopped for good: other calls about it wait, as they would in OTP's mailbox. */
  #isLeaving(id: string): boolean {
    return this.#keeper.slots.get(id)?.leavingForGood === true;
  }

  async #whenGone(id: string): Promise<void> {
    await this.#keeper.slots.get(id)?.whenGone();
  }
}

function twice(id: string): CastellanError {
  const message = `two children have the id ${id}`;
  return new CastellanError("INVALID_OPTIONS", message, { details: { problems: [{ field: id, message }] } });
}
