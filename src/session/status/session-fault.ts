import type { McpServer } from "../../claude/mcp-servers.ts";
import type { Wakeup } from "../../claude/messages/wakeups.ts";

/** A failure outside the turns, which no turn's error reports. */
export interface SessionFault {
  /**
   * `mirror_error`: the `sessionStore` rejected a part of the transcript, which a resume from the store would lack;
   * `session_writes_lost`: Claude Code could not write its transcript or its settings, for example because the disk is
   * full;
   * `wakeups_lost`: turns that Claude had scheduled will not run, because the process that held the schedules is gone;
   * `conversation_cut_back`: the API rejected content that a turn had added to the conversation, which continues
   * without that turn;
   * `conversation_behind`: the transcript is older than the journal, such as one restored from a backup, and the
   * conversation continues from the transcript;
   * `mcp_server_failed`: an MCP server is not connected, does not answer, or exited. This fault clears when the server
   * connects.
   */
  readonly kind:
    | "mirror_error"
    | "session_writes_lost"
    | "wakeups_lost"
    | "conversation_cut_back"
    | "conversation_behind"
    | "mcp_server_failed";
  readonly message: string;
  /** The name of the MCP server, for a fault of one. */
  readonly server?: string;
  /** When the fault occurred, in milliseconds since the epoch. */
  readonly at: number;
}

/** Returns the fault for wakeups that were lost with their process. `at` is in milliseconds since the epoch. */
export function wakeupsLost(wakeups: readonly Wakeup[], at: number): SessionFault {
  const due = wakeups.flatMap((wakeup) => (wakeup.at === undefined ? [] : [new Date(wakeup.at).toISOString()]));
  const when = due.length === 0 ? "" : `, due at ${due.join(", ")}`;
  const what =
    wakeups.length === 1 ? "a turn that Claude had scheduled" : `${wakeups.length} turns that Claude had scheduled`;
  return { kind: "wakeups_lost", message: `${what} will not run, because the process is gone${when}`, at };
}

/**
 * Returns the fault for a conversation that continues from its last successful turn. `why` is the API's message; `at`
 * is in milliseconds since the epoch.
 */
export function conversationCutBack(why: string, at: number): SessionFault {
  const message = `the API rejected the conversation, which continues from the last successful turn: ${why}`;
  return { kind: "conversation_cut_back", message, at };
}

/** Describes what a transcript lacks; `broken` if Claude Code never wrote a part of it. */
export function transcriptGap(broken: boolean): string {
  return broken
    ? "the conversation's transcript lacks a part that Claude Code could not write"
    : "the conversation's transcript is older than the journal: it lacks the end of the last turn";
}

/**
 * Returns the fault for a conversation that continues from an incomplete transcript. `at` is in milliseconds since the
 * epoch.
 */
export function conversationBehind(broken: boolean, at: number): SessionFault {
  return {
    kind: "conversation_behind",
    message: `${transcriptGap(broken)}; the session continues from the transcript`,
    at,
  };
}

/**
 * Returns the faults of MCP servers, by name. `before` holds the previous faults; an unchanged fault keeps its time,
 * and a pending server keeps its fault.
 */
export const NO_SERVER_FAULTS: ReadonlyMap<string, SessionFault> = new Map();

export function serverFaults(
  before: ReadonlyMap<string, SessionFault>,
  servers: readonly McpServer[],
  at: number,
): ReadonlyMap<string, SessionFault> {
  const faults = servers.flatMap(({ name, status, reason }): [string, SessionFault][] => {
    const known = before.get(name);
    if (reason === undefined) return status === "pending" && known !== undefined ? [[name, known]] : [];
    const message = `the MCP server ${JSON.stringify(name)}: ${reason}`;
    const isSame = known?.message === message;
    return [[name, isSame ? known : { kind: "mcp_server_failed", message, server: name, at }]];
  });
  return faults.length === 0 ? NO_SERVER_FAULTS : new Map(faults);
}
