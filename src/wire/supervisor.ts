import { z } from "zod";
import type { SessionName } from "../names.ts";
import { type WireDuration, wireDurationSchema } from "./duration.ts";
import { localNameSchema, nameSchema, type WireName } from "./name.ts";

/** Facts about the server, and the caller's rights. */
export interface ServerInfo {
  /** The version of the API. */
  readonly api: 1;
  /** The supervisor's name. */
  readonly supervisor: string;
  readonly inCluster: boolean;
  /** The name of the server's own node; left out in no cluster. */
  readonly node?: string | undefined;
  readonly caller: {
    readonly id: string;
    /** `read`, `talk`, `approve`, `operate`. */
    readonly scopes: readonly string[];
    /** The caller reaches only names that begin so; left out for all. */
    readonly prefix?: SessionName | undefined;
    /** The caller reaches only sessions with these labels; left out for all. */
    readonly labels?: Readonly<Record<string, string>> | undefined;
  };
}

/** The health of the supervisor and its children. */
export interface SupervisorHealth {
  readonly status: "healthy" | "degraded" | "unhealthy";
  readonly phase: "running" | "draining" | "stopping" | "ended";
  readonly end?: string | undefined;
  /** Why the journal accepts no writes; left out if it does. */
  readonly journal?: string | undefined;
  readonly journalDamage?: string | undefined;
  readonly cluster?: string | undefined;
  /** What is wrong with the clock of the machine of a node; left out if nothing is known to be. */
  readonly clock?: string | undefined;
  readonly sessions: number;
  /** The number of sessions with a process. */
  readonly active: number;
  readonly states: Readonly<Record<string, number>>;
  /** The children that are not healthy. */
  readonly details: readonly {
    readonly name: WireName;
    readonly status: "healthy" | "degraded" | "unhealthy";
    readonly reason: string;
  }[];
}

/** The capacity in use. */
export interface CapacityStatus {
  readonly processes: number;
  /** The number of sessions that wait for a process. */
  readonly waiting: number;
  readonly turns: { readonly running: number; readonly waiting: number };
  /** The memory of all processes together. Left out without a memory budget: not all processes are measured then. */
  readonly memoryBytes?: number | undefined;
  /** Each is left out if there is none. */
  readonly limits: {
    readonly processes?: number | undefined;
    readonly memoryBytes?: number | undefined;
    /** Concurrent turns: of all sessions, and of those that use the same API key. */
    readonly turns?: number | undefined;
    readonly turnsPerKey?: number | undefined;
  };
  readonly spares: {
    readonly ready: number;
    readonly starting: number;
    readonly hits: number;
    readonly misses: Readonly<Record<string, number>>;
    readonly unused: Readonly<Record<string, number>>;
  };
}

/** How to drain. */
export interface DrainSupervisor {
  /** How long to wait for turns. Default `"30s"`. */
  readonly deadline?: WireDuration | undefined;
}

/** The result of a drain. */
export interface DrainReport {
  /** Whether all turns ended before the deadline. */
  readonly completed: boolean;
}

export const serverInfoSchema: z.ZodType<ServerInfo> = z
  .object({
    api: z.literal(1).describe("The version of the API."),
    supervisor: z.string(),
    inCluster: z.boolean(),
    node: z.string().optional().describe("The name of the server's own node; left out in no cluster."),
    caller: z.object({
      id: z.string(),
      scopes: z.array(z.string()).readonly(),
      prefix: localNameSchema.optional(),
      labels: z.record(z.string(), z.string()).optional(),
    }),
  })
  .meta({ id: "ServerInfo" });

export const healthSchema: z.ZodType<SupervisorHealth> = z
  .object({
    status: z.enum(["healthy", "degraded", "unhealthy"]),
    phase: z.enum(["running", "draining", "stopping", "ended"]),
    end: z.string().optional(),
    journal: z.string().optional().describe("Why the journal accepts no writes; left out if it does."),
    journalDamage: z.string().optional(),
    cluster: z.string().optional(),
    clock: z.string().optional().describe("What is wrong with the clock of the machine of a node."),
    sessions: z.number(),
    active: z.number().describe("The number of sessions with a process."),
    states: z.record(z.string(), z.number()),
    details: z
      .array(z.object({ name: nameSchema, status: z.enum(["healthy", "degraded", "unhealthy"]), reason: z.string() }))
      .readonly(),
  })
  .meta({ id: "SupervisorHealth" });

const counts = z.record(z.string(), z.number());

export const capacitySchema: z.ZodType<CapacityStatus> = z
  .object({
    processes: z.number(),
    waiting: z.number().describe("The number of sessions that wait for a process."),
    turns: z.object({ running: z.number(), waiting: z.number() }),
    memoryBytes: z
      .number()
      .optional()
      .describe("The memory of all processes together. Left out without a memory budget: not all are measured then."),
    limits: z
      .object({
        processes: z.number().optional(),
        memoryBytes: z.number().optional(),
        turns: z.number().optional(),
        turnsPerKey: z.number().optional(),
      })
      .describe("Each is left out if there is none."),
    spares: z.object({ ready: z.number(), starting: z.number(), hits: z.number(), misses: counts, unused: counts }),
  })
  .meta({ id: "CapacityStatus" });

export const drainSupervisorSchema: z.ZodType<DrainSupervisor> = z
  .strictObject({ deadline: wireDurationSchema.optional().describe('How long to wait for turns. Default `"30s"`.') })
  .meta({ id: "DrainSupervisor" });

export const drainReportSchema: z.ZodType<DrainReport> = z
  .object({ completed: z.boolean().describe("Whether all turns ended before the deadline.") })
  .meta({ id: "DrainReport" });
