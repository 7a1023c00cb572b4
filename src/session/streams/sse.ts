import type { ShownPiece, ToolUse } from "../../claude/messages/shown.ts";
import { CastellanError } from "../../errors.ts";
import { eventId, Resumption } from "./event-id.ts";
import { type EventStreamOptions, eventStreamResponse } from "./event-stream-response.ts";
import type { Reply } from "./reply.ts";
import { shownBy } from "./turn-reader.ts";
import type { TurnSource } from "./turn-source.ts";

/** The events of {@link Turn.toResponse}: the name of each, and what its JSON data is. */
export interface TurnEvents {
  text: { readonly text: string };
  thinking: { readonly text: string };
  tool_use: ToolUse;
  /** What was sent before is void: the turn was cut and is run again, or all of it is sent anew. */
  retry: { readonly attempt: number };
  /** Something came here that is no longer there; see {@link Turn.recalled}. */
  lost: { readonly code: "EVENTS_LOST"; readonly message: string };
  /** The last event of a turn that completed. */
  result: Reply;
  /** The last event of any other turn. */
  error: { readonly code: string; readonly message: string };
}

export interface SseOptions extends EventStreamOptions {
  /**
   * The id of the last event that the client has seen, as it sends it in `Last-Event-ID`. It means the same on every node, and after
   * a restart of the application.
   */
  readonly lastEventId?: string | null;
}

/** A turn as a response of server-sent events. When the client leaves, the reader is detached; the turn goes on. */
export function turnResponse(turn: TurnSource, options: SseOptions): Response {
  return eventStreamResponse(eventsOf(turn, new Resumption(options.lastEventId)), options);
}

async function* eventsOf(turn: TurnSource, client: Resumption): AsyncGenerator<string, void, undefined> {
  try {
    for await (const batch of shownBy(turn)) {
      for (const { place, pieces } of batch) {
        const admission = client.admit(place);
        if (admission === "seen") continue;
        const retry = admission === "anew" ? [event("retry", { attempt: place.attempt })] : [];
        // The id stands on the last event of a message only, so that a client that has it has them all.
        yield `${[...retry, ...pieces.map(pieceEvent)].join("\n\n")}\nid: ${eventId(place)}\n\n`;
      }
    }
    yield ended(client, turn.attempts, event("result", await turn.result), true);
  } catch (error) {
    const { code, message } = CastellanError.is(error) ? error : { code: "INTERNAL", message: "internal error" };
    yield ended(client, turn.attempts, event("error", { code, message }), false);
  }
}

/** The last event. A client that comes back after it gets it again, since it keeps the id of the one before. */
function ended(client: Resumption, attempt: number, last: string, completed: boolean): string {
  const retry = client.isVoid(attempt, completed) ? `${event("retry", { attempt })}\n\n` : "";
  return `${retry}${last}\n\n`;
}

function pieceEvent(piece: ShownPiece): string {
  if (piece.type === "lost") {
    return event("lost", { code: "EVENTS_LOST", message: "What came here is no longer there; the result is." });
  }
  if (piece.type !== "tool_use") return event(piece.type, { text: piece.text });
  const { type, ...use } = piece;
  return event(type, use);
}

function event<Name extends keyof TurnEvents>(name: Name, data: TurnEvents[Name]): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}`;
}
