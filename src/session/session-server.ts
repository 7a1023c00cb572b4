import type { PermissionMode, SessionMessage } from "@anthropic-ai/claude-agent-sdk";
import { type Activation, type ProcessRequests, REQUEST_MS } from "../claude/activation.ts";
import { withDeadline } from "../deadline.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import type { SessionDeps } from "./context/session-context.ts";
import { SessionConversation } from "./context/session-conversation.ts";
import type { SharedResources } from "./context/shared-resources.ts";
import type { Approval } from "./conversation/approval.ts";
import { forkOptions } from "./conversation/conversation.ts";
import type { Granted } from "./conversation/granted.ts";
import type { TranscriptOptions } from "./conversation/transcript.ts";
import { Describing } from "./describing.ts";
import { Forgetting } from "./forgetting.ts";
import type { BudgetStatus } from "./options/budget.ts";
import { type Prompt, promptText } from "./options/prompt.ts";
import type { SessionSettings } from "./options/session-settings.ts";
import { type TurnOptions, turnSettings } from "./options/turn-options.ts";
import { RecordReading } from "./persistence/record-reading.ts";
import type { SessionJournal } from "./persistence/session-journal.ts";
import type { KnownSession, SupervisorJournal } from "./persistence/supervisor-journal.ts";
import type { ProcessLaunch } from "./process/process-starter.ts";
import type { SessionLife } from "./process/session-life.ts";
import { Recovery } from "./recovery.ts";
import { SessionCore } from "./session-core.ts";
import { SessionCredentials } from "./session-credentials.ts";
import { RecentErrors } from "./status/recent-errors.ts";
import type { SessionState, Stopped } from "./status/session-state.ts";
import type { SessionStatus } from "./status/session-status.ts";
import { statusOf } from "./status-of.ts";
import type { FarTurn } from "./streams/far-turn.ts";
import type { TurnRecord } from "./streams/turn-record.ts";
import type { Touched } from "./touching.ts";
import { TurnList } from "./turn-list.ts";
import type { Dispatcher } from "./turns/dispatcher.ts";
import type { SessionSchedules } from "./turns/session-schedules.ts";

/** A session as supervisors, handles and pools see it. The parts of its core do the work. */
export class SessionServer {
  readonly #core: SessionCore;
  readonly #errors: RecentErrors;
  /** The settings as last configured, without later changes by calls. */
  #configured: SessionSettings;
  /**
   * Whether the session accepts turns. It does not while its supervisor drains, nor after its eviction, when its name
   * finds another instance.
   */
  #admission: "open" | "draining" | "evicted" | "surrendered" = "open";

  constructor(settings: SessionSettings, journal: SupervisorJournal, resources: SharedResources, deps: SessionDeps) {
    this.#core = new SessionCore(settings, journal, resources, deps);
    this.#errors = new RecentErrors(deps.clock);
    this.#configured = settings;
  }

  get settings(): SessionSettings {
    return this.#core.settings;
  }

  /** Reads what the session saw and did. Fails as {@link SessionServer.fromJournal}. */
  get reading(): RecordReading {
    return new RecordReading(this.#core.journal, () => this.fromJournal((own) => own.whenReadable()));
  }

  /** Gives messages to turns. */
  get steering(): Dispatcher["steering"] {
    return this.#core.dispatcher.steering;
  }

  get turns(): TurnList {
    return new TurnList(this.#core.context.who, this.#core.journal, this.#core.dispatcher);
  }

  get describing(): Describing {
    return new Describing(this.#core, () => this.hibernate());
  }

  get credentials(): SessionCredentials {
    return new SessionCredentials(this.#core);
  }

  /** Forgets the conversation. */
  get forgetting(): Forgetting {
    return new Forgetting(this.#core);
  }

  get schedules(): SessionSchedules {
    return this.#core.schedules;
  }

  get state(): SessionState {
    return this.#core.state;
  }

  get visibleState(): SessionState["name"] {
    return this.#core.view.state;
  }

  /** The names of the MCP servers that have a fault. */
  get faultyServers(): readonly string[] {
    return this.#core.view.faultyServers;
  }

  /** The name of its supervisor. */
  get supervisor(): string {
    return this.#core.journal.supervisor;
  }

  /** How many of its turns failed recently. See {@link RecentErrors.now}. */
  get recentErrors(): number {
    return this.#errors.now;
  }

  /** The pending permission requests, oldest first. */
  get approvals(): readonly Approval[] {
    return this.#core.view.pending;
  }

  /** Why the journal cannot be written at this moment, or undefined. */
  get journalFault(): Error | undefined {
    return this.#core.journal.fault;
  }

  /** The number of the last recorded event, if known. */
  get lastEvent(): number | undefined {
    return this.#core.journal.record.last;
  }

  /** Claims the conversation for this session. @throws CastellanError `INVALID_OPTIONS` if another session has it */
  claim(): void {
    this.#core.conversation.claim();
  }

  /** Releases the conversation for other sessions. */
  unclaim(): void {
    this.#core.conversation.unclaim();
  }

  /**
   * Restores what the journal knows of the session; with `source`, begins with that session's conversation instead.
   *
   * @throws CastellanError what {@link Recovery.restore} throws
   */
  async restore(known: KnownSession, source?: SessionServer): Promise<void> {
    await this.#core.recovery.restore(known, source === undefined ? undefined : source.#core.conversation);
  }

  /** Has starts of its process wait until another application has returned the session. */
  awaitReturn(returned: Promise<void>): void {
    this.#core.recovery.awaitReturn(returned);
  }

  /** Makes each start fail with this error, after trying again to restore the session. */
  failRestore(error: CastellanError): void {
    this.#core.recovery.fail(error);
  }

  /** Begins a life. Returns at once; the process starts in the background. */
  begin(): SessionLife {
    this.#core.conversation.clearIfDue();
    return this.#core.process.begin();
  }

  /**
   * Ends the process of an idle session; resolves once it is gone. Waits for pending control requests, for twenty seconds at most.
   *
   * @throws CastellanError `SESSION_BUSY` if it is busy, or why it has no process
   */
  async hibernate(): Promise<void> {
    if (!this.#core.process.idle) await this.settled();
    const { workless, requests, context } = this.#core;
    // One waits for a process, and then for its answer.
    if (workless && requests.any) await withDeadline(context.clock, 2 * REQUEST_MS, requests.over());
    const refusal = this.refusal();
    if (refusal !== undefined) throw refusal;
    if (this.#core.process.idle) this.#core.process.hibernate();
    else if (this.#core.state.name !== "hibernated" || this.#core.wanted) {
      const { who } = this.#core.context;
      const message = this.#core.between
        ? `${who} cannot hibernate, because Claude has scheduled a turn, which only its process holds; see \`status().wakeups\`.`
        : `${who} is busy, so it cannot hibernate; retry when it is idle.`;
      throw new CastellanError("SESSION_BUSY", message);
    }
    await this.#core.process.gone();
  }

  /**
   * Starts a process if there is none; resolves once it is up.
   *
   * @throws CastellanError `CAPACITY_EXHAUSTED` after `queueTimeout`, or why none starts
   */
  async wake(): Promise<void> {
    await this.#core.withProcess("wake", this.settings.queueTimeout, async () => {});
  }

  /**
   * Starts a process if there is none and there can be one soon. Does not wait for it.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, or why none may start
   */
  async touch(): Promise<Touched> {
    return await this.fromJournal(async () => {
      if (this.#admission === "draining") throw this.#drains;
      const refusal = this.refusal();
      if (refusal !== undefined) throw refusal;
      return this.#core.touching.touch();
    });
  }

  /** Sends no more turns to the process, which is about to be replaced. Resolves once it works on no turn. */
  async retire(): Promise<void> {
    this.#core.dispatcher.retire();
    await this.#core.dispatcher.quiet();
  }

  /** Applies changed settings. Settings that shape a process apply to the next process. */
  reconfigure(settings: SessionSettings): void {
    this.#configured = settings;
    this.#core.take(settings);
  }

  /**
   * Sends the running process the settings that it can change: model and permission mode.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`
   */
  async applyLive(): Promise<void> {
    // The next process starts with them.
    if (this.#core.state.name === "hibernated") return;
    // A starting process has the settings from when its start began.
    await this.#core.process.settled();
    const { model, permissionMode } = this.settings.sdk;
    if (model !== undefined) await this.#core.process.activation?.request("setModel", model);
    // The conversation's current mode stays unless the option changed.
    if (permissionMode === undefined || this.#core.conversation.granted.mode !== undefined) return;
    await this.#core.process.activation?.request("setPermissionMode", permissionMode);
  }

  /**
   * Makes a control request. Wakes a hibernated session for it.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`, or why there is no process
   */
  async request<Name extends keyof ProcessRequests>(
    name: Name,
    ...args: Parameters<ProcessRequests[Name]>
  ): Promise<Awaited<ReturnType<ProcessRequests[Name]>>> {
    return await this.withProcess(name, (activation) => activation.request(name, ...args));
  }

  /**
   * Runs `work` with the process and keeps the process until it is done. Wakes a hibernated session for it.
   *
   * @param what the name of the work, for messages
   * @throws CastellanError `CONTROL_TIMEOUT` if no process is up within ten seconds, or why there is none
   */
  async withProcess<Answer>(what: string, work: (activation: Activation) => Promise<Answer>): Promise<Answer> {
    return await this.#core.withProcess(what, REQUEST_MS, work);
  }

  /**
   * Asks the process for the status of its MCP servers, as a sign of life.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`, or why there is no process
   */
  async ping(): Promise<void> {
    await this.withProcess("mcpServerStatus", () => this.#core.output.pollServers());
  }

  /** Records the permission mode that a control has set. */
  reportMode(now: PermissionMode): void {
    this.#core.conversation.reportMode({ now, changed: true });
  }

  /** Resolves once the journal has the current conversation. See {@link SessionConversation.written}. */
  async conversationWritten(): Promise<void> {
    await this.#core.conversation.written();
  }

  /** Writes the current conversation. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async saveConversation(): Promise<void> {
    await this.#core.conversation.saveNow();
  }

  async transcript(options: TranscriptOptions): Promise<SessionMessage[]> {
    // The journal decides which conversation it is.
    return await this.fromJournal(() => this.#core.transcript(options));
  }

  get granted(): Granted {
    return this.#core.conversation.granted;
  }

  revokeGrants(): void {
    this.#core.conversation.grant({ type: "revoked" });
  }

  /** Keeps a control's change for the next process. */
  remember(changed: SessionSettings["sdk"]): void {
    this.#core.take({ ...this.settings, sdk: { ...this.settings.sdk, ...changed } });
  }

  /** The SDK's options and the environment that a process would start with now. */
  get launch(): ProcessLaunch {
    return this.#core.process.launch;
  }

  /**
   * Accepts no more turns. Resolves with the number of open turns once they, background tasks and the turns that Claude
   * Code begins for those have ended.
   */
  async drain(): Promise<number> {
    if (this.#admission === "open") this.#admission = "draining";
    const turns = await this.#core.dispatcher.finish();
    await this.#core.workOver();
    return turns;
  }

  /**
   * Ends the session for its callers here, so that another application can take it over. Its turn may finish within
   * `deadlineMs`; waiting turns stay in the journal. The supervisor ends its process.
   */
  async handOver(deadlineMs: number): Promise<void> {
    const over = this.#core.dispatcher.yield().then(() => this.#core.workOver());
    await withDeadline(this.#core.context.clock, deadlineMs, over);
    this.#core.view.withdrawAll("moved");
    this.close("supervisor");
    // If a turn's beginning is being written, the write that returns it to the mailbox follows: the last change that
    // this application may make.
    await this.#core.dispatcher.begun;
  }

  /** Begins no more turns, because another application is about to take over. */
  yield(): void {
    void this.#core.dispatcher.yield();
  }

  /** Begins turns again. */
  unyield(): void {
    this.#core.dispatcher.unyield();
  }

  /** Whether it has neither a process nor anything to write, so that another application can have it at once. */
  get isAtRest(): boolean {
    const { dispatcher, requests, state, process, journal } = this.#core;
    const isUsed = !dispatcher.isSettled || dispatcher.busy || requests.any || journal.record.hasEarly;
    const isWithout = state.name === "hibernated" || state.name === "quarantined" || state.name === "stopped";
    return isWithout && !isUsed && process.activation === undefined && process.state !== "starting";
  }

  /** Resolves once its turn is over and the journal has those that wait, at the latest after `deadlineMs`. */
  async quiet(deadlineMs: number): Promise<void> {
    const over = this.#core.dispatcher.yield().then(() => this.#core.workOver());
    await withDeadline(this.#core.context.clock, deadlineMs, over);
    await this.#core.dispatcher.admitted();
  }

  /**
   * Ends the session here, because another application has it. Its turns go on there, where `follow` finds them. The
   * supervisor ends its process.
   */
  surrender(follow: (record: TurnRecord) => FarTurn): void {
    this.#core.view.approvals.withdrawAll("moved");
    this.#core.dispatcher.surrender(follow);
    this.#admission = "surrendered";
    this.close("supervisor");
  }

  /**
   * Returns the options with which a fork begins: this conversation up to the last ended turn.
   *
   * @param later whether the fork gets its process later: turns that end meanwhile are not part of it
   */
  forkOptions(later: boolean): Pick<SessionSettings["sdk"], "resume" | "forkSession" | "resumeSessionAt"> {
    return forkOptions(this.#core.conversation.now, later || this.#core.dispatcher.busy);
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
    const asked = promptText(prompt, settings.verbatimPrompts, this.#core.context.who);
    const refusal = this.refusal();
    if (refusal !== undefined && this.#core.state.name === "stopped") throw refusal;
    if (this.#admission === "draining") throw this.#drains;
    const blocker = refusal ?? this.#core.overBudget();
    const spent = (): CastellanError | undefined => this.#core.overBudget();
    const record = this.#core.dispatcher.intake.accept(asked, settings, durable, blocker, spent, id);
    this.#errors.watch(record.result);
    return record;
  }

  /** Takes a turn that the journal has just accepted for this session. */
  take(...taken: Parameters<Dispatcher["intake"]["take"]>): TurnRecord {
    const record = this.#core.dispatcher.intake.take(...taken);
    this.#errors.watch(record.result);
    return record;
  }

  get #drains(): CastellanError {
    const message = `${this.#core.context.who} accepts no more turns; its supervisor is draining.`;
    return new CastellanError("SUPERVISOR_STOPPED", message);
  }

  /** Whether no turn runs or waits. */
  get hasNoTurns(): boolean {
    return !this.#core.dispatcher.busy && this.#core.dispatcher.waiting === 0;
  }

  /** Resolves once all current turns have ended and the process is done with them. */
  async finishTurns(): Promise<void> {
    await this.#core.dispatcher.finish();
    await this.#core.dispatcher.quiet();
  }

  /** Stops a turn on its caller's request. Resolves once it has ended. */
  async interrupt(record: TurnRecord): Promise<void> {
    await this.#core.dispatcher.stopping.interrupt(record);
  }

  /** Stops the running turn, if any. Resolves once it has ended. */
  async interruptCurrent(): Promise<void> {
    await this.#core.dispatcher.stopping.interruptCurrent();
  }

  /** Stops the running turn and cancels the waiting ones. Resolves once the process is done with them. */
  async cancelAll(): Promise<void> {
    await this.#core.dispatcher.stopping.cancelAll();
  }

  /** Ends all turns for their callers, because the session stops here. See {@link Dispatcher.dismiss}. */
  dismiss(reason: CastellanError): void {
    this.#core.dispatcher.dismiss(() => reason);
  }

  /**
   * Returns a turn that waits, runs or has ended, as long as the journal keeps it.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; `NOT_OWNER` if another application has accepted the turn and not ended it
   */
  async turn(id: string): Promise<TurnRecord | undefined> {
    const present = this.#core.dispatcher.intake.find(id);
    if (present !== undefined) return present;
    const entry = await this.fromJournal((journal) => journal.findWritten(id));
    const { intake } = this.#core.dispatcher;
    // It may have been accepted here during the lookup.
    const found = intake.find(id) ?? (entry === undefined ? undefined : intake.recall(entry));
    if (found === undefined && entry !== undefined && this.#core.journal.isShared) {
      const message = `Another application has accepted the turn ${id} and not ended it, so the session has another owner.`;
      throw new CastellanError("NOT_OWNER", message);
    }
    return found;
  }

  /** Returns a turn that waits or runs here, or ended recently, once the session is restored. @throws as {@link fromJournal} */
  async turnHere(id: string): Promise<TurnRecord | undefined> {
    return await this.fromJournal(async () => this.#core.dispatcher.intake.find(id));
  }

  /** Reads from the journal once it is open and the record is complete. @throws CastellanError `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED` */
  async fromJournal<Answer>(read: (journal: SessionJournal) => Promise<Answer>): Promise<Answer> {
    await this.#core.dispatcher.intake.ready;
    const { state, journal } = this.#core;
    const refusal = state.name === "stopped" && state.as === "supervisor" ? this.refusal() : undefined;
    if (refusal !== undefined) throw refusal;
    await journal.opening.open();
    return await read(journal);
  }

  /** Resolves with the state once the process is up, or none will start. */
  settled(): Promise<SessionState> {
    return this.#core.settled();
  }

  /** Records when the supervisor will restart the session. */
  retryAt(at: number): void {
    this.#core.retryAt(at);
  }

  /** Ends the turns and refuses new ones until a manual restart, because the supervisor gave up. */
  quarantine(lastExits: readonly ExitRecord[]): void {
    this.#core.quarantine(lastExits);
  }

  /** Ends the session for its callers. The supervisor ends its process. */
  close(as: Stopped): void {
    this.#core.close(as);
  }

  /** Whether the session has ended for good. A session stopped as a child of its tree may be started again. */
  get hasEnded(): boolean {
    return this.#core.hasEnded;
  }

  /** Returns why the session accepts no turns, or undefined. A temporary session ends with its first process. */
  refusal(): CastellanError | undefined {
    return this.#core.refusal();
  }

  status(): SessionStatus {
    return statusOf(this.#core);
  }

  /** The budget and how much of it is spent, if the session has one. */
  get budget(): BudgetStatus | undefined {
    const { budget } = this.settings;
    return budget === undefined ? undefined : this.#core.meter.status(budget);
  }

  /**
   * Since when the session could be evicted without anybody noticing, on the monotonic clock: it hibernates, is idle,
   * has no event readers and no schedule due soon, and its options and the journal describe it completely. Otherwise `undefined`.
   */
  get hibernatedSince(): number | undefined {
    const { dispatcher, requests, state, process, journal } = this.#core;
    const isRead = journal.record.readers > 0 || journal.record.hasEarly;
    const isUsed = dispatcher.waiting > 0 || requests.any || isRead || this.#core.isDueSoon;
    const isChanged = this.settings !== this.#configured;
    return state.name === "hibernated" && !isUsed && !isChanged ? process.hibernatedSince : undefined;
  }

  /** Whether it was evicted or surrendered: it has ended, and its name finds what there is instead. */
  get isEvicted(): boolean {
    return this.#admission === "evicted" || this.isSurrendered;
  }

  /** Whether another application has it. */
  get isSurrendered(): boolean {
    return this.#admission === "surrendered";
  }

  evict(): void {
    this.#admission = "evicted";
    this.close("session");
    this.#core.dispatcher.intake.evict();
  }

  /** Stops all journal writes and forgets the turns in memory, because the session is to be forgotten. */
  silence(): void {
    this.#core.journal.seal();
    this.#core.dispatcher.intake.evict();
  }

  /** Polls the MCP servers, because their status may have changed. */
  refreshServers(): void {
    this.#core.output.refreshServers();
  }
}
