import { z } from "zod";
import type { SessionName } from "../names.ts";
import { labelsInQuery } from "./labels.ts";
import { localNameInTextSchema, localNameSchema, nameSchema, type WireName } from "./name.ts";

/** A node of a cluster. */
export interface NodeInfo {
  readonly name: string;
  readonly address: string;
  readonly release: string;
  readonly state: "alive" | "draining" | "dead";
  /** Number of processes of its global sessions, plus sessions that wait for one. */
  readonly load: number;
  readonly maxProcesses?: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** For how long it has not renewed its lease, in milliseconds. */
  readonly silentForMs: number;
  /** After how long without a renewal it counts as dead, in milliseconds. */
  readonly staleAfterMs: number;
  /** What it last told of itself. Left out for nodes that have just joined, or run an earlier release. */
  readonly report?: NodeReport | undefined;
}

/** What a node tells of itself and its global sessions. */
export interface NodeReport {
  /** Number of global sessions that it owns. */
  readonly sessions: number;
  readonly processes: number;
  /** Number of sessions that wait for a process. */
  readonly waiting: number;
  /** Number of running turns. */
  readonly turns: number;
  /** The memory of its machine, or of its container if that has a limit. */
  readonly memory: { readonly usedBytes: number; readonly totalBytes: number };
  /** The release of Node.js. */
  readonly nodeRelease: string;
  /** The release of Claude Code in the process that started last. */
  readonly claudeRelease?: string | undefined;
  /** How far its clock is ahead of the database's, in milliseconds. Negative if it is behind. */
  readonly clockAheadMs?: number | undefined;
}

/** The nodes of the server's cluster; none if it is in no cluster. */
export interface NodeList {
  readonly nodes: readonly NodeInfo[];
}

/** A global session in lists. */
export interface GlobalSessionInfo {
  readonly name: WireName;
  /** `owned`: a live node owns it; `stored`: only the database knows it; or `archived`. */
  readonly state: "owned" | "stored" | "archived";
  /** Left out if no live node owns the session. */
  readonly node?: string | undefined;
  /** Rises with each new owner. Left out if there was none. */
  readonly epoch?: number | undefined;
  readonly title?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** When it was first used, in milliseconds since the epoch. */
  readonly createdAt?: number | undefined;
  readonly archivedAt?: number | undefined;
}

/** Which global sessions to list. */
export interface GlobalSessionListQuery {
  /** Only sessions with all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Default: all but archived ones. */
  readonly state?: GlobalSessionInfo["state"] | undefined;
  /** Only sessions whose names begin with these parts, without `"global"`. */
  readonly prefix?: SessionName | undefined;
  /** Only sessions after this name: `next` of the page before. */
  readonly after?: SessionName | undefined;
  /** How many sessions to return at most, up to 1,000. Default 100. */
  readonly limit?: number | undefined;
}

/** A page of the global sessions that have had a turn or were described, by name. */
export interface GlobalSessionPage {
  readonly sessions: readonly GlobalSessionInfo[];
  /** What to pass as `after` for the next page; `null` after the last page. */
  readonly next: SessionName | null;
}

/** How many global sessions to move at most. */
export interface RebalanceCluster {
  /** Default 10. */
  readonly max?: number | undefined;
}

/** A global session that has moved. */
export interface MovedSession {
  readonly name: WireName;
  /** The names of the nodes. */
  readonly from: string;
  readonly to: string;
  /** What it did before: nothing without a process, nothing with one, or a turn, which had thirty seconds to finish. */
  readonly activity: "none" | "idle" | "busy";
}

/** The sessions that have moved. */
export interface MovedSessions {
  readonly moved: readonly MovedSession[];
}

/** Where to move a global session. */
export interface MoveSession {
  /** The name of the node. */
  readonly node: string;
}

const nodeReportSchema: z.ZodType<NodeReport> = z
  .object({
    sessions: z.number().describe("Number of global sessions that it owns."),
    processes: z.number(),
    waiting: z.number().describe("Number of sessions that wait for a process."),
    turns: z.number().describe("Number of running turns."),
    memory: z.object({ usedBytes: z.number(), totalBytes: z.number() }).describe("The memory of its machine."),
    nodeRelease: z.string().describe("The release of Node.js."),
    claudeRelease: z.string().optional().describe("The release of Claude Code in the process that started last."),
    clockAheadMs: z
      .number()
      .optional()
      .describe("How far its clock is ahead of the database's. Negative if it is behind."),
  })
  .meta({ id: "NodeReport" });

export const nodeListSchema: z.ZodType<NodeList> = z
  .object({
    nodes: z
      .array(
        z
          .object({
            name: z.string(),
            address: z.string(),
            release: z.string(),
            state: z.enum(["alive", "draining", "dead"]),
            load: z.number(),
            maxProcesses: z.number().optional(),
            labels: z.record(z.string(), z.string()),
            silentForMs: z.number().describe("For how long it has not renewed its lease."),
            staleAfterMs: z.number().describe("After how long without a renewal it counts as dead."),
            report: nodeReportSchema
              .optional()
              .describe("Left out for nodes that have just joined, or run an earlier release."),
          })
          .meta({ id: "Node" }),
      )
      .readonly(),
  })
  .meta({ id: "NodeList" });

/** {@link GlobalSessionListQuery} in a URL, where each `label` is one parameter. */
export interface GlobalSessionListParameters extends Omit<GlobalSessionListQuery, "labels"> {
  readonly label?: Readonly<Record<string, string>> | undefined;
}

const globalStateSchema = z.enum(["owned", "stored", "archived"]);

export const globalSessionListSchema: z.ZodType<GlobalSessionListParameters> = z.strictObject({
  label: labelsInQuery.optional(),
  state: globalStateSchema.optional().describe("Default: all but archived ones."),
  prefix: localNameInTextSchema
    .optional()
    .describe('As JSON. Only sessions whose names begin with these parts, without `"global"`.'),
  after: localNameInTextSchema.optional().describe("As JSON: `next` of the page before."),
  limit: z.coerce.number().int().min(1).max(1_000).optional().describe("At most this many. Default 100."),
});

export const globalSessionPageSchema: z.ZodType<GlobalSessionPage> = z
  .object({
    sessions: z
      .array(
        z
          .object({
            name: nameSchema,
            state: globalStateSchema.describe(
              "`owned`: a live node owns the session; `stored`: only the database knows it.",
            ),
            node: z.string().optional(),
            epoch: z.number().optional().describe("Rises with each new owner."),
            title: z.string().optional(),
            labels: z.record(z.string(), z.string()).optional(),
            createdAt: z.number().optional(),
            archivedAt: z.number().optional(),
          })
          .meta({ id: "GlobalSession" }),
      )
      .readonly(),
    next: localNameSchema.nullable().describe("What to pass as `after` for the next page; `null` after the last page."),
  })
  .meta({ id: "GlobalSessionPage" });

export const moveSessionSchema: z.ZodType<MoveSession> = z
  .strictObject({ node: z.string() })
  .meta({ id: "MoveSession" });

export const rebalanceClusterSchema: z.ZodType<RebalanceCluster> = z
  .strictObject({ max: z.int().positive().optional().describe("At most this many. Default 10.") })
  .meta({ id: "RebalanceCluster" });

export const movedSessionsSchema: z.ZodType<MovedSessions> = z
  .object({
    moved: z
      .array(
        z
          .object({
            name: nameSchema,
            from: z.string(),
            to: z.string(),
            activity: z
              .enum(["none", "idle", "busy"])
              .describe("What it did: nothing without a process, nothing with one, or a turn."),
          })
          .meta({ id: "MovedSession" }),
      )
      .readonly(),
  })
  .meta({ id: "MovedSessions" });
