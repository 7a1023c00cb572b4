import { z } from "zod";
import type { SessionName } from "../names.ts";
import { labelsInQuery } from "./labels.ts";
import { localNameInTextSchema, localNameSchema, nameSchema, type WireName } from "./name.ts";
import { SESSION_STATES, type SessionState, type SessionStatus, statusSchema } from "./session-status.ts";

/** The state of a session. `stored`: only the journal knows it, because its template evicted it or it ended. */
export type FoundState = SessionState | "stored" | "archived";

/** A session, in memory or not. Times are in milliseconds since the epoch. */
export interface SessionInfo {
  readonly name: WireName;
  readonly state: FoundState;
  readonly title?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly createdAt?: number | undefined;
  readonly archivedAt?: number | undefined;
  /** Left out if the session is not in memory. */
  readonly status?: SessionStatus | undefined;
  /** The cluster node of a global session. */
  readonly node?: string | undefined;
}

/** Which sessions to list. */
export interface SessionListQuery {
  /** Only sessions with all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Default: all but archived ones. */
  readonly state?: FoundState | undefined;
  /** Only sessions whose names begin with these parts. */
  readonly prefix?: SessionName | undefined;
  /** Only sessions after this name: `next` of the page before. */
  readonly after?: SessionName | undefined;
  /** How many sessions to return at most, up to 1,000. Default 100. */
  readonly limit?: number | undefined;
}

/** A page of sessions, by name. */
export interface SessionPage {
  readonly sessions: readonly SessionInfo[];
  /** What to pass as `after` for the next page; `null` after the last page. */
  readonly next: SessionName | null;
}

/** A session to create from a template. */
export interface CreateSession {
  /** The template's name and the key: `["support", 42]`. */
  readonly name: WireName;
  readonly title?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Changes of a session's description. Fields that are left out stay unchanged. */
export interface DescribeSession {
  /** `null` returns to the session's options. */
  readonly title?: string | null | undefined;
  /** Labels that are not named stay; `null` returns to the session's options. */
  readonly labels?: Readonly<Record<string, string | null>> | undefined;
  /** Whether the session is archived. Its next turn ends that. */
  readonly archived?: boolean | undefined;
}

/** Whether a conversation is kept. */
export interface ConversationChoice {
  /** `clear`: the next start begins an empty conversation. Default `keep`. */
  readonly conversation?: "keep" | "clear" | undefined;
}

/** A copy of a session's conversation under another name. */
export interface ForkSession {
  readonly name: SessionName;
  readonly title?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly model?: string | undefined;
}

/** Whether an MCP server is in use. */
export interface ToggleMcpServer {
  readonly enabled: boolean;
}

/** The health of a session. */
export interface SessionHealth {
  readonly status: "healthy" | "degraded" | "unhealthy";
  readonly reason?: string | undefined;
}

/** What a touch of a session found or did. */
export interface TouchAnswer {
  /**
   * `ready`: the session has its process. `starting`: a process is about to start, or starts. `full`: none starts, because all that
   * may run are busy. `archived`: none starts, because that would end the archiving.
   */
  readonly touched: "ready" | "starting" | "full" | "archived";
}

const labels = z.record(z.string(), z.string());

const foundStateSchema = z.enum([...SESSION_STATES, "stored", "archived"]);

export const sessionSchema: z.ZodType<SessionInfo> = z
  .object({
    name: nameSchema,
    state: foundStateSchema.describe("`stored`: only the journal knows the session."),
    title: z.string().optional(),
    labels: labels.optional(),
    createdAt: z.number().optional(),
    archivedAt: z.number().optional(),
    status: statusSchema.optional(),
    node: z.string().optional().describe("The cluster node of a global session."),
  })
  .meta({ id: "Session" });

/** {@link SessionListQuery} in a URL, where each `label` is one parameter. */
export interface SessionListParameters extends Omit<SessionListQuery, "labels"> {
  readonly label?: Readonly<Record<string, string>> | undefined;
}

export const sessionListSchema: z.ZodType<SessionListParameters> = z.strictObject({
  label: labelsInQuery.optional(),
  state: foundStateSchema.optional().describe("Default: all but archived ones."),
  prefix: localNameInTextSchema.optional().describe("As JSON. Only sessions whose names begin with these parts."),
  after: localNameInTextSchema.optional().describe("As JSON: `next` of the page before."),
  limit: z.coerce.number().int().min(1).max(1_000).optional().describe("At most this many. Default 100."),
});

export const sessionPageSchema: z.ZodType<SessionPage> = z
  .object({
    sessions: z.array(sessionSchema).readonly(),
    next: localNameSchema.nullable().describe("What to pass as `after` for the next page; `null` after the last page."),
  })
  .meta({ id: "SessionPage" });

export const createSessionSchema: z.ZodType<CreateSession> = z
  .strictObject({
    name: nameSchema.describe('The template\'s name and the key: `["support", 42]`.'),
    title: z.string().optional(),
    labels: labels.optional(),
  })
  .meta({ id: "CreateSession" });

export const describeSessionSchema: z.ZodType<DescribeSession> = z
  .strictObject({
    title: z.string().nullable().optional().describe("`null` returns to the session's options."),
    labels: z.record(z.string(), z.string().nullable()).optional().describe("Labels that are not named stay."),
    archived: z.boolean().optional(),
  })
  .meta({ id: "DescribeSession" });

export const conversationChoiceSchema: z.ZodType<ConversationChoice> = z
  .strictObject({
    conversation: z
      .enum(["keep", "clear"])
      .optional()
      .describe("`clear`: the next start begins an empty conversation."),
  })
  .meta({ id: "ConversationChoice" });

export const forkSessionSchema: z.ZodType<ForkSession> = z
  .strictObject({
    name: localNameSchema,
    title: z.string().optional(),
    labels: labels.optional(),
    model: z.string().optional(),
  })
  .meta({ id: "ForkSession" });

export const toggleMcpServerSchema: z.ZodType<ToggleMcpServer> = z
  .strictObject({ enabled: z.boolean() })
  .meta({ id: "ToggleMcpServer" });

export const sessionHealthSchema: z.ZodType<SessionHealth> = z
  .object({ status: z.enum(["healthy", "degraded", "unhealthy"]), reason: z.string().optional() })
  .meta({ id: "SessionHealth" });

export const touchSchema: z.ZodType<TouchAnswer> = z
  .object({
    touched: z
      .enum(["ready", "starting", "full", "archived"])
      .describe(
        "`full`: no process starts, because all that may run are busy. `archived`: none starts, because that would end the archiving.",
      ),
  })
  .meta({ id: "TouchAnswer" });

export const doneSchema: z.ZodType<object> = z
  .object({})
  .meta({ id: "Done", description: "Nothing besides the success." });
