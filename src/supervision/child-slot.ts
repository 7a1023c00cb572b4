import type { Clock } from "../clock.ts";
import type { CastellanError } from "../errors.ts";
import {
  type Child,
  type ChildEvent,
  type ChildExit,
  type ChildInfo,
  type ChildSettings,
  type ExitListener,
  exitFromResolved,
  exitFromThrown,
  type Shutdown,
  type StartContext,
} from "./child-spec.ts";
import { type ChildState, type ChildStateEvent, isAlive, type NotRunning, nextState } from "./child-state.ts";
import { ChildTermination, type TerminationResult } from "./child-termination.ts";
import { afterUptime, noHistory, type RestartHistory } from "./rules.ts";

/** Receives the events of a child synchronously, before any waiter of the child resumes. */
export interface SlotOwner {
  started(slot: ChildSlot): void;
  /** The start failed. The owner must set the child's next state with {@link ChildSlot.settle}. */
  startFailed(slot: ChildSlot, exit: ChildExit): void;
  /** The running child exited by itself. The owner must set its next state with {@link ChildSlot.settle}. */
  exited(slot: ChildSlot, exit: ChildExit): void;
  /** A child that the owner terminated is gone; `error` if its termination failed. */
  terminated(slot: ChildSlot, error: unknown): void;
}

/** The result of a start. */
type StartResult = { readonly child: Child } | { readonly thrown: unknown };

/** A start of a child that has not ended. */
interface ChildStart {
  readonly controller: AbortController;
  readonly result: Promise<StartResult>;
  /** Resolves once the start has ended: the child runs, its start failed, or the start was cancelled and the child is gone. */
  readonly over: PromiseWithResolvers<void>;
}

/** One run of a child, from the call of its start until it is gone. */
class ChildRun implements ExitListener {
  readonly #slot: ChildSlot;
  start: ChildStart | undefined;
  child: Child | undefined;
  termination: ChildTermination | undefined;
  #gone: PromiseWithResolvers<void> | undefined;

  constructor(slot: ChildSlot, start: ChildStart) {
    this.#slot = slot;
    this.start = start;
  }

  exited(exit: ChildExit): void {
    this.#slot.exited(this, exit);
  }

  /** Resolves once the child is gone. Ask before that. */
  get gone(): Promise<void> {
    this.#gone ??= Promise.withResolvers();
    return this.#gone.promise;
  }

  /** Records that the start has ended. A running child keeps nothing of it. */
  started(): void {
    this.start?.over.resolve();
    this.start = undefined;
  }

  /** Records that the child is gone. */
  ended(): void {
    this.#gone?.resolve();
  }
}

const visibleStates = {
  due: "restarting",
  starting: "restarting",
  running: "running",
  quarantined: "quarantined",
  terminated: "terminated",
  deleted: "terminated",
} as const;

/** The slot of one child in its supervisor: starts the child, watches it and stops it, one run after another. */
export class ChildSlot {
  readonly settings: ChildSettings;
  history: RestartHistory = noHistory;
  /** Whether the child has ever run. */
  hasRun = false;
  /** The child's state if a manual start fails. If undefined, the supervisor treats the failed start as a crash. */
  stateIfStartFails: NotRunning | undefined;
  readonly #owner: SlotOwner;
  readonly #clock: Clock;
  readonly #maxSeconds: number;
  #state: ChildState = { name: "due" };
  #run: ChildRun | undefined;
  #nextRun: PromiseWithResolvers<Child> | undefined;

  /** `maxSeconds` is the period of the supervisor's restart intensity. */
  constructor(settings: ChildSettings, owner: SlotOwner, clock: Clock, maxSeconds: number) {
    this.settings = settings;
    this.#owner = owner;
    this.#clock = clock;
    this.#maxSeconds = maxSeconds;
  }

  get state(): ChildState {
    return this.#state;
  }

  get isAlive(): boolean {
    return isAlive(this.#state);
  }

  /** Whether the supervisor stops the child and will not start it again by itself. */
  get isLeaving(): boolean {
    return this.#state.name === "terminating" && this.#state.next.name !== "due";
  }

  /** The current number of restarts in the series of crashes. */
  get restarts(): number {
    return this.#currentHistory().restarts;
  }

  /** The state that callers see. It determines the answers to their calls. */
  get visibleState(): ChildInfo["state"] {
    const { name } = this.#state.name === "terminating" ? this.#state.next : this.#state;
    const isFirstStart = !this.hasRun && this.history.restarts === 0;
    return isFirstStart && (name === "due" || name === "starting") ? "starting" : visibleStates[name];
  }

  /** Returns a snapshot of the child. */
  describe(): ChildInfo {
    const { id, type, restart, significant } = this.settings;
    const state = this.#state;
    return {
      id,
      child: state.name === "running" ? state.child : undefined,
      state: this.visibleState,
      type,
      restart,
      significant,
      restarts: this.restarts,
      lastExits: this.history.exits,
      ...(state.name === "due" && state.retryAt !== undefined ? { retryAt: state.retryAt } : {}),
    };
  }

  /**
   * Notifies the child's listener, if any, in a microtask. All listeners therefore receive events in order, and may call the supervisor,
   * which is never in the middle of a step then.
   */
  notify(event: ChildEvent): void {
    const { spec } = this.settings;
    if (spec.onEvent === undefined) return;
    const told = Promise.resolve().then(() => spec.onEvent?.(event));
    told.catch(() => {});
  }

  /** The child of the next run. Rejects when its start fails, or the supervisor terminates the child before it runs. */
  nextRun(): Promise<Child> {
    if (this.#nextRun === undefined) {
      this.#nextRun = Promise.withResolvers<Child>();
      this.#nextRun.promise.catch(() => {});
    }
    return this.#nextRun.promise;
  }

  /** Rejects {@link nextRun}. */
  rejectNextRun(error: CastellanError): void {
    this.#nextRun?.reject(error);
    this.#nextRun = undefined;
  }

  /** Starts a child that is due. Resolves once the start has succeeded or failed. */
  start(): Promise<void> {
    this.#apply({ type: "start" });
    const result = Promise.withResolvers<StartResult>();
    const controller = new AbortController();
    const over = Promise.withResolvers<void>();
    const run = new ChildRun(this, { controller, result: result.promise, over });
    this.#run = run;
    void result.promise.then((outcome) => this.#startEnded(run, outcome));
    const context = { attempt: this.history.restarts, signal: controller.signal };
    void startChild(this.settings, context).then(result.resolve);
    return over.promise;
  }

  /** Sets the state of a child that exited by itself, or whose start failed. */
  settle(next: NotRunning): void {
    this.#run = undefined;
    this.#apply({ type: "exited", next });
  }

  /**
   * Marks the child as terminating, without waiting: its exit no longer counts as a crash, a pending start is cancelled, and the child
   * will end in the state `next`. {@link stop} then stops it.
   */
  terminate(next: NotRunning): void {
    const before = this.#state;
    this.history = this.#currentHistory();
    this.#apply({ type: "terminate", next });
    if (before.name === "starting") this.#run?.start?.controller.abort();
    else if (before.name === "due" && next.name !== "due") this.#owner.terminated(this, undefined);
  }

  /** Stops a child that is terminating. Resolves when it is gone; all calls share one termination. */
  stop(how: Shutdown = this.settings.shutdown): Promise<void> {
    const run = this.#run;
    if (run === undefined || this.#state.name !== "terminating") return Promise.resolve();
    if (run.termination === undefined) {
      const child = run.child ?? run.start?.result.then((outcome) => childIn(outcome)) ?? Promise.resolve(undefined);
      run.termination = new ChildTermination(this.settings.id, child, how, this.#clock);
      void run.termination.done.then((result) => this.#terminated(run, result));
    }
    return run.gone;
  }

  /** Resolves once the current run, if any, is gone. */
  whenGone(): Promise<void> {
    return this.#run?.gone ?? Promise.resolve();
  }

  /** Kills a child that is terminating. */
  kill(): void {
    void this.stop("brutal_kill");
    this.#run?.termination?.kill();
  }

  #currentHistory(): RestartHistory {
    if (this.#state.name !== "running") return this.history;
    return afterUptime(this.history, this.#clock.monotonic() - this.#state.since, this.#maxSeconds);
  }

  #apply(event: ChildStateEvent): void {
    this.#state = nextState(this.#state, event);
  }

  #startEnded(run: ChildRun, outcome: StartResult): void {
    // The termination handles a cancelled start.
    if (this.#run !== run || this.#state.name !== "starting") return;
    if ("child" in outcome) {
      this.#started(run, outcome.child);
    } else {
      this.#owner.startFailed(this, exitFromThrown(outcome.thrown));
      run.ended();
    }
    run.started();
  }

  #started(run: ChildRun, child: Child): void {
    run.child = child;
    this.hasRun = true;
    this.stateIfStartFails = undefined;
    this.#apply({ type: "started", child, at: this.#clock.monotonic() });
    this.#owner.started(this);
    this.#nextRun?.resolve(child);
    this.#nextRun = undefined;
    if (child.onExit !== undefined) child.onExit(run);
    else void child.exited.then(exitFromResolved, exitFromThrown).then((exit) => run.exited(exit));
  }

  /** Takes the exit of the child in this run. */
  exited(run: ChildRun, exit: ChildExit): void {
    if (this.#run !== run) return;
    if (this.#state.name === "running") {
      this.history = this.#currentHistory();
      this.#owner.exited(this, exit);
      run.ended();
    } else if (run.termination === undefined) {
      // It exited before the supervisor came to stop it.
      this.#terminated(run, { isGone: true });
    }
  }

  #terminated(run: ChildRun, { isGone, error }: TerminationResult): void {
    this.#run = undefined;
    // A child that survived its kill may still act, so a second run must not start beside it.
    if (!isGone && !this.isLeaving) this.#apply({ type: "terminate", next: { name: "quarantined" } });
    this.#apply({ type: "terminated" });
    this.#owner.terminated(this, error);
    run.started();
    run.ended();
  }
}

async function startChild(settings: ChildSettings, context: StartContext): Promise<StartResult> {
  try {
    const child = await settings.spec.start(context);
    const isWatchable = typeof child?.onExit === "function" || typeof child?.exited?.then === "function";
    if (!isWatchable || typeof child.stop !== "function") {
      throw new TypeError(
        `the start of ${settings.id} returned no child: it lacks the promise "exited" or the method "stop"`,
      );
    }
    return { child };
  } catch (thrown) {
    return { thrown };
  }
}

function childIn(outcome: StartResult): Child | undefined {
  return "child" in outcome ? outcome.child : undefined;
}
