import type {
  PermissionMode,
  PermissionUpdate,
  Query,
  SDKMessage,
  SessionMessage,
} from "@anthropic-ai/claude-agent-sdk";
import type { Capacity } from "../capacity/capacity.ts";
import type { MemoryWatch } from "../capacity/memory-watch.ts";
import type { Spares } from "../capacity/spares.ts";
import type { TurnLine } from "../capacity/turn-line.ts";
import { type Activation, CONTROL_MS } from "../claude/activation.ts";
import { accountOf, credentialsOf } from "../claude/credentials.ts";
import { missingKey } from "../claude/launch.ts";
import { scheduleDeadline } from "../claude/patience.ts";
import type { ProcessHost } from "../claude/process-host.ts";
import { startError } from "../claude/process-run.ts";
import { applyStanding } from "../claude/standing-permissions.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ExitClass, type ExitRecord } from "../errors.ts";
import { type SessionFacts, tell } from "../events.ts";
import { formatName } from "../names.ts";
import type { Shutdown } from "../supervision/child-spec.ts";
import type { Approval } from "./approval.ts";
import { BackgroundTasks } from "./background-tasks.ts";
import type { BelongingsSource } from "./belongings.ts";
import { BudgetMeter, type BudgetStatus } from "./budget.ts";
import { forkOptions } from "./conversation.ts";
import { lifecycleOf } from "./current-turn.ts";
import { Dispatcher, type SessionDeps } from "./dispatcher.ts";
import { endingStages } from "./ending.ts";
import type { Numbered } from "./event-log.ts";
import { FormerConversations } from "./former-conversations.ts";
import { hasLess, isNothing, toldMode } from "./granted.ts";
import { type HistoryOptions, historyOf } from "./history.ts";
import { Incarnation } from "./incarnation.ts";
import type { JournalDesk, KnownSession } from "./journal-desk.ts";
import { Liveness, type Work } from "./liveness.ts";
import { McpWatch } from "./mcp-watch.ts";
import { type ProcessLaunch, ProcessStarter } from "./process-starter.ts";
import { type Prompt, promptText } from "./prompt.ts";
import { RecentErrors } from "./recent-errors.ts";
import { Recovery } from "./recovery.ts";
import { Recycling } from "./recycling.ts";
import { refusalOf } from "./refusal.ts";
import { SessionConversation } from "./session-conversation.ts";
import type { RunningTask, SessionEvent } from "./session-event.ts";
import { childExitOf, exitOfError } from "./session-exit.ts";
import { conversationBehind, conversationCutBack, transcriptUnwritten, wakeupsLost } from "./session-fault.ts";
import { SessionJournal } from "./session-journal.ts";
import { SessionKey } from "./session-key.ts";
import type { SessionSettings } from "./session-settings.ts";
import { nextSessionState, type SessionState, type SessionStateEvent, type Stopped } from "./session-state.ts";
import { type SessionStatus, waitingOf } from "./session-status.ts";
import { SessionView } from "./session-view.ts";
import { StateMilestone } from "./state-milestone.ts";
import { Tenancy } from "./tenancy.ts";
import { TranscriptWatch } from "./transcript-watch.ts";
import { type TurnOptions, turnSettings } from "./turn-options.ts";
import type { TurnRecord } from "./turn-record.ts";
import { type Wakeup, Wakeups } from "./wakeups.ts";

/** How long a background task may take to end after it was told to. */
const TASK_END_MS = 5_000;

/** What all sessions of a supervisor share for their processes. */
export interface Room {
  readonly capacity: Capacity;
  readonly memory: MemoryWatch;
  readonly spares: Spares;
  readonly turns: TurnLine;
  /** An option of a session does not do what it seems to do. */
  advise(who: string, advice: string): void;
  /** The API refuses what a process authenticates with, as a digest, and it would have something else by now. */
  keyRefused(credentials: string): void;
}

/**
 * A session from the inside: it brings processes up when its supervisor begins a new life of it, gives them its
 * conversation, and hands them its turns.
 */
export class SessionServer {
  #settings: SessionSettings;
  readonly #dispatcher: Dispatcher;
  readonly #view: SessionView;
  readonly #journal: SessionJournal;
  readonly #who: string;
  readonly #deps: SessionDeps;
  #state: SessionState = { name: "starting" };
  readonly #conversation: SessionConversation;
  /** The turns that Claude has scheduled for itself. */
  readonly #wakeups: Wakeups;
  readonly #tasks: BackgroundTasks;
  readonly #transcript: TranscriptWatch;
  /** What has gone wrong with its turns not long ago. */
  readonly #errors: RecentErrors;
  readonly #meter: BudgetMeter;
  /** Takes up what the journal knows of it. */
  readonly #recovery: Recovery;
  #activation: Activation | undefined;
  #pid: number | undefined;
  /** The start of the current life; settles when its process is up or has failed to come up. */
  #coming: Promise<void> = Promise.resolve();
  /** The end of the process that was last ended in order to hibernate. */
  #going: Promise<unknown> = Promise.resolve();
  #toForget = false;
  /** What its process is being ended for, if its life goes on after that. */
  #ending: "renew" | "hibernate" | undefined;
  #life: Incarnation | undefined;
  readonly #tenancy: Tenancy;
  #recycling: Recycling | undefined;
  readonly #memory: MemoryWatch;
  #memoryBytes: number | undefined;
  #dormantSince = 0;
  /** Whether calls have changed its settings, which only this object knows. */
  #changed = false;
  #letGo = false;
  /** How many requests besides turns need a process at this moment. */
  #requests = 0;
  #draining = false;
  /** When its process was up, on the monotonic clock. */
  #upSince = 0;
  /** How many starts in a row have failed. */
  #failedStarts = 0;
  #restarts = 0;
  #lastSignOfLife: number | undefined;
  /** The same on the monotonic clock. */
  #lastWord = 0;
  #liveness: Liveness | undefined;
  #servers: McpWatch | undefined;
  #lastExit: ExitRecord | undefined;
  readonly #settled = new StateMilestone(this.#state, isSettled);
  /** Its process is up, or none will come up. */
  readonly #risen = new StateMilestone(this.#state, (state) => isSettled(state) && state.name !== "hibernated");
  readonly #capacity: Capacity;
  readonly #starter: ProcessStarter;
  readonly #turns: TurnLine;
  /** Resolves when something in the process has come to its end. */
  #workSettled: PromiseWithResolvers<void> | undefined;
  /** The account of its process, as a digest, if that is of interest. */
  #account = "";
  readonly #key: SessionKey = new SessionKey(() => credentialsOf(this.#starter.shape));
  readonly #keyRefused: Room["keyRefused"];

  constructor(settings: SessionSettings, desk: JournalDesk, room: Room, deps: SessionDeps) {
    const { capacity, memory, spares, turns } = room;
    this.#keyRefused = (credentials) => room.keyRefused(credentials);
    this.#settings = settings;
    this.#deps = deps;
    this.#who = `session ${formatName(settings.name)}`;
    this.#journal = new SessionJournal(settings.key, desk, deps.clock);
    const source = (): BelongingsSource => ({ sdk: this.settings.sdk, environment: this.launch.environment });
    const former = new FormerConversations(settings.key, desk, source, deps.newId);
    this.#conversation = new SessionConversation(this.#who, this.#journal, {
      newId: deps.newId,
      settings: () => this.settings,
      moved: (id, same) => this.#view.moved(id, same),
      left: () => former.left(),
      kept: (lastUuid) => this.#transcript.ended(lastUuid),
      behind: (broken) => this.#view.fault(conversationBehind(broken, deps.clock.now())),
      conflict: (message) => void this.#activation?.kill({ class: "bad_config", message }),
    });
    this.#view = new SessionView(
      this.#who,
      settings.name,
      () => (this.settings.approvals === false ? 0 : this.settings.approvals.timeout),
      deps,
      this.#journal,
      (state) => {
        tell("castellan:session:state", () => ({ ...this.#facts, state }));
        if (state === "idle") this.#rests(true);
        this.#settleWork();
      },
    );
    this.#capacity = capacity;
    this.#memory = memory;
    this.#turns = turns;
    const host: ProcessHost = {
      who: this.#who,
      message: (message) => this.#receive(message),
      spawned: (pid) => {
        this.#pid = pid;
      },
      advise: (advice) => room.advise(this.#who, advice),
      toolBegins: () => this.#dispatcher.toolBegins(),
      canUseTool: this.#view.approvals.canUseTool,
      granted: (updates) => this.#granted(updates),
    };
    this.#starter = new ProcessStarter(host, this.#conversation, spares, deps, () => this.settings);
    this.#tenancy = new Tenancy(capacity, deps.clock, {
      between: () => this.#between && this.#armed.length === 0,
      turnsWait: () => this.#dispatcher.waiting > 0,
      pinned: () => this.settings.pinned,
      idleTimeoutMs: () => (this.settings.pinned ? undefined : this.settings.idleTimeout),
      sleep: () => this.#sleep(),
    });
    this.#tasks = new BackgroundTasks(
      deps.clock,
      () => this.settings.backgroundTaskTimeout,
      (task) => void this.#stopTask(task),
    );
    this.#transcript = new TranscriptWatch(deps.clock, {
      source: () => this.#transcriptSource,
      conversationId: () => this.#conversation.now.id,
      lost: (why) => {
        this.#conversation.take({ type: "unwritten" });
        this.#view.fault(transcriptUnwritten(why, deps.clock.now()));
      },
    });
    this.#meter = new BudgetMeter(deps.clock);
    this.#wakeups = new Wakeups(deps.clock);
    this.#errors = new RecentErrors(deps.clock);
    this.#dispatcher = new Dispatcher(this.#who, settings, this.#journal, this.#conversation, turns, deps, {
      turnStarted: () => {
        this.#recycling?.worked();
        this.#apply({ type: "turn_started" });
      },
      turnEnded: () => {
        this.#apply({ type: "turn_ended" });
        this.#held();
        if (!this.#recycled()) this.#tenancy.turnEnded();
      },
      unprompted: (record) => this.#view.tell(unpromptedEvent(record)),
      spent: (models) => this.#meter.add(models),
      held: () => this.#held(),
      rests: () => this.#rests(true),
      wanted: () => {
        if (this.#wanted) this.#rouse();
        else this.#tenancy.leaveLine();
      },
      asleep: () => this.#state.name === "hibernated" && !this.#tenancy.inLine,
      apiKey: () => this.#account,
      lacks: () => (this.#tenancy.inLine ? this.#capacity.lack : undefined),
      renew: () => void this.#renew(),
      keyRefused: () => this.#key.refusal,
      cutBack: (why) => this.#view.fault(conversationCutBack(why, deps.clock.now())),
      fault: (fault) => this.#faulty(fault),
    });
    this.#recovery = new Recovery(
      this.#who,
      this.#conversation,
      this.#journal,
      this.#dispatcher.intake,
      this.#meter,
      deps,
      {
        settings: () => this.settings,
        launch: () => this.launch,
        wakeupsLost: () => this.#wakeupsLost(),
        refuseIfEnded: () => this.#refuseIfEnded(),
      },
    );
  }

  get settings(): SessionSettings {
    return this.#settings;
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
  begin(): Incarnation {
    this.#ending = undefined;
    this.#forgetIfAsked();
    this.#apply({ type: "begin" });
    const incarnation = new Incarnation((shutdown) => this.#endProcess(shutdown));
    this.#life = incarnation;
    tell("castellan:session:start", () => this.#facts);
    if (this.settings.activation === "eager" && this.#takeRoom()) this.#coming = this.#bringUp(incarnation);
    else this.#lieDown();
    return incarnation;
  }

  /**
   * Ends the process of a session that has nothing to do; resolves when it is gone.
   *
   * @throws CastellanError `SESSION_BUSY` if it is at work, or why it has no process
   */
  async hibernate(): Promise<void> {
    if (!this.#tenancy.idle) await this.settled();
    const refusal = this.refusal();
    if (refusal !== undefined) throw refusal;
    if (this.#tenancy.idle) this.#sleep();
    else if (this.#state.name !== "hibernated" || this.#wanted) {
      const message = this.#between
        ? `${this.#who} cannot hibernate, since Claude has scheduled a turn, which its process keeps; see \`status().wakeups\`.`
        : `${this.#who} is at work, so that it cannot hibernate; ask again when it is idle.`;
      throw new CastellanError("SESSION_BUSY", message);
    }
    await this.#going;
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
    const unmetered = this.#settings.budget === undefined;
    const before = this.#settings.sdk.permissionMode;
    this.#settings = settings;
    if (settings.sdk.permissionMode !== before) {
      this.#conversation.forgetMode();
      this.#conversation.grant({ type: "configured", option: settings.sdk.permissionMode });
    }
    this.#changed = false;
    this.#dispatcher.reconfigure(settings);
    // Until it is known what was spent before, it counts from now.
    if (unmetered) void this.#recovery.loadSpending().catch(() => {});
    this.#recycling?.watch(this.#capacity.measures);
    this.#tasks.relimit();
    this.#rests(false);
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
    await this.#coming;
    const { model, permissionMode } = this.settings.sdk;
    if (model !== undefined) await this.#activation?.control("set_model", (sdk) => sdk.setModel(model));
    // The mode that the session has come to be in stays, unless the option has changed.
    if (permissionMode === undefined || this.#conversation.granted.mode !== undefined) return;
    await this.#activation?.control("set_permission_mode", (sdk) => sdk.setPermissionMode(permissionMode));
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
    await this.#needing("mcp_status", CONTROL_MS, async () => await this.#servers?.look());
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
    this.reconfigure({ ...this.settings, sdk: { ...this.settings.sdk, ...changed } });
    this.#changed = true;
  }

  /** The SDK's options and the environment of a process as it would be started now. */
  get launch(): ProcessLaunch {
    return this.#starter.launch;
  }

  /**
   * Accepts no more turns; resolves with their number when those that it has have ended, and what goes on in the background, with the
   * turns that Claude Code begins on it.
   */
  async drain(): Promise<number> {
    this.#draining = true;
    const turns = await this.#dispatcher.finish();
    await this.#workOver();
    return turns;
  }

  /** Resolves when nothing goes on in the process: no turn, no background task. */
  async #workOver(): Promise<void> {
    while (this.#activation !== undefined && (this.#dispatcher.busy || this.#view.works)) {
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
    const timer = this.#deps.clock.schedule(deadlineMs, resolve);
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
    this.#toForget = true;
  }

  /**
   * Begins an empty conversation in place of the one that there is, in an empty directory if it has one of its own; a process that
   * is up is replaced within its life. Resolves when that is done, or nothing comes up. To be called when no turn runs or waits.
   *
   * @throws CastellanError `SESSION_QUARANTINED` if the directory cannot be emptied
   */
  async startAfresh(): Promise<void> {
    this.#toForget = true;
    this.emptyFirst();
    await this.#coming;
    const activation = this.#activation;
    if (activation === undefined) {
      this.#forgetIfAsked();
      // It is the start of a process that says what is wrong, and sets the session aside for it.
      await this.#starter.emptyIfDue().catch(() => this.wake());
    } else {
      if (this.#ending === undefined && this.#life?.stopping === false) {
        this.#dispatcher.retire();
        void this.#renew();
      }
      await activation.exited;
    }
    await this.settled();
  }

  /** The API refuses these credentials. A process with them is replaced, if another one would have others. */
  keyRefused(credentials: string): void {
    const affected = this.#key.used === credentials && this.#recycling?.due === false;
    if (affected && this.#key.changed) this.#recycling?.demand();
  }

  /** Whether it has been set aside because of what it authenticated with, and would have something else now. */
  get mayComeBack(): boolean {
    const aside = this.#state.name === "quarantined" && this.#state.lastExits.at(-1)?.class === "auth";
    return aside && this.#key.changed;
  }

  /**
   * Has a process that authenticates with something else than another one would now replaced, when it has nothing to do. Resolves
   * when none is left, with whether there was one.
   *
   * @throws CastellanError `START_FAILED` if there is nothing that another one could have; then the process goes on
   */
  async rekeyed(): Promise<boolean> {
    for (let replaced = false; ; replaced = true) {
      // One that waits in line for a process gets one that is new.
      if (this.#state.name !== "hibernated") await this.#coming;
      const activation = this.#activation;
      if (activation === undefined) return replaced;
      if (this.#key.missing) {
        const message = `${missingKey(this.settings.apiKey)}; its process goes on with the key that it has`;
        throw startError("START_FAILED", this.#who, this.#deps.clock, { class: "auth", message });
      }
      if (!this.#key.changed) return replaced;
      this.#recycling?.demand();
      await activation.exited;
      await this.settled();
    }
  }

  /** Has its own directory, if it has one, emptied before its next process starts. Until then it is not untouched. */
  emptyFirst(): void {
    this.#starter.emptyFirst();
  }

  /** Whether nothing has been said in its conversation, nothing goes on in its process, and nothing is left to be cleaned up. */
  get untouched(): boolean {
    const rests = this.hasNoTurns && this.#view.backgroundTasks === 0;
    const { now, granted } = this.#conversation;
    return rests && now.kind === "new" && isNothing(granted) && !this.#toForget && !this.#starter.emptiesFirst;
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
    const asked = promptText(prompt, settings.verbatimPrompts, this.#who);
    const refusal = this.refusal();
    if (refusal !== undefined && this.#state.name === "stopped") throw refusal;
    if (this.#draining) {
      throw new CastellanError("SUPERVISOR_STOPPED", `${this.#who} takes no more turns; its supervisor is draining.`);
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
    await this.#dispatcher.interrupt(record);
  }

  /** Stops the turn that runs, if one does. Resolves when it has ended. */
  async interruptCurrent(): Promise<void> {
    await this.#dispatcher.interruptCurrent();
  }

  /** Stops the turn that runs, and cancels those that wait. Resolves when the process is done with them. */
  async cancelAll(): Promise<void> {
    await this.#dispatcher.cancelAll();
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
    this.#failedStarts = 0;
    this.#recovery.pause();
    this.#apply({ type: "quarantine", lastExits });
    tell("castellan:session:quarantine", () => ({ ...this.#facts, lastExits }));
    this.#dismissIfRefused();
  }

  /** Ends the session for its callers; its process is ended by the supervisor. */
  close(as: Stopped): void {
    if (this.#state.name !== "stopped") tell("castellan:session:stop", () => ({ ...this.#facts, as }));
    this.#apply({ type: "stop", as });
    this.#dismissIfRefused();
    if (this.#activation === undefined) this.#endEvents();
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
      this.#tenancy.inLine || this.#dispatcher.inLine,
    );
    const { permissionMode } = this.#conversation;
    return {
      name,
      state: this.#view.state,
      ...(this.#pid === undefined ? {} : { pid: this.#pid }),
      ...(this.#activation === undefined ? {} : { startedAt: this.#activation.startedAt }),
      ...(this.#memoryBytes === undefined ? {} : { memoryBytes: this.#memoryBytes }),
      conversationId: this.#conversation.now.id,
      activation: this.#starter.count,
      ...(this.#lastSignOfLife === undefined ? {} : { lastSignOfLife: this.#lastSignOfLife }),
      ...(waitingFor === undefined ? {} : { waitingFor }),
      ...(running === undefined
        ? {}
        : { turn: { id: running.record.id, origin: running.record.origin, since: running.startedAt } }),
      ...(permissionMode === undefined ? {} : { permissionMode }),
      backgroundTasks: this.#view.backgroundTasks,
      tasks: this.#tasks.all,
      wakeups: this.#armed,
      ...(this.#view.servers.length === 0 ? {} : { mcpServers: this.#view.servers }),
      faults: this.#view.faults,
      mailbox: this.#dispatcher.waiting,
      restarts: this.#restarts,
      ...(this.#lastExit === undefined ? {} : { lastExit: this.#lastExit }),
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
    const asleep = this.#state.name === "hibernated" && this.#ending === undefined && !this.#tenancy.inLine;
    const unused = this.#dispatcher.waiting === 0 && this.#requests === 0 && this.#view.events.readers === 0;
    return asleep && unused && !this.#changed ? this.#dormantSince : undefined;
  }

  /** Whether it was let go: it has ended, and its name brings it back. */
  get isLetGo(): boolean {
    return this.#letGo;
  }

  letGo(): void {
    this.#letGo = true;
    this.close("session");
    this.#dispatcher.intake.letGo();
  }

  /** It has ended, and is to be forgotten: writes nothing any more, and gives out nothing that it has in memory. */
  silence(): void {
    this.#journal.seal();
    this.#dispatcher.intake.letGo();
  }

  get #facts(): SessionFacts {
    return { session: this.settings.name, supervisor: this.#journal.supervisor };
  }

  /** Where its process writes its transcript, if there is one and that is on this machine. */
  get #transcriptSource(): ProcessLaunch | undefined {
    const { sessionStore, spawnClaudeCodeProcess } = this.settings.sdk;
    const isHere = sessionStore === undefined && spawnClaudeCodeProcess === undefined;
    return isHere && this.#activation?.ending === false ? this.launch : undefined;
  }

  /** Whether there is something to do for a process. */
  get #wanted(): boolean {
    return this.#dispatcher.wanting || this.#requests > 0;
  }

  /** Whether the process has nothing to do at this moment, whether or not turns wait. */
  get #between(): boolean {
    const free = this.#view.state === "idle" && this.#dispatcher.free && this.#requests === 0;
    return free && this.#life?.stopping === false;
  }

  /** The turns that Claude has scheduled for itself, and for which its process has to stay. */
  get #armed(): readonly Wakeup[] {
    return this.#wakeups.armed;
  }

  /** The process that kept them is gone. */
  #wakeupsLost(): void {
    const { wakeups } = this.#conversation;
    if (wakeups.length === 0) return;
    this.#conversation.wakeups = [];
    this.#conversation.save();
    this.#view.fault(wakeupsLost(wakeups, this.#deps.clock.now()));
  }

  /** There may be nothing to do; `anew` says whether there was until now. */
  #rests(anew: boolean): void {
    if (!this.#recycled()) this.#tenancy.rests({ anew });
  }

  /** Whether the process, which was to be replaced, is being replaced now. */
  #recycled(): boolean {
    if (this.#recycling?.due !== true || !this.#between || this.#armed.length > 0) return false;
    this.#dispatcher.retire();
    void this.#renew();
    return true;
  }

  /** Goes without a process until one is wanted, which may be at once. */
  #lieDown(): void {
    this.#dormantSince = this.#deps.clock.monotonic();
    this.#apply({ type: "hibernate" });
    if (this.#wanted) this.#rouse();
  }

  /** Ends the process, which has nothing to do, within the same life. */
  #sleep(): void {
    const activation = this.#activation;
    if (activation === undefined) return;
    this.#ending = "hibernate";
    this.#dispatcher.retire();
    this.#apply({ type: "hibernate" });
    this.#going = activation.end(endingStages(this.settings.shutdown, false));
  }

  /** Brings a process up, if the session hibernates and none is being ended; where there is no room, as soon as there is. */
  #rouse(): void {
    const life = this.#life;
    if (life === undefined || life.stopping || this.#state.name !== "hibernated") return;
    if (this.#ending !== undefined || this.#tenancy.inLine) return;
    this.#coming = this.#takeRoom() ? this.#rise(life) : this.#riseInTurn(life);
  }

  /** Takes what a process needs: one that is up already, with its slot, or a slot for a new one. */
  #takeRoom(): boolean {
    const slot = this.#starter.claimSpare(this.#tenancy);
    if (slot === undefined) return this.#tenancy.take();
    this.#tenancy.takeOver(slot);
    return true;
  }

  async #riseInTurn(life: Incarnation): Promise<void> {
    const since = this.#deps.clock.monotonic();
    tell("castellan:capacity:wait", () => this.#facts);
    const taken = await this.#tenancy.wait(life.cancelled);
    const mayRise = !life.stopping && this.#state.name === "hibernated";
    const granted = taken && mayRise && this.#wanted;
    tell("castellan:capacity:end", () => ({ ...this.#facts, waitedMs: this.#deps.clock.monotonic() - since, granted }));
    if (granted) await this.#rise(life);
    else {
      this.#tenancy.release();
      // Nobody wanted it when the line was left, and somebody may by now.
      if (this.#wanted) this.#rouse();
    }
  }

  async #rise(life: Incarnation): Promise<void> {
    this.#apply({ type: "begin" });
    await this.#bringUp(life);
  }

  async #bringUp(incarnation: Incarnation): Promise<void> {
    const since = this.#deps.clock.monotonic();
    try {
      await this.#recovery.resume();
      this.#key.starting();
      this.#conversation.forgetMode();
      const { activation, spare } = await this.#starter.start(incarnation.cancelled);
      this.#conversation.take({ type: "resumed" });
      this.#upSince = this.#deps.clock.monotonic();
      tell("castellan:activation:start", () => ({
        ...this.#facts,
        pid: activation.pid,
        activation: this.#starter.count,
        conversationId: this.#conversation.now.id,
        durationMs: this.#upSince - since,
        resumed: this.#conversation.now.kind !== "new",
        spare,
      }));
      this.#activation = activation;
      this.#key.started(activation.credentials);
      if (this.#turns.limits.perKey !== undefined) this.#account = accountOf(this.#starter.shape);
      this.#failedStarts = 0;
      void activation.exited.then((exit) => this.#gone(incarnation, exit));
      this.#apply({ type: "ready" });
      this.#held();
      this.#recycling = new Recycling(activation, this.#memory, this.#deps.clock, {
        limits: () => this.settings,
        at: () => (this.#dispatcher.busy ? "turn" : this.#view.works ? "background task" : undefined),
        measured: (bytes) => {
          this.#memoryBytes = bytes;
          this.#tenancy.measured(bytes);
        },
        due: () => void this.#recycled(),
      });
      this.#recycling.watch(this.#capacity.measures);
      this.#liveness = new Liveness(
        activation,
        this.#deps.clock,
        () => this.settings.stallTimeout,
        () => this.#work(),
      );
      this.#servers = new McpWatch(
        () => activation.mcpServers(),
        this.#deps.clock,
        (servers) => this.#view.sees(servers),
      );
      if (mayHaveServers(this.settings.sdk) || this.#view.faults.length > 0) this.lookAtServers();
      if (!incarnation.stopping) this.#dispatcher.attach(activation);
    } catch (error) {
      await this.#starter.abandon();
      this.#pid = undefined;
      this.#failedStarts++;
      this.#tenancy.release();
      // One that has ended meanwhile is about to be stopped by its supervisor, and has not crashed.
      if (!incarnation.stopping && !this.hasEnded) this.#exit(incarnation, exitOfError(error, this.#deps.clock));
    }
  }

  #receive(message: SDKMessage): void {
    this.#lastSignOfLife = this.#deps.clock.now();
    this.#lastWord = this.#deps.clock.monotonic();
    // Claude Code's own `/clear` goes on in another conversation; the message that says so names yet another id.
    if (message.type === "system" && message.subtype === "init" && this.#starter.hasMoved(message.session_id)) {
      this.#conversation.take({ type: "moved", id: message.session_id });
      void this.#activation?.moved(message.session_id);
    }
    if (message.type === "system" && message.subtype === "background_tasks_changed") this.#tasks.changed(message.tasks);
    const uuid = writtenMessageOf(message);
    if (uuid !== undefined) this.#transcript.said(uuid);
    if (this.#tellsOfServers(message)) this.lookAtServers();
    const mode = toldMode(message);
    if (mode !== undefined) this.#conversation.toldMode(mode.now, mode.changed);
    // What is said about the progress of prompts is told by the turns.
    const isState = message.type === "system" && message.subtype === "session_state_changed";
    const claimed = isState || lifecycleOf(message) !== undefined;
    if (this.#wakeups.receive(message)) {
      this.#conversation.wakeups = this.#armed;
      this.#conversation.save();
    }
    this.#view.receive(message, this.#dispatcher.receive(message) || claimed);
  }

  /** Ends a background task that has run for too long. A process that does not get it to end goes with it. */
  async #stopTask(task: RunningTask): Promise<void> {
    const activation = this.#activation;
    if (activation === undefined) return;
    this.#view.tell({ type: "background_task_stopped", task });
    await activation.control("stop_task", (sdk) => sdk.stopTask(task.id)).catch(() => {});
    scheduleDeadline(
      this.#deps.clock,
      TASK_END_MS,
      () => {
        const message = `a background task did not end within ${formatDuration(TASK_END_MS)} of being told to`;
        if (this.#activation === activation && this.#tasks.has(task.id))
          void activation.kill({ class: "stalled", message });
      },
      { background: true },
    );
  }

  /** Keeps what an answer to the process grants. A process that holds what that takes back is told so first. */
  async #granted(updates: readonly PermissionUpdate[]): Promise<void> {
    const before = this.#conversation.granted;
    this.#conversation.grant({ type: "approved", updates });
    const { granted } = this.#conversation;
    if (!hasLess(before, granted)) return;
    try {
      await this.#activation?.control("apply_flag_settings", (sdk) => applyStanding(sdk, granted));
    } catch {
      const message = "it did not take back a permission that it had been given";
      void this.#activation?.kill({ class: "crash", message });
    }
  }

  /** Its MCP servers may do otherwise than before. */
  lookAtServers(): void {
    void this.#servers?.look().catch(ignore);
  }

  /** Whether there are servers that are not known yet, or a turn has ended, in which they may have been used. */
  #tellsOfServers(message: SDKMessage): boolean {
    if (message.type === "result") return this.#view.servers.length > 0;
    if (message.type !== "system" || message.subtype !== "init") return false;
    return message.mcp_servers.some(({ name }) => this.#view.servers.every((known) => known.name !== name));
  }

  #work(): Work {
    const { busy, since, openTools } = this.#dispatcher.work;
    const silentMs = this.#deps.clock.monotonic() - Math.max(since, this.#lastWord);
    return { busy, waitsFor: openTools + (this.#activation?.hostCalls ?? 0), silentMs };
  }

  #gone(incarnation: Incarnation, exit: ExitRecord): void {
    this.#liveness?.stop();
    this.#liveness = undefined;
    this.#servers?.stop();
    this.#servers = undefined;
    this.#recycling?.stop();
    this.#recycling = undefined;
    this.#memoryBytes = undefined;
    this.#activation = undefined;
    this.#pid = undefined;
    this.#tasks.changed([]);
    this.#transcript.stop();
    this.#view.processGone();
    this.#wakeups.lost();
    // One that has been stopped tells it when it is started again.
    if (this.#state.name !== "stopped") this.#wakeupsLost();
    this.#dispatcher.detach(exit);
    this.#settleWork();
    this.#forgetIfAsked();
    this.#view.tell({ type: "exit", exit });
    const uptimeMs = this.#deps.clock.monotonic() - this.#upSince;
    tell("castellan:activation:end", () => ({ ...this.#facts, exit, uptimeMs }));
    if (incarnation.stopping) {
      this.#lastExit = exit;
      // The next life may begin much later; until then nothing is up.
      if (this.#state.name !== "stopped" && this.#state.name !== "quarantined") this.#apply({ type: "begin" });
      this.#tenancy.release();
    } else if (this.#ending === "renew") {
      this.#ending = undefined;
      this.#coming = this.#bringUp(incarnation);
    } else {
      const asleep = this.#ending === "hibernate" && exit.class === "done";
      this.#ending = undefined;
      this.#tenancy.release();
      if (asleep) this.#lieDown();
      else this.#exit(incarnation, exit);
    }
    this.#endEvents();
  }

  #forgetIfAsked(): void {
    if (this.#toForget) this.#conversation.clear();
    this.#toForget = false;
  }

  /** Replaces the process within the same life. */
  async #renew(): Promise<void> {
    this.#ending = "renew";
    this.#apply({ type: "begin" });
    await this.#activation?.end(endingStages(this.settings.shutdown, false));
  }

  /** Its process is of no use. One whose key was refused and has changed since is replaced within the same life. */
  #faulty(fault: { readonly class: ExitClass; readonly message: string }): void {
    const { used } = this.#key;
    const goesOn = this.#ending !== "renew" && this.#life?.stopping === false;
    if (fault.class === "auth" && goesOn && this.#activation !== undefined && used !== undefined && this.#key.changed) {
      this.#key.leave();
      this.#ending = "renew";
      this.#apply({ type: "begin" });
      tell("castellan:session:rekey", () => this.#facts);
      this.#keyRefused(used);
    }
    void this.#activation?.kill(fault);
  }

  #exit(incarnation: Incarnation, exit: ExitRecord): void {
    this.#lastExit = exit;
    this.#restarts++;
    this.#apply({ type: "exited" });
    tell("castellan:session:restart", () => ({ ...this.#facts, exit, restarts: this.#restarts }));
    incarnation.exit(childExitOf(exit, this.#failedStarts));
  }

  async #endProcess(shutdown: Shutdown): Promise<void> {
    this.#dispatcher.retire();
    await this.#coming;
    await this.#activation?.end(endingStages(shutdown, this.#dispatcher.busy));
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
    return this.#meter.refusal(this.settings.budget, "session", this.#who) ?? this.#journal.refusal;
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
      this.#rouse();
      await this.#upWithin(what, limitMs);
      const refusal = this.refusal();
      if (refusal !== undefined) throw refusal;
      if (this.#activation === undefined)
        throw new CastellanError("CONTROL_FAILED", `${this.#who}: "${what}" failed: the process is gone.`);
      return await work(this.#activation);
    } finally {
      this.#requests--;
      if (!this.#wanted) this.#tenancy.leaveLine();
      this.#rests(false);
    }
  }

  async #upWithin(what: string, limitMs: number): Promise<void> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = this.#deps.clock.schedule(limitMs, () => {
      const waited = `${this.#who}: "${what}" waited ${formatDuration(limitMs)} for a process, in vain`;
      if (!this.#tenancy.inLine) reject(new CastellanError("CONTROL_TIMEOUT", `${waited}.`));
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
    return refusalOf(this.#who, this.#state, this.settings.restart === "temporary" ? this.#lastExit : undefined);
  }
}

/** What is told of a turn that Claude Code has begun by itself. */
function unpromptedEvent({ id: turnId, origin, state, ended, costUsd }: TurnRecord): SessionEvent {
  if (!ended) return { type: "turn_began", turnId, origin };
  return { type: "turn_ended", turnId, origin, state, ...(costUsd === undefined ? {} : { costUsd }) };
}

/** The id of an answer of the model's in the main conversation, which is written. */
function writtenMessageOf(message: SDKMessage): string | undefined {
  const isAnswer = message.type === "assistant" && message.parent_tool_use_id === null && message.error === undefined;
  return isAnswer && message.message.model !== "<synthetic>" ? message.uuid : undefined;
}

/** Whether a process with these options can have MCP servers before its first turn tells of them. */
function mayHaveServers({ mcpServers = {}, settingSources = [], plugins = [] }: SessionSettings["sdk"]): boolean {
  return Object.keys(mcpServers).length > 0 || settingSources.length > 0 || plugins.length > 0;
}

/** A process that does not answer is found out by others. */
function ignore(): void {}

function isSettled({ name }: SessionState): boolean {
  return name !== "starting" && name !== "restarting";
}
