import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Activation } from "../../claude/activation.ts";
import { accountOf, credentialsOf } from "../../claude/credentials.ts";
import { missingKey } from "../../claude/launch.ts";
import { initOf } from "../../claude/messages/init.ts";
import type { ProcessHost } from "../../claude/process-host.ts";
import { startError } from "../../claude/process-run.ts";
import type { ExitClass, ExitRecord } from "../../errors.ts";
import { publish } from "../../events.ts";
import type { Shutdown } from "../../supervision/child-spec.ts";
import { factsOf, type SessionContext } from "../context/session-context.ts";
import type { SessionConversation } from "../context/session-conversation.ts";
import { SessionKey } from "../context/session-key.ts";
import type { Signal } from "../context/session-signal.ts";
import type { SharedResources } from "../context/shared-resources.ts";
import type { CapacityShortage } from "../context/turn-errors.ts";
import { endingStages } from "./ending.ts";
import { Liveness } from "./liveness.ts";
import type { ProcessSession } from "./process-session.ts";
import { ProcessSlot, type SlotSession } from "./process-slot.ts";
import { type ProcessLaunch, ProcessStarter } from "./process-starter.ts";
import { nextProcessState, type ProcessEvent, type ProcessState } from "./process-state.ts";
import { Recycling } from "./recycling.ts";
import { childExitOf, exitOfError } from "./session-exit.ts";
import { type LivingProcess, SessionLife } from "./session-life.ts";

/**
 * The process of a session from start to end: started when a supervisor begins a life or on demand, watched, replaced
 * and ended. `process-state.ts` defines the transitions.
 */
export class SessionProcess implements SlotSession, LivingProcess {
  /** Its API key. */
  readonly key: SessionKey = new SessionKey(this);
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
  /** The start, or the wait for a slot, while one is pending; settles when the process is up or none will start. */
  #starting: Promise<void> | undefined;
  /** The end of a process that hibernates, while it is pending. */
  #hibernation: Promise<unknown> | undefined;
  #recycling: Recycling | undefined;
  #liveness: Liveness | undefined;
  #memoryBytes: number | undefined;
  #hibernatedSince = 0;
  /** When the process came up, and when it last produced output, on the monotonic clock. */
  #upSince = 0;
  #lastWord = 0;
  /** How many starts in a row have failed. */
  #failedStarts = 0;
  #restarts = 0;
  #lastExit: ExitRecord | undefined;
  /** A digest of the process's account, if a limit applies per account. */
  #account = "";

  constructor(
    context: SessionContext,
    resources: SharedResources,
    conversation: SessionConversation,
    host: ProcessHost,
    session: ProcessSession,
    signal: Signal,
  ) {
    this.#context = context;
    this.#resources = resources;
    this.#conversation = conversation;
    this.#session = session;
    this.#signal = signal;
    this.#starter = new ProcessStarter(context, host, conversation, resources);
    this.#slot = new ProcessSlot(context, resources.capacity, this);
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** The process, while it is up or ending. */
  get activation(): Activation | undefined {
    return this.#activation;
  }

  /** A digest of the credentials that a new process would have, or undefined if there are none. */
  get credentials(): string | undefined {
    return credentialsOf(this.#starter.shape);
  }

  /** Records the process id of a process that has just been created. */
  spawned(pid: number | undefined): void {
    this.#pid = pid;
  }

  /** The process id, while the process exists. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /** The memory use as last measured, in bytes. */
  get memoryBytes(): number | undefined {
    return this.#memoryBytes;
  }

  /** How many processes were started, failed starts included. */
  get starts(): number {
    return this.#starter.starts;
  }

  /** How many lives ended unexpectedly. */
  get restarts(): number {
    return this.#restarts;
  }

  /** The last exit that the supervisor had to handle. */
  get lastExit(): ExitRecord | undefined {
    return this.#lastExit;
  }

  /** A digest of the account that pays for the turns; empty if no limit applies per account. */
  get account(): string {
    return this.#account;
  }

  /** The SDK's options and the environment that a process would start with now. */
  get launch(): ProcessLaunch {
    return this.#starter.launch;
  }

  /** Whether the process is up and idle at this moment, whether or not turns wait. */
  get between(): boolean {
    return this.#state === "up" && this.#session.free;
  }

  /** Whether turns wait. */
  get turnsWait(): boolean {
    return this.#session.turnsWait;
  }

  /** Whether all that waits are turns of an earlier run of the application. */
  get resumes(): boolean {
    return this.#session.resumes;
  }

  /** Whether a process is only wanted ahead of a turn that may never come. */
  get ahead(): boolean {
    return this.#session.ahead;
  }

  /** Whether the process could end without anybody noticing. */
  get idle(): boolean {
    return this.#slot.idle;
  }

  /** Whether the session has hibernated, or is about to. */
  get isHibernated(): boolean {
    return this.#state === "hibernated" || this.#state === "hibernating";
  }

  /** The capacity that the session lacks for a process, if it waits for that. */
  get shortage(): CapacityShortage | undefined {
    return this.#state === "queued" ? this.#resources.capacity.shortage : undefined;
  }

  /** When the life lost its process, on the monotonic clock. `undefined` if there is a process, or one is needed. */
  get hibernatedSince(): number | undefined {
    return this.#state === "hibernated" ? this.#hibernatedSince : undefined;
  }

  /** Whether to empty the session's own directory before the next process starts. */
  get emptiesFirst(): boolean {
    return this.#starter.emptiesFirst;
  }

  /** Begins a life. Returns at once; the process starts in the background. */
  begin(): SessionLife {
    this.#apply({ type: "begin" });
    this.#signal({ type: "process_starting" });
    const life = new SessionLife(this);
    this.#life = life;
    publish("castellan:session:start", () => factsOf(this.#context));
    const { settings, journal } = this.#context;
    const isEager = settings.activation === "eager" && !journal.description.isArchived;
    if (isEager && this.#takeRoom()) this.#starts(this.#start(life));
    else this.#hibernated();
    return life;
  }

  /** Resolves once every start that was pending at the call has settled. */
  async settled(): Promise<void> {
    await this.#starting;
  }

  /** Resolves once the last process that hibernated is gone. */
  async gone(): Promise<void> {
    await this.#hibernation;
  }

  /** Starts a process if the life has none and needs one; without a free slot, as soon as there is one. */
  startIfNeeded(): void {
    const life = this.#life;
    if (life === undefined || this.#state !== "hibernated" || !this.#session.wanted) return;
    this.#starts(this.#takeRoom() ? this.#startAnew(life) : this.#queue(life));
  }

  /** Stops queueing for a slot, because no process is needed any more. */
  leaveLine(): void {
    this.#slot.leaveLine();
  }

  /** Ends the idle process within the same life. */
  hibernate(): void {
    if (!this.#moves({ type: "hibernate" })) return;
    this.#signal({ type: "process_ending", to: "hibernate" });
    const hibernation = this.#endActivation().finally(() => {
      if (this.#hibernation === hibernation) this.#hibernation = undefined;
    });
    this.#hibernation = hibernation;
  }

  /** Replaces the process within the same life. */
  replace(): void {
    if (!this.#moves({ type: "replace" })) return;
    this.#signal({ type: "process_ending", to: "replace" });
    void this.#endActivation();
  }

  /** Checks whether the process is idle; `anew` restarts its idle time. */
  checkIdle(anew: boolean): void {
    if (!this.#replaceIfDue()) this.#slot.checkIdle({ anew });
  }

  turnStarted(): void {
    this.#recycling?.worked();
  }

  turnEnded(): void {
    if (!this.#replaceIfDue()) this.#slot.turnEnded();
  }

  /** Applies changed settings. */
  reconfigure(): void {
    this.#recycling?.watch(this.#resources.capacity.measures);
  }

  /** Takes note of a message of the process. */
  spoke(message: SDKMessage): void {
    this.#lastWord = this.#context.clock.monotonic();
    // `/clear` switches Claude Code to another conversation; the message about that names yet another id.
    const id = initOf(message)?.conversationId;
    if (id === undefined || !this.#starter.hasMoved(id)) return;
    this.#conversation.take({ type: "moved", id });
    void this.#activation?.moved(id);
  }

  /**
   * Ends a process that cannot be used any further. If its key was refused and a different one is available, it is
   * replaced within the same life.
   */
  fault(fault: { readonly class: ExitClass; readonly message: string }): void {
    const { used } = this.key;
    const rekeys = fault.class === "auth" && this.#activation !== undefined && used !== undefined && this.key.changed;
    if (rekeys && this.#moves({ type: "replace" })) {
      this.key.markRefused();
      this.#signal({ type: "process_ending", to: "replace" });
      publish("castellan:session:rekey", () => factsOf(this.#context));
      this.#resources.keyRefused(used);
    }
    void this.#activation?.kill(fault);
  }

  /** Replaces a process with these credentials, which the API refuses, if different ones are available. */
  keyRefused(credentials: string): void {
    const affected = this.key.used === credentials && this.#recycling?.due === false;
    if (affected && this.key.changed) this.#recycling?.demand();
  }

  /**
   * Replaces a process whose credentials are outdated once it is idle. Resolves once none is left, with whether there
   * was one.
   *
   * @param settled waits until the session's process is up, or none will start
   * @throws CastellanError `START_FAILED` if no credentials are available; the process then continues
   */
  async rekeyed(settled: () => Promise<unknown>): Promise<boolean> {
    for (let replaced = false; ; replaced = true) {
      // A queued start will use the new credentials anyway.
      if (this.#state !== "queued") await this.#starting;
      const activation = this.#activation;
      if (activation === undefined) return replaced;
      if (this.key.missing) {
        const { who, settings, clock } = this.#context;
        const message = `${missingKey(settings.apiKey)}; its process keeps the key that it has`;
        throw startError("START_FAILED", who, clock, { class: "auth", message });
      }
      if (!this.key.changed) return replaced;
      this.#recycling?.demand();
      await activation.exited;
      await settled();
    }
  }

  /** Empties the session's own directory, if it has one, before the next process starts. */
  emptyFirst(): void {
    this.#starter.emptyFirst();
  }

  /** Empties the directory now if that is due. There must be no process. @throws CastellanError `START_FAILED` */
  async emptyIfDue(): Promise<void> {
    await this.#starter.emptyIfDue();
  }

  /** Resets the count of failed starts, because the supervisor gave up on the session. */
  resetFailedStarts(): void {
    this.#failedStarts = 0;
  }

  #starts(starting: Promise<void>): void {
    const over = (): void => {
      if (this.#starting === starting) this.#starting = undefined;
    };
    this.#starting = starting;
    starting.then(over, over);
  }

  /** Takes what a start needs: a spare with its slot, or a slot. Returns whether it got one. */
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
    publish("castellan:capacity:wait", () => factsOf(this.#context));
    const taken = await this.#slot.wait(life.cancelled);
    const granted = taken && this.#state === "queued" && this.#session.wanted;
    publish("castellan:capacity:end", () => ({
      ...factsOf(this.#context),
      waitedMs: clock.monotonic() - since,
      granted,
    }));
    if (granted) await this.#startAnew(life);
    else {
      this.#slot.release();
      this.#apply({ type: "leave" });
      // Demand may have returned after the queue was left.
      this.startIfNeeded();
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
      const { activation, spare } = await this.#starter.start(life.cancelled).finally(() => life.started());
      this.#conversation.take({ type: "resumed" });
      this.#upSince = clock.monotonic();
      publish("castellan:activation:start", () => ({
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
      // A session that ended in the meantime did not crash; its supervisor is about to stop it.
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
    publish("castellan:activation:end", () => ({ ...factsOf(this.#context), exit, uptimeMs }));
    const stopping = this.#state === "stopping";
    switch (this.#apply({ type: "gone", asked: exit.class === "done" })) {
      case "starting":
        this.#starting = this.#start(life);
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

  /** Leaves the life without a process until one is needed, which may be at once. */
  #hibernated(): void {
    this.#hibernatedSince = this.#context.clock.monotonic();
    this.#signal({ type: "hibernated" });
    this.startIfNeeded();
  }

  /** Ends the life after an unexpected exit. */
  #exit(life: SessionLife, exit: ExitRecord): void {
    this.#lastExit = exit;
    this.#restarts++;
    this.#signal({ type: "life_over", exit });
    publish("castellan:session:restart", () => ({ ...factsOf(this.#context), exit, restarts: this.#restarts }));
    life.exit(childExitOf(exit, this.#failedStarts));
  }

  /** Ends the process of this life, if there is one. Resolves once it is gone. */
  async end(life: SessionLife, shutdown: Shutdown): Promise<void> {
    if (this.#life !== life) return;
    this.#apply({ type: "stop" });
    this.#signal({ type: "process_ending", to: "stop" });
    await this.#starting;
    if (this.#life !== life) return;
    if (this.#activation === undefined) this.#apply({ type: "gone", asked: true });
    else await this.#activation.end(endingStages(shutdown, this.#session.at === "turn"));
  }

  async #endActivation(): Promise<void> {
    await this.#activation?.end(endingStages(this.#context.settings.shutdown, false));
  }

  /** Replaces the process if that is due. Returns whether it does. */
  #replaceIfDue(): boolean {
    if (this.#recycling?.due !== true || !this.between) return false;
    this.replace();
    return true;
  }

  #apply(event: ProcessEvent): ProcessState {
    this.#state = nextProcessState(this.#state, event);
    return this.#state;
  }

  /** Applies an event. Returns whether the state changed. */
  #moves(event: ProcessEvent): boolean {
    const before = this.#state;
    return this.#apply(event) !== before;
  }
}
