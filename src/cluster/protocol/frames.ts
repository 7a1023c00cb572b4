import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError, type ErrorDetails } from "../../errors.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import type { EndedTurnState } from "../../journal/model/turn-entry.ts";
import type { WhenBusy } from "../../session/options/options.ts";
import { jsonOf } from "../../session/streams/turn-end.ts";
import type { CallMethod } from "./call-methods.ts";

/** Asks a node for a turn of a session that it owns: a new one, or one that is there already. */
export interface TurnRequest {
  /** Canonical name of the session. */
  readonly key: string;
  readonly turnId: string;
  /** What is to be asked. Left out for a turn that must be there already. */
  readonly ask?: TurnAsked;
  /**
   * How many messages the caller has, of the life of the turn on the run of a node that it had them from. Messages before that are
   * not sent again, if it is still that life; where none is told, that run.
   */
  readonly after?: { readonly boot: string; readonly life?: string; readonly number: number };
  /**
   * Whether the caller has been told that the turn is accepted. One that the node does not know then is not asked anew: it may have
   * run, and the database has lost it.
   */
  readonly known?: boolean;
  /** Whether messages are wanted at all, and not only what comes of the turn. */
  readonly messages: boolean;
  /** Whether the node may claim the session, because the caller has found nobody who owns it. */
  readonly claim: boolean;
}

/** What a turn is asked with. Asking again with the same key is the same turn. */
export interface TurnAsked {
  /** Of a command the line that Claude Code takes. */
  readonly prompt: string;
  /** The command, if it is one. */
  readonly command?: { readonly name: string; readonly args: string } | undefined;
  readonly verbatimPrompts?: boolean | undefined;
  readonly idempotencyKey: string;
  readonly timeoutMs?: number | undefined;
  readonly queueTimeoutMs?: number | undefined;
  readonly whenBusy?: WhenBusy | undefined;
}

/** An error on its way between nodes. */
export interface SentError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * What a node tells of a turn, in order. It ends with one of `end`, `left`, `unknown`, `refused`, `events_lost`, `not_owner`;
 * if it breaks off without, the connection did.
 */
export type TurnFrame =
  /**
   * The turn is there. Messages count from `number` on; it is 0 unless the caller's `after` still holds. It comes again if the turn
   * turns out to have ended before, which the journal has to be asked for.
   */
  | { readonly type: "found"; readonly boot: string; readonly number: number; readonly recalled: boolean }
  /** It is in the journal, so that it will not be lost. */
  | { readonly type: "accepted" }
  /** Messages of one attempt, the first of which has this number in this life of the turn; older nodes do not tell which. */
  | {
      readonly type: "messages";
      readonly life?: string;
      readonly number: number;
      readonly attempt: number;
      readonly messages: readonly SDKMessage[];
    }
  /** What came of it, as the journal keeps it; with what it had shown if it was recalled. */
  | {
      readonly type: "end";
      readonly state: EndedTurnState;
      readonly attempts: number;
      readonly touched: boolean;
      readonly outcome: JsonObject;
    }
  /** It goes on elsewhere: this node ends, or the session moves. */
  | { readonly type: "left" }
  | { readonly type: "unknown" }
  /** It has not been accepted, and will not be. */
  | { readonly type: "refused"; readonly error: SentError }
  /** The next message that the caller wants is no longer kept. */
  | { readonly type: "events_lost"; readonly oldest: number }
  /** The session has another owner, as far as the node knows which, or it must not claim it. */
  | { readonly type: "not_owner"; readonly owner?: { readonly boot: string; readonly address: string } };

/** Asks a node something else about a session that it owns. */
export interface CallRequest {
  readonly key: string;
  readonly method: CallMethod;
  readonly args: readonly unknown[];
  readonly claim: boolean;
}

/** A part of an export, and what the next one is asked with, if there is one. */
export interface ExportPage {
  readonly lines: readonly string[];
  readonly next?: string;
}

/** What came of a call. */
export type CallAnswer =
  | { readonly type: "answer"; readonly value: unknown }
  | { readonly type: "failed"; readonly error: SentError }
  | { readonly type: "not_owner"; readonly owner?: { readonly boot: string; readonly address: string } };

/** An error as it is sent. What is none of ours keeps its words. */
export function sentErrorOf(error: unknown): SentError {
  if (CastellanError.is(error)) {
    const { code, message, details } = error;
    return { code, message, details: jsonOf(details) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "CONTROL_FAILED", message, details: {} };
}

/** The error that was sent. */
export function errorOf({ code, message, details }: SentError): CastellanError {
  // What was sent came out of an error of this code, whichever it was.
  return new CastellanError(code as "TURN_CANCELLED", message, { details: details as ErrorDetails["TURN_CANCELLED"] });
}
