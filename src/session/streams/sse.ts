import type { ShownPiece, ToolUse } from "../../claude/messages/shown.ts";
import { systemClock } from "../../clock.ts";
import type { SessionEvent } from "../record/session-event-types.ts";
import { eventId, Resumption } from "./event-id.ts";
import { type EventStreamOptions, eventStreamResponse } from "./event-stream-response.ts";
import { interleaved } from "./interleaved.ts";
import type { RecordReads } from "./recorded-output.ts";
import { type ResponseView, type ShownError, type ShownReply, shownError, shownReply } from "./response-view.ts";
import { type ShownApproval, type ShownApprovalEnd, shownApproval, shownApprovalEnd } from "./shown-approval.ts";
import { shownBy } from "./turn-reader.ts";
import type { TurnSource } from "./turn-source.ts";

/** The events of {@link Turn.toResponse}: their names and JSON data. */
export interface TurnEvents {
  text: { readonly text: string };
  thinking: { readonly text: string };
  tool_use: ToolUse;
  /**
   * Claude requests a permission, or asks questions. A client that reconnects gets the turn's approvals again, from the
   * first; they have the same `id`.
   */
  approval_requested: ShownApproval;
  /** A permission request was answered, expired or was withdrawn. */
  approval_settled: ShownApprovalEnd;
  /** Discards everything sent before: the turn runs again, or everything is sent anew. */
  retry: { readonly attempt: number };
  /** A part of the output that is no longer kept; see {@link Turn.recalled}. */
  lost: { readonly code: "EVENTS_LOST"; readonly message: string };
  /** The last event of a completed turn. */
  result: ShownReply;
  /** The last event of any other turn. */
  error: ShownError;
}

export interface SseOptions extends EventStreamOptions {
  /**
   * The id of the last event that the client has seen, from its `Last-Event-ID` header. Valid on every node and after a
   * restart of the application.
   */
  readonly lastEventId?: string | null;
}

/**
 * Returns a turn as a response of server-sent events. A client that leaves only detaches its reader; the turn
 * continues.
 */
export function turnResponse(
  turn: TurnSource,
  reads: RecordReads,
  options: SseOptions,
  approvals?: TurnApprovals,
): Response {
  const client = new Resumption(options.lastEventId);
  const { clock = systemClock, view = "user" } = options;
  const output = outputOf(turn, reads, client);
  const shown = approvals === undefined ? output : interleaved(output, approvalsOf(approvals()), clock);
  return eventStreamResponse(eventsOf(turn, shown, client, view), options);
}

/** Reads the events of a turn's approvals. */
export type TurnApprovals = () => AsyncGenerator<SessionEvent, void, undefined>;

async function* outputOf(
  turn: TurnSource,
  reads: RecordReads,
  client: Resumption,
): AsyncGenerator<string, void, undefined> {
  for await (const batch of shownBy(turn, reads)) {
    for (const { position, pieces } of batch) {
      const admission = client.admit(position);
      if (admission === "seen") continue;
      const retry = admission === "anew" ? [event("retry", { attempt: position.attempt })] : [];
      // Only the last event of a message has an id, so a client that has the id has the whole message.
      yield `${[...retry, ...pieces.map(pieceEvent)].join("\n\n")}\nid: ${eventId(position)}\n\n`;
    }
  }
}

async function* approvalsOf(
  events: AsyncGenerator<SessionEvent, void, undefined>,
): AsyncGenerator<string, void, undefined> {
  for await (const told of events) {
    const [requested, settled] = [shownApproval(told), shownApprovalEnd(told)];
    if (requested !== undefined) yield `${event("approval_requested", requested)}\n\n`;
    if (settled !== undefined) yield `${event("approval_settled", settled)}\n\n`;
  }
}

async function* eventsOf(
  turn: TurnSource,
  shown: AsyncGenerator<string, void, undefined>,
  client: Resumption,
  view: ResponseView,
): AsyncGenerator<string, void, undefined> {
  try {
    yield* shown;
    yield ended(client, turn.attempts, event("result", shownReply(await turn.result, view)), true);
  } catch (error) {
    // The browser reconnects, and gets the rest from the next application.
    if (turn.continues) throw error;
    yield ended(client, turn.attempts, event("error", shownError(error, view)), false);
  }
}

/** Returns the last event. A returning client gets it again, because it carries no id. */
function ended(client: Resumption, attempt: number, last: string, completed: boolean): string {
  const retry = client.isVoid(attempt, completed) ? `${event("retry", { attempt })}\n\n` : "";
  return `${retry}${last}\n\n`;
}

function pieceEvent(piece: ShownPiece): string {
  if (piece.type === "lost") {
    return event("lost", { code: "EVENTS_LOST", message: "This part of the output is no longer kept; the result is." });
  }
  if (piece.type !== "tool_use") return event(piece.type, { text: piece.text });
  const { type, ...use } = piece;
  return event(type, use);
}

function event<Name extends keyof TurnEvents>(name: Name, data: TurnEvents[Name]): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}`;
}
