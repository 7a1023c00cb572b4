import { CommanderError } from "commander";
import type { ErrorCode } from "../../errors.ts";
import type { CliError } from "./cli-error.ts";

/** A kind of failure that has an exit code. */
type Kind = "failed" | "usage" | "unreachable" | "denied" | "notFound" | "busy" | "turn" | "down";

/** The exit codes of the command line, with what they mean, for help. */
export const EXIT_CODES: { readonly [Name in Kind]: readonly [code: number, meaning: string] } = {
  failed: [1, "any other failure"],
  usage: [2, "wrong arguments, or options that the server refuses"],
  unreachable: [3, "no server found, or it does not answer"],
  denied: [4, "no valid token, or one that may not do this"],
  notFound: [5, "no such session, pool, turn or approval"],
  busy: [6, "not now: full, busy, over a limit, or stopping; a retry may work"],
  turn: [7, "the turn did not complete"],
  down: [8, "the session is quarantined, stopped or cannot start"],
};

/** The kinds of errors by code. All other codes are `failed`. */
const KINDS: { readonly [Code in ErrorCode | ServerCode | ClientCode]?: Kind } = {
  INVALID_OPTIONS: "usage",
  COMMAND_NOT_FOUND: "usage",
  STEER_REFUSED: "usage",
  MALFORMED_REQUEST: "usage",
  UNSUPPORTED: "usage",
  METHOD_NOT_ALLOWED: "usage",
  REQUEST_TOO_LARGE: "usage",
  AMBIGUOUS: "usage",
  NOT_CONFIRMED: "usage",
  NOT_A_TERMINAL: "usage",
  NO_SERVER: "unreachable",
  SERVER_UNREACHABLE: "unreachable",
  REQUEST_TIMEOUT: "unreachable",
  INVALID_ANSWER: "unreachable",
  UNAUTHENTICATED: "denied",
  FORBIDDEN: "denied",
  BAD_HOST: "denied",
  BAD_ORIGIN: "denied",
  NOT_FOUND: "notFound",
  SESSION_NOT_FOUND: "notFound",
  POOL_NOT_FOUND: "notFound",
  CHILD_NOT_FOUND: "notFound",
  RATE_LIMITED: "busy",
  TOO_MANY_STREAMS: "busy",
  BUDGET_EXCEEDED: "busy",
  SESSION_BUSY: "busy",
  MAILBOX_FULL: "busy",
  QUEUE_TIMEOUT: "busy",
  TEMPLATE_FULL: "busy",
  POOL_EXHAUSTED: "busy",
  CAPACITY_EXHAUSTED: "busy",
  SUPERVISOR_STOPPED: "busy",
  JOURNAL_UNAVAILABLE: "busy",
  DATABASE_UNAVAILABLE: "busy",
  CLUSTER_UNAVAILABLE: "busy",
  JOURNAL_IN_USE: "busy",
  NODE_NAME_TAKEN: "busy",
  TURN_FAILED: "turn",
  TURN_INTERRUPTED: "turn",
  TURN_CANCELLED: "turn",
  TURN_TIMEOUT: "turn",
  TURN_LOST: "turn",
  SESSION_QUARANTINED: "down",
  SESSION_STOPPED: "down",
  START_FAILED: "down",
  CLAUDE_NOT_FOUND: "down",
  CHILD_START_FAILED: "down",
};

type ClientCode = CliError["code"] | "SERVER_UNREACHABLE" | "REQUEST_TIMEOUT" | "INVALID_ANSWER";

type ServerCode =
  | "MALFORMED_REQUEST"
  | "UNSUPPORTED"
  | "METHOD_NOT_ALLOWED"
  | "REQUEST_TOO_LARGE"
  | "UNAUTHENTICATED"
  | "FORBIDDEN"
  | "BAD_HOST"
  | "BAD_ORIGIN"
  | "NOT_FOUND"
  | "RATE_LIMITED"
  | "TOO_MANY_STREAMS";

/** Returns the exit code for an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_CODES.usage[0];
  const kind = Object.entries(KINDS).find(([code]) => code === codeOf(error))?.[1];
  return EXIT_CODES[kind ?? "failed"][0];
}

/** Returns the stable code of an error, if it has one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
