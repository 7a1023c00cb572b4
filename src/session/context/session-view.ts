import { isDeepStrictEqual } from "node:util";
import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { McpServer } from "../../claude/mcp-servers.ts";
import { type BackgroundTask, backgroundTasksOf } from "../../claude/messages/background-tasks.ts";
import { BlockReader } from "../../claude/messages/block-reader.ts";
import { writeLossOf } from "../../claude/messages/write-loss.ts";
import { type ProcessChange, ProcessReader } from "../../claude/process-reader.ts";
import { publish } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Approval, ApprovalSettlement } from "../conversation/approval.ts";
import type { ApprovalWithdrawal, EventDraft } from "../record/session-event-types.ts";
import { NO_SERVER_FAULTS, type SessionFault, serverFaults } from "../status/session-fault.ts";
import type { SessionState } from "../status/session-state.ts";
import { visibleState } from "../status/session-status.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import { type ApprovalEvents, Approvals } from "./approvals.ts";
import { factsOf, type SessionContext } from "./session-context.ts";
import type { Signal } from "./session-signal.ts";

/** How many faults to remember. */
const KEPT_FAULTS = 8;

const NONE: readonly never[] = [];

/** What the view asks its session. */
interface RunningSession {
  /** The running turn, if any. */
  readonly running: CurrentTurn | undefined;
}

/**
 * What callers see of a session besides its turns: its events, its permission requests, its background tasks, and the
 * state that follows from these.
 */
export class SessionView implements ApprovalEvents {
  /** Once the process has asked for a permission. */
  #approvals: Approvals | undefined;
  #state: SessionState = { name: "starting" };
  #tasks: readonly BackgroundTask[] = NONE;
  #faults: readonly SessionFault[] = NONE;
  #servers: readonly McpServer[] = NONE;
  /** The faults of MCP servers, by server name. */
  #serverFaults: ReadonlyMap<string, SessionFault> = NO_SERVER_FAULTS;
  readonly #context: SessionContext;
  readonly #signal: Signal;
  readonly #session: RunningSession;
  readonly #process = new ProcessReader();
  /** Reads the process's blocks outside turns, such as those of a subagent in the background, if there are any. */
  #blocks: BlockReader | undefined;
  /** The state that callers saw last. */
  #shown: SessionState["name"] = "starting";

  constructor(context: SessionContext, signal: Signal, session: RunningSession) {
    this.#context = context;
    this.#signal = signal;
    this.#session = session;
  }

  /** The running turn, if any. */
  get running(): CurrentTurn | undefined {
    return this.#session.running;
  }

  /** Takes the permission requests of the process. */
  get approvals(): Approvals {
    this.#approvals ??= new Approvals(this.#context, this);
    return this.#approvals;
  }

  /** The unanswered permission requests, oldest first. */
  get pending(): readonly Approval[] {
    return this.#approvals?.pending ?? NONE;
  }

  /** Withdraws the permission requests of a turn that is stopped, except those of its subagents. */
  withdrawTurn(turnId: string): void {
    this.#approvals?.withdrawTurn(turnId);
  }

  /** Withdraws all permission requests. */
  withdrawAll(cause: ApprovalWithdrawal): void {
    this.#approvals?.withdrawAll(cause);
  }

  /** Takes note of a new permission request. */
  requested(approval: Approval): void {
    this.#context.journal.approvalRequested(approval);
    this.#refresh();
    const { id, tool } = approval;
    publish("castellan:approval:request", () => ({ ...factsOf(this.#context), id, tool }));
  }

  /** Takes note of how a permission request has ended. */
  settled(approval: Approval, settlement: ApprovalSettlement): void {
    this.#context.journal.approvalSettled(approval, settlement);
    this.#refresh();
    const { id } = approval;
    publish("castellan:approval:settle", () => ({ ...factsOf(this.#context), id, outcome: settlement.outcome }));
  }

  get state(): SessionState["name"] {
    return this.#shown;
  }

  get backgroundTasks(): number {
    return this.#tasks.length;
  }

  /** Whether a background task runs that is expected to end. */
  get hasBackgroundWork(): boolean {
    return this.#tasks.some(({ ambient }) => ambient !== true);
  }

  /** The recent faults of this conversation, and the current faults of MCP servers. */
  get faults(): readonly SessionFault[] {
    return [...this.#faults, ...this.#serverFaults.values()];
  }

  /** The names of the MCP servers that have a fault. */
  get faultyServers(): readonly string[] {
    return [...this.#serverFaults.keys()];
  }

  /** The MCP servers of the process as last seen. */
  get servers(): readonly McpServer[] {
    return this.#servers;
  }

  /** Records the MCP servers of the process and their status. */
  updateServers(servers: readonly McpServer[]): void {
    if (!isDeepStrictEqual(servers, this.#servers)) this.#context.journal.record.show({ type: "mcp_servers", servers });
    this.#servers = servers;
    const before = this.#serverFaults;
    this.#serverFaults = serverFaults(before, servers, this.#context.clock.now());
    for (const [name, fault] of this.#serverFaults) {
      if (before.get(name) !== fault) this.#tellFault(fault);
    }
  }

  /**
   * Records a switch to another conversation. It begins without faults, unless it is a copy of the previous one.
   */
  moved(conversationId: string, change: "cleared" | "copied"): void {
    if (change !== "copied") this.#faults = NONE;
    this.#context.journal.append({ type: "conversation", conversationId, change, ...this.#subject });
  }

  /** Adds the running turn to a change that it has caused. */
  #inTurn(change: ProcessChange): EventDraft {
    return change.type === "compacted" || change.type === "task_started" ? { ...change, ...this.#subject } : change;
  }

  get #subject(): { readonly turnId?: string } {
    return withoutUndefined({ turnId: this.running?.record.id });
  }

  /** Records the current state. */
  show(state: SessionState): void {
    this.#state = state;
    this.#refresh();
  }

  /** Takes a message of the process, before its turn does. */
  receive(message: SDKMessage): void {
    this.#approvals?.spoke();
    const tasks = backgroundTasksOf(message);
    if (tasks !== undefined) this.#tasks = tasks.length === 0 ? NONE : tasks;
    const changes = this.#process.read(message);
    // Most messages change nothing.
    if (changes.length > 0) this.#context.journal.append(...changes.map((change) => this.#inTurn(change)));
    if (tasks !== undefined) this.#refresh();
    const loss = writeLossOf(message);
    if (loss !== undefined) this.fault({ ...loss, at: this.#context.clock.now() });
  }

  /** Takes a message of the process that belongs to no turn. */
  receiveUnclaimed(message: SDKMessage): void {
    this.#blocks ??= new BlockReader();
    const { journal } = this.#context;
    const withDeltas = journal.record.readers > 0;
    journal.recordBlocks(this.#blocks.read(message, { withDeltas }), undefined);
    journal.record.show({ type: "message", message });
  }

  /** Records and reports a fault. */
  fault(fault: SessionFault): void {
    this.#faults = [...this.#faults, fault].slice(-KEPT_FAULTS);
    this.#tellFault(fault);
  }

  /** Drops the background tasks and permission requests of the process, which is gone. */
  processGone(): void {
    this.#tasks = NONE;
    this.#blocks = undefined;
    this.#context.journal.append(...this.#process.gone());
    this.#refresh();
    // The servers' faults stay until another process has reported on them.
    this.#servers = NONE;
    this.withdrawAll("process_ended");
  }

  #tellFault(fault: SessionFault): void {
    const { kind, message: reason, server } = fault;
    this.#context.journal.append({ type: "fault", fault });
    publish("castellan:session:fault", () => ({
      ...factsOf(this.#context),
      kind,
      reason,
      ...withoutUndefined({ server }),
    }));
  }

  /** Reports the visible state if it changed. */
  #refresh(): void {
    const state = visibleState(this.#state, this.pending, this.#tasks);
    if (state === this.#shown) return;
    this.#shown = state;
    this.#context.journal.record.show({ type: "state", state });
    this.#signal({ type: "shown", state });
  }
}
