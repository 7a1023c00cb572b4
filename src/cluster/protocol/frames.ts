import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError, type ErrorDetails } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { EndedTurnState } from "../../journal/model/turn-entry.ts";
import type { WhenBusy } from "../../session/options/options.ts";
import type { EventOptions } from "../../session/record/event-readers.ts";
import { jsonOf } from "../../session/streams/turn-end.ts";
import type { CallMethod } from "./call-methods.ts";

/** Requests a turn of a session: a new or an existing one. */
export interface TurnRequest {
  /** Canonical name of the session. */
  readonly key: string;
  readonly turnId: string;
  /** What to send. Left out for a turn that must exist. */
  readonly ask?: TurnAsked;
  /**
   * How many messages the caller has already received, and from which run and life of the turn. The node skips them if
   * it still has that life; without `life`, if it is that run.
   */
  readonly after?: { readonly boot: string; readonly life?: string; readonly number: number };
  /**
   * Whether the caller knows that the turn was accepted. If the node does not know such a turn, the database has lost
   * it; the turn may have run, so the node does not start it.
   */
  readonly known?: boolean;
  /**
   * Whether a pool's turn begins only once the caller has confirmed it with the method `begin`, see `ready`. Only nodes
   * whose `Hosted.confirms` is set know it.
   */
  readonly confirm?: boolean;
  /** Whether to send messages, or only the outcome. */
  readonly messages: boolean;
  /** Whether the node may claim the session: the caller has found no owner. */
  readonly claim: boolean;
}

/** The input of a turn. The same key means the same turn. */
export interface TurnAsked {
  /** For a command: the line that Claude Code receives. Empty for `blocks`, so that an earlier release refuses the turn. */
  readonly prompt: string;
  /** The content blocks of the prompt, if it is not a text. */
  readonly blocks?: readonly unknown[] | undefined;
  /** The command, if the turn is one. */
  readonly command?: { readonly name: string; readonly args: string } | undefined;
  readonly verbatimPrompts?: boolean | undefined;
  readonly idempotencyKey: string;
  readonly timeoutMs?: number | undefined;
  readonly queueTimeoutMs?: number | undefined;
  readonly whenBusy?: WhenBusy | undefined;
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
}

/** An error as nodes send it. */
export interface SentError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * The frames of a turn, in order. The last one is `end`, `left`, `unknown`, `refused`, `events_lost` or `not_owner`;
 * without it the connection broke.
 */
export type TurnFrame =
  /**
   * The turn exists. Messages count from `number`: 0 unless the caller's `after` still applies. Sent again if the
   * journal shows that the turn had already ended. Nodes of earlier releases leave `origin`, `by` and `metadata` out.
   */
  | {
      readonly type: "found";
      readonly boot: string;
      readonly number: number;
      readonly recalled: boolean;
      readonly origin?: TurnOrigin;
      readonly by?: string;
      readonly metadata?: JsonObject;
    }
  /** A member of the pool is free for the turn, and waits for the caller to confirm it. */
  | { readonly type: "ready" }
  /** The turn is in the journal. */
  | { readonly type: "accepted" }
  /**
   * Messages of one attempt. `number` is that of the first one in this life of the turn; nodes of earlier releases
   * leave `life` and `promptId` out.
   */
  | {
      readonly type: "messages";
      readonly life?: string;
      readonly promptId?: string;
      readonly number: number;
      readonly attempt: number;
      readonly messages: readonly SDKMessage[];
    }
  /** The outcome, as the journal keeps it; with the turn's output if it was recalled. */
  | {
      readonly type: "end";
      readonly state: EndedTurnState;
      readonly attempts: number;
      readonly touched: boolean;
      readonly promptId?: string;
      readonly outcome: JsonObject;
    }
  /**
   * The turn continues elsewhere: this node is leaving, or the session moves. With `begun: false` the turn of a pool has
   * not begun here, and never will.
   */
  | { readonly type: "left"; readonly begun?: false }
  | { readonly type: "unknown" }
  /** The session does not accept the turn. */
  | { readonly type: "refused"; readonly error: SentError }
  /** The next message for the caller is no longer kept. */
  | { readonly type: "events_lost"; readonly oldest: number }
  /** Another node owns the session, if known which, or the node must not claim it. */
  | { readonly type: "not_owner"; readonly owner?: { readonly boot: string; readonly address: string } };

/** Calls a method of a session. */
export interface CallRequest {
  readonly key: string;
  readonly method: CallMethod;
  readonly args: readonly unknown[];
  readonly claim: boolean;
}

/** Reads events of a session. */
export interface EventsRequest {
  readonly key: string;
  readonly options: EventOptions;
}

/** What answers an {@link EventsRequest}. Events alone are a complete answer; any other frame tells that they are not. */
export type EventFrame =
  /** The reader begins after the recorded event with this number. The first frame, unless the reader named a number. */
  | { readonly type: "begins"; readonly after: number }
  | { readonly type: "event"; readonly event: unknown }
  /** Reading failed. */
  | { readonly type: "refused"; readonly error: SentError }
  /** Another node owns the session, if known which. */
  | { readonly type: "not_owner"; readonly owner?: { readonly boot: string; readonly address: string } };

/** A page of an export, and the cursor of the next one, if any. */
export interface ExportPage {
  readonly lines: readonly string[];
  readonly next?: string;
}

/** The answer to a call. */
export type CallAnswer =
  | { readonly type: "answer"; readonly value: unknown }
  | { readonly type: "failed"; readonly error: SentError }
  | { readonly type: "not_owner"; readonly owner?: { readonly boot: string; readonly address: string } };

/** Returns an error in the form that nodes send. A foreign error keeps its message. */
export function sentErrorOf(error: unknown): SentError {
  if (CastellanError.is(error)) {
    const { code, message, details } = error;
    return { code, message, details: jsonOf(details) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "CONTROL_FAILED", message, details: {} };
}

/** Returns the error that was sent. */
export function errorOf({ code, message, details }: SentError): CastellanError {
  // `details` belongs to `code`, whichever it is.
  return new CastellanError(code as "TURN_CANCELLED", message, { details: details as ErrorDetails["TURN_CANCELLED"] });
}
