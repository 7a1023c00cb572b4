import type {
  AccountInfo,
  AgentInfo,
  McpServerConfig,
  McpServerStatus,
  McpSetServersResult,
  ModelInfo,
  PermissionMode,
  RewindFilesResult,
  SDKControlGetContextUsageResponse,
  SessionMessage,
  SlashCommand,
} from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import { withoutUndefined } from "../fields.ts";
import type { ApprovalEntry } from "../journal/model/approval-entry.ts";
import type { ApprovalAnswerer } from "./conversation/approval.ts";
import type { TranscriptOptions } from "./conversation/transcript.ts";
import { nameMcpServers } from "./named-mcp-servers.ts";
import { checkNote, type NoteOptions } from "./options/note.ts";
import { validate } from "./options/validation.ts";
import { checkDescribeOptions, type DescribeOptions } from "./persistence/live-description.ts";
import { type SessionUsageOptions, sessionUsageQuery, type UsageReport, usageReports } from "./persistence/usage.ts";
import { checkEventPageOptions, checkHistoryOptions } from "./record/event-options.ts";
import type { EventPageOptions } from "./record/event-readers.ts";
import type { HistoryOptions, HistoryPage } from "./record/history-entry.ts";
import type { RecordedEvent } from "./record/session-event-types.ts";
import { healthOfSession, type SessionHealth } from "./session-health.ts";
import type { SessionServer } from "./session-server.ts";
import type { Touched } from "./touching.ts";
import { type TurnListOptions, type TurnSummary, turnListQuery } from "./turns/turn-summary.ts";

/** A permission request and its answer, if it was answered. */
export interface PastApproval extends Omit<ApprovalEntry, "session">, ApprovalAnswerer {
  /** What Claude was told of a denial, or why it was told nothing. */
  readonly message?: string;
}

/** What happens to the conversation when the session is restarted or stopped. */
export interface ConversationOptions {
  /** Whether the next start resumes the conversation or begins an empty one. Default `"keep"`. */
  conversation?: "keep" | "clear";
}

/**
 * The controls of a session, which work here and from another node. Each has a row in {@link CONTROLS} and is a method
 * of `Session` and `GlobalSession`.
 *
 * A control that needs the process waits for it, waking a hibernated session, costs no tokens, and times out after ten
 * seconds. No control can stop the session by failing. It throws `CONTROL_TIMEOUT`, `CONTROL_FAILED` if the process
 * refuses or dies, or why the session has no process: `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`,
 * `CAPACITY_EXHAUSTED`.
 */
export interface RemoteControls {
  /**
   * Stops the running turn, if any, also one that Claude Code began by itself; resolves once it has ended. Waiting
   * turns continue.
   */
  interrupt(): Promise<void>;

  /**
   * Ends the process of an idle session and keeps the session; resolves once the process is gone. The next turn, or
   * {@link Session.wake}, starts another process with the same conversation, model and permission mode.
   *
   * @throws CastellanError `SESSION_BUSY` if a turn runs or waits, a background task runs, a permission request is
   * pending, or Claude has scheduled a turn, see `status().wakeups`; `SESSION_QUARANTINED`, `SESSION_STOPPED`,
   * `SUPERVISOR_STOPPED`
   */
  hibernate(): Promise<void>;

  /**
   * Starts a process for a hibernated session; resolves once it is up, at once if there is one.
   *
   * @throws CastellanError `CAPACITY_EXHAUSTED` if no slot was free within `queueTimeout`; `SESSION_QUARANTINED`,
   * `SESSION_STOPPED`, `SUPERVISOR_STOPPED`
   */
  wake(): Promise<void>;

  /**
   * Begins to start the session's process ahead of its next turn, for example when a user opens the page of a conversation.
   * Resolves without waiting for the process, with what was found or done: `ready`, `starting`, `full`, `archived`.
   *
   * A touch takes a free slot, a spare, or the slot of the session that has been idle longest. It never takes that of a busy
   * session, lets all turns pass that wait for a slot, and gives up after five seconds without one. If the process is up, its idle
   * time begins anew. A touched session that gets no turn hibernates as any other. Calls may repeat.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`
   * @example
   * await session(["support", userId]).touch(); // the first token of the next answer comes sooner
   */
  touch(): Promise<Touched>;

  /** Ends the process and starts another one; see `Supervisor.restartSession`. */
  restart(options?: ConversationOptions): Promise<void>;

  /** Begins an empty conversation under the same name, with another process. Waiting turns run in it. */
  clear(): Promise<void>;

  /** Ends the session; see `Supervisor.terminateSession`. */
  stop(options?: ConversationOptions): Promise<void>;

  /**
   * Changes what `supervisor.findSessions` and `status()` show of the session. It is kept in the journal, and wins over
   * the option `labels` and the Agent SDK's `title`. Labels that are not named stay.
   *
   * With `archived: true`, the session has no process and `findSessions` shows it only on request, also after a restart
   * of the application. The next turn, or whatever else starts its process, ends that, and so does `archived: false`.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`; with `archived: true` what {@link Session.hibernate}
   * throws of a busy session
   * @example
   * await session("assistant").describe({ title: "Invoices", labels: { plan: "paid" } });
   */
  describe(options: DescribeOptions): Promise<void>;

  /**
   * Adds an entry of the application's own to the record, as the event `noted`. Claude does not see it. Returns its id
   * once it is written, after five seconds at the latest.
   *
   * @throws CastellanError `INVALID_OPTIONS`; `JOURNAL_UNAVAILABLE` if the journal accepts no writes
   * @example
   * await session("assistant").note({ kind: "rating", data: { stars: 5 }, by: "ann@example.com" });
   */
  note(note: NoteOptions): Promise<string>;

  /**
   * Returns what people have asked and what came of it, as far as the journal keeps the session's events: a page of turns and of what
   * happened between them, in the order in which a person reads them, the newest page first. For the page before it, pass its `next` as
   * `before`. A running turn has what is recorded so far. A page of large turns has fewer than `limit`.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`
   * @example
   * const { entries, next } = await session("assistant").history({ limit: 10 });
   */
  history(options?: HistoryOptions): Promise<HistoryPage>;

  /**
   * Returns the messages that Claude remembers, oldest first, from the transcript of the conversation. Needs no process.
   * {@link RemoteControls.history} has what was asked and done, also in earlier conversations.
   */
  transcript(options?: TranscriptOptions): Promise<SessionMessage[]>;

  /**
   * Returns what the session has spent since its first start, across restarts. Returns no report if it spent nothing.
   * The spending of a turn whose process died is unknown and left out.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`
   * @example
   * const [{ costUsd } = { costUsd: 0 }] = await session.usage({ since: "2026-11-01" });
   */
  usage(options?: SessionUsageOptions): Promise<UsageReport[]>;

  /**
   * Returns the latest permission requests and their answers, newest first, across restarts of the application.
   *
   * @param options.limit the most to return. Default 100
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`
   */
  approvalHistory(options?: { readonly limit?: number }): Promise<PastApproval[]>;

  /**
   * Returns a page of the session's turns, the newest first: those that wait, run or have ended, as long as the journal
   * keeps them. A turn that Claude Code began by itself counts from its end. For the next page, pass the last id as
   * `before`. A page of large turns has fewer than `limit`; only an empty page has nothing before it.
   *
   * @throws CastellanError `INVALID_OPTIONS`, also if `before` is no turn that is kept; `JOURNAL_UNAVAILABLE`
   * @example
   * const waiting = await session("assistant").turns({ state: ["queued", "running"] });
   */
  turns(options?: TurnListOptions): Promise<TurnSummary[]>;

  /**
   * Returns a page of the recorded events, the last one first. For the page before it, pass the lowest number as
   * `before`. A page of large events has fewer than `limit`; only an empty page has nothing before it.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`
   * @example
   * const [last] = await session("assistant").pastEvents({ types: ["turn_ended"], limit: 1 });
   */
  pastEvents(options?: EventPageOptions): Promise<RecordedEvent[]>;

  /**
   * Checks whether the session works, with a request to its process that costs no tokens. Never throws: no answer
   * within ten seconds also counts as an answer.
   */
  health(): Promise<SessionHealth>;

  /** Changes the model of this process and all later ones; of a global session, until it is evicted or moves. */
  setModel(model: string): Promise<void>;

  /**
   * Changes the permission mode of this process and all later ones in the conversation, also after a restart of the
   * application. An empty conversation or a changed option resets it to the options' mode. For a global session it
   * lasts until the session is evicted or moves.
   */
  setPermissionMode(mode: PermissionMode): Promise<void>;

  /** Returns the MCP servers and their status. */
  mcpStatus(): Promise<McpServerStatus[]>;

  /**
   * Replaces the MCP servers added by this method and all in-process ones, for this process and all later ones. For a
   * global session it lasts until the session is evicted or moves, and a server cannot be an in-process one, which is made of
   * functions.
   */
  setMcpServers(servers: Record<string, McpServerConfig>): Promise<McpSetServersResult>;

  /** Reconnects an MCP server of the process. */
  reconnectMcpServer(name: string): Promise<void>;

  /** Enables or disables an MCP server of the process. */
  toggleMcpServer(name: string, enabled: boolean): Promise<void>;

  /** Returns how full the context is, and with what. */
  contextUsage(): Promise<SDKControlGetContextUsageResponse>;

  /**
   * Restores files to their state before the prompt with this id, if the session has `enableFileCheckpointing`. With
   * `dryRun` it only reports what would change.
   */
  rewindFiles(userMessageId: string, options?: { readonly dryRun?: boolean }): Promise<RewindFilesResult>;

  /** Ends a background task. */
  stopTask(taskId: string): Promise<void>;

  /**
   * Returns the commands and skills that the process knows, see `command()`. MCP prompts are included after the first
   * turn.
   */
  supportedCommands(): Promise<SlashCommand[]>;

  /** Returns the models that the process can switch to. */
  supportedModels(): Promise<ModelInfo[]>;

  /** Returns the agents that the process can delegate to. */
  supportedAgents(): Promise<AgentInfo[]>;

  /** Returns the account that the process uses. */
  accountInfo(): Promise<AccountInfo>;
}

/** The name of a control that another node can use. */
export type RemoteControl = keyof RemoteControls;

/** The session that a control acts on, and its supervisor. Looked up anew for each control. */
export interface ControlTarget {
  readonly server: SessionServer;
  readonly owner: {
    restart(options: ConversationOptions): Promise<void>;
    terminate(options: ConversationOptions): Promise<void>;
  };
  /** The session in the next process of the application, if that has it. */
  readonly far?: RemoteControls | undefined;
}

type Run<Method extends (...args: never[]) => Promise<unknown>> = (
  target: ControlTarget,
  ...args: Parameters<Method>
) => ReturnType<Method>;

type Schemas<Arguments extends readonly unknown[]> = {
  readonly [Index in keyof Arguments]-?: z.ZodType<Arguments[Index]>;
};

interface ControlRow<Method extends (...args: never[]) => Promise<unknown>> {
  readonly run: Run<Method>;
  /** How to parse each argument from another node. */
  readonly arguments: Schemas<Parameters<Method>>;
  /**
   * Whether the control must not be retried when its outcome is unknown, because a second call would do something else.
   */
  readonly once: boolean;
}

type ControlTable = { readonly [Name in RemoteControl]: ControlRow<RemoteControls[Name]> };

const text = z.string();
const permissionMode = text.transform((mode) => mode as PermissionMode);
/** Claude Code checks the rest. An in-process server is made of functions, which no other node can call. */
const mcpServers = z.record(
  text,
  z.custom<McpServerConfig>(isSendable, "expected the configuration of an MCP server that is not an in-process one"),
);
const rewinding = z.object({ dryRun: z.boolean().optional() }).transform(withoutUndefined).optional();
const approvalHistorySchema = z.strictObject({ limit: z.int().positive().default(100) });

/** For options that the control validates itself. */
function options<Options>(): z.ZodType<Options | undefined> {
  return z.custom<Options | undefined>();
}

/**
 * The table of controls. The methods of `Session` and `GlobalSession`, and the requests between nodes, derive from it.
 */
export const CONTROLS: ControlTable = {
  interrupt: { arguments: [], once: false, run: ({ server }) => server.interruptCurrent() },
  hibernate: { arguments: [], once: false, run: ({ server }) => server.hibernate() },
  wake: { arguments: [], once: false, run: ({ server }) => server.wake() },
  touch: { arguments: [], once: false, run: ({ server }) => server.touch() },
  restart: { arguments: [options()], once: true, run: ({ owner }, options = {}) => owner.restart(options) },
  clear: { arguments: [], once: true, run: ({ owner }) => owner.restart({ conversation: "clear" }) },
  stop: { arguments: [options()], once: true, run: ({ owner }, options = {}) => owner.terminate(options) },
  describe: {
    arguments: [z.custom<DescribeOptions>()],
    once: false,
    run: ({ server }, options) => {
      const checked = checkDescribeOptions(options);
      return server.fromJournal(() => server.describing.describe(checked));
    },
  },
  note: {
    arguments: [z.custom<NoteOptions>()],
    once: true,
    run: ({ server }, note) => {
      const checked = checkNote(note);
      return server.fromJournal(() => server.describing.note(checked));
    },
  },
  history: {
    arguments: [options()],
    once: false,
    run: ({ server }, options = {}) => server.reading.history(checkHistoryOptions(options), server.turns.current?.id),
  },
  transcript: {
    arguments: [options()],
    once: false,
    run: ({ server }, options = {}) => server.transcript(options),
  },
  usage: {
    arguments: [options()],
    once: false,
    run: async ({ server }, options = {}) => {
      const query = sessionUsageQuery(options);
      return usageReports(await server.fromJournal((journal) => journal.written.usage(query)));
    },
  },
  approvalHistory: {
    arguments: [options()],
    once: false,
    run: async ({ server }, options = {}) => {
      const { limit } = validate(approvalHistorySchema, options, "approvalHistory");
      const approvals = await server.fromJournal((journal) => journal.written.approvals(limit));
      const words = approvals.length === 0 ? undefined : await server.reading.settlements(approvals.length);
      return approvals.map(({ session: _, ...approval }) => ({ ...approval, ...words?.get(approval.id) }));
    },
  },
  turns: {
    arguments: [options()],
    once: false,
    run: ({ server }, options = {}) => {
      const query = turnListQuery(options);
      return server.fromJournal(() => server.turns.page(query));
    },
  },
  pastEvents: {
    arguments: [options()],
    once: false,
    run: ({ server }, options = {}) => server.reading.page(checkEventPageOptions(options, "pastEvents")),
  },
  health: { arguments: [], once: false, run: ({ server }) => healthOfSession(server) },
  setModel: {
    arguments: [text],
    once: false,
    run: async (target, model) => {
      await target.server.request("setModel", model);
      target.server.remember({ model });
    },
  },
  setPermissionMode: {
    arguments: [permissionMode],
    once: false,
    run: async (target, mode) => {
      const { mode: now = mode } = (await target.server.request("setPermissionMode", mode)) ?? {};
      target.server.reportMode(now);
      // A caller that gets the answer may rely on the mode, even if the application dies next.
      await target.server.conversationWritten();
    },
  },
  mcpStatus: {
    arguments: [],
    once: false,
    run: ({ server }) => server.request("mcpServerStatus"),
  },
  reconnectMcpServer: {
    arguments: [text],
    once: false,
    run: async (target, name) => {
      await target.server.request("reconnectMcpServer", name).finally(() => target.server.refreshServers());
    },
  },
  toggleMcpServer: {
    arguments: [text, z.boolean()],
    once: false,
    run: async (target, name, enabled) => {
      await target.server.request("toggleMcpServer", name, enabled);
      target.server.refreshServers();
    },
  },
  setMcpServers: { arguments: [mcpServers], once: false, run: nameMcpServers },
  contextUsage: {
    arguments: [],
    once: false,
    run: ({ server }) => server.request("getContextUsage", { detail: "summary" }),
  },
  rewindFiles: {
    arguments: [text, rewinding],
    once: true,
    run: ({ server }, userMessageId, options = {}) => server.request("rewindFiles", userMessageId, options),
  },
  stopTask: {
    arguments: [text],
    once: false,
    run: ({ server }, taskId) => server.request("stopTask", taskId),
  },
  supportedCommands: {
    arguments: [],
    once: false,
    run: ({ server }) => server.request("supportedCommands"),
  },
  supportedModels: {
    arguments: [],
    once: false,
    run: ({ server }) => server.request("supportedModels"),
  },
  supportedAgents: {
    arguments: [],
    once: false,
    run: ({ server }) => server.request("supportedAgents"),
  },
  accountInfo: {
    arguments: [],
    once: false,
    run: ({ server }) => server.request("accountInfo"),
  },
};

/** The names of the controls. */
export const REMOTE_CONTROLS: readonly RemoteControl[] = Object.keys(CONTROLS).filter(isRemoteControl);

export function isRemoteControl(name: string): name is RemoteControl {
  return Object.hasOwn(CONTROLS, name);
}

/** Whether the configuration of an MCP server can be sent to another node: it is not an in-process server. */
export function isSendable(config: unknown): boolean {
  return (
    typeof config === "object" &&
    config !== null &&
    !("instance" in config) &&
    !("type" in config && config.type === "sdk")
  );
}

/**
 * Parses arguments from another node, where `undefined` may have become `null`.
 *
 * @param who the session, for the message
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function readControlArguments(name: RemoteControl, args: readonly unknown[], who: string): unknown[] {
  const schemas: readonly z.ZodType[] = CONTROLS[name].arguments;
  return schemas.map((schema, index) => validate(schema, args[index] ?? undefined, who, name));
}

/** Gives a class a method for each of these controls, which `ask` carries out. */
export function defineControls<Handle extends object, Name extends string>(
  prototype: Handle,
  names: readonly Name[],
  ask: (handle: Handle, name: Name, args: readonly unknown[]) => Promise<unknown>,
): void {
  for (const name of names) {
    const value = async function (this: Handle, ...args: readonly unknown[]): Promise<unknown> {
      return await ask(this, name, args);
    };
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
  }
}

class TargetControls {
  readonly #target: ControlTarget;

  constructor(target: ControlTarget) {
    this.#target = target;
  }

  static {
    defineControls(TargetControls.prototype, REMOTE_CONTROLS, (session, name, args) => {
      const { far } = session.#target;
      if (far !== undefined) return Reflect.apply(far[name], far, args);
      return Reflect.apply(CONTROLS[name].run, undefined, [session.#target, ...args]);
    });
  }
}

const base: new (target: ControlTarget) => object = TargetControls;

/** A base class with a method for each control, which runs it on the target. */
export const Controls: new (target: ControlTarget) => RemoteControls = base as new (
  target: ControlTarget,
) => RemoteControls;
