import type { PermissionMode, SessionMessage } from "@anthropic-ai/claude-agent-sdk";
import { type Activation, type ProcessRequests, REQUEST_MS } from "../claude/activation.ts";
import { withDeadline } from "../deadline.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import type { SessionDeps } from "./context/session-context.ts";
import { SessionConversation } from "./context/session-conversation.ts";
import type { SharedResources } from "./context/shared-resources.ts";
import type { Approval } from "./conversation/approval.ts";
import { forkOptions } from "./conversation/conversation.ts";
import { isNothing } from "./conversation/granted.ts";
import { type HistoryOptions, historyOf } from "./conversation/history.ts";
import type { BudgetStatus } from "./options/budget.ts";
import { type Prompt, promptText } from "./options/prompt.ts";
import type { SessionSettings } from "./options/session-settings.ts";
import { type TurnOptions, turnSettings } from "./options/turn-options.ts";
import type { SessionJournal } from "./persistence/session-journal.ts";
import type { KnownSession, SupervisorJournal } from "./persistence/supervisor-journal.ts";
import type { ProcessLaunch } from "./process/process-starter.ts";
import type { SessionLife } from "./process/session-life.ts";
import { Recovery } from "./recovery.ts";
import { SessionCore } from "./session-core.ts";
import { RecentErrors } from "./status/recent-errors.ts";
import type { SessionEvent } from "./status/session-event.ts";
import type { SessionState, Stopped } from "./status/session-state.ts";
import type { SessionStatus } from "./status/session-status.ts";
import { statusOf } from "./status-of.ts";
import type { Numbered } from "./streams/event-log.ts";
import type { TurnRecord } from "./streams/turn-record.ts";
import { Dispatcher } from "./turns/dispatcher.ts";

/** A session as supervisors, handles and pools see it: what they ask of it, answered by the parts of its core. */
export class SessionServer {
  readonly #core: SessionCore;
  readonly #errors: RecentErrors;
  /** The settings as they were given last, without what calls have changed since. */
  #configured: SessionSettings;
  /** Whether it accepts turns: not while its supervisor drains, nor once it was let go, when its name brings another one. */
  #admission: "open" | "draining" | "evicted" = "open";

  constructor(settings: SessionSettings, journal: SupervisorJournal, resources: SharedResources, deps: SessionDeps) {
    this.#core = new SessionCore(settings, journal, resources, deps);
    this.#errors = new RecentErrors(deps.clock);
    this.#configured = settings;
  }

  get settings(): SessionSettings {
    return this.#core.settings;
  }

  get state(): SessionState {
    return this.#core.state;
  }

  /** The state as callers see it. */
  get visibleState(): SessionState["name"] {
    return this.#core.view.state;
  }

  /** The names of the MCP servers with which something is wrong. */
  get faultyServers(): readonly string[] {
    return this.#core.view.faultyServers;
  }

  /** The name of its supervisor. */
  get supervisor(): string {
    return this.#core.journal.supervisor;
  }

  /** How many of its turns have failed not long ago. See {@link RecentErrors.now}. */
  get recentErrors(): number {
    return this.#errors.now;
  }

  /** How many events there have been. */
  get eventCount(): number {
    return this.#core.view.events.length;
  }

  /** Its events from this number on. */
  readEvents(from: number): AsyncGenerator<Numbered<SessionEvent>, void, undefined> {
    return this.#core.view.events.read(from);
  }

  /** The permissions that Claude waits for, oldest first. */
  get approvals(): readonly Approval[] {
    return this.#core.view.approvals.pending;
  }

  /** Why the journal takes nothing at this moment, if it does not. */
  get journalFault(): Error | undefined {
    return this.#core.journal.fault;
  }

  /** Makes its conversation this session's alone. @throws CastellanError `INVALID_OPTIONS` if another session has it */
  claim(): void {
    this.#core.conversation.claim();
  }

  /** Another session may have its conversation from now on. */
  unclaim(): void {
    this.#core.conversation.unclaim();
  }

  /**
   * Takes up what the journal knows of the session; with `source`, what that session remembers instead.
   *
   * @throws CastellanError what {@link Recovery.restore} throws
   */
  async restore(known: KnownSession, source?: SessionServer): Promise<void> {
    await this.#core.recovery.restore(known, source === undefined ? undefined : source.#core.conversation);
  }

  /** What the journal knows of the session cannot be taken up. Each start tries that again, and fails with this error. */
  failRestore(error: CastellanError): void {
    this.#core.recovery.fail(error);
  }

  /** Begins a new life. Returns at once; the process comes up meanwhile. */
  begin(): SessionLife {
    this.#core.conversation.clearIfDue();
    return this.#core.process.begin();
  }

  /**
   * Ends the process of a session that has nothing to do; resolves when it is gone.
   *
   * @throws CastellanError `SESSION_BUSY` if it is at work, or why it has no process
   */
  async hibernate(): Promise<void> {
    if (!this.#core.process.idle) await this.settled();
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
   * Has a process come up, if there is none; resolves when it is up.
   *
   * @throws CastellanError `CAPACITY_EXHAUSTED` after `queueTimeout`, or why none comes up
   */
  async wake(): Promise<void> {
    await this.#core.needing("wake", this.settings.queueTimeout, async () => {});
  }

  /** Hands nothing more to the process, which is about to be replaced. Resolves when the process works on no turn. */
  async retire(): Promise<void> {
    this.#core.dispatcher.retire();
    await this.#core.dispatcher.quiet();
  }

  /** Takes up changed settings; what shapes a process, the next process. */
  reconfigure(settings: SessionSettings): void {
    this.#configured = settings;
    this.#core.take(settings);
  }

  /**
   * Tells the process what of its settings it can take up while it runs: model and permission mode.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`
   */
  async applyLive(): Promise<void> {
    // The next process is told them when it starts.
    if (this.#core.state.name === "hibernated") return;
    // A process that is on its way up was told the settings as they were when its start began.
    await this.#core.process.settled();
    const { model, permissionMode } = this.settings.sdk;
    if (model !== undefined) await this.#core.process.activation?.request("setModel", model);
    // The mode that the session has come to be in stays, unless the option has changed.
    if (permissionMode === undefined || this.#core.conversation.granted.mode !== undefined) return;
    await this.#core.process.activation?.request("setPermissionMode", permissionMode);
  }

  /**
   * Makes a control request of the process, and wakes a session that hibernates for it.
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
   * Runs `work` with the process, and wakes a session that hibernates for it. The process stays meanwhile.
   *
   * @param what the name of the work, for messages
   * @throws CastellanError `CONTROL_TIMEOUT` if no process is up within ten seconds, or why there is none
   */
  async withProcess<Answer>(what: string, work: (activation: Activation) => Promise<Answer>): Promise<Answer> {
    return await this.#core.needing(what, REQUEST_MS, work);
  }

  /**
   * Asks the process for the state of its MCP servers, which is a sign of life.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`, or why there is no process
   */
  async ping(): Promise<void> {
    await this.withProcess("mcpServerStatus", () => this.#core.output.askServers());
  }

  /** A control has put the process into this permission mode. */
  reportMode(now: PermissionMode): void {
    this.#core.conversation.reportMode({ now, changed: true });
  }

  /** Resolves when the journal knows the conversation as it is. See {@link SessionConversation.written}. */
  async conversationWritten(): Promise<void> {
    await this.#core.conversation.written();
  }

  /** Has the journal know the conversation as it is now. @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER` */
  async saveConversation(): Promise<void> {
    await this.#core.conversation.saveNow();
  }

  /** What has been said in the conversation. @throws CastellanError `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED` */
  async history(options: HistoryOptions): Promise<SessionMessage[]> {
    // Which conversation it is the journal has to tell first.
    return await this.fromJournal(() => historyOf(this.#core.conversation.now, this.launch, options));
  }

  /** The permission mode that was granted in the conversation, if one was. */
  get grantedMode(): PermissionMode | undefined {
    return this.#core.conversation.granted.mode?.now;
  }

  /** Whether anything was granted in the conversation. */
  get hasGrants(): boolean {
    return !isNothing(this.#core.conversation.granted);
  }

  /** Takes back all that was granted in the conversation. */
  revokeGrants(): void {
    this.#core.conversation.grant({ type: "revoked" });
  }

  /** Keeps what a control has changed, so that the next process is told. */
  remember(changed: SessionSettings["sdk"]): void {
    this.#core.take({ ...this.settings, sdk: { ...this.settings.sdk, ...changed } });
  }

  /** The SDK's options and the environment of a process as it would be started now. */
  get launch(): ProcessLaunch {
    return this.#core.process.launch;
  }

  /**
   * Accepts no more turns; resolves with their number when those that it has have ended, and what goes on in the background, with the
   * turns that Claude Code begins on it.
   */
  async drain(): Promise<number> {
    if (this.#admission === "open") this.#admission = "draining";
    const turns = await this.#core.dispatcher.finish();
    await this.#core.workOver();
    return turns;
  }

  /**
   * Ends it for its callers here, so that it can go on elsewhere: its turn may finish until `deadlineMs` is over, what waits stays in
   * the journal. Its process is ended by the supervisor.
   */
  async handOver(deadlineMs: number): Promise<void> {
    const over = this.#core.dispatcher.yield().then(() => this.#core.workOver());
    await withDeadline(this.#core.context.clock, deadlineMs, over);
    this.close("supervisor");
    // That a turn waits again is written when it has been written that it begins: the last that may be written of it here.
    await this.#core.dispatcher.begun;
  }

  /** What another session has to begin with to know what this one does, up to the last turn that has ended. */
  get forkOptions(): Pick<SessionSettings["sdk"], "resume" | "forkSession" | "resumeSessionAt"> {
    return forkOptions(this.#core.conversation.now, this.#core.dispatcher.busy);
  }

  /** Makes the next life begin with an empty conversation. */
  forget(): void {
    this.#core.conversation.clearNext();
  }

  /**
   * Begins an empty conversation in place of the one that there is, in an empty directory if it has one of its own; a process that
   * is up is replaced within its life. Resolves when that is done, or nothing comes up. To be called when no turn runs or waits.
   *
   * @throws CastellanError `SESSION_QUARANTINED` if the directory cannot be emptied
   */
  async startAfresh(): Promise<void> {
    this.#core.conversation.clearNext();
    this.emptyFirst();
    await this.#core.process.settled();
    const { activation } = this.#core.process;
    if (activation === undefined) {
      this.#core.conversation.clearIfDue();
      // It is the start of a process that says what is wrong, and has the session quarantined for it.
      await this.#core.process.emptyIfDue().catch(() => this.wake());
    } else {
      if (this.#core.process.state === "up") this.#core.process.replace();
      await activation.exited;
    }
    await this.settled();
  }

  /** The API refuses these credentials. A process with them is replaced, if another one would have others. */
  keyRefused(credentials: string): void {
    this.#core.process.keyRefused(credentials);
  }

  /** Whether it is quarantined because of what it authenticated with, and would have something else now. */
  get mayComeBack(): boolean {
    const quarantined = this.#core.state.name === "quarantined" && this.#core.state.lastExits.at(-1)?.class === "auth";
    return quarantined && this.#core.process.key.changed;
  }

  /**
   * Has a process that authenticates with something else than another one would now replaced, when it has nothing to do. Resolves
   * when none is left, with whether there was one.
   *
   * @throws CastellanError `START_FAILED` if there is nothing that another one could have; then the process goes on
   */
  async rekeyed(): Promise<boolean> {
    return await this.#core.process.rekeyed(() => this.settled());
  }

  /** Has its own directory, if it has one, emptied before its next process starts. Until then it is not untouched. */
  emptyFirst(): void {
    this.#core.process.emptyFirst();
  }

  /** Whether nothing has been said in its conversation, nothing goes on in its process, and nothing is left to be cleaned up. */
  get untouched(): boolean {
    const rests = this.hasNoTurns && this.#core.view.backgroundTasks === 0;
    const { now, granted } = this.#core.conversation;
    return (
      rests &&
      now.kind === "new" &&
      isNothing(granted) &&
      !this.#core.conversation.clearing &&
      !this.#core.process.emptiesFirst
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
    const asked = promptText(prompt, settings.verbatimPrompts, this.#core.context.who);
    const refusal = this.refusal();
    if (refusal !== undefined && this.#core.state.name === "stopped") throw refusal;
    if (this.#admission === "draining") {
      throw new CastellanError(
        "SUPERVISOR_STOPPED",
        `${this.#core.context.who} accepts no more turns; its supervisor is draining.`,
      );
    }
    const record = this.#core.dispatcher.intake.accept(asked, settings, durable, refusal ?? this.#overBudget(), id);
    this.#errors.watch(record.result);
    return record;
  }

  /** Whether no turn runs or waits. */
  get hasNoTurns(): boolean {
    return !this.#core.dispatcher.busy && this.#core.dispatcher.waiting === 0;
  }

  /** Resolves when all turns that it has now have ended, and its process is done with them. */
  async finishTurns(): Promise<void> {
    await this.#core.dispatcher.finish();
    await this.#core.dispatcher.quiet();
  }

  /** Stops a turn because its caller wants it. Resolves when it has ended. */
  async interrupt(record: TurnRecord): Promise<void> {
    await this.#core.dispatcher.stopping.interrupt(record);
  }

  /** Stops the turn that runs, if one does. Resolves when it has ended. */
  async interruptCurrent(): Promise<void> {
    await this.#core.dispatcher.stopping.interruptCurrent();
  }

  /** Stops the turn that runs, and cancels those that wait. Resolves when the process is done with them. */
  async cancelAll(): Promise<void> {
    await this.#core.dispatcher.stopping.cancelAll();
  }

  /** Ends all turns for their callers, since the session goes no further. See {@link Dispatcher.dismiss}. */
  dismiss(reason: CastellanError): void {
    this.#core.dispatcher.dismiss(reason);
  }

  /** A turn that waits, runs or has ended, as long as the journal keeps it. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async turn(id: string): Promise<TurnRecord | undefined> {
    const present = this.#core.dispatcher.intake.find(id);
    if (present !== undefined) return present;
    const entry = await this.fromJournal((journal) => journal.findWritten(id));
    // It may have come here while it was looked for.
    return (
      this.#core.dispatcher.intake.find(id) ??
      (entry === undefined ? undefined : this.#core.dispatcher.intake.recall(entry))
    );
  }

  /** Reads from the journal, as soon as that is open. @throws CastellanError `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED` */
  async fromJournal<Answer>(read: (journal: SessionJournal) => Promise<Answer>): Promise<Answer> {
    await this.#core.dispatcher.intake.ready;
    const refusal =
      this.#core.state.name === "stopped" && this.#core.state.as === "supervisor" ? this.refusal() : undefined;
    if (refusal !== undefined) throw refusal;
    return await read(this.#core.journal);
  }

  /** Resolves with the state as soon as the session's process is up, or it is clear that none will come up. */
  settled(): Promise<SessionState> {
    return this.#core.settled();
  }

  /** Supervision starts the session again at this time. */
  retryAt(at: number): void {
    this.#core.retryAt(at);
  }

  /** Supervision has given up on the session. Its turns end, and new ones are refused until it is restarted by hand. */
  quarantine(lastExits: readonly ExitRecord[]): void {
    this.#core.quarantine(lastExits);
  }

  /** Ends the session for its callers; its process is ended by the supervisor. */
  close(as: Stopped): void {
    this.#core.close(as);
  }

  /** Whether it has ended for good: one that is stopped as a child of its tree may be started again, and then goes on. */
  get hasEnded(): boolean {
    return this.#core.hasEnded;
  }

  /** Why the session takes no turns, if it does not. A temporary one ends with its first process. */
  refusal(): CastellanError | undefined {
    return this.#core.refusal();
  }

  status(): SessionStatus {
    return statusOf(this.#core);
  }

  /** How much of its budget it has spent, if it has one. */
  get budget(): BudgetStatus | undefined {
    const { budget } = this.settings;
    return budget === undefined ? undefined : this.#core.meter.status(budget);
  }

  /**
   * Since when nobody would notice if it were let go, on the monotonic clock: it has hibernated with nothing to do, nobody reads
   * its events, and the journal and its options have all that it is. `undefined` if somebody would.
   */
  get hibernatedSince(): number | undefined {
    const unused = this.#core.dispatcher.waiting === 0 && !this.#core.requested && this.#core.view.events.readers === 0;
    const changed = this.settings !== this.#configured;
    return this.#core.state.name === "hibernated" && unused && !changed
      ? this.#core.process.hibernatedSince
      : undefined;
  }

  /** Whether it was let go: it has ended, and its name brings it back. */
  get isEvicted(): boolean {
    return this.#admission === "evicted";
  }

  evict(): void {
    this.#admission = "evicted";
    this.close("session");
    this.#core.dispatcher.intake.evict();
  }

  /** It has ended, and is to be forgotten: writes nothing any more, and gives out nothing that it has in memory. */
  silence(): void {
    this.#core.journal.seal();
    this.#core.dispatcher.intake.evict();
  }

  /** Its MCP servers may do otherwise than before. */
  refreshServers(): void {
    this.#core.output.refreshServers();
  }

  #overBudget(): CastellanError | undefined {
    return (
      this.#core.meter.refusal(this.settings.budget, "session", this.#core.context.who) ?? this.#core.journal.refusal
    );
  }
}
