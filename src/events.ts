import { type Channel, channel } from "node:diagnostics_channel";
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
export interface CastellanEvents {
  /** A life of a session begins: it is started, or started again. */
  "castellan:session:start": SessionFacts;
  /** Callers see another state of it. */
  "castellan:session:state": SessionFacts & { readonly state: string };
  /** Its process has ended and nobody asked for that; it is started again. */
  "castellan:session:restart": SessionFacts & { readonly exit: ExitRecord; readonly restarts: number };
  "castellan:session:quarantine": SessionFacts & { readonly lastExits: readonly ExitRecord[] };
  /** It has ended for its callers. */
  "castellan:session:stop": SessionFacts & { readonly as: "session" | "child" | "supervisor" };
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
}

/** A channel of Castellan's. */
export type EventName = keyof CastellanEvents;

const NAMES: { readonly [Name in EventName]: true } = {
  "castellan:session:start": true,
  "castellan:session:state": true,
  "castellan:session:restart": true,
  "castellan:session:quarantine": true,
  "castellan:session:stop": true,
  "castellan:activation:start": true,
  "castellan:activation:end": true,
  "castellan:turn:accept": true,
  "castellan:turn:begin": true,
  "castellan:turn:end": true,
  "castellan:approval:request": true,
  "castellan:approval:settle": true,
  "castellan:capacity:wait": true,
  "castellan:capacity:end": true,
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
