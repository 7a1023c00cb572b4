import type { McpServer } from "../../claude/mcp-servers.ts";
import type { Wakeup } from "../../claude/messages/wakeups.ts";

/** Something that went wrong beside the turns, and would otherwise pass in silence. */
export interface SessionFault {
  /**
   * `mirror_error`: the `sessionStore` did not take a part of the transcript, so that a resume from it would lack that part;
   * `session_writes_lost`: Claude Code could not write its transcript or its settings, as when the disk is full;
   * `wakeups_lost`: turns that Claude had scheduled for itself will not come, because the process that kept them is gone;
   * `conversation_cut_back`: the API refused what a turn had brought into the conversation, which goes on without that turn;
   * `conversation_behind`: the transcript is older than the journal knows, as one from a backup is, and the conversation goes on from
   * what it has;
   * `mcp_server_failed`: an MCP server is not connected, does not answer, or has ended. That one is gone when the server is connected.
   */
  readonly kind:
    | "mirror_error"
    | "session_writes_lost"
    | "wakeups_lost"
    | "conversation_cut_back"
    | "conversation_behind"
    | "mcp_server_failed";
  readonly message: string;
  /** The name of the MCP server, if it is about one. */
  readonly server?: string;
  /** In milliseconds since the epoch. */
  readonly at: number;
}

/** Wakeups are gone with their process. `at` is now, in milliseconds since the epoch. */
export function wakeupsLost(wakeups: readonly Wakeup[], at: number): SessionFault {
  const due = wakeups.flatMap((wakeup) => (wakeup.at === undefined ? [] : [new Date(wakeup.at).toISOString()]));
  const when = due.length === 0 ? "" : `, due at ${due.join(", ")}`;
  const what =
    wakeups.length === 1 ? "a turn that Claude had scheduled" : `${wakeups.length} turns that Claude had scheduled`;
  return { kind: "wakeups_lost", message: `${what} will not come, since the process is gone${when}`, at };
}

/** The conversation goes on from the last turn that worked. `why` is what the API said, `at` now, in milliseconds since the epoch. */
export function conversationCutBack(why: string, at: number): SessionFault {
  const message = `the API refused the conversation, which goes on from the last turn that worked: ${why}`;
  return { kind: "conversation_cut_back", message, at };
}

/** How a transcript is less than the session knows of; `broken` if a part of it was never written. */
export function whatIsBehind(broken: boolean): string {
  return broken
    ? "the transcript of the conversation lacks a part that Claude Code could not write"
    : "the transcript of the conversation is older than the journal knows: it lacks the end of the last turn";
}

/** The conversation goes on from what its transcript has. `at` is now, in milliseconds since the epoch. */
export function conversationBehind(broken: boolean, at: number): SessionFault {
  return { kind: "conversation_behind", message: `${whatIsBehind(broken)}; the session goes on from what it has`, at };
}

/** What is wrong with MCP servers, by their names, after these have been seen; `before` is what was wrong until now. */
export function serverFaults(
  before: ReadonlyMap<string, SessionFault>,
  servers: readonly McpServer[],
  at: number,
): Map<string, SessionFault> {
  const faults = servers.flatMap(({ name, status, reason }): [string, SessionFault][] => {
    const known = before.get(name);
    if (reason === undefined) return status === "pending" && known !== undefined ? [[name, known]] : [];
    const message = `the MCP server ${JSON.stringify(name)}: ${reason}`;
    const isSame = known?.message === message;
    return [[name, isSame ? known : { kind: "mcp_server_failed", message, server: name, at }]];
  });
  return new Map(faults);
}
