import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Activation } from "../../claude/activation.ts";
import { accountOf, credentialsOf } from "../../claude/credentials.ts";
import { missingKey } from "../../claude/launch.ts";
import { initOf } from "../../claude/messages/init.ts";
import type { ProcessHost } from "../../claude/process-host.ts";
import { startError } from "../../claude/process-run.ts";
import type { ExitClass, ExitRecord } from "../../errors.ts";
import { tell } from "../../events.ts";
import type { Shutdown } from "../../supervision/child-spec.ts";
import { factsOf, type SessionContext } from "../context/session-context.ts";
import type { SessionConversation } from "../context/session-conversation.ts";
import { SessionKey } from "../context/session-key.ts";
import type { Signal } from "../context/session-signal.ts";
import type { SharedResources } from "../context/shared-resources.ts";
import type { CapacityLack } from "../context/turn-errors.ts";
import { endingStages } from "./ending.ts";
import { Liveness } from "./liveness.ts";
import { ProcessSlot, type SlotSession } from "./process-slot.ts";
import { type ProcessLaunch, ProcessStarter } from "./process-starter.ts";
import { nextProcessState, type ProcessEvent, type ProcessState } from "./process-state.ts";
import { Recycling } from "./recycling.ts";
import { childExitOf, exitOfError } from "./session-exit.ts";
import { SessionLife } from "./session-life.ts";

/**
 * What a process has to know of its session at the moment that it decides: the capacity asks at any time whether it can do without
 * its slot, and a timer looks whether it hangs.
 */
export interface ProcessSession {
  /** Whether nothing goes on in the process, nobody asks it anything, and Claude has scheduled no turn, for which it would have to stay. */
  readonly free: boolean;
  /** Whether turns wait. */
  readonly turnsWait: boolean;
  /** Whether the session, which hibernates, has something to do for a process. */
  readonly wanted: boolean;
  /** What the process is at, if that has to end before it can be replaced. */
  readonly at: "turn" | "background task" | undefined;
  /** The turn that the process is known to work on. */
  readonly work: { readonly busy: boolean; readonly since: number; readonly openTools: number };
  /** Whether the session has ended for good. */
  readonly hasEnded: boolean;
  /** Takes up what waits in the journal only, before a process comes up. @throws CastellanError why no process is to come up */
  resume(): Promise<void>;
}

/**
 * The process of a session, from start to end: brought up when a supervisor begins a life or when it is wanted, watched, replaced,
 * and ended. `process-state.ts` says what follows on what.
 */
export class SessionProcess implements SlotSession {
  /** With what it authenticates. */
  readonly key: SessionKey = new SessionKey(() => credentialsOf(this.#starter.shape));
  readonly #context: SessionContext;
  readonly #resources: SharedResources;
  readonly #conversation: SessionConversation;
  readonly #session: ProcessSession;
  readonly #signal: Signal;
  readonly #starter: ProcessStarter;
  readonly #slot: ProcessSlot;
  #state: ProcessState = "down";
  #life: SessionLife | undefined;
  #activation: Activation | undefined;
  #pid: number | undefined;
  /** The last start, or wait for one; settles when the process is up or none comes up. */
  #coming: Promise<void> = Promise.resolve();
  /** The end of the process that was last ended in order to hibernate. */
  #going: Promise<unknown> = Promise.resolve();
  #recycling: Recycling | undefined;
  #liveness: Liveness | undefined;
  #memoryBytes: number | undefined;
  #hibernatedSince = 0;
  /** When the process was up, and when it last said anything, on the monotonic clock. */
  #upSince = 0;
  #lastWord = 0;
  /** How many starts in a row have failed. */
  #failedStarts = 0;
  #restarts = 0;
  #lastExit: ExitRecord | undefined;
  /** The account of the process, as a digest, if that is of interest. */
  #account = "";

  constructor(
    context: SessionContext,
    resources: SharedResources,
    conversation: SessionConversation,
    host: Omit<ProcessHost, "spawned">,
    session: ProcessSession,
    signal: Signal,
  ) {
    this.#context = context;
    this.#resources = resources;
    this.#conversation = conversation;
    this.#session = session;
    this.#signal = signal;
    const spawned = (pid: number | undefined): void => {
      this.#pid = pid;
    };
    this.#starter = new ProcessStarter(context, { ...host, spawned }, conversation, resources);
    this.#slot = new ProcessSlot(context, resources.capacity, this);
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** The process, if it is up or being ended. */
  get activation(): Activation | undefined {
    return this.#activation;
  }

  /** Process id, from the start of a process to its end. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /** How much memory it used when that was last measured. */
  get memoryBytes(): number | undefined {
    return this.#memoryBytes;
  }

  /** How many processes there have been. */
  get starts(): number {
    return this.#starter.starts;
  }

  /** How many times a life was over without anybody having asked for it. */
  get restarts(): number {
    return this.#restarts;
  }

  /** How the last life ended that a supervisor had to see to. */
  get lastExit(): ExitRecord | undefined {
    return this.#lastExit;
  }

  /** The account that its turns are on, as a digest; empty if that is of no interest. */
  get account(): string {
    return this.#account;
  }

  /** The SDK's options and the environment of a process as it would be started now. */
  get launch(): ProcessLaunch {
    return this.#starter.launch;
  }

  /** Whether the process is up and does nothing at this moment, whether or not turns wait. */
  get between(): boolean {
    return this.#state === "up" && this.#session.free;
  }

  /** Whether turns wait. */
  get turnsWait(): boolean {
    return this.#session.turnsWait;
  }

  /** Whether the process could be ended without anybody noticing. */
  get idle(): boolean {
    return this.#slot.idle;
  }

  /** Whether there is no process because none was wanted, or soon will be none. */
  get asleep(): boolean {
    return this.#state === "hibernated" || this.#state === "hibernating";
  }

  /** What keeps the session from having a process, if that is room. */
  get lack(): CapacityLack | undefined {
    return this.#state === "queued" ? this.#resources.capacity.shortage : undefined;
  }

  /** Since when the life has gone without a process, on the monotonic clock. `undefined` if there is one, or one is wanted. */
  get hibernatedSince(): number | undefined {
    return this.#state === "hibernated" ? this.#hibernatedSince : undefined;
  }

  /** Whether the directory of the session is to be emptied before its next process starts. */
  get emptiesFirst(): boolean {
    return this.#starter.emptiesFirst;
  }

  /** Begins a life. Returns at once; the process comes up meanwhile. */
  begin(): SessionLife {
    this.#apply({ type: "begin" });
    this.#signal({ type: "process_starting" });
    const life: SessionLife = new SessionLife((shutdown) => this.#end(life, shutdown));
    this.#life = life;
    tell("castellan:session:start", () => factsOf(this.#context));
    if (this.#context.settings.activation === "eager" && this.#takeRoom()) this.#coming = this.#start(life);
    else this.#hibernated();
    return life;
  }

  /** Resolves when no start is under way that was when it was called. */
  async settled(): Promise<void> {
    await this.#coming;
  }

  /** Resolves when the process is gone that was last ended in order to hibernate. */
  async gone(): Promise<void> {
    await this.#going;
  }

  /** Brings a process up, if the life goes on without one and one is wanted; where there is no room, as soon as there is. */
  rouse(): void {
    const life = this.#life;
    if (life === undefined || this.#state !== "hibernated" || !this.#session.wanted) return;
    this.#coming = this.#takeRoom() ? this.#startAnew(life) : this.#queue(life);
  }

  /** No process is wanted any more. */
  leaveLine(): void {
    this.#slot.leaveLine();
  }

  /** Ends the process, which has nothing to do, within the same life. */
  hibernate(): void {
    if (!this.#moves({ type: "hibernate" })) return;
    this.#signal({ type: "process_ending", to: "hibernate" });
    this.#going = this.#endActivation();
  }

  /** Has another process take the place of this one within the same life. */
  replace(): void {
    if (!this.#moves({ type: "replace" })) return;
    this.#signal({ type: "process_ending", to: "replace" });
    void this.#endActivation();
  }

  /** There may be nothing to do from now on; `anew` says whether there was until now. */
  rests(anew: boolean): void {
    if (!this.#replaceIfDue()) this.#slot.rests({ anew });
  }

  turnStarted(): void {
    this.#recycling?.worked();
  }

  turnEnded(): void {
    if (!this.#replaceIfDue()) this.#slot.turnEnded();
  }

  /** Goes on with changed settings. */
  reconfigure(): void {
    this.#recycling?.watch(this.#resources.capacity.measures);
  }

  /** The process has said something. */
  spoke(message: SDKMessage): void {
    this.#lastWord = this.#context.clock.monotonic();
    // Claude Code's own `/clear` goes on in another conversation; the message that says so names yet another id.
    const id = initOf(message)?.conversationId;
    if (id === undefined || !this.#starter.hasMoved(id)) return;
    this.#conversation.take({ type: "moved", id });
    void this.#activation?.moved(id);
  }

  /** The process is of no use. One whose key was refused and has changed since is replaced within the same life. */
  fault(fault: { readonly class: ExitClass; readonly message: string }): void {
    const { used } = this.key;
    const rekeys = fault.class === "auth" && this.#activation !== undefined && used !== undefined && this.key.changed;
    if (rekeys && this.#moves({ type: "replace" })) {
      this.key.leave();
      this.#signal({ type: "process_ending", to: "replace" });
      tell("castellan:session:rekey", () => factsOf(this.#context));
      this.#resources.keyRefused(used);
    }
    void this.#activation?.kill(fault);
  }

  /** The API refuses these credentials. A process with them is replaced, if another one would have others. */
  keyRefused(credentials: string): void {
    const affected = this.key.used === credentials && this.#recycling?.due === false;
    if (affected && this.key.changed) this.#recycling?.demand();
  }

  /**
   * Has a process that authenticates with something else than another one would now replaced, when it has nothing to do. Resolves
   * when none is left, with whether there was one.
   *
   * @param settled waits until the session's process is up, or none will come up
   * @throws CastellanError `START_FAILED` if there is nothing that another one could have; then the process goes on
   */
  async rekeyed(settled: () => Promise<unknown>): Promise<boolean> {
    for (let replaced = false; ; replaced = true) {
      // One that waits in line for a process gets one that is new.
      if (this.#state !== "queued") await this.#coming;
      const activation = this.#activation;
      if (activation === undefined) return replaced;
      if (this.key.missing) {
        const { who, settings, clock } = this.#context;
        const message = `${missingKey(settings.apiKey)}; its process goes on with the key that it has`;
        throw startError("START_FAILED", who, clock, { class: "auth", message });
      }
      if (!this.key.changed) return replaced;
      this.#recycling?.demand();
      await activation.exited;
      await settled();
    }
  }

  /** Has the session's own directory, if it has one, emptied before its next process starts. */
  emptyFirst(): void {
    this.#starter.emptyFirst();
  }

  /** Empties the directory now, if that is to be done. To be called while there is no process. @throws CastellanError `START_FAILED` */
  async emptyIfDue(): Promise<void> {
    await this.#starter.emptyIfDue();
  }

  /** Supervision has given up on the session; what failed before no longer counts. */
  givenUp(): void {
    this.#failedStarts = 0;
  }

  /** Takes what a process needs: one that is up already, with its slot, or a slot for a new one. */
  #takeRoom(): boolean {
    const slot = this.#starter.claimSpare(this.#slot);
    if (slot === undefined) return this.#slot.take();
    this.#slot.takeOver(slot);
    return true;
  }

  async #queue(life: SessionLife): Promise<void> {
    const { clock } = this.#context;
    const since = clock.monotonic();
    this.#apply({ type: "queue" });
    tell("castellan:capacity:wait", () => factsOf(this.#context));
    const taken = await this.#slot.wait(life.cancelled);
    const granted = taken && this.#state === "queued" && this.#session.wanted;
    tell("castellan:capacity:end", () => ({
      ...factsOf(this.#context),
      waitedMs: clock.monotonic() - since,
      granted,
    }));
    if (granted) await this.#startAnew(life);
    else {
      this.#slot.release();
      this.#apply({ type: "leave" });
      // Nobody wanted it when the line was left, and somebody may by now.
      this.rouse();
    }
  }

  async #startAnew(life: SessionLife): Promise<void> {
    this.#apply({ type: "start" });
    this.#signal({ type: "process_starting" });
    await this.#start(life);
  }

  async #start(life: SessionLife): Promise<void> {
    const { clock } = this.#context;
    const since = clock.monotonic();
    this.#apply({ type: "start" });
    try {
      await this.#session.resume();
      this.key.starting();
      this.#conversation.forgetMode();
      const { activation, spare } = await this.#starter.start(life.cancelled);
      this.#conversation.take({ type: "resumed" });
      this.#upSince = clock.monotonic();
      tell("castellan:activation:start", () => ({
        ...factsOf(this.#context),
        pid: activation.pid,
        activation: this.#starter.starts,
        conversationId: this.#conversation.now.id,
        durationMs: this.#upSince - since,
        resumed: this.#conversation.now.kind !== "new",
        spare,
      }));
      this.#activation = activation;
      this.key.started(activation.credentials);
      if (this.#resources.turns.limits.perKey !== undefined) this.#account = accountOf(this.#starter.shape);
      this.#failedStarts = 0;
      void activation.exited.then((exit) => this.#gone(life, exit));
      this.#apply({ type: "up" });
      this.#watch(activation);
      this.#signal({ type: "process_up", activation });
    } catch (error) {
      await this.#starter.abandon();
      this.#pid = undefined;
      this.#failedStarts++;
      this.#slot.release();
      const before = this.#state;
      this.#apply({ type: "gone", asked: false });
      // One that has ended meanwhile is about to be stopped by its supervisor, and has not crashed.
      if (before === "starting" && !this.#session.hasEnded) this.#exit(life, exitOfError(error, clock));
    }
  }

  #watch(activation: Activation): void {
    const { capacity, memory } = this.#resources;
    this.#recycling = new Recycling(this.#context, activation, memory, this.#session, {
      measured: (bytes) => {
        this.#memoryBytes = bytes;
        this.#slot.measured(bytes);
      },
      due: () => this.#replaceIfDue(),
    });
    this.#recycling.watch(capacity.measures);
    this.#liveness = new Liveness(this.#context, activation, () => {
      const { busy, since, openTools } = this.#session.work;
      const silentMs = this.#context.clock.monotonic() - Math.max(since, this.#lastWord);
      return { busy, waitsFor: openTools + activation.hostCalls, silentMs };
    });
  }

  #gone(life: SessionLife, exit: ExitRecord): void {
    this.#liveness?.stop();
    this.#liveness = undefined;
    this.#recycling?.stop();
    this.#recycling = undefined;
    this.#memoryBytes = undefined;
    this.#activation = undefined;
    this.#pid = undefined;
    this.#signal({ type: "process_gone", exit });
    const uptimeMs = this.#context.clock.monotonic() - this.#upSince;
    tell("castellan:activation:end", () => ({ ...factsOf(this.#context), exit, uptimeMs }));
    const stopping = this.#state === "stopping";
    switch (this.#apply({ type: "gone", asked: exit.class === "done" })) {
      case "starting":
        this.#coming = this.#start(life);
        break;
      case "hibernated":
        this.#slot.release();
        this.#hibernated();
        break;
      default:
        if (stopping) this.#lastExit = exit;
        if (stopping) this.#signal({ type: "life_over", exit: undefined });
        this.#slot.release();
        if (!stopping) this.#exit(life, exit);
    }
  }

  /** The life goes without a process until one is wanted, which may be at once. */
  #hibernated(): void {
    this.#hibernatedSince = this.#context.clock.monotonic();
    this.#signal({ type: "hibernated" });
    this.rouse();
  }

  /** The life has ended by itself. */
  #exit(life: SessionLife, exit: ExitRecord): void {
    this.#lastExit = exit;
    this.#restarts++;
    this.#signal({ type: "life_over", exit });
    tell("castellan:session:restart", () => ({ ...factsOf(this.#context), exit, restarts: this.#restarts }));
    life.exit(childExitOf(exit, this.#failedStarts));
  }

  /** Ends the process of a life, and the life. */
  async #end(life: SessionLife, shutdown: Shutdown): Promise<void> {
    if (this.#life !== life) return;
    this.#apply({ type: "stop" });
    this.#signal({ type: "process_ending", to: "stop" });
    await this.#coming;
    if (this.#life !== life) return;
    if (this.#activation === undefined) this.#apply({ type: "gone", asked: true });
    else await this.#activation.end(endingStages(shutdown, this.#session.at === "turn"));
  }

  async #endActivation(): Promise<void> {
    await this.#activation?.end(endingStages(this.#context.settings.shutdown, false));
  }

  /** Whether the process, which was to be replaced, is being replaced now. */
  #replaceIfDue(): boolean {
    if (this.#recycling?.due !== true || !this.between) return false;
    this.replace();
    return true;
  }

  #apply(event: ProcessEvent): ProcessState {
    this.#state = nextProcessState(this.#state, event);
    return this.#state;
  }

  /** Applies an event; whether anything follows from it. */
  #moves(event: ProcessEvent): boolean {
    const before = this.#state;
    return this.#apply(event) !== before;
  }
}
