import { z } from "zod";
import type { SessionName } from "../names.ts";
import { localNameInTextSchema, nameSchema, type WireName } from "./name.ts";

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
}

/** The nodes of the server's cluster; none if it is in no cluster. */
export interface NodeList {
  readonly nodes: readonly NodeInfo[];
}

/** A global session in lists. */
export interface GlobalSessionInfo {
  readonly name: WireName;
  /** Left out if no live node owns the session. */
  readonly node?: string | undefined;
  readonly epoch: number;
}

/** Which global sessions to list. */
export interface GlobalSessionListQuery {
  /** Only sessions whose names begin with these parts, without `"global"`. */
  readonly prefix?: SessionName | undefined;
}

/** The global sessions that have, or had, an owner. */
export interface GlobalSessionList {
  readonly sessions: readonly GlobalSessionInfo[];
}

/** Where to move a global session. */
export interface MoveSession {
  /** The name of the node. */
  readonly node: string;
}

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
          })
          .meta({ id: "Node" }),
      )
      .readonly(),
  })
  .meta({ id: "NodeList" });

export const globalSessionListQuerySchema: z.ZodType<GlobalSessionListQuery> = z.strictObject({
  prefix: localNameInTextSchema
    .optional()
    .describe('As JSON. Only sessions whose names begin with these parts, without `"global"`.'),
});

export const globalSessionListSchema: z.ZodType<GlobalSessionList> = z
  .object({
    sessions: z.array(z.object({ name: nameSchema, node: z.string().optional(), epoch: z.number() })).readonly(),
  })
  .meta({ id: "GlobalSessionList" });

export const moveSessionSchema: z.ZodType<MoveSession> = z
  .strictObject({ node: z.string() })
  .meta({ id: "MoveSession" });
