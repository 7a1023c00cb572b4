import { isDeepStrictEqual } from "node:util";
import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { McpServer } from "../../claude/mcp-servers.ts";
import { type BackgroundTask, backgroundTasksOf } from "../../claude/messages/background-tasks.ts";
import { writeLossOf } from "../../claude/messages/write-loss.ts";
import { publish } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { SessionEvent } from "../status/session-event.ts";
import { type SessionFault, serverFaults } from "../status/session-fault.ts";
import type { SessionState } from "../status/session-state.ts";
import { visibleState } from "../status/session-status.ts";
import { EventLog } from "../streams/event-log.ts";
import { Approvals } from "./approvals.ts";
import { factsOf, type SessionContext } from "./session-context.ts";
import type { Signal } from "./session-signal.ts";

/** How many events to keep for slow readers, and how many faults to remember. */
const KEPT_EVENTS = 1_024;
const KEPT_FAULTS = 8;

/**
 * What callers see of a session besides its turns: its events, its permission requests, its background tasks, and the
 * state that follows from these.
 */
export class SessionView {
  readonly events: EventLog<SessionEvent>;
  readonly approvals: Approvals;
  #state: SessionState = { name: "starting" };
  #tasks: readonly BackgroundTask[] = [];
  #faults: readonly SessionFault[] = [];
  #servers: readonly McpServer[] = [];
  /** The faults of MCP servers, by server name. */
  #serverFaults: ReadonlyMap<string, SessionFault> = new Map();
  readonly #context: SessionContext;
  readonly #signal: Signal;
  /** The state that callers saw last. */
  #shown: SessionState["name"] = "starting";

  constructor(context: SessionContext, signal: Signal) {
    this.#context = context;
    this.#signal = signal;
    this.events = new EventLog(context.who, KEPT_EVENTS);
    const { journal } = context;
    this.approvals = new Approvals(context, {
      requested: (approval) => {
        journal.approvalRequested(approval);
        this.tell({ type: "approval_requested", approval });
        publish("castellan:approval:request", () => ({ ...factsOf(context), id: approval.id, tool: approval.tool }));
      },
      settled: (id, outcome) => {
        journal.approvalSettled(id, outcome);
        this.tell({ type: "approval_settled", id, outcome });
        publish("castellan:approval:settle", () => ({ ...factsOf(context), id, outcome }));
      },
    });
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
    if (!isDeepStrictEqual(servers, this.#servers)) this.tell({ type: "mcp_servers", servers });
    this.#servers = servers;
    const before = this.#serverFaults;
    this.#serverFaults = serverFaults(before, servers, this.#context.clock.now());
    for (const [name, fault] of this.#serverFaults) {
      if (before.get(name) !== fault) this.#tellFault(fault);
    }
  }

  /**
   * Records a switch to another conversation. It begins without faults, unless it is a copy of the `same` conversation.
   */
  moved(conversationId: string, same: boolean): void {
    if (!same) this.#faults = [];
    this.tell({ type: "conversation", conversationId });
  }

  tell(event: SessionEvent): void {
    this.events.append(event);
    this.#refresh();
  }

  /** Records the current state. */
  show(state: SessionState): void {
    this.#state = state;
    this.#refresh();
  }

  /** Takes a message of the process; `claimed` if it belongs to a turn. */
  receive(message: SDKMessage, claimed: boolean): void {
    const tasks = backgroundTasksOf(message);
    if (tasks !== undefined) this.#updateTasks(tasks);
    const loss = writeLossOf(message);
    if (loss !== undefined) this.fault({ ...loss, at: this.#context.clock.now() });
    if (!claimed) this.tell({ type: "message", message });
  }

  /** Records and reports a fault. */
  fault(fault: SessionFault): void {
    this.#faults = [...this.#faults, fault].slice(-KEPT_FAULTS);
    this.#tellFault(fault);
  }

  /** Drops the background tasks and permission requests of the process, which is gone. */
  processGone(): void {
    if (this.#tasks.length > 0) this.#updateTasks([]);
    // The servers' faults stay until another process has reported on them.
    this.#servers = [];
    this.approvals.withdrawAll();
  }

  #tellFault(fault: SessionFault): void {
    this.tell({ type: "fault", fault });
    const { kind, message: reason, server } = fault;
    publish("castellan:session:fault", () => ({
      ...factsOf(this.#context),
      kind,
      reason,
      ...withoutUndefined({ server }),
    }));
  }

  #updateTasks(tasks: readonly BackgroundTask[]): void {
    this.#tasks = tasks;
    this.tell({ type: "background_tasks", tasks });
  }

  /** Reports the visible state if it changed. */
  #refresh(): void {
    const state = visibleState(this.#state, this.approvals.pending, this.#tasks);
    if (state === this.#shown) return;
    this.#shown = state;
    this.events.append({ type: "state", state });
    this.#signal({ type: "shown", state });
  }
}
