import { type Channel, channel } from "node:diagnostics_channel";
import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { CastellanError, ExitRecord } from "./errors.ts";
import type { SessionName } from "./names.ts";

/** Of which session something is told. */
export interface SessionFacts {
  readonly session: SessionName;
  /** The name of its supervisor; those without one are called `supervisor`. */
  readonly supervisor: string;
}

/** Of which turn something is told. */
export interface TurnFacts extends SessionFacts {
  readonly turnId: string;
  readonly origin: TurnOrigin;
}

/** Of which pool something is told. */
export interface PoolFacts {
  readonly pool: string;
  /** The name of its supervisor; those without one are called `supervisor`. */
  readonly supervisor: string;
}

/** Of whom something is told who has asked a pool for a member. */
export interface BorrowerFacts extends PoolFacts {
  /** Of its turn, or, if it wants a loan, one of its own. */
  readonly id: string;
  /** Whether it is for a single turn, or for a loan. */
  readonly wants: "turn" | "loan";
}

/** Of which node of a cluster something is told. */
export interface NodeFacts {
  readonly node: string;
  /** Of this run of it: a node that was given up for dead comes back as another one. */
  readonly boot: string;
}

/** What a finished turn used. Tokens, and US dollars as Claude Code estimates them. */
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
 * What is told on the channels of `node:diagnostics_channel`, by the name of the channel. Spans are in milliseconds. Events are
 * told at once, in the call that brings them about; what a subscriber throws reaches the process as an uncaught exception.
 */
/**
 * Who began a turn: a caller, a background task that has ended, or a schedule such as a wakeup. Turns of the latter two are those
 * that Claude Code begins by itself.
 */
export type TurnOrigin = "caller" | "task" | "schedule";

export interface CastellanEvents {
  /** A life of a session begins: it is started, or started again. */
  "castellan:session:start": SessionFacts;
  /** Callers see another state of it. */
  "castellan:session:state": SessionFacts & { readonly state: string };
  /** Its process has ended and nobody asked for that; it is started again. */
  "castellan:session:restart": SessionFacts & { readonly exit: ExitRecord; readonly restarts: number };
  /** The API refuses the key of its process, which has changed since: another process with the new one takes its place. */
  "castellan:session:rekey": SessionFacts;
  /**
   * Something went wrong beside its turns, see `SessionFault`: `kind` is that of the fault, `server` the MCP server that it is about, if it
   * is about one. A server is told of once, until it has been connected again or something else is wrong with it.
   */
  "castellan:session:fault": SessionFacts & {
    readonly kind: string;
    readonly server?: string;
    readonly reason: string;
  };
  "castellan:session:quarantine": SessionFacts & { readonly lastExits: readonly ExitRecord[] };
  /** It has ended for its callers. */
  "castellan:session:stop": SessionFacts & { readonly as: "session" | "child" | "supervisor" };
  /** A message of its process. `turnId` is that of the turn that it belongs to, if it belongs to one. */
  "castellan:session:message": SessionFacts & { readonly turnId: string | undefined; readonly message: SDKMessage };
  /** A process is up. `spare` says whether it had been started ahead, `resumed` whether its conversation goes on. */
  "castellan:activation:start": SessionFacts & {
    readonly pid: number | undefined;
    readonly activation: number;
    readonly conversationId: string;
    readonly durationMs: number;
    readonly resumed: boolean;
    readonly spare: boolean;
  };
  "castellan:activation:end": SessionFacts & { readonly exit: ExitRecord; readonly uptimeMs: number };
  /** `recovered` says whether it had been accepted before the application was restarted. */
  "castellan:turn:accept": TurnFacts & { readonly prompt: string; readonly recovered: boolean };
  /** It has been handed to a process; `queuedMs` since it was accepted. */
  "castellan:turn:begin": TurnFacts & {
    /** By which Claude Code knows the prompt of this attempt. */
    readonly promptId: string;
    readonly attempt: number;
    readonly queuedMs: number;
    readonly conversationId: string;
    /** The model that the session asks for; `undefined` if that is left to Claude Code. */
    readonly model: string | undefined;
  };
  /** Told once of each turn that was accepted; `left` says that it is not over, and goes on at the next start. */
  "castellan:turn:end": TurnFacts & {
    readonly state: string;
    readonly left: boolean;
    readonly attempts: number;
    readonly prompt: string;
    /** Since it was accepted. */
    readonly durationMs: number;
    readonly reply?: TurnUsage & {
      readonly text: string;
      readonly stopReason: string | null;
      readonly sessionId: string;
    };
    readonly error?: CastellanError;
  };
  "castellan:approval:request": SessionFacts & { readonly id: string; readonly tool: string };
  "castellan:approval:settle": SessionFacts & { readonly id: string; readonly outcome: string };
  /** A session waits for a process, since there are as many as there may be. */
  "castellan:capacity:wait": SessionFacts;
  /** It waits no longer; `granted` says whether it may have one. */
  "castellan:capacity:end": SessionFacts & { readonly waitedMs: number; readonly granted: boolean };
  /** Somebody waits for a member of a pool, since none is free. */
  "castellan:pool:wait": BorrowerFacts;
  /**
   * Somebody who has asked for a member has one, or will get none, which `granted` says; told once of each who has asked.
   * `waitedMs` is 0 if that was at once.
   */
  "castellan:pool:leave": BorrowerFacts & { readonly waitedMs: number; readonly granted: boolean };
  /** Somebody got `POOL_EXHAUSTED`. */
  "castellan:pool:exhausted": BorrowerFacts & { readonly waitedMs: number };
  /** A member is one borrower's, or one turn's. A turn that shares a member with others has none of its own. */
  "castellan:pool:checkout": BorrowerFacts & { readonly member: SessionName; readonly waitedMs: number };
  /** It no longer is; told once of each checkout, by its `id`. What still runs in it is stopped then. */
  "castellan:pool:checkin": BorrowerFacts & {
    readonly member: SessionName;
    readonly heldMs: number;
    /** `dropped`: nobody holds the loan any more, and nobody has checked it in; `pool_closed`: the pool has been removed or its supervisor has ended, and nobody had given the member back. */
    readonly why: "checked_in" | "lease_over" | "turn_ended" | "dropped" | "pool_closed";
  };
  /** A pool gets a member. */
  "castellan:pool:add": PoolFacts & { readonly member: SessionName };
  /**
   * A pool has a member no longer: it was one too many or could not be made ready for the next borrower (`removed`), has been
   * ended by somebody (`ended`), or has never begun (`failed`). Not told of those that a pool has at its end.
   */
  "castellan:pool:remove": PoolFacts & {
    readonly member: SessionName;
    readonly why: "removed" | "ended" | "failed";
  };
  /** This process is a node of a cluster from now on, or again. */
  "castellan:node:join": NodeFacts;
  /** It was given up for dead, or has to take it that it may have been: it gives up all its global sessions at once. */
  "castellan:node:lose": NodeFacts & { readonly error: CastellanError; readonly sessions: number };
  /** It has left, in good order. */
  "castellan:node:leave": NodeFacts;
  /**
   * The database of its cluster has another history than it had: it has failed over to a replica, or was put back to a backup. `era` counts
   * these. Nobody can claim a global session before all nodes have told what they know, and each gets a higher epoch than it can have had.
   */
  "castellan:node:history": NodeFacts & { readonly era: number };
  /**
   * The PostgreSQL database of a journal, or of transcripts, lacks what it had confirmed, since it has another history than it had. `lost`
   * says that it is not known any more, or that others have gone on without it; otherwise it has been written once more.
   */
  "castellan:journal:lack": {
    /** Which database, without its password. */
    readonly place: string;
    readonly of: "journal" | "transcript";
    /** How many batches of the journal, or entries of a transcript; 0 if that is not known. */
    readonly count: number;
    readonly lost: boolean;
  };
  /** A global session is this node's from now on. The epoch rises with each owner. */
  "castellan:global:claim": NodeFacts & { readonly session: SessionName; readonly epoch: number };
  /** It is no longer, because it moves, has been stopped, or the node leaves. */
  "castellan:global:release": NodeFacts & { readonly session: SessionName; readonly epoch: number };
}

/** A channel of Castellan's. */
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
  "castellan:node:history": true,
  "castellan:journal:lack": true,
  "castellan:global:claim": true,
  "castellan:global:release": true,
};

/** The names of all channels. */
export const eventNames: readonly EventName[] = Object.keys(NAMES) as EventName[];

const channels = new Map<EventName, Channel>(eventNames.map((name) => [name, channel(name)]));

/** Tells of an event; `facts` is only asked for if anybody listens. */
export function tell<Name extends EventName>(name: Name, facts: () => CastellanEvents[Name]): void {
  const to = channels.get(name);
  if (to?.hasSubscribers === true) to.publish(facts());
}

/** Listens to a channel. @returns ends that */
export function on<Name extends EventName>(name: Name, listener: (event: CastellanEvents[Name]) => void): () => void {
  const to = channel(name);
  const hear = (message: unknown): void => listener(message as CastellanEvents[Name]);
  to.subscribe(hear);
  return () => void to.unsubscribe(hear);
}
