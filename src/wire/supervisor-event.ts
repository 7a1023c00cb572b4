import { z } from "zod";
import { errorSchema, type WireError } from "./error.ts";
import { type ExitRecord, exitSchema } from "./exit.ts";
import { nameSchema, type WireName } from "./name.ts";
import { originSchema, type TurnOrigin } from "./session-status.ts";
import { type Usage, usageSchema } from "./usage.ts";

interface SessionFacts {
  readonly session: WireName;
}

interface TurnFacts extends SessionFacts {
  readonly turnId: string;
  readonly origin: TurnOrigin;
}

interface BorrowerFacts {
  readonly pool: string;
  /** The id of the turn, also that of a job, or of the loan. */
  readonly id: string;
  readonly wants: "turn" | "job" | "loan";
}

interface NodeFacts {
  readonly node: string;
  readonly boot: string;
}

/** The fields of each type of supervisor event. They are those of `CastellanEvents`, without prompts and answers. */
export interface SupervisorEventFields {
  /** The stream begins or begins again. Events before it may be missing, so read the state again. */
  opened: Record<never, never>;
  "session:start": SessionFacts;
  "session:state": SessionFacts & { readonly state: string };
  "session:restart": SessionFacts & { readonly exit: ExitRecord; readonly restarts: number };
  "session:rekey": SessionFacts;
  "session:fault": SessionFacts & {
    readonly kind: string;
    readonly server?: string | undefined;
    readonly reason: string;
  };
  "session:quarantine": SessionFacts & { readonly lastExits: readonly ExitRecord[] };
  "session:stop": SessionFacts & { readonly as: "session" | "child" | "supervisor" };
  "activation:start": SessionFacts & {
    readonly pid?: number | undefined;
    readonly activation: number;
    readonly conversationId: string;
    readonly durationMs: number;
    readonly resumed: boolean;
    readonly spare: boolean;
  };
  "activation:end": SessionFacts & { readonly exit: ExitRecord; readonly uptimeMs: number };
  "turn:accept": TurnFacts & { readonly recovered: boolean };
  "turn:begin": TurnFacts & {
    readonly promptId: string;
    readonly attempt: number;
    readonly queuedMs: number;
    readonly conversationId: string;
    readonly model?: string | undefined;
  };
  "turn:end": TurnFacts & {
    readonly state: string;
    readonly left: boolean;
    readonly attempts: number;
    readonly durationMs: number;
    readonly costUsd?: number | undefined;
    readonly usage?: Usage | undefined;
    readonly stopReason?: string | null | undefined;
    readonly error?: WireError | undefined;
  };
  "approval:request": SessionFacts & { readonly id: string; readonly tool: string };
  "approval:settle": SessionFacts & { readonly id: string; readonly outcome: string };
  "capacity:wait": SessionFacts;
  "capacity:end": SessionFacts & { readonly waitedMs: number; readonly granted: boolean };
  "pool:wait": BorrowerFacts;
  "pool:leave": BorrowerFacts & { readonly waitedMs: number; readonly granted: boolean };
  "pool:exhausted": BorrowerFacts & { readonly waitedMs: number };
  "pool:checkout": BorrowerFacts & { readonly member: WireName; readonly waitedMs: number };
  "pool:checkin": BorrowerFacts & { readonly member: WireName; readonly heldMs: number; readonly why: string };
  "pool:add": { readonly pool: string; readonly member: WireName };
  "pool:remove": { readonly pool: string; readonly member: WireName; readonly why: string };
  "node:join": NodeFacts;
  "node:lose": NodeFacts & { readonly error: WireError; readonly sessions: number };
  "node:leave": NodeFacts;
  "database:failover": NodeFacts & { readonly era: number };
  "clock:skew": NodeFacts & { readonly aheadMs: number; readonly over: boolean };
  "supervisor:handover": { readonly sessions: number; readonly waitedMs: number };
  "database:gap": {
    readonly location: string;
    readonly content: "journal" | "transcript";
    readonly count: number;
    readonly lost: boolean;
  };
  "webhook:attempt": {
    readonly endpoint: string;
    readonly id: string;
    readonly type: string;
    readonly attempt: number;
    readonly outcome: "delivered" | "rejected" | "unreachable" | "gone";
    readonly status?: number | undefined;
    readonly durationMs: number;
  };
  "webhook:drop": {
    readonly endpoint: string;
    readonly session: WireName;
    readonly reason: "expired" | "pruned";
    readonly event: number;
  };
  "global:claim": NodeFacts & { readonly session: WireName; readonly epoch: number };
  "global:release": NodeFacts & { readonly session: WireName; readonly epoch: number };
}

/** The type of a supervisor event. */
export type SupervisorEventType = keyof SupervisorEventFields;

/** An event of a supervisor. `at` is in milliseconds since the epoch. */
export type SupervisorEvent = {
  [Type in SupervisorEventType]: { readonly type: Type; readonly at: number } & SupervisorEventFields[Type];
}[SupervisorEventType];

/** Which events of a supervisor to stream. */
export interface SupervisorEventQuery {
  /** Only events of these types, and `opened`. Default: all. */
  readonly types?: readonly SupervisorEventType[] | undefined;
}

const session = { session: nameSchema };
const turn = { ...session, turnId: z.string(), origin: originSchema };
const borrower = { pool: z.string(), id: z.string(), wants: z.enum(["turn", "job", "loan"]) };
const node = { node: z.string(), boot: z.string() };
const claim = { ...node, ...session, epoch: z.number() };
const waited = { waitedMs: z.number() };
const ended = { ...waited, granted: z.boolean() };

const SHAPES = {
  opened: {},
  "session:start": session,
  "session:state": { ...session, state: z.string() },
  "session:restart": { ...session, exit: exitSchema, restarts: z.number() },
  "session:rekey": session,
  "session:fault": { ...session, kind: z.string(), server: z.string().optional(), reason: z.string() },
  "session:quarantine": { ...session, lastExits: z.array(exitSchema).readonly() },
  "session:stop": { ...session, as: z.enum(["session", "child", "supervisor"]) },
  "activation:start": {
    ...session,
    pid: z.number().optional(),
    activation: z.number(),
    conversationId: z.string(),
    durationMs: z.number(),
    resumed: z.boolean(),
    spare: z.boolean(),
  },
  "activation:end": { ...session, exit: exitSchema, uptimeMs: z.number() },
  "turn:accept": { ...turn, recovered: z.boolean() },
  "turn:begin": {
    ...turn,
    promptId: z.string(),
    attempt: z.number(),
    queuedMs: z.number(),
    conversationId: z.string(),
    model: z.string().optional(),
  },
  "turn:end": {
    ...turn,
    state: z.string(),
    left: z.boolean().describe("The turn is unfinished and continues after the next start."),
    attempts: z.number(),
    durationMs: z.number(),
    costUsd: z.number().optional(),
    usage: usageSchema.optional(),
    stopReason: z.string().nullable().optional(),
    error: errorSchema.optional(),
  },
  "approval:request": { ...session, id: z.string(), tool: z.string() },
  "approval:settle": { ...session, id: z.string(), outcome: z.string() },
  "capacity:wait": session,
  "capacity:end": { ...session, ...ended },
  "pool:wait": borrower,
  "pool:leave": { ...borrower, ...ended },
  "pool:exhausted": { ...borrower, ...waited },
  "pool:checkout": { ...borrower, member: nameSchema, ...waited },
  "pool:checkin": { ...borrower, member: nameSchema, heldMs: z.number(), why: z.string() },
  "pool:add": { pool: z.string(), member: nameSchema },
  "pool:remove": { pool: z.string(), member: nameSchema, why: z.string() },
  "node:join": node,
  "node:lose": { ...node, error: errorSchema, sessions: z.number() },
  "node:leave": node,
  "database:failover": { ...node, era: z.number() },
  "clock:skew": { ...node, aheadMs: z.number(), over: z.boolean() },
  "supervisor:handover": { sessions: z.number(), waitedMs: z.number() },
  "database:gap": {
    location: z.string(),
    content: z.enum(["journal", "transcript"]),
    count: z.number(),
    lost: z.boolean(),
  },
  "webhook:attempt": {
    endpoint: z.string(),
    id: z.string(),
    type: z.string(),
    attempt: z.number(),
    outcome: z.enum(["delivered", "rejected", "unreachable", "gone"]),
    status: z.number().optional(),
    durationMs: z.number(),
  },
  "webhook:drop": { endpoint: z.string(), ...session, reason: z.enum(["expired", "pruned"]), event: z.number() },
  "global:claim": claim,
  "global:release": claim,
} as const satisfies { readonly [Type in SupervisorEventType]: object };

/** The types of supervisor events. */
export const supervisorEventTypes: readonly SupervisorEventType[] = Object.keys(SHAPES) as SupervisorEventType[];

export const supervisorEventSchema: z.ZodType<SupervisorEvent> = z
  .union(
    Object.entries(SHAPES).map(([type, shape]) =>
      z.object({ type: z.literal(type), at: z.number(), ...(shape as z.core.$ZodShape) }),
    ),
  )
  // Each shape has the fields of its type; `satisfies` has checked that none is missing.
  .transform((event) => event as SupervisorEvent)
  .meta({ id: "SupervisorEvent", description: "An event of the supervisor, without prompts and answers." });

export const supervisorEventQuerySchema: z.ZodType<SupervisorEventQuery> = z.strictObject({
  types: z
    .array(z.enum(supervisorEventTypes))
    .readonly()
    .optional()
    .describe("Only events of these types, and `opened`. Default: all."),
});
