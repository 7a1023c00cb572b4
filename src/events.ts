import { type Channel, channel } from "node:diagnostics_channel";
import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { CastellanError, ExitRecord } from "./errors.ts";
import type { SessionName } from "./names.ts";

/** The session of an event. */
export interface SessionFacts {
  readonly session: SessionName;
  /** The name of its supervisor; `supervisor` if it has none. */
  readonly supervisor: string;
}

/** The turn of an event. */
export interface TurnFacts extends SessionFacts {
  readonly turnId: string;
  readonly origin: TurnOrigin;
}

/** The pool of an event. */
export interface PoolFacts {
  readonly pool: string;
  /** The name of its supervisor; `supervisor` if it has none. */
  readonly supervisor: string;
}

/** The borrower of an event: a turn, a job or a loan that needs a member of a pool. */
export interface BorrowerFacts extends PoolFacts {
  /** The id of the turn, also that of a job, or of the loan. */
  readonly id: string;
  /** Whether the borrower needs the member for one turn, for a job or for a loan. */
  readonly wants: "turn" | "job" | "loan";
}

/** The cluster node of an event. */
export interface NodeFacts {
  readonly node: string;
  /** The id of this run of the node. A node that was declared dead joins again as another run. */
  readonly boot: string;
}

/** The usage of a finished turn: tokens, and US dollars as Claude Code estimates them. */
export interface TurnUsage {
  readonly costUsd: number;
  readonly usage: {
    readonly inputTokens: number;
    readonly outputTokens: number;
    readonly cacheReadInputTokens: number;
    readonly cacheCreationInputTokens: number;
  };
}

/**
 * Who began a turn: a caller, the end of a background task, or a schedule such as a wakeup. Claude Code begins `task` and `schedule`
 * turns by itself.
 */
export type TurnOrigin = "caller" | "task" | "schedule";

/**
 * The messages on the channels of `node:diagnostics_channel`, by channel name. Durations are in milliseconds. Castellan publishes
 * synchronously, in the call that causes the event; an error thrown by a subscriber becomes an uncaught exception.
 */
export interface CastellanEvents {
  /** A life of a session begins, at its start or after a restart. */
  "castellan:session:start": SessionFacts;
  /** The state of a session changed, as callers see it. */
  "castellan:session:state": SessionFacts & { readonly state: string };
  /** The process of a session ended unexpectedly; the supervisor restarts the session. */
  "castellan:session:restart": SessionFacts & { readonly exit: ExitRecord; readonly restarts: number };
  /** The API rejected the key of a process, and the key has changed since; a process with the new key replaces it. */
  "castellan:session:rekey": SessionFacts;
  /**
   * A session has a fault, see `SessionFault`: `kind` is the fault's, `server` the MCP server it concerns, if any. A failing server is
   * reported once, until it has been connected again or fails differently.
   */
  "castellan:session:fault": SessionFacts & {
    readonly kind: string;
    readonly server?: string;
    readonly reason: string;
  };
  /** The supervisor quarantined a session. */
  "castellan:session:quarantine": SessionFacts & { readonly lastExits: readonly ExitRecord[] };
  /** A session ended for its callers. */
  "castellan:session:stop": SessionFacts & { readonly as: "session" | "child" | "supervisor" };
  /** The process sent a message. `turnId` is the turn the message belongs to, if any. */
  "castellan:session:message": SessionFacts & { readonly turnId: string | undefined; readonly message: SDKMessage };
  /** A process completed its handshake. `spare`: it was started ahead. `resumed`: it resumes a conversation. */
  "castellan:activation:start": SessionFacts & {
    readonly pid: number | undefined;
    readonly activation: number;
    readonly conversationId: string;
    readonly durationMs: number;
    readonly resumed: boolean;
    readonly spare: boolean;
  };
  /** A process ended. */
  "castellan:activation:end": SessionFacts & { readonly exit: ExitRecord; readonly uptimeMs: number };
  /** A session accepted a turn. `recovered`: it had accepted it before the application restarted. */
  "castellan:turn:accept": TurnFacts & {
    /** Of a prompt of content blocks, the texts. */
    readonly prompt: string;
    readonly recovered: boolean;
  };
  /** A session handed a turn to its process. `queuedMs` counts from accepting the turn. */
  "castellan:turn:begin": TurnFacts & {
    /** Claude Code's id of this attempt's prompt. */
    readonly promptId: string;
    readonly attempt: number;
    readonly queuedMs: number;
    readonly conversationId: string;
    /** The model that the session requests; `undefined` if Claude Code chooses. */
    readonly model: string | undefined;
  };
  /** A turn ended. Published once for each accepted turn. `left`: the turn is unfinished and continues after the next start. */
  "castellan:turn:end": TurnFacts & {
    readonly state: string;
    readonly left: boolean;
    readonly attempts: number;
    readonly prompt: string;
    /** The time since the turn was accepted. */
    readonly durationMs: number;
    readonly reply?: TurnUsage & {
      readonly text: string;
      readonly stopReason: string | null;
      readonly sessionId: string;
    };
    readonly error?: CastellanError;
  };
  /** A process requests an approval. */
  "castellan:approval:request": SessionFacts & { readonly id: string; readonly tool: string };
  /** An approval was granted or denied, expired, or was withdrawn. */
  "castellan:approval:settle": SessionFacts & { readonly id: string; readonly outcome: string };
  /** A session waits for a process slot, because all slots are taken. */
  "castellan:capacity:wait": SessionFacts;
  /** A session stopped waiting for a process slot. `granted`: it got one. */
  "castellan:capacity:end": SessionFacts & { readonly waitedMs: number; readonly granted: boolean };
  /** A borrower waits for a member of a pool, because none is free. */
  "castellan:pool:wait": BorrowerFacts;
  /**
   * A borrower stopped waiting: it got a member (`granted`) or will get none. Published once for each borrower; `waitedMs` is 0 if it
   * did not wait.
   */
  "castellan:pool:leave": BorrowerFacts & { readonly waitedMs: number; readonly granted: boolean };
  /** A borrower was rejected with `POOL_EXHAUSTED`. */
  "castellan:pool:exhausted": BorrowerFacts & { readonly waitedMs: number };
  /** A loan or a turn got a member to itself. Not published for a turn that shares its member with others. */
  "castellan:pool:checkout": BorrowerFacts & { readonly member: SessionName; readonly waitedMs: number };
  /** A checkout ended. Published once for each checkout, with its `id`. The pool stops turns that still run in the member. */
  "castellan:pool:checkin": BorrowerFacts & {
    readonly member: SessionName;
    readonly heldMs: number;
    /**
     * `dropped`: the loan was garbage-collected without a checkin. `pool_closed`: the pool was removed or its supervisor ended before
     * the checkin.
     */
    readonly why: "checked_in" | "lease_over" | "turn_ended" | "dropped" | "pool_closed";
  };
  /** A pool got another member. */
  "castellan:pool:add": PoolFacts & { readonly member: SessionName };
  /**
   * A pool lost a member: the pool removed it as surplus or because it could not be reset for the next borrower (`removed`), somebody
   * ended it (`ended`), or it never started (`failed`). Not published for the members of a pool that closes.
   */
  "castellan:pool:remove": PoolFacts & {
    readonly member: SessionName;
    readonly why: "removed" | "ended" | "failed";
  };
  /** This process joined a cluster as a node, for the first time or again. */
  "castellan:node:join": NodeFacts;
  /** The node was declared dead, or could not rule it out, and gave up all its global sessions. */
  "castellan:node:lose": NodeFacts & { readonly error: CastellanError; readonly sessions: number };
  /** The node left the cluster in an orderly way. */
  "castellan:node:leave": NodeFacts;
  /**
   * The cluster's database failed over to a replica or was restored from a backup; `era` tells them apart. No global session can be claimed
   * before all nodes have reported what they know. Each session then gets a higher epoch than any it can have had.
   */
  "castellan:database:failover": NodeFacts & { readonly era: number };
  /**
   * The clock of the node's machine differs by more than 15 seconds from the database's, or, with `over`, does no longer.
   * `aheadMs`: how far it is ahead, in milliseconds; negative if it is behind.
   */
  "castellan:clock:skew": NodeFacts & { readonly aheadMs: number; readonly over: boolean };
  /** The next process of the application has taken over the journal of a supervisor, and takes over its sessions. */
  "castellan:supervisor:handover": {
    readonly supervisor: string;
    /** The number of sessions in memory. */
    readonly sessions: number;
    /** How long everything that needs the journal has waited, in milliseconds. */
    readonly waitedMs: number;
  };
  /**
   * After a failover or a restore, a PostgreSQL database lacks commits that it had confirmed. `lost`: Castellan no longer has them, or
   * others have written since. Otherwise Castellan wrote them again.
   */
  "castellan:database:gap": {
    /** The URL of the database, without its password. */
    readonly location: string;
    readonly content: "journal" | "transcript";
    /** The number of missing batches of the journal or entries of a transcript; 0 if unknown. */
    readonly count: number;
    readonly lost: boolean;
  };
  /** The node became the owner of a global session. The epoch rises with each owner. */
  "castellan:global:claim": NodeFacts & { readonly session: SessionName; readonly epoch: number };
  /**
   * A request to a webhook ended. `outcome`: the receiver took the event (`delivered`), did not take this one (`rejected`), takes
   * nothing at present (`unreachable`), or wants no more (`gone`). `status` is left out if there was no answer.
   */
  "castellan:webhook:attempt": {
    readonly endpoint: string;
    /** The id of the request, the same in each attempt. */
    readonly id: string;
    readonly type: string;
    /** From 1; begins anew when the application restarts. */
    readonly attempt: number;
    readonly outcome: "delivered" | "rejected" | "unreachable" | "gone";
    readonly status?: number;
    readonly durationMs: number;
  };
  /**
   * Events of a session will not be delivered to a webhook. `expired`: event number `event` got too old. `pruned`: the journal deleted
   * events before number `event` by its limits.
   */
  "castellan:webhook:drop": {
    readonly endpoint: string;
    readonly session: SessionName;
    readonly reason: "expired" | "pruned";
    readonly event: number;
  };
  /** The node gave up a global session, because the session moves or stopped, or because the node leaves. */
  "castellan:global:release": NodeFacts & { readonly session: SessionName; readonly epoch: number };
}

/** The name of a channel. */
export type EventName = keyof CastellanEvents;

const NAMES: { readonly [Name in EventName]: true } = {
  "castellan:session:start": true,
  "castellan:session:state": true,
  "castellan:session:restart": true,
  "castellan:session:rekey": true,
  "castellan:session:fault": true,
  "castellan:session:quarantine": true,
  "castellan:session:stop": true,
  "castellan:session:message": true,
  "castellan:activation:start": true,
  "castellan:activation:end": true,
  "castellan:turn:accept": true,
  "castellan:turn:begin": true,
  "castellan:turn:end": true,
  "castellan:approval:request": true,
  "castellan:approval:settle": true,
  "castellan:capacity:wait": true,
  "castellan:capacity:end": true,
  "castellan:pool:wait": true,
  "castellan:pool:leave": true,
  "castellan:pool:exhausted": true,
  "castellan:pool:checkout": true,
  "castellan:pool:checkin": true,
  "castellan:pool:add": true,
  "castellan:pool:remove": true,
  "castellan:node:join": true,
  "castellan:node:lose": true,
  "castellan:node:leave": true,
  "castellan:database:failover": true,
  "castellan:clock:skew": true,
  "castellan:supervisor:handover": true,
  "castellan:database:gap": true,
  "castellan:global:claim": true,
  "castellan:global:release": true,
  "castellan:webhook:attempt": true,
  "castellan:webhook:drop": true,
};

/** The names of all channels. */
export const eventNames: readonly EventName[] = Object.keys(NAMES) as EventName[];

const channels = new Map<EventName, Channel>(eventNames.map((name) => [name, channel(name)]));

/** Publishes an event. Calls `facts` only if the channel has subscribers. */
export function publish<Name extends EventName>(name: Name, facts: () => CastellanEvents[Name]): void {
  const to = channels.get(name);
  if (to?.hasSubscribers === true) to.publish(facts());
}

/** Subscribes to a channel. @returns a function that unsubscribes */
export function on<Name extends EventName>(name: Name, listener: (event: CastellanEvents[Name]) => void): () => void {
  const to = channel(name);
  const hear = (message: unknown): void => listener(message as CastellanEvents[Name]);
  to.subscribe(hear);
  return () => void to.unsubscribe(hear);
}
