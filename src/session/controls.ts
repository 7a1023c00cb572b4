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
import type { HistoryOptions } from "./conversation/history.ts";
import { nameMcpServers } from "./named-mcp-servers.ts";
import { validate } from "./options/validation.ts";
import { type UsageOptions, type UsageReport, usageQuery, usageReports } from "./persistence/usage.ts";
import { healthOfSession, type SessionHealth } from "./session-health.ts";
import type { SessionServer } from "./session-server.ts";

/** A permission that Claude asked for, and what was answered, if anything was. */
export type PastApproval = Omit<ApprovalEntry, "session">;

/** What becomes of a session's conversation when its process, or the session, ends. */
export interface ConversationOptions {
  /** Whether it is gone on with, when the session is started again, or an empty one is begun. Default `"keep"`. */
  conversation?: "keep" | "clear";
}

/**
 * What can be asked of a session besides turns, here and on another node. Each is a row of {@link CONTROLS}; `Session` and
 * `GlobalSession` have it as a method.
 *
 * What asks the process waits for it to be up, wakes a session that hibernates, costs no tokens, and has a deadline of ten seconds; none
 * can take the session down. It throws `CONTROL_TIMEOUT`, `CONTROL_FAILED` if the process refuses or dies, or why the session has no
 * process: `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`, `CAPACITY_EXHAUSTED`.
 */
export interface RemoteControls {
  /** Stops the turn that runs, be it one that Claude Code has begun by itself, if one does, and resolves when it has ended. Turns that wait go on. */
  interrupt(): Promise<void>;

  /**
   * Ends the process of a session that has nothing to do, and keeps the session; resolves when it is gone. The next turn, or
   * {@link Session.wake}, starts another one with the conversation, the model and the permission mode.
   *
   * @throws CastellanError `SESSION_BUSY` if a turn runs or waits, a background task goes on, a permission is waited for, or Claude has
   * scheduled a turn, see `status().wakeups`;
   * `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`
   */
  hibernate(): Promise<void>;

  /**
   * Starts a process for a session that hibernates, and resolves when it is up; at once if there is one.
   *
   * @throws CastellanError `CAPACITY_EXHAUSTED` if there was no room for it within `queueTimeout`; `SESSION_QUARANTINED`,
   * `SESSION_STOPPED`, `SUPERVISOR_STOPPED`
   */
  wake(): Promise<void>;

  /** Ends the process and starts another one; see `Supervisor.restartSession`. */
  restart(options?: ConversationOptions): Promise<void>;

  /** Begins an empty conversation under the same name, with another process. Turns that wait run in it. */
  clear(): Promise<void>;

  /** Ends the session; see `Supervisor.terminateSession`. */
  stop(options?: ConversationOptions): Promise<void>;

  /** What has been said in the conversation, oldest first, read from its transcript. Needs no process. */
  history(options?: HistoryOptions): Promise<SessionMessage[]>;

  /**
   * What the session has spent since it was first started, over all restarts. Where nothing was spent there is no report.
   * What a turn spent whose process died in it is not known to anybody, and left out.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`
   * @example
   * const [{ costUsd } = { costUsd: 0 }] = await session.usage({ since: "2026-11-01" });
   */
  usage(options?: UsageOptions): Promise<UsageReport[]>;

  /**
   * The permissions that Claude asked for last, newest first, and what was answered, over all restarts of the application.
   *
   * @param options.limit how many at the most. Default 100
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`
   */
  approvalHistory(options?: { readonly limit?: number }): Promise<PastApproval[]>;

  /**
   * Whether the session does its work, by a question to its process that costs no tokens. Never throws: no answer within ten
   * seconds is an answer too.
   */
  health(): Promise<SessionHealth>;

  /** Changes the model, for this process and all later ones; of a global session until it is let go, or moves. */
  setModel(model: string): Promise<void>;

  /**
   * Changes the permission mode, for this process and all later ones that go on with the conversation, also after a restart of the
   * application. An empty conversation, and a changed option, begin with the mode of the options. Of a global session it counts until
   * that is let go, or moves.
   */
  setPermissionMode(mode: PermissionMode): Promise<void>;

  /** The MCP servers and whether they are connected. */
  mcpStatus(): Promise<McpServerStatus[]>;

  /** Connects an MCP server of the process again. */
  reconnectMcpServer(name: string): Promise<void>;

  /** Switches an MCP server of the process on or off. */
  toggleMcpServer(name: string, enabled: boolean): Promise<void>;

  /** How full the context is, and with what. */
  contextUsage(): Promise<SDKControlGetContextUsageResponse>;

  /**
   * Takes files back to what they were before the prompt with this id, if the session has `enableFileCheckpointing`. With
   * `dryRun` it only says what would change.
   */
  rewindFiles(userMessageId: string, options?: { readonly dryRun?: boolean }): Promise<RewindFilesResult>;

  /** Ends a background task. */
  stopTask(taskId: string): Promise<void>;

  /** The commands and skills that the process knows, see `command()`. Those of MCP servers are among them after the first turn. */
  supportedCommands(): Promise<SlashCommand[]>;

  /** The models that the process can be switched to. */
  supportedModels(): Promise<ModelInfo[]>;

  /** The agents that the process can hand work to. */
  supportedAgents(): Promise<AgentInfo[]>;

  /** Whose account the process uses. */
  accountInfo(): Promise<AccountInfo>;
}

/** What can be asked only in the process that has the session: functions, as in-process MCP servers are, cannot be sent. */
interface LocalControls {
  /** Replaces the MCP servers that were added so, and all in-process ones; for this process and all later ones. */
  setMcpServers(servers: Record<string, McpServerConfig>): Promise<McpSetServersResult>;
}

/** All that can be asked of a session besides turns. */
export interface SessionControls extends RemoteControls, LocalControls {}

/** The name of a control that a session on another node can be asked. */
export type RemoteControl = keyof RemoteControls;

/** What a control is carried out on: the session, and its supervisor. Looked up anew for each control. */
export interface ControlTarget {
  readonly server: SessionServer;
  readonly owner: {
    restart(options: ConversationOptions): Promise<void>;
    terminate(options: ConversationOptions): Promise<void>;
  };
}

type Run<Method extends (...args: never[]) => Promise<unknown>> = (
  target: ControlTarget,
  ...args: Parameters<Method>
) => ReturnType<Method>;

type Schemas<Arguments extends readonly unknown[]> = {
  readonly [Index in keyof Arguments]-?: z.ZodType<Arguments[Index]>;
};

interface LocalRow<Method extends (...args: never[]) => Promise<unknown>> {
  readonly run: Run<Method>;
}

interface RemoteRow<Method extends (...args: never[]) => Promise<unknown>> extends LocalRow<Method> {
  /** How each argument is read that another node has sent. */
  readonly arguments: Schemas<Parameters<Method>>;
  /** Whether it must not be asked again when nobody knows whether it was done: the second time it would do something else. */
  readonly once: boolean;
}

type ControlTable = { readonly [Name in RemoteControl]: RemoteRow<SessionControls[Name]> } & {
  readonly [Name in keyof LocalControls]: LocalRow<SessionControls[Name]>;
};

const text = z.string();
const permissionMode = text.transform((mode) => mode as PermissionMode);
const rewinding = z.object({ dryRun: z.boolean().optional() }).transform(withoutUndefined).optional();
const approvalHistorySchema = z.strictObject({ limit: z.int().positive().default(100) });

/** Options that the control checks itself. */
function options<Options>(): z.ZodType<Options | undefined> {
  return z.custom<Options | undefined>();
}

/** The table of controls: methods of `Session` and `GlobalSession`, and what nodes ask each other, are made of it. */
export const CONTROLS: ControlTable = {
  interrupt: { arguments: [], once: false, run: ({ server }) => server.interruptCurrent() },
  hibernate: { arguments: [], once: false, run: ({ server }) => server.hibernate() },
  wake: { arguments: [], once: false, run: ({ server }) => server.wake() },
  restart: { arguments: [options()], once: true, run: ({ owner }, options = {}) => owner.restart(options) },
  clear: { arguments: [], once: true, run: ({ owner }) => owner.restart({ conversation: "clear" }) },
  stop: { arguments: [options()], once: true, run: ({ owner }, options = {}) => owner.terminate(options) },
  history: {
    arguments: [options()],
    once: false,
    run: ({ server }, options = {}) => server.history(options),
  },
  usage: {
    arguments: [options()],
    once: false,
    run: async ({ server }, options = {}) => {
      const query = usageQuery(options);
      return usageReports(await server.fromJournal((journal) => journal.usageWritten(query)));
    },
  },
  approvalHistory: {
    arguments: [options()],
    once: false,
    run: async ({ server }, options = {}) => {
      const { limit } = validate(approvalHistorySchema, options, "approvalHistory");
      const approvals = await server.fromJournal((journal) => journal.approvalsWritten(limit));
      return approvals.map(({ session: _, ...approval }) => approval);
    },
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
      // Whoever is told that it holds may count on that, whatever becomes of the application.
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
  setMcpServers: { run: nameMcpServers },
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

const isControl = (name: string): name is keyof SessionControls => Object.hasOwn(CONTROLS, name);

/** Whether a session on another node can be asked this. */
export function isRemoteControl(name: string): name is RemoteControl {
  return isControl(name) && "once" in CONTROLS[name];
}

/** The names of those that a session on another node can be asked. */
export const REMOTE_CONTROLS: readonly RemoteControl[] = Object.keys(CONTROLS).filter(isRemoteControl);

/**
 * Arguments as another node has sent them, where `undefined` may have become `null`.
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
    defineControls(TargetControls.prototype, Object.keys(CONTROLS).filter(isControl), (session, name, args) =>
      Reflect.apply(CONTROLS[name].run, undefined, [session.#target, ...args]),
    );
  }
}

const base: new (target: ControlTarget) => object = TargetControls;

/** Has a method for each control, which is carried out on the target. */
export const Controls: new (target: ControlTarget) => SessionControls = base as new (
  target: ControlTarget,
) => SessionControls;
