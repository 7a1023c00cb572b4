import { z } from "zod";
import { type ExitRecord, exitSchema } from "./exit.ts";
import { nameSchema, type WireName } from "./name.ts";

/** The state of a session that is in memory. */
export type SessionState =
  | "starting"
  | "restarting"
  | "idle"
  | "busy"
  | "waiting"
  | "hibernated"
  | "quarantined"
  | "stopped";

/** Who began a turn: a caller, a background task, or a schedule. */
export type TurnOrigin = "caller" | "task" | "schedule";

/** Something that failed outside the turns. */
export interface SessionFault {
  /** `mirror_error`, `session_writes_lost`, `wakeups_lost`, `conversation_cut_back`, `conversation_behind`, `mcp_server_failed`. */
  readonly kind: string;
  readonly message: string;
  /** The name of the MCP server, for a fault of one. */
  readonly server?: string | undefined;
  readonly at: number;
}

/** An MCP server of a session's process. */
export interface McpServer {
  readonly name: string;
  readonly status: string;
  readonly reason?: string | undefined;
}

/** The reason why a session waits. */
export interface Waiting {
  readonly for: "quota" | "billing" | "overload" | "approval" | "capacity";
  /** In milliseconds since the epoch; left out for `capacity`. */
  readonly until?: number | undefined;
  /** How many approvals are pending, for `approval`. */
  readonly approvals?: number | undefined;
}

/** A background task. */
export interface BackgroundTask {
  readonly id: string;
  readonly type: string;
  readonly description: string;
  /** Whether the task only watches something. */
  readonly ambient: boolean;
  readonly since: number;
}

/** A turn that Claude has scheduled for itself. */
export interface Wakeup {
  readonly id: string;
  readonly at?: number | undefined;
  readonly recurring: boolean;
}

/** A snapshot of a session in memory. Times are in milliseconds since the epoch. */
export interface SessionStatus {
  readonly name: WireName;
  readonly state: SessionState;
  readonly title?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly createdAt?: number | undefined;
  readonly archivedAt?: number | undefined;
  readonly pid?: number | undefined;
  readonly startedAt?: number | undefined;
  readonly memoryBytes?: number | undefined;
  /** Claude's id of the conversation. */
  readonly conversationId: string;
  readonly permissionMode?: string | undefined;
  /** How many processes the session has started in this run of the application. */
  readonly starts: number;
  readonly lastSignOfLife?: number | undefined;
  readonly waitingFor?: Waiting | undefined;
  readonly turn?: { readonly id: string; readonly origin: TurnOrigin; readonly since: number } | undefined;
  readonly backgroundTasks: number;
  readonly tasks: readonly BackgroundTask[];
  readonly wakeups: readonly Wakeup[];
  readonly mcpServers?: readonly McpServer[] | undefined;
  readonly faults: readonly SessionFault[];
  /** How many turns wait. */
  readonly mailbox: number;
  /** How many times the session restarted after an unexpected exit. */
  readonly restarts: number;
  readonly lastExit?: ExitRecord | undefined;
  readonly retryAt?: number | undefined;
}

export const SESSION_STATES: readonly SessionState[] = [
  "starting",
  "restarting",
  "idle",
  "busy",
  "waiting",
  "hibernated",
  "quarantined",
  "stopped",
];

export const stateSchema: z.ZodType<SessionState> = z.enum(SESSION_STATES).meta({ id: "SessionState" });

export const originSchema: z.ZodType<TurnOrigin> = z.enum(["caller", "task", "schedule"]).meta({
  id: "TurnOrigin",
  description: "Who began a turn. Claude Code begins `task` and `schedule` turns by itself.",
});

export const faultSchema: z.ZodType<SessionFault> = z
  .object({ kind: z.string(), message: z.string(), server: z.string().optional(), at: z.number() })
  .meta({ id: "SessionFault", description: "Something that failed outside the turns." });

export const mcpServerSchema: z.ZodType<McpServer> = z
  .object({ name: z.string(), status: z.string(), reason: z.string().optional() })
  .meta({ id: "McpServer" });

export const statusSchema: z.ZodType<SessionStatus> = z
  .object({
    name: nameSchema,
    state: stateSchema,
    title: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    createdAt: z.number().optional(),
    archivedAt: z.number().optional(),
    pid: z.number().optional(),
    startedAt: z.number().optional(),
    memoryBytes: z.number().optional(),
    conversationId: z.string(),
    permissionMode: z.string().optional(),
    starts: z.number(),
    lastSignOfLife: z.number().optional(),
    waitingFor: z
      .object({
        for: z.enum(["quota", "billing", "overload", "approval", "capacity"]),
        until: z.number().optional(),
        approvals: z.number().optional(),
      })
      .optional(),
    turn: z.object({ id: z.string(), origin: originSchema, since: z.number() }).optional(),
    backgroundTasks: z.number(),
    tasks: z
      .array(
        z.object({
          id: z.string(),
          type: z.string(),
          description: z.string(),
          ambient: z.boolean(),
          since: z.number(),
        }),
      )
      .readonly(),
    wakeups: z.array(z.object({ id: z.string(), at: z.number().optional(), recurring: z.boolean() })).readonly(),
    mcpServers: z.array(mcpServerSchema).readonly().optional(),
    faults: z.array(faultSchema).readonly(),
    mailbox: z.number().describe("How many turns wait."),
    restarts: z.number(),
    lastExit: exitSchema.optional(),
    retryAt: z.number().optional(),
  })
  .meta({ id: "SessionStatus", description: "A session in memory. Times are in milliseconds since the epoch." });
