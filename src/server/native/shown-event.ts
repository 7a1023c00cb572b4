import type { RecordedEvent, SessionEvent } from "../../session/record/session-event-types.ts";
import type { SessionEvent as ShownEvent, RecordedEvent as ShownRecorded } from "../../wire/event-types.ts";
import type { JsonObject } from "../../wire/json.ts";

/** Returns a recorded event as the API shows it. */
export function shownRecorded(event: RecordedEvent): ShownRecorded {
  return event;
}

/** Returns an event as the API shows it. */
export function shownEvent(event: SessionEvent): ShownEvent {
  if (event.type !== "message") return event;
  // Messages of the Agent SDK are JSON.
  return { ...event, message: event.message as object as JsonObject };
}
