import type { ShownPiece, ToolUse } from "../../claude/messages/shown.ts";
import { eventId, Resumption } from "./event-id.ts";
import { type EventStreamOptions, eventStreamResponse } from "./event-stream-response.ts";
import { type ResponseView, type ShownError, type ShownReply, shownError, shownReply } from "./response-view.ts";
import { shownBy } from "./turn-reader.ts";
import type { TurnSource } from "./turn-source.ts";

/** The events of {@link Turn.toResponse}: their names and JSON data. */
export interface TurnEvents {
  text: { readonly text: string };
  thinking: { readonly text: string };
  tool_use: ToolUse;
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
export function turnResponse(turn: TurnSource, options: SseOptions): Response {
  return eventStreamResponse(eventsOf(turn, new Resumption(options.lastEventId), options.view ?? "user"), options);
}

async function* eventsOf(
  turn: TurnSource,
  client: Resumption,
  view: ResponseView,
): AsyncGenerator<string, void, undefined> {
  try {
    for await (const batch of shownBy(turn)) {
      for (const { position, pieces } of batch) {
        const admission = client.admit(position);
        if (admission === "seen") continue;
        const retry = admission === "anew" ? [event("retry", { attempt: position.attempt })] : [];
        // Only the last event of a message has an id, so a client that has the id has the whole message.
        yield `${[...retry, ...pieces.map(pieceEvent)].join("\n\n")}\nid: ${eventId(position)}\n\n`;
      }
    }
    yield ended(client, turn.attempts, event("result", shownReply(await turn.result, view)), true);
  } catch (error) {
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
