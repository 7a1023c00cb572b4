import type {
  PermissionMode,
  PermissionUpdate,
  Query,
  SDKMessage,
  SessionMessage,
} from "@anthropic-ai/claude-agent-sdk";
import type { Capacity } from "../capacity/capacity.ts";
import { type Activation, CONTROL_MS } from "../claude/activation.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import { tell } from "../events.ts";
import { formatName } from "../names.ts";
import type { Approval } from "./approval.ts";
import type { BelongingsSource } from "./belongings.ts";
import { BudgetMeter, type BudgetStatus } from "./budget.ts";
import { forkOptions } from "./conversation.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { Numbered } from "./event-log.ts";
import { FormerConversations } from "./former-conversations.ts";
import { isNothing } from "./granted.ts";
import { type HistoryOptions, historyOf } from "./history.ts";
import type { JournalDesk, KnownSession } from "./journal-desk.ts";
import { ProcessOutput } from "./process-output.ts";
import type { ProcessLaunch } from "./process-starter.ts";
import { type Prompt, promptText } from "./prompt.ts";
import { RecentErrors } from "./recent-errors.ts";
import { Recovery } from "./recovery.ts";
import { refusalOf } from "./refusal.ts";
import type { Room } from "./room.ts";
import { factsOf, type SessionContext, type SessionDeps } from "./session-context.ts";
import { SessionConversation } from "./session-conversation.ts";
import type { SessionEvent } from "./session-event.ts";
import { conversationBehind, conversationCutBack } from "./session-fault.ts";
import { SessionJournal } from "./session-journal.ts";
import type { SessionLife } from "./session-life.ts";
import { type ProcessSession, SessionProcess } from "./session-process.ts";
import type { SessionSettings } from "./session-settings.ts";
import type { SessionSignal, Signal } from "./session-signal.ts";
import { nextSessionState, type SessionState, type SessionStateEvent, type Stopped } from "./session-state.ts";
import { type SessionStatus, waitingOf } from "./session-status.ts";
import { SessionView } from "./session-view.ts";
import { StateMilestone } from "./state-milestone.ts";
import { type TurnOptions, turnSettings } from "./turn-options.ts";
import type { TurnRecord } from "./turn-record.ts";

/**
 * A session from the inside: it brings processes up when its supervisor begins a new life of it, gives them its
 * conversation, and hands them its turns.
 */
export class SessionServer {
  /** Read by all parts; only the core changes the settings in it. */
  readonly #context: { settings: SessionSettings } & Omit<SessionContext, "settings">;
  /** The settings as they were given last, without what calls have changed since. */
  #configured: SessionSettings;
  readonly #journal: SessionJournal;
  readonly #conversation: SessionConversation;
  readonly #view: SessionView;
  readonly #output: ProcessOutput;
  readonly #process: SessionProcess;
  readonly #dispatcher: Dispatcher;
  readonly #recovery: Recovery;
  readonly #errors: RecentErrors;
  readonly #former: FormerConversations;
  readonly #meter: BudgetMeter;
  readonly #capacity: Capacity;
  #state: SessionState = { name: "starting" };
  readonly #settled = new StateMilestone(this.#state, isSettled);
  /** Its process is up, or none will come up. */
  readonly #risen = new StateMilestone(this.#state, (state) => isSettled(state) && state.name !== "hibernated");
  /** Whether it accepts turns: not while its supervisor drains, nor once it was let go, when its name brings another one. */
  #admission: "open" | "draining" | "let_go" = "open";
  /** How many requests besides turns need a process at this moment. */
  #requests = 0;
  /** Resolves when something in the process has come to its end. */
  #workSettled: PromiseWithResolvers<void> | undefined;

  constructor(settings: SessionSettings, desk: JournalDesk, room: Room, deps: SessionDeps) {
    const who = `session ${formatName(settings.name)}`;
    this.#journal = new SessionJournal(settings.key, desk, deps.clock);
    this.#configured = settings;
    this.#context = { ...deps, who, settings, journal: this.#journal };
    this.#capacity = room.capacity;
    this.#meter = new BudgetMeter(deps.clock);
    this.#errors = new RecentErrors(deps.clock);
    const source = (): BelongingsSource => ({ sdk: this.settings.sdk, environment: this.launch.environment });
    this.#former = new FormerConversations(settings.key, desk, source, deps.newId);
    const signal: Signal = (told) => this.#heed(told);
    this.#conversation = new SessionConversation(this.#context, signal);
    this.#view = new SessionView(this.#context, signal);
    this.#output = new ProcessOutput(this.#context, this.#conversation, this.#view);
    const host = {
      who,
      message: (message: SDKMessage) => this.#receive(message),
      advise: (advice: string) => room.advise(who, advice),
      toolBegins: () => this.#dispatcher.toolBegins(),
      canUseTool: this.#view.approvals.canUseTool,
      granted: (updates: readonly PermissionUpdate[]) => this.#output.granted(updates),
    };
    this.#process = new SessionProcess(this.#context, room, this.#conversation, host, this.#needs(), signal);
    this.#dispatcher = new Dispatcher(this.#context, this.#conversation, this.#process, room.turns, signal);
    const { intake } = this.#dispatcher;
    const refuseIfEnded = (): void => this.#refuseIfEnded();
    this.#recovery = new Recovery(
      this.#context,
      this.#conversation,
      intake,
      this.#meter,
      this.#output,
      this.#process,
      refuseIfEnded,
    );
  }

  get settings(): SessionSettings {
    return this.#context.settings;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The state as callers see it. */
  get visibleState(): SessionState["name"] {
    return this.#view.state;
  }

  /** The names of the MCP servers with which something is wrong. */
  get faultyServers(): readonly string[] {
    return this.#view.faultyServers;
  }

  /** The name of its supervisor. */
  get supervisor(): string {
    return this.#journal.supervisor;
  }

  /** How many of its turns have failed not long ago. See {@link RecentErrors.now}. */
  get recentErrors(): number {
    return this.#errors.now;
  }

  /** How many events there have been. */
  get eventCount(): number {
    return this.#view.events.length;
  }

  /** Its events from this number on. */
  readEvents(from: number): AsyncGenerator<Numbered<SessionEvent>, void, undefined> {
    return this.#view.events.read(from);
  }

  /** The permissions that Claude waits for, oldest first. */
  get approvals(): readonly Approval[] {
    return this.#view.approvals.pending;
  }

  /** Why the journal takes nothing at this moment, if it does not. */
  get journalFault(): Error | undefined {
    return this.#journal.fault;
  }

  /** Makes its conversation this session's alone. @throws CastellanError `INVALID_OPTIONS` if another session has it */
  claim(): void {
    this.#conversation.claim();
  }

  /** Another session may have its conversation from now on. */
  unclaim(): void {
    this.#conversation.unclaim();
  }

  /**
   * Takes up what the journal knows of the session; with `source`, what that session remembers instead.
   *
   * @throws CastellanError what {@link Recovery.restore} throws
   */
  async restore(known: KnownSession, source?: SessionServer): Promise<void> {
    await this.#recovery.restore(known, source === undefined ? undefined : source.#conversation);
  }

  /** What the journal knows of the session cannot be taken up. Each start tries that again, and fails with this error. */
  failRestore(error: CastellanError): void {
    this.#recovery.fail(error);
  }

  /** Begins a new life. Returns at once; the process comes up meanwhile. */
  begin(): SessionLife {
    this.#conversation.clearIfDue();
    return this.#process.begin();
  }

  /**
   * Ends the process of a session that has nothing to do; resolves when it is gone.
   *
   * @throws CastellanError `SESSION_BUSY` if it is at work, or why it has no process
   */
  async hibernate(): Promise<void> {
    if (!this.#process.idle) await this.settled();
    const refusal = this.refusal();
    if (refusal !== undefined) throw refusal;
    if (this.#process.idle) this.#process.hibernate();
    else if (this.#state.name !== "hibernated" || this.#wanted) {
      const { who } = this.#context;
      const message = this.#between
        ? `${who} cannot hibernate, since Claude has scheduled a turn, which its process keeps; see \`status().wakeups\`.`
        : `${who} is at work, so that it cannot hibernate; ask again when it is idle.`;
      throw new CastellanError("SESSION_BUSY", message);
    }
    await this.#process.gone();
  }

  /**
   * Has a process come up, if there is none; resolves when it is up.
   *
   * @throws CastellanError `CAPACITY_EXHAUSTED` after `queueTimeout`, or why none comes up
   */
  async wake(): Promise<void> {
    await this.#needing("wake", this.settings.queueTimeout, async () => {});
  }

  /** Hands nothing more to the process, which is about to be replaced. Resolves when the process works on no turn. */
  async retire(): Promise<void> {
    this.#dispatcher.retire();
    await this.#dispatcher.quiet();
  }

  /** Takes up changed settings; what shapes a process, the next process. */
  reconfigure(settings: SessionSettings): void {
    this.#configured = settings;
    this.#take(settings);
  }

  #take(settings: SessionSettings): void {
    const before = this.settings;
    this.#context.settings = settings;
    if (settings.sdk.permissionMode !== before.sdk.permissionMode) {
      this.#conversation.forgetMode();
      this.#conversation.grant({ type: "configured", option: settings.sdk.permissionMode });
    }
    this.#dispatcher.reconfigure();
    // Until it is known what was spent before, it counts from now.
    if (before.budget === undefined) void this.#recovery.loadSpending().catch(() => {});
    this.#process.reconfigure();
    this.#output.relimit();
    this.#process.rests(false);
  }

  /**
   * Tells the process what of its settings it can take up while it runs: model and permission mode.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`
   */
  async applyLive(): Promise<void> {
    // The next process is told them when it starts.
    if (this.#state.name === "hibernated") return;
    // A process that is on its way up was told the settings as they were when its start began.
    await this.#process.settled();
    const { model, permissionMode } = this.settings.sdk;
    if (model !== undefined) await this.#process.activation?.control("set_model", (sdk) => sdk.setModel(model));
    // The mode that the session has come to be in stays, unless the option has changed.
    if (permissionMode === undefined || this.#conversation.granted.mode !== undefined) return;
    await this.#process.activation?.control("set_permission_mode", (sdk) => sdk.setPermissionMode(permissionMode));
  }

  /**
   * Asks the process something besides turns, as soon as it is up; one that hibernates is woken for it.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`, or why there is no process
   */
  async control<Answer>(what: string, request: (sdk: Query) => Promise<Answer>): Promise<Answer> {
    return await this.#needing(what, CONTROL_MS, (activation) => activation.control(what, request));
  }

  /**
   * Asks the process for a sign of life, and how its MCP servers do. One that hibernates is not woken for it.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`, or why there is no process
   */
  async ask(): Promise<void> {
    await this.#needing("mcp_status", CONTROL_MS, () => this.#output.askServers());
  }

  /** A control has put the process into this permission mode. */
  toldMode(mode: PermissionMode): void {
    this.#conversation.toldMode(mode, true);
  }

  /** Resolves when the journal knows the conversation as it is. See {@link SessionConversation.written}. */
  async conversationWritten(): Promise<void> {
    await this.#conversation.written();
  }

  /** Has the journal know the conversation as it is now. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async saveConversation(): Promise<void> {
    await this.#conversation.saveNow();
  }

  /** What has been said in the conversation. @throws CastellanError `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED` */
  async history(options: HistoryOptions): Promise<SessionMessage[]> {
    // Which conversation it is the journal has to tell first.
    return await this.fromJournal(() => historyOf(this.#conversation.now, this.launch, options));
  }

  /** The permission mode that was granted in the conversation, if one was. */
  get grantedMode(): PermissionMode | undefined {
    return this.#conversation.granted.mode?.now;
  }

  /** Whether anything was granted in the conversation. */
  get hasGrants(): boolean {
    return !isNothing(this.#conversation.granted);
  }

  /** Takes back all that was granted in the conversation. */
  revokeGrants(): void {
    this.#conversation.grant({ type: "revoked" });
  }

  /** Keeps what a control has changed, so that the next process is told. */
  remember(changed: SessionSettings["sdk"]): void {
    this.#take({ ...this.settings, sdk: { ...this.settings.sdk, ...changed } });
  }

  /** The SDK's options and the environment of a process as it would be started now. */
  get launch(): ProcessLaunch {
    return this.#process.launch;
  }

  /**
   * Accepts no more turns; resolves with their number when those that it has have ended, and what goes on in the background, with the
   * turns that Claude Code begins on it.
   */
  async drain(): Promise<number> {
    if (this.#admission === "open") this.#admission = "draining";
    const turns = await this.#dispatcher.finish();
    await this.#workOver();
    return turns;
  }

  /** Resolves when nothing goes on in the process: no turn, no background task. */
  async #workOver(): Promise<void> {
    while (this.#process.activation !== undefined && (this.#dispatcher.busy || this.#view.works)) {
      this.#workSettled ??= Promise.withResolvers();
      await this.#workSettled.promise;
    }
  }

  #settleWork(): void {
    this.#workSettled?.resolve();
    this.#workSettled = undefined;
  }

  /**
   * Ends it for its callers here, so that it can go on elsewhere: its turn may finish until `deadlineMs` is over, what waits stays in
   * the journal. Its process is ended by the supervisor.
   */
  async handOver(deadlineMs: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#context.clock.schedule(deadlineMs, resolve);
    await Promise.race([this.#dispatcher.yield().then(() => this.#workOver()), late]);
    timer.cancel();
    this.close("supervisor");
    // That a turn waits again is written when it has been written that it begins: the last that may be written of it here.
    await this.#dispatcher.begun;
  }

  /** What another session has to begin with to know what this one does, up to the last turn that has ended. */
  get forkOptions(): Pick<SessionSettings["sdk"], "resume" | "forkSession" | "resumeSessionAt"> {
    return forkOptions(this.#conversation.now, this.#dispatcher.busy);
  }

  /** Makes the next life begin with an empty conversation. */
  forget(): void {
    this.#conversation.clearNext();
  }

  /**
   * Begins an empty conversation in place of the one that there is, in an empty directory if it has one of its own; a process that
   * is up is replaced within its life. Resolves when that is done, or nothing comes up. To be called when no turn runs or waits.
   *
   * @throws CastellanError `SESSION_QUARANTINED` if the directory cannot be emptied
   */
  async startAfresh(): Promise<void> {
    this.#conversation.clearNext();
    this.emptyFirst();
    await this.#process.settled();
    const { activation } = this.#process;
    if (activation === undefined) {
      this.#conversation.clearIfDue();
      // It is the start of a process that says what is wrong, and has the session quarantined for it.
      await this.#process.emptyIfDue().catch(() => this.wake());
    } else {
      if (this.#process.state === "up") this.#process.replace();
      await activation.exited;
    }
    await this.settled();
  }

  /** The API refuses these credentials. A process with them is replaced, if another one would have others. */
  keyRefused(credentials: string): void {
    this.#process.keyRefused(credentials);
  }

  /** Whether it is quarantined because of what it authenticated with, and would have something else now. */
  get mayComeBack(): boolean {
    const quarantined = this.#state.name === "quarantined" && this.#state.lastExits.at(-1)?.class === "auth";
    return quarantined && this.#process.key.changed;
  }

  /**
   * Has a process that authenticates with something else than another one would now replaced, when it has nothing to do. Resolves
   * when none is left, with whether there was one.
   *
   * @throws CastellanError `START_FAILED` if there is nothing that another one could have; then the process goes on
   */
  async rekeyed(): Promise<boolean> {
    return await this.#process.rekeyed(() => this.settled());
  }

  /** Has its own directory, if it has one, emptied before its next process starts. Until then it is not untouched. */
  emptyFirst(): void {
    this.#process.emptyFirst();
  }

  /** Whether nothing has been said in its conversation, nothing goes on in its process, and nothing is left to be cleaned up. */
  get untouched(): boolean {
    const rests = this.hasNoTurns && this.#view.backgroundTasks === 0;
    const { now, granted } = this.#conversation;
    return (
      rests && now.kind === "new" && isNothing(granted) && !this.#conversation.clearing && !this.#process.emptiesFirst
    );
  }

  /**
   * Accepts a turn.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`,
   * `BUDGET_EXCEEDED`, `SESSION_BUSY`, `MAILBOX_FULL`, `TURN_CANCELLED`
   */
  submit<Structured>(
    prompt: Prompt,
    options: TurnOptions<Structured>,
    { durable = false, id }: { readonly durable?: boolean; readonly id?: string } = {},
  ): TurnRecord {
    const settings = turnSettings(options, this.settings);
    const asked = promptText(prompt, settings.verbatimPrompts, this.#context.who);
    const refusal = this.refusal();
    if (refusal !== undefined && this.#state.name === "stopped") throw refusal;
    if (this.#admission === "draining") {
      throw new CastellanError(
        "SUPERVISOR_STOPPED",
        `${this.#context.who} takes no more turns; its supervisor is draining.`,
      );
    }
    const record = this.#dispatcher.intake.accept(asked, settings, durable, refusal ?? this.#overBudget(), id);
    this.#errors.watch(record.result);
    return record;
  }

  /** Whether no turn runs or waits. */
  get hasNoTurns(): boolean {
    return !this.#dispatcher.busy && this.#dispatcher.waiting === 0;
  }

  /** Resolves when all turns that it has now have ended, and its process is done with them. */
  async finishTurns(): Promise<void> {
    await this.#dispatcher.finish();
    await this.#dispatcher.quiet();
  }

  /** Stops a turn because its caller wants it. Resolves when it has ended. */
  async interrupt(record: TurnRecord): Promise<void> {
    await this.#dispatcher.stopping.interrupt(record);
  }

  /** Stops the turn that runs, if one does. Resolves when it has ended. */
  async interruptCurrent(): Promise<void> {
    await this.#dispatcher.stopping.interruptCurrent();
  }

  /** Stops the turn that runs, and cancels those that wait. Resolves when the process is done with them. */
  async cancelAll(): Promise<void> {
    await this.#dispatcher.stopping.cancelAll();
  }

  /** Ends all turns for their callers, since the session goes no further. See {@link Dispatcher.dismiss}. */
  dismiss(reason: CastellanError): void {
    this.#dispatcher.dismiss(reason);
  }

  /** A turn that waits, runs or has ended, as long as the journal keeps it. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async turn(id: string): Promise<TurnRecord | undefined> {
    const present = this.#dispatcher.intake.find(id);
    if (present !== undefined) return present;
    const entry = await this.fromJournal((journal) => journal.findWritten(id));
    // It may have come here while it was looked for.
    return (
      this.#dispatcher.intake.find(id) ?? (entry === undefined ? undefined : this.#dispatcher.intake.recall(entry))
    );
  }

  /** Reads from the journal, as soon as that is open. @throws CastellanError `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED` */
  async fromJournal<Answer>(read: (journal: SessionJournal) => Promise<Answer>): Promise<Answer> {
    await this.#dispatcher.intake.ready;
    const refusal = this.#state.name === "stopped" && this.#state.as === "supervisor" ? this.refusal() : undefined;
    if (refusal !== undefined) throw refusal;
    return await read(this.#journal);
  }

  /** Resolves with the state as soon as the session's process is up, or it is clear that none will come up. */
  settled(): Promise<SessionState> {
    return this.#settled.wait();
  }

  retryAt(at: number): void {
    this.#apply({ type: "retry", at });
  }

  /** Supervision has given up on the session. Its turns end, and new ones are refused until it is restarted by hand. */
  quarantine(lastExits: readonly ExitRecord[]): void {
    this.#process.givenUp();
    this.#recovery.pause();
    this.#apply({ type: "quarantine", lastExits });
    tell("castellan:session:quarantine", () => ({ ...factsOf(this.#context), lastExits }));
    this.#dismissIfRefused();
  }

  /** Ends the session for its callers; its process is ended by the supervisor. */
  close(as: Stopped): void {
    if (this.#state.name !== "stopped") tell("castellan:session:stop", () => ({ ...factsOf(this.#context), as }));
    this.#apply({ type: "stop", as });
    this.#dismissIfRefused();
    if (this.#process.activation === undefined) this.#endEvents();
  }

  /** The last thing to tell of a session is how its process ended. */
  #endEvents(): void {
    if (this.#state.name === "stopped" && this.#state.as !== "child") this.#view.events.end();
  }

  status(): SessionStatus {
    const { name } = this.settings;
    const retryAt = this.#state.name === "restarting" ? this.#state.retryAt : undefined;
    const { running } = this.#dispatcher;
    const waitingFor = waitingOf(
      this.#view.approvals.pending,
      this.#dispatcher.wait,
      this.#process.state === "queued" || this.#dispatcher.inLine,
    );
    const { permissionMode } = this.#conversation;
    const { pid, activation, memoryBytes, lastExit } = this.#process;
    const { lastSignOfLife } = this.#output;
    return {
      name,
      state: this.#view.state,
      ...(pid === undefined ? {} : { pid }),
      ...(activation === undefined ? {} : { startedAt: activation.startedAt }),
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
      conversationId: this.#conversation.now.id,
      activation: this.#process.count,
      ...(lastSignOfLife === undefined ? {} : { lastSignOfLife }),
      ...(waitingFor === undefined ? {} : { waitingFor }),
      ...(running === undefined
        ? {}
        : { turn: { id: running.record.id, origin: running.record.origin, since: running.startedAt } }),
      ...(permissionMode === undefined ? {} : { permissionMode }),
      backgroundTasks: this.#view.backgroundTasks,
      tasks: this.#output.tasks,
      wakeups: this.#output.wakeups,
      ...(this.#view.servers.length === 0 ? {} : { mcpServers: this.#view.servers }),
      faults: this.#view.faults,
      mailbox: this.#dispatcher.waiting,
      restarts: this.#process.restarts,
      ...(lastExit === undefined ? {} : { lastExit }),
      ...(retryAt === undefined ? {} : { retryAt }),
    };
  }

  /** How much of its budget it has spent, if it has one. */
  get budget(): BudgetStatus | undefined {
    const { budget } = this.settings;
    return budget === undefined ? undefined : this.#meter.status(budget);
  }

  /**
   * Since when nobody would notice if it were let go, on the monotonic clock: it has hibernated with nothing to do, nobody reads
   * its events, and the journal and its options have all that it is. `undefined` if somebody would.
   */
  get dormantSince(): number | undefined {
    const unused = this.#dispatcher.waiting === 0 && this.#requests === 0 && this.#view.events.readers === 0;
    const changed = this.settings !== this.#configured;
    return this.#state.name === "hibernated" && unused && !changed ? this.#process.hibernatedSince : undefined;
  }

  /** Whether it was let go: it has ended, and its name brings it back. */
  get isLetGo(): boolean {
    return this.#admission === "let_go";
  }

  letGo(): void {
    this.#admission = "let_go";
    this.close("session");
    this.#dispatcher.intake.letGo();
  }

  /** It has ended, and is to be forgotten: writes nothing any more, and gives out nothing that it has in memory. */
  silence(): void {
    this.#journal.seal();
    this.#dispatcher.intake.letGo();
  }

  /** Whether there is something to do for a process. */
  get #wanted(): boolean {
    return this.#dispatcher.wanting || this.#requests > 0;
  }

  /** Whether nothing goes on in the process at this moment, and nobody asks it anything, whether or not turns wait. */
  get #between(): boolean {
    return this.#view.state === "idle" && this.#dispatcher.free && this.#requests === 0;
  }

  #needs(): ProcessSession {
    const core = this;
    return {
      get free() {
        return core.#between && core.#output.wakeups.length === 0;
      },
      get turnsWait() {
        return core.#dispatcher.waiting > 0;
      },
      get wanted() {
        return core.#wanted && core.#state.name === "hibernated";
      },
      get at() {
        return core.#dispatcher.busy ? "turn" : core.#view.works ? "background task" : undefined;
      },
      get work() {
        return core.#dispatcher.work;
      },
      get hasEnded() {
        return core.hasEnded;
      },
      resume: () => core.#recovery.resume(),
    };
  }

  #heed(signal: SessionSignal): void {
    switch (signal.type) {
      case "process_starting":
        this.#apply({ type: "begin" });
        break;
      case "process_up":
        this.#apply({ type: "ready" });
        this.#held();
        this.#output.attach(signal.activation);
        if (this.#process.state === "up") this.#dispatcher.attach(signal.activation);
        break;
      case "process_ending":
        this.#dispatcher.retire();
        if (signal.to === "replace") this.#apply({ type: "begin" });
        if (signal.to === "hibernate") this.#apply({ type: "hibernate" });
        break;
      case "process_gone":
        this.#processGone(signal.exit);
        break;
      case "hibernated":
        this.#apply({ type: "hibernate" });
        break;
      case "life_over":
        if (signal.exit !== undefined) this.#apply({ type: "exited" });
        // The next life may begin much later; until then nothing is up.
        else if (this.#state.name !== "stopped" && this.#state.name !== "quarantined") this.#apply({ type: "begin" });
        break;
      case "turn_started":
        this.#process.turnStarted();
        this.#apply({ type: "turn_started" });
        break;
      case "turn_ended":
        this.#apply({ type: "turn_ended" });
        this.#held();
        this.#process.turnEnded();
        break;
      case "next":
        this.#dispatcher.next();
        break;
      case "unprompted_began":
        this.#dispatcher.unpromptedBegan(signal.turn);
        this.#view.tell(unpromptedEvent(signal.turn.record));
        break;
      case "unprompted_ended":
        this.#view.tell(unpromptedEvent(signal.record));
        break;
      case "unprompted_rests":
        this.#dispatcher.unpromptedRests(signal.left);
        break;
      case "spent":
        this.#meter.add(signal.models);
        break;
      case "held":
        this.#held();
        break;
      case "rests":
        this.#process.rests(true);
        break;
      case "wanted":
        if (this.#wanted) this.#process.rouse();
        else this.#process.leaveLine();
        break;
      case "stale":
        this.#process.replace();
        break;
      case "cut_back":
        this.#view.fault(conversationCutBack(signal.why, this.#context.clock.now()));
        break;
      case "fault":
        this.#process.fault(signal.fault);
        break;
      case "turn_kept":
        this.#output.turnKept(signal.lastUuid);
        break;
      case "conversation_moved":
        this.#view.moved(signal.id, signal.same);
        break;
      case "conversation_left":
        this.#former.left();
        break;
      case "conversation_behind":
        this.#view.fault(conversationBehind(signal.broken, this.#context.clock.now()));
        break;
      case "conversation_conflict":
        void this.#process.activation?.kill({ class: "bad_config", message: signal.message });
        break;
      case "shown":
        this.#shown(signal.state);
        break;
    }
  }

  /** Callers see another state. */
  #shown(state: SessionState["name"]): void {
    tell("castellan:session:state", () => ({ ...factsOf(this.#context), state }));
    if (state === "idle") this.#process.rests(true);
    this.#settleWork();
  }

  #processGone(exit: ExitRecord): void {
    this.#output.detach();
    // One that has been stopped tells it when it is started again.
    if (this.#state.name !== "stopped") this.#output.wakeupsLost();
    this.#dispatcher.detach(exit);
    this.#settleWork();
    this.#conversation.clearIfDue();
    this.#view.tell({ type: "exit", exit });
    this.#endEvents();
  }

  #receive(message: SDKMessage): void {
    this.#process.spoke(message);
    const claimed = this.#output.receive(message);
    this.#view.receive(message, this.#dispatcher.receive(message) || claimed);
  }

  /** Its MCP servers may do otherwise than before. */
  lookAtServers(): void {
    this.#output.lookAtServers();
  }

  #held(): void {
    const { wait } = this.#dispatcher;
    this.#apply(wait === undefined ? { type: "release" } : { type: "hold", wait });
  }

  /** Whether it has ended for good: one that is stopped as a child of its tree may be started again, and then goes on. */
  get hasEnded(): boolean {
    return this.#state.name === "stopped" && this.#state.as !== "child";
  }

  #refuseIfEnded(): void {
    const refusal = this.hasEnded ? this.refusal() : undefined;
    if (refusal !== undefined) throw refusal;
  }

  #overBudget(): CastellanError | undefined {
    return this.#meter.refusal(this.settings.budget, "session", this.#context.who) ?? this.#journal.refusal;
  }

  #apply(event: SessionStateEvent): void {
    const before = this.#state;
    this.#state = nextSessionState(before, event);
    this.#settled.see(this.#state);
    this.#risen.see(this.#state);
    this.#view.show(this.#state);
  }

  /** Does something with a process, which is waited for, and not ended meanwhile. */
  async #needing<Answer>(
    what: string,
    limitMs: number,
    work: (activation: Activation) => Promise<Answer>,
  ): Promise<Answer> {
    this.#requests++;
    try {
      this.#process.rouse();
      await this.#upWithin(what, limitMs);
      const refusal = this.refusal();
      if (refusal !== undefined) throw refusal;
      const { activation } = this.#process;
      if (activation === undefined)
        throw new CastellanError("CONTROL_FAILED", `${this.#context.who}: "${what}" failed: the process is gone.`);
      return await work(activation);
    } finally {
      this.#requests--;
      if (!this.#wanted) this.#process.leaveLine();
      this.#process.rests(false);
    }
  }

  async #upWithin(what: string, limitMs: number): Promise<void> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = this.#context.clock.schedule(limitMs, () => {
      const waited = `${this.#context.who}: "${what}" waited ${formatDuration(limitMs)} for a process, in vain`;
      if (this.#process.state !== "queued") reject(new CastellanError("CONTROL_TIMEOUT", `${waited}.`));
      else {
        const details = this.#capacity.lack;
        const message = `${waited}: all that the supervisor may have are at work (${details.busy}).`;
        reject(new CastellanError("CAPACITY_EXHAUSTED", message, { details }));
      }
    });
    await Promise.race([this.#risen.wait(), late]).finally(() => timer.cancel());
  }

  #dismissIfRefused(): void {
    const refusal = this.refusal();
    if (refusal !== undefined) this.dismiss(refusal);
  }

  /** Why the session takes no turns, if it does not. A temporary one ends with its first process. */
  refusal(): CastellanError | undefined {
    return refusalOf(
      this.#context.who,
      this.#state,
      this.settings.restart === "temporary" ? this.#process.lastExit : undefined,
    );
  }
}

/** What is told of a turn that Claude Code has begun by itself. */
function unpromptedEvent({ id: turnId, origin, state, ended, costUsd }: TurnRecord): SessionEvent {
  if (!ended) return { type: "turn_began", turnId, origin };
  return { type: "turn_ended", turnId, origin, state, ...(costUsd === undefined ? {} : { costUsd }) };
}

function isSettled({ name }: SessionState): boolean {
  return name !== "starting" && name !== "restarting";
}
