import { CastellanError, type ErrorCode } from "../../errors.ts";
import { own } from "../../fields.ts";
import type { Reply } from "./reply.ts";

/**
 * Who reads a response. `"user"`: somebody who must not see costs, Claude's id of the conversation, or the messages of errors, which
 * name sessions, paths and details of the machine. `"operator"`: somebody who may see everything.
 */
export type ResponseView = "user" | "operator";

type ForOperators = "usage" | "costUsd" | "model" | "models" | "sessionId";

/** A reply as a response sends it. Only operators get `usage`, `costUsd`, `model`, `models` and `sessionId`. */
export interface ShownReply extends Omit<Reply, ForOperators>, Partial<Pick<Reply, ForOperators>> {}

/** An error as a response sends it. */
export interface ShownError {
  /** A code of Castellan, or `INTERNAL`. */
  readonly code: ErrorCode | "INTERNAL";
  /** One or two sentences. */
  readonly message: string;
}

export function shownReply(reply: Reply, view: ResponseView): ShownReply {
  if (view === "operator") return reply;
  const { usage: _, costUsd: _1, model: _2, models: _3, sessionId: _4, ...shown } = reply;
  return shown;
}

export function shownError(error: unknown, view: ResponseView): ShownError {
  const isShown = view === "operator" && CastellanError.is(error);
  return isShown ? { code: error.code, message: error.message } : publicError(error);
}

/**
 * Returns what an application may send to users about an error: its code, for the program of the page, and a sentence for people. The
 * sentence names no session, path, limit or key. Any error that is not Castellan's has the code `INTERNAL`.
 *
 * @example
 * return Response.json(publicError(error), { status: 503 });
 */
export function publicError(error: unknown): ShownError {
  if (!CastellanError.is(error)) return { code: "INTERNAL", message: UNKNOWN };
  return { code: error.code, message: sentenceOf(error) };
}

/**
 * As {@link publicError}, of an error that a session's record has.
 *
 * @param type the `class` of the error there
 */
export function publicRecordedError(
  code: string,
  type: string | undefined,
): { readonly code: string; readonly message: string } {
  return { code, message: recordedSentence(code, type) };
}

const UNKNOWN = "Something went wrong. Please try again later.";
const BUSY = "There are too many requests at the moment. Please try again later.";
const UNAVAILABLE = "The assistant is not available at the moment. Please try again later.";
const STOPPED = "The answer was stopped.";
const INCOMPLETE = "The assistant could not complete its answer. Please try again.";

/** The sentences for the errors that a caller of a turn can get. */
const SENTENCES: { readonly [Code in ErrorCode]?: string } = {
  INVALID_OPTIONS: "The request is not valid.",
  COMMAND_NOT_FOUND: "There is no such command.",
  SESSION_NOT_FOUND: "There is no such assistant.",
  POOL_NOT_FOUND: "There is no such assistant.",
  BUDGET_EXCEEDED: "The usage limit is reached.",
  SESSION_BUSY: "The assistant still works on an earlier request.",
  MAILBOX_FULL: BUSY,
  QUEUE_TIMEOUT: BUSY,
  CAPACITY_EXHAUSTED: BUSY,
  POOL_EXHAUSTED: BUSY,
  TEMPLATE_FULL: BUSY,
  TURN_CANCELLED: "The request was cancelled.",
  STEER_REFUSED: "The assistant has already answered.",
  TURN_TIMEOUT: "The answer took too long.",
  TURN_LOST: "The answer was lost. Check what has been done before you try again.",
  EVENTS_LOST: "A part of the answer is no longer available.",
  SESSION_QUARANTINED: UNAVAILABLE,
  SESSION_STOPPED: UNAVAILABLE,
  SUPERVISOR_STOPPED: UNAVAILABLE,
  JOURNAL_UNAVAILABLE: UNAVAILABLE,
  DATABASE_UNAVAILABLE: UNAVAILABLE,
  CLUSTER_UNAVAILABLE: UNAVAILABLE,
  START_FAILED: UNAVAILABLE,
  CLAUDE_NOT_FOUND: UNAVAILABLE,
};

function sentenceOf(error: CastellanError): string {
  if (CastellanError.is(error, "TURN_INTERRUPTED")) return isStop(error) ? STOPPED : INCOMPLETE;
  return recordedSentence(error.code, CastellanError.is(error, "TURN_FAILED") ? error.details.class : undefined);
}

function recordedSentence(code: string, type: string | undefined): string {
  if (code === "TURN_INTERRUPTED") return type === undefined ? STOPPED : INCOMPLETE;
  if (code !== "TURN_FAILED") return own<string>(SENTENCES, code) ?? UNKNOWN;
  switch (type) {
    case "auth":
    case "billing":
      return UNAVAILABLE;
    case "quota":
    case "overload":
      return BUSY;
    case "request":
      return "The assistant cannot process this request.";
    default:
      return INCOMPLETE;
  }
}

/** Whether a caller stopped this very turn. A turn that was cut by what happened to its session is a failure. */
export function isStop(error: CastellanError<"TURN_INTERRUPTED">): boolean {
  return error.details.exit === undefined && !CastellanError.is(error.cause);
}
