import type { SDKMessage, SessionMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Activation } from "../claude/activation.ts";
import { withDeadline } from "../deadline.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import { publish } from "../events.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName } from "../names.ts";
import { factsOf, type SessionContext, type SessionDeps } from "./context/session-context.ts";
import { SessionConversation } from "./context/session-conversation.ts";
import type { SessionSignal, Signal } from "./context/session-signal.ts";
import { SessionView } from "./context/session-view.ts";
import type { SharedResources } from "./context/shared-resources.ts";
import { rememberedMessages, type TranscriptOptions } from "./conversation/transcript.ts";
import { BudgetMeter } from "./options/budget.ts";
import type { SessionSettings } from "./options/session-settings.ts";
import { PendingRequests } from "./pending-requests.ts";
import type { BelongingsSource } from "./persistence/belongings.ts";
import { FormerConversations } from "./persistence/former-conversations.ts";
import { LiveDescription } from "./persistence/live-description.ts";
import { SessionJournal } from "./persistence/session-journal.ts";
import type { SupervisorJournal } from "./persistence/supervisor-journal.ts";
import { ProcessOutput } from "./process/process-output.ts";
import { SessionProcess } from "./process/session-process.ts";
import { Recovery } from "./recovery.ts";
import { SessionProcessHost } from "./session-process-host.ts";
import { SessionWork } from "./session-work.ts";
import { conversationBehind, conversationCutBack } from "./status/session-fault.ts";
import {
  AwaitedState,
  isRefusing,
  nextSessionState,
  type RefusingState,
  refusalOf,
  type SessionState,
  type SessionStateEvent,
  type Stopped,
} from "./status/session-state.ts";
import type { CurrentTurn } from "./streams/current-turn.ts";
import { Touching } from "./touching.ts";
import { Dispatcher } from "./turns/dispatcher.ts";
import { SessionSchedules } from "./turns/session-schedules.ts";

const NONE: readonly never[] = [];

/**
 * Composes the parts of a session, keeps the state that follows from their signals, and decides what follows for the
 * other parts.
 */
export class SessionCore {
  /** All parts read it; only the core changes its settings. */
  readonly context: SessionContext;
  readonly #context: { settings: SessionSettings } & Omit<SessionContext, "settings">;
  readonly journal: SessionJournal;
  readonly conversation: SessionConversation;
  readonly view: SessionView;
  readonly output: ProcessOutput;
  readonly process: SessionProcess;
  readonly dispatcher: Dispatcher;
  readonly recovery: Recovery;
  /** Once the session has a schedule. */
  #schedules: SessionSchedules | undefined;
  /** Once the session has a budget. */
  #meter: BudgetMeter | undefined;
  readonly #resources: SharedResources;
  readonly #supervisorJournal: SupervisorJournal;
  /** Once the session has left a conversation. */
  #former: FormerConversations | undefined;
  #state: SessionState = { name: "starting" };
  /** The states that callers wait for. */
  #awaited: readonly AwaitedState[] = NONE;
  /** Why the next process starts. */
  #starting: "start" | "restart" | "wake" | "replace" = "start";
  /** The exit that was recorded last. */
  #lastExit: ExitRecord | undefined;
  readonly requests: PendingRequests = new PendingRequests();
  /** Once the session has been touched. */
  #touching: Touching | undefined;
  /** Resolves when a turn or a background task has ended. */
  #workSettled: PromiseWithResolvers<void> | undefined;

  constructor(settings: SessionSettings, journal: SupervisorJournal, resources: SharedResources, deps: SessionDeps) {
    const who = `session ${formatName(settings.name)}`;
    this.journal = new SessionJournal(settings.key, journal, deps.clock, new LiveDescription(this, deps.clock.now()));
    const { clock, newId, random } = deps;
    this.#context = { clock, newId, random, who, settings, journal: this.journal };
    this.context = this.#context;
    this.#resources = resources;
    this.#supervisorJournal = journal;
    const signal: Signal = (told) => this.#heed(told);
    this.conversation = new SessionConversation(this.#context, signal);
    this.view = new SessionView(this.#context, signal, this);
    this.output = new ProcessOutput(this.#context, this.conversation, this.view);
    const host = new SessionProcessHost(this, resources);
    this.process = new SessionProcess(this.#context, resources, this.conversation, host, new SessionWork(this), signal);
    this.dispatcher = new Dispatcher(this.#context, this.conversation, this.process, resources.turns, signal);
    this.recovery = new Recovery(this);
  }

  /** Adds up what the session spends, as long as it has a budget. */
  get meter(): BudgetMeter {
    this.#meter ??= new BudgetMeter(this.#context.clock);
    return this.#meter;
  }

  get schedules(): SessionSchedules {
    if (this.#schedules === undefined) {
      this.#schedules = new SessionSchedules(this.#context, this.dispatcher.intake, this);
      if (this.#state.name === "stopped") this.#schedules.close();
    }
    return this.#schedules;
  }

  /** Whether a schedule is due so soon that the session should stay in memory. */
  get isDueSoon(): boolean {
    return this.#schedules?.isSoon === true;
  }

  get touching(): Touching {
    this.#touching ??= new Touching(this, this.#resources.capacity);
    return this.#touching;
  }

  /** Whether nothing but a touch wants a process. */
  get isOnlyTouched(): boolean {
    return this.#touching?.isAlone === true;
  }

  get settings(): SessionSettings {
    return this.context.settings;
  }

  /** The running turn, if any. */
  get running(): CurrentTurn | undefined {
    return this.dispatcher.running;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Applies changed settings. */
  take(settings: SessionSettings): void {
    const before = this.settings;
    this.#context.settings = settings;
    if (settings.sdk.permissionMode !== before.sdk.permissionMode) {
      this.conversation.forgetMode();
      this.conversation.grant({ type: "configured", option: settings.sdk.permissionMode });
    }
    this.dispatcher.reconfigure();
    // A new budget counts from now until earlier spending is loaded.
    if (before.budget === undefined) void this.recovery.loadSpending().catch(() => {});
    if (this.journal.description.isStale) this.conversation.save();
    this.process.reconfigure();
    this.output.relimit();
    this.process.checkIdle(false);
  }

  /** Returns the messages of the conversation. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async transcript(options: TranscriptOptions): Promise<SessionMessage[]> {
    const { launch, state } = this.process;
    // A process has its transcript; without one, it may have to be restored.
    if (state === "down" || state === "hibernated") {
      await this.conversation.bringTranscriptTo(launch).catch((error: unknown) => {
        // What the file system has can be read all the same.
        if (CastellanError.is(error)) throw error;
      });
    }
    return await rememberedMessages(this.conversation.now, launch, options);
  }

  /** Resolves once the process has neither a turn nor a background task. */
  async workOver(): Promise<void> {
    while (this.process.activation !== undefined && (this.dispatcher.busy || this.view.hasBackgroundWork)) {
      this.#workSettled ??= Promise.withResolvers();
      await this.#workSettled.promise;
    }
  }

  #settleWork(): void {
    this.#workSettled?.resolve();
    this.#workSettled = undefined;
  }

  /** Resolves with the state once the process is up, or none will start. */
  settled(): Promise<SessionState> {
    return this.#reaches(isSettled);
  }

  retryAt(at: number): void {
    this.#apply({ type: "retry", at });
  }

  /** Ends the turns and refuses new ones until a manual restart, because the supervisor gave up. */
  quarantine(lastExits: readonly ExitRecord[]): void {
    this.process.resetFailedStarts();
    this.recovery.pause();
    this.journal.append({ type: "quarantined" });
    this.#apply({ type: "quarantine", lastExits });
    publish("castellan:session:quarantine", () => ({ ...factsOf(this.#context), lastExits }));
    this.#dismissIfRefused();
  }

  /** Ends the session for its callers. The supervisor ends its process. */
  close(as: Stopped): void {
    if (this.#state.name !== "stopped") publish("castellan:session:stop", () => ({ ...factsOf(this.#context), as }));
    this.#apply({ type: "stop", as });
    this.#schedules?.close();
    this.#dismissIfRefused();
    const refusal = this.hasEnded ? this.refusal() : undefined;
    if (refusal !== undefined) this.dispatcher.intake.ended(refusal);
    if (this.process.activation === undefined) this.#endEvents();
  }

  /** What follows from the exit of the process is the last of a session. */
  #endEvents(): void {
    if (this.#state.name === "stopped" && this.#state.as !== "child") this.journal.endRecord();
  }

  /** Whether there is work for a process. */
  get wanted(): boolean {
    return this.dispatcher.wanting || this.requests.any;
  }

  /** Whether the process works on nothing at this moment, whether or not turns wait and control requests are pending. */
  get workless(): boolean {
    return this.view.state === "idle" && this.dispatcher.free;
  }

  /** The same, and no control request is pending. */
  get between(): boolean {
    return this.workless && !this.requests.any;
  }

  #heed(signal: SessionSignal): void {
    switch (signal.type) {
      case "process_starting":
        this.#apply({ type: "begin" });
        break;
      case "process_up":
        this.#started(signal.activation);
        // A session that is used is no longer archived.
        if (this.journal.description.unarchive()) this.conversation.save();
        this.#apply({ type: "ready" });
        this.#held();
        this.output.attach(signal.activation);
        if (this.process.state === "up") this.dispatcher.attach(signal.activation);
        break;
      case "process_ending":
        this.dispatcher.retire();
        if (signal.to === "replace") {
          this.#starting = "replace";
          this.#apply({ type: "begin" });
        }
        if (signal.to === "hibernate") this.#apply({ type: "hibernate" });
        break;
      case "process_gone":
        this.#processGone(signal.exit);
        break;
      case "hibernated":
        this.#hibernated();
        this.#apply({ type: "hibernate" });
        break;
      case "life_over":
        this.#exited(signal.exit);
        if (signal.exit !== undefined) this.#apply({ type: "exited" });
        // The next life may begin much later; until then there is no process.
        else if (this.#state.name !== "stopped" && this.#state.name !== "quarantined") this.#apply({ type: "begin" });
        break;
      case "turn_started":
        this.process.turnStarted();
        this.#apply({ type: "turn_started" });
        break;
      case "turn_ended":
        this.#apply({ type: "turn_ended" });
        this.#held();
        this.process.turnEnded();
        break;
      case "turn_failed":
        this.view.withdrawTurn(signal.turnId);
        break;
      case "next":
        this.dispatcher.next();
        break;
      case "unprompted_began":
        this.dispatcher.unpromptedBegan(signal.turn);
        break;
      case "unprompted_done":
        this.dispatcher.unpromptedDone(signal.left);
        break;
      case "spent":
        // What was spent before a budget is loaded once there is one.
        if (this.settings.budget !== undefined) this.meter.add(signal.models);
        break;
      case "held":
        this.#held();
        break;
      case "idle":
        this.process.checkIdle(true);
        break;
      case "wanted":
        if (this.wanted) this.process.startIfNeeded();
        else this.process.leaveLine();
        break;
      case "stale":
        this.process.replace();
        break;
      case "cut_back":
        this.#cutBack();
        this.view.fault(conversationCutBack(signal.why, this.#context.clock.now()));
        break;
      case "fault":
        this.process.fault(signal.fault);
        break;
      case "turn_kept":
        this.output.turnKept(signal.lastUuid);
        break;
      case "conversation_moved":
        this.view.moved(signal.id, signal.change);
        break;
      case "conversation_left":
        this.#left();
        break;
      case "conversation_behind":
        this.view.fault(conversationBehind(signal.broken, this.#context.clock.now()));
        break;
      case "conversation_conflict":
        void this.process.activation?.kill({ class: "bad_config", message: signal.message });
        break;
      case "shown":
        this.#shown(signal.state);
        break;
    }
  }

  /** Records that a process is up. */
  #started({ pid }: Activation): void {
    const { id: conversationId } = this.conversation.now;
    this.journal.append({ type: "started", reason: this.#starting, conversationId, ...withoutUndefined({ pid }) });
    this.#starting = "restart";
  }

  /** Records that the session hibernates, unless it has had no process since it last did. */
  #hibernated(): void {
    const hadProcess = this.#starting !== "start" && this.#starting !== "wake";
    if (hadProcess) {
      this.#starting = "wake";
      this.journal.append({ type: "hibernated" });
    }
  }

  /** Records that the conversation continues from an earlier message. */
  #cutBack(): void {
    this.journal.append({ type: "conversation", conversationId: this.conversation.now.id, change: "cut_back" });
  }

  /** Trims the conversations that the session has left. */
  #left(): void {
    const source = (): BelongingsSource => ({ sdk: this.settings.sdk, environment: this.process.launch.environment });
    const { settings, newId } = this.#context;
    this.#former ??= new FormerConversations(settings.key, this.#supervisorJournal, source, newId);
    this.#former.left();
  }

  /** Publishes the state that callers see. */
  #shown(state: SessionState["name"]): void {
    publish("castellan:session:state", () => ({ ...factsOf(this.#context), state }));
    if (state === "idle") this.process.checkIdle(true);
    this.#settleWork();
  }

  #processGone(exit: ExitRecord): void {
    // First, because everything else follows from it.
    this.#exited(exit);
    this.output.detach();
    // A stopped session reports it once it is started again.
    if (this.#state.name !== "stopped") this.output.wakeupsLost();
    this.dispatcher.detach(exit);
    this.journal.processGone();
    this.#settleWork();
    this.conversation.clearIfDue();
    this.#endEvents();
  }

  /** Records the exit of a process, or a failed start, once. */
  #exited(exit: ExitRecord | undefined): void {
    if (exit === undefined || exit === this.#lastExit) return;
    this.#lastExit = exit;
    this.journal.append({ type: "exit", exit });
  }

  /** Takes a message of the process. */
  receive(message: SDKMessage): void {
    this.process.spoke(message);
    const isReport = this.output.receive(message);
    this.view.receive(message);
    if (!this.dispatcher.receive(message) && !isReport) this.view.receiveUnclaimed(message);
  }

  #held(): void {
    const { hold } = this.dispatcher;
    this.#apply(hold === undefined ? { type: "release" } : { type: "hold", hold });
  }

  /** Whether the session has ended for good. A session stopped as a child of its tree may be started again. */
  get hasEnded(): boolean {
    return this.#state.name === "stopped" && this.#state.as !== "child";
  }

  /** @throws CastellanError why the session has ended, if it has ended for good */
  refuseIfEnded(): void {
    const refusal = this.hasEnded ? this.refusal() : undefined;
    if (refusal !== undefined) throw refusal;
  }

  #apply(event: SessionStateEvent): void {
    const before = this.#state;
    this.#state = nextSessionState(before, event);
    this.#reached(this.#state);
    this.view.show(this.#state);
  }

  /** Resolves with the first of the states that `isAwaited` tells, at once if the session is in one. */
  async #reaches(isAwaited: (state: SessionState) => boolean): Promise<SessionState> {
    if (isAwaited(this.#state)) return this.#state;
    const awaited = new AwaitedState(isAwaited);
    this.#awaited = [...this.#awaited, awaited];
    return await awaited.state;
  }

  #reached(state: SessionState): void {
    if (this.#awaited.length > 0) this.#awaited = this.#awaited.filter((awaited) => !awaited.see(state));
  }

  /** Runs `work` with a process, waiting for one if necessary, and keeps the process until it is done. */
  async withProcess<Answer>(
    what: string,
    limitMs: number,
    work: (activation: Activation) => Promise<Answer>,
  ): Promise<Answer> {
    this.requests.begin();
    try {
      this.process.startIfNeeded();
      await this.#upWithin(what, limitMs);
      const refusal = this.refusal();
      if (refusal !== undefined) throw refusal;
      const { activation } = this.process;
      if (activation === undefined)
        throw new CastellanError("CONTROL_FAILED", `${this.#context.who}: "${what}" failed: the process is gone.`);
      return await work(activation);
    } finally {
      this.requests.end();
      if (!this.wanted) this.process.leaveLine();
      this.process.checkIdle(false);
    }
  }

  async #upWithin(what: string, limitMs: number): Promise<void> {
    await withDeadline(this.#context.clock, limitMs, this.#reaches(isRisen), () => {
      const waited = `${this.#context.who}: "${what}" waited ${formatDuration(limitMs)} for a process`;
      if (this.process.state !== "queued") throw new CastellanError("CONTROL_TIMEOUT", `${waited}.`);
      const details = this.#resources.capacity.shortage;
      const message = `${waited}: all processes that the supervisor may run are busy (${details.busy}).`;
      throw new CastellanError("CAPACITY_EXHAUSTED", message, { details });
    });
  }

  #dismissIfRefused(): void {
    const state = this.#state;
    if (!isRefusing(state)) return;
    // Before the end of their turn.
    this.view.withdrawAll("session_stopped");
    this.dispatcher.dismiss(() => this.#refusalOf(state));
  }

  /** Returns why the session may not spend more, or undefined. */
  overBudget(): CastellanError | undefined {
    const { budget } = this.settings;
    const refusal = budget === undefined ? undefined : this.meter.refusal(budget, "session", this.#context.who);
    return refusal ?? this.journal.refusal;
  }

  /** Returns why the session accepts no turns, or undefined. A temporary session ends with its first process. */
  refusal(): CastellanError | undefined {
    return isRefusing(this.#state) ? this.#refusalOf(this.#state) : undefined;
  }

  #refusalOf(state: RefusingState): CastellanError {
    const ended = this.settings.restart === "temporary" ? this.process.lastExit : undefined;
    return refusalOf(this.#context.who, state, ended);
  }
}

function isSettled({ name }: SessionState): boolean {
  return name !== "starting" && name !== "restarting";
}

/** Whether the process is up, or none will start. */
function isRisen(state: SessionState): boolean {
  return isSettled(state) && state.name !== "hibernated";
}
